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
            if !name.isEmpty { self.virtualHost = name.lowercased() == "%2f" ? "/" : name }
            rest = rest[..<slash]
        }
        if let at = rest.lastIndex(of: "@") {
            self.user = String(rest[..<at])
            guard !self.user.contains(":") else {
                throw Failure(
                    .invalidArgument,
                    "--broker holds a password; put it into a file and give --password-file")
            }
            rest = rest[rest.index(after: at)...]
        }
        if let colon = rest.lastIndex(of: ":") {
            guard let port = Int32(rest[rest.index(after: colon)...]), (1...65_535).contains(port)
            else { throw Self.wrong }
            self.port = port
            rest = rest[..<colon]
        }
        if !rest.isEmpty { self.host = String(rest) }
        if let password { self.password = password }
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
    let address: String
    private static let answerMilliseconds: Int32 = 10_000

    init(_ address: BrokerAddress) throws(Failure) {
        guard let handle = rabbit_new() else {
            throw Failure(.unavailable, "there is no memory for a connection")
        }
        self.handle = handle
        self.address = "\(address.host):\(address.port)"
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

    // MARK: Publishing

    func confirm() throws(Failure) { try self.check(rabbit_confirm(self.handle)) }

    func publish(_ event: Event, to exchange: String, routingKey: [UInt8], headers: [Header])
        throws(Failure)
    {
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
        throw Failure(.unavailable, String(cString: rabbit_error(self.handle)))
    }
}

extension [UInt8] {
    fileprivate init(_ bytes: rabbit_bytes) {
        self = Array(
            UnsafeRawBufferPointer(start: bytes.data, count: bytes.data == nil ? 0 : bytes.size))
    }
}
