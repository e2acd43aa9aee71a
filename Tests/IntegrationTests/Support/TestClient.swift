import Core
import PlainClient
import Wire

/// A connection that sorts what comes by stream. `Client` itself checks that ranges join and that
/// positions grow.
final class TestClient {
    let client: Client
    /// For requests that do not name one; empty: `main`.
    var exchange = ""
    private var inbox: [(stream: StreamID, frame: ClientFrame)] = []

    init(_ address: Address, name: String = "test", token: [UInt8] = []) throws {
        self.client = try Client(
            address: address, clientName: name, token: token,
            timeoutMilliseconds: Int(patience * 1_000))
    }

    func close() {
        self.client.close()
    }

    // MARK: Calls

    func call(_ request: Request) throws -> Reply {
        try self.client.call(request)
    }

    /// The failure that a request must be answered with.
    func failure(_ request: Request) throws -> Failure {
        do {
            let reply = try self.client.call(request)
            throw Problem("\(request.method.name) was answered by \(reply)")
        } catch let failure as Failure {
            return failure
        }
    }

    /// Of a request that was sent by `client.sendRequest`.
    func answer(to stream: StreamID, seconds: Double = patience) throws -> Result<Reply, Failure> {
        switch try self.frame(on: stream, seconds: seconds) {
        case .response(_, let result): return result
        case .end(_, let failure): return .failure(failure)
        case let other: throw Problem("expected a response, got \(other)")
        }
    }

    // MARK: Publishing

    func publishRequest(
        _ events: [Event], producer: String = "", sequence: UInt64 = 0
    ) throws -> Request {
        var encoded = EncodedEvents()
        for event in events { try encoded.append(event, eventBytesMax: 8 << 20) }
        return .publish(
            PublishRequest(
                exchange: Array(self.exchange.utf8), producer: Array(producer.utf8),
                sequence: sequence, events: encoded))
    }

    @discardableResult
    func publish(
        _ events: [Event], producer: String = "", sequence: UInt64 = 0
    ) throws -> PublishReply {
        let request = try self.publishRequest(events, producer: producer, sequence: sequence)
        guard case .publish(let reply) = try self.call(request) else {
            throw Problem("publish was answered by something else")
        }
        return reply
    }

    @discardableResult
    func publish(_ key: String, _ payloads: String...) throws -> PublishReply {
        try self.publish(payloads.map { Event(key, $0) })
    }

    func producer(_ name: String) throws -> ProducerReply {
        let request = ProducerRequest(
            exchange: Array(self.exchange.utf8), producer: Array(name.utf8))
        guard case .producer(let reply) = try self.call(.producer(request)) else {
            throw Problem("Producer was answered by something else")
        }
        return reply
    }

    // MARK: Subscribing

    func subscribeRequest(_ name: String, _ patterns: [String] = []) -> SubscribeRequest {
        var request = SubscribeRequest(name: Array(name.utf8))
        request.config = self.config(patterns)
        return request
    }

    func config(_ patterns: [String] = []) -> ReceiverConfigMessage {
        ReceiverConfigMessage(
            exchange: Array(self.exchange.utf8), patterns: patterns.map { Array($0.utf8) })
    }

    /// Subscribes and waits for the confirmation. Returns it too: where the consumer starts.
    func subscribe(_ request: SubscribeRequest) throws -> (stream: StreamID, start: UInt64) {
        let stream = try self.client.sendRequest(.subscribe(request))
        let first = try self.delivery(on: stream)
        guard first.events.isEmpty, first.header.after == first.header.upto else {
            throw Problem("the first delivery is no confirmation: \(first.header)")
        }
        return (stream, first.header.after.rawValue)
    }

    @discardableResult
    func subscribe(
        _ name: String, _ patterns: String..., from start: Start = .next
    ) throws -> StreamID {
        var request = self.subscribeRequest(name, patterns)
        request.start = start
        return try self.subscribe(request).stream
    }

    func delivery(on stream: StreamID, seconds: Double = patience) throws -> Delivery {
        switch try self.frame(on: stream, seconds: seconds) {
        case .data(_, let delivery): return delivery
        case .end(_, let failure): throw failure
        case let other: throw Problem("expected a delivery, got \(other)")
        }
    }

    /// The next so many events.
    func events(_ count: Int, on stream: StreamID, seconds: Double = patience) throws -> [Event] {
        var events: [Event] = []
        while events.count < count {
            events += try self.delivery(on: stream, seconds: seconds).events
        }
        guard events.count == count else {
            throw Problem("expected \(count) events, got \(events.count)")
        }
        return events
    }

    /// Their payloads as text.
    func payloads(_ count: Int, on stream: StreamID, seconds: Double = patience) throws -> [String]
    {
        try self.events(count, on: stream, seconds: seconds).map(\.text)
    }

    /// Why the stream ends; deliveries before it are passed over.
    func end(of stream: StreamID, seconds: Double = patience) throws -> Failure {
        while true {
            switch try self.frame(on: stream, seconds: seconds) {
            case .end(_, let failure): return failure
            case .data: continue
            case let other: throw Problem("expected the end of the stream, got \(other)")
            }
        }
    }

    @discardableResult
    func acknowledge(_ upto: UInt64, on stream: StreamID) throws -> UInt64 {
        let request = AcknowledgeRequest(stream: stream.rawValue, upto: upto)
        guard case .acknowledge(let reply) = try self.call(.acknowledge(request)) else {
            throw Problem("Acknowledge was answered by something else")
        }
        return reply.position
    }

    func grant(events: UInt32, bytes: UInt32, on stream: StreamID) throws {
        _ = try self.call(
            .grant(GrantRequest(stream: stream.rawValue, events: events, bytes: bytes)))
    }

    /// Says that nothing came, as far as the server has worked: it answers in order, so what it
    /// sent before the answer to this question is here.
    func expectNothing(on stream: StreamID) throws {
        _ = try self.call(.server(ServerRequest()))
        while let frame = try self.client.nextFrame(timeoutMilliseconds: 0) { self.put(frame) }
        if let found = self.inbox.first(where: { $0.stream == stream }) {
            throw Problem("expected nothing, got \(found.frame)")
        }
    }

    // MARK: Administration

    func createExchange(_ name: String) throws {
        _ = try self.call(.createExchange(ExchangeRequest(name: Array(name.utf8))))
    }

    func list(prefix: String = "", pageSize: UInt32 = 0, token: [UInt8] = []) throws -> ListReply {
        let request = ListRequest(
            exchange: Array(self.exchange.utf8), namePrefix: Array(prefix.utf8),
            pageSize: pageSize, pageToken: token)
        guard case .list(let reply) = try self.call(.list(request)) else {
            throw Problem("List was answered by something else")
        }
        return reply
    }

    /// A subscriber as List shows it.
    func subscription(_ name: String) throws -> Subscription {
        let found = try self.list(prefix: name).subscriptions
        guard let entry = found.first(where: { $0.name == Array(name.utf8) }) else {
            throw Problem("List does not show '\(name)'")
        }
        return entry
    }

    func stop(_ name: String) throws -> StopReply {
        let request = StopRequest(exchange: Array(self.exchange.utf8), name: Array(name.utf8))
        guard case .stop(let reply) = try self.call(.stop(request)) else {
            throw Problem("Stop was answered by something else")
        }
        return reply
    }

    func serverReply() throws -> ServerReply {
        guard case .server(let reply) = try self.call(.server(ServerRequest())) else {
            throw Problem("Server was answered by something else")
        }
        return reply
    }

    // MARK: Frames

    func frame(on stream: StreamID, seconds: Double = patience) throws -> ClientFrame {
        let deadline = uptime + seconds
        while true {
            if let index = self.inbox.firstIndex(where: { $0.stream == stream }) {
                return self.inbox.remove(at: index).frame
            }
            let left = max(0, deadline - uptime)
            guard let frame = try self.client.nextFrame(timeoutMilliseconds: Int(left * 1000))
            else { throw Problem("nothing came on stream \(stream.rawValue) in \(seconds) s") }
            self.put(frame)
        }
    }

    /// The server's farewell.
    func goAway(seconds: Double = patience) throws -> Failure {
        guard case .goAway(let failure) = try self.frame(on: .connection, seconds: seconds) else {
            throw Problem("expected a GOAWAY")
        }
        return failure
    }

    private func put(_ frame: ClientFrame) {
        switch frame {
        case .response(let stream, _), .data(let stream, _), .summary(let stream, _),
            .end(let stream, _):
            self.inbox.append((stream, frame))
        case .goAway, .pong:
            self.inbox.append((.connection, frame))
        }
    }
}

extension Event {
    init(_ key: String, _ payload: String, headers: [(String, String)] = []) {
        self.init(
            key: Array(key.utf8), payload: Array(payload.utf8),
            headers: headers.map { Header(name: Array($0.0.utf8), value: Array($0.1.utf8)) })
    }

    /// The payload as text.
    var text: String { String(decoding: self.payload, as: UTF8.self) }
}

extension Array where Element == UInt8 {
    var text: String { String(decoding: self, as: UTF8.self) }
}
