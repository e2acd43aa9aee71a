import CRabbitMQ
import Core

/// Where a broker is, and who we are there.
struct BrokerAddress: Hashable {
    var host = "127.0.0.1"
    var port: Int32 = 5672
    var virtualHost = "/"
    var user = "guest"
    var password = "guest"
    var isTLS = false
    var authorities: String?

    /// `amqp://USER@HOST:PORT/VHOST` or `amqps://…`; a password is not taken from here.
    init(_ text: String, password: String?, authorities: String?) throws(Failure) {
        let parts = text.split(separator: "://", maxSplits: 1).map(String.init)
        guard parts.count == 2, ["amqp", "amqps"].contains(parts[0]) else { throw Self.wrong }
        self.isTLS = parts[0] == "amqps"
        self.port = self.isTLS ? 5671 : 5672
        self.authorities = authorities
        var rest = parts[1][...]
        if let slash = rest.firstIndex(of: "/") {
            let name = String(rest[rest.index(after: slash)...])
            if !name.isEmpty { self.virtualHost = try Self.decoded(name) }
            rest = rest[..<slash]
        }
        if let at = rest.lastIndex(of: "@") {
            let user = String(rest[..<at])
            guard !user.contains(":") else {
                throw Failure(
                    .invalidArgument,
                    "--broker holds a password; put it into a file and give --password-file")
            }
            self.user = try Self.decoded(user)
            rest = rest[rest.index(after: at)...]
        }
        // An IPv6 address stands in brackets.
        let isNumber = rest.hasPrefix("[")
        let bracket = isNumber ? rest.firstIndex(of: "]") : rest.startIndex
        guard let bracket else { throw Self.wrong }
        if let colon = rest.lastIndex(of: ":"), colon >= bracket {
            guard let port = Int32(rest[rest.index(after: colon)...]), (1...65_535).contains(port)
            else { throw Self.wrong }
            self.port = port
            rest = rest[..<colon]
        }
        if isNumber {
            guard rest.last == "]" else { throw Self.wrong }
            rest = rest.dropFirst().dropLast()
        }
        if !rest.isEmpty { self.host = String(rest) }
        // The file of a unit must be there, and has an empty line when there is no password.
        if let password, !password.isEmpty { self.password = password }
    }

    /// With bytes instead of `%2F` and the like.
    private static func decoded(_ text: String) throws(Failure) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            // A number may have a sign, this may not.
            guard digits.utf8.count == 2, digits.allSatisfy(\.isHexDigit),
                let code = UInt8(digits, radix: 16), code != 0
            else { throw Self.wrong }
            bytes.append(code)
            rest = rest.dropFirst(2)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw Self.wrong }
        return text
    }

    /// The address is not repeated: somebody may have put a password into it.
    private static let wrong = Failure(
        .invalidArgument,
        "--broker cannot be read; expected amqp://USER@HOST:PORT/VHOST or amqps://…, and the password in --password-file"
    )
}

/// The nodes of a cluster, of which one is connected to.
struct BrokerAddresses {
    private let all: [BrokerAddress]
    private var next = 0

    /// Not empty.
    init(_ texts: [String], password: String?, authorities: String?) throws(Failure) {
        var all: [BrokerAddress] = []
        for text in texts {
            all.append(
                try BrokerAddress(text, password: password, authorities: authorities))
        }
        self.all = all
    }

    /// A connection to the first that answers, beginning with the one after the last: the last one has just been lost.
    mutating func connect() throws(Failure) -> Broker {
        var failures: [String] = []
        for _ in self.all {
            let address = self.all[self.next % self.all.count]
            self.next += 1
            do throws(Failure) {
                return try Broker(address)
            } catch {
                failures.append(
                    self.all.count == 1
                        ? error.message : "\(address.host):\(address.port): \(error.message)")
            }
        }
        throw Failure(.unavailable, failures.joined(separator: "; "))
    }
}

/// What a message of a queue is for an event.
struct BrokerMessage: Hashable {
    var tag: UInt64
    var isRedelivered = false
    var offset: Int64 = -1
    var exchange: String
    var routingKey: [UInt8]
    var body: [UInt8]
    var id: [UInt8]
    var contentType: [UInt8]
    var headers: [Header]
}

/// One connection; after a failure it is of no use any more. Used on one thread.
final class Broker {
    private let handle: OpaquePointer
    let place: BrokerAddress
    var address: String { "\(self.place.host):\(self.place.port)" }
    private static let answerMilliseconds: Int32 = 10_000

    init(_ address: BrokerAddress) throws(Failure) {
        guard let handle = rabbit_new() else {
            throw Failure(.unavailable, "there is no memory for a connection")
        }
        self.handle = handle
        self.place = address
        try self.check(Self.connect(handle, address))
    }

    deinit {
        rabbit_free(self.handle)
    }

    private static func connect(_ handle: OpaquePointer, _ address: BrokerAddress) -> Int32 {
        address.host.withCString { host in
            address.virtualHost.withCString { virtualHost in
                address.user.withCString { user in
                    address.password.withCString { password in
                        let call = { (authorities: UnsafePointer<CChar>?) in
                            var place = rabbit_address(
                                host: host, port: address.port, vhost: virtualHost, user: user,
                                password: password, is_tls: address.isTLS, authorities: authorities)
                            return rabbit_connect(handle, &place, Self.answerMilliseconds)
                        }
                        guard let authorities = address.authorities else { return call(nil) }
                        return authorities.withCString { call($0) }
                    }
                }
            }
        }
    }

    func declareExchange(_ name: String, type: String) throws(Failure) {
        try self.check(rabbit_declare_exchange(self.handle, name, type))
    }

    /// nil: it must be there.
    func declareQueue(_ name: String, type: String?, isSingleActive: Bool) throws(Failure) {
        guard let type else {
            return try self.check(rabbit_declare_queue(self.handle, name, nil, false))
        }
        try self.check(rabbit_declare_queue(self.handle, name, type, isSingleActive))
    }

    /// Messages that are ready in a queue.
    func depth(of queue: String) throws(Failure) -> UInt64 {
        var count: UInt32 = 0
        try self.check(rabbit_depth(self.handle, queue, &count))
        return UInt64(count)
    }

    func bind(_ queue: String, to exchange: String, pattern: String) throws(Failure) {
        try self.check(rabbit_bind(self.handle, queue, exchange, pattern))
    }

    func consume(_ queue: String, prefetch: Int, offset: Int64) throws(Failure) {
        try self.check(rabbit_consume(self.handle, queue, UInt16(clamping: prefetch), offset))
    }

    /// nil: none came in time.
    func next(milliseconds: Int32) throws(Failure) -> BrokerMessage? {
        var message = rabbit_message()
        let result = rabbit_next(self.handle, milliseconds, &message)
        try self.check(min(result, 0))
        guard result == 1 else { return nil }
        let headers = UnsafeBufferPointer(start: message.headers, count: message.header_count)
        return BrokerMessage(
            tag: message.tag, isRedelivered: message.redelivered, offset: message.offset,
            exchange: String(decoding: [UInt8](message.exchange), as: UTF8.self),
            routingKey: [UInt8](message.routing_key), body: [UInt8](message.body),
            id: [UInt8](message.id), contentType: [UInt8](message.content_type),
            headers: headers.map { Header(name: [UInt8]($0.name), value: [UInt8]($0.value)) })
    }

    /// All up to and with this one.
    func acknowledge(_ tag: UInt64) throws(Failure) {
        try self.check(rabbit_acknowledge(self.handle, tag))
    }

    /// For the time in which `next` is not called.
    func beat() throws(Failure) { try self.check(rabbit_beat(self.handle)) }

    /// Where the newest chunk of a stream begins; nil: there is none. For a connection that consumes nothing.
    func newestOffset(of stream: String) throws(Failure) -> UInt64? {
        var offset: Int64 = -1
        try self.check(rabbit_newest(self.handle, stream, 500, &offset))
        return offset < 0 ? nil : UInt64(offset)
    }

    // MARK: Publishing

    func confirm() throws(Failure) { try self.check(rabbit_confirm(self.handle)) }

    func publish(_ event: Event, to exchange: String, headers: [Header]) throws(Failure) {
        let routingKey = event.key
        // One block for all of them, so that a single borrow covers it.
        var block = routingKey + event.payload + event.id + event.contentType
        for header in headers { block += header.name + header.value }
        let result = block.withUnsafeBytes { all in
            var offset = 0
            func take(_ count: Int) -> rabbit_bytes {
                defer { offset += count }
                return rabbit_bytes(data: all.baseAddress.map { $0 + offset }, size: count)
            }
            let key = take(routingKey.count)
            let body = take(event.payload.count)
            let id = take(event.id.count)
            let contentType = take(event.contentType.count)
            let list = headers.map {
                rabbit_header(name: take($0.name.count), value: take($0.value.count))
            }
            return rabbit_publish(
                self.handle, exchange, key, body, id, contentType, list, list.count)
        }
        try self.check(result)
    }

    /// Whether so many publishes were confirmed.
    func isConfirmed(_ count: UInt64, milliseconds: Int32) throws(Failure) -> Bool {
        let result = rabbit_wait_confirmed(self.handle, count, milliseconds)
        try self.check(min(result, 0))
        return result == 1
    }

    private func check(_ result: Int32) throws(Failure) {
        guard result != 0 else { return }
        throw Failure(
            result == RABBIT_REFUSED ? .failedPrecondition : .unavailable,
            String(cString: rabbit_error(self.handle)))
    }
}

extension [UInt8] {
    fileprivate init(_ bytes: rabbit_bytes) {
        self = Array(
            UnsafeRawBufferPointer(start: bytes.data, count: bytes.data == nil ? 0 : bytes.size))
    }
}
