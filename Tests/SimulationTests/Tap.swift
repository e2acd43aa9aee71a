import Core
import Wire

/// What a client has asked on a stream.
enum Asked {
    case hello
    case publish(Attempt)
    case producer
    case subscribe(StreamRecord)
    case fetch(FetchRecord)
    case administration(Method)
    /// No reply is expected unless it fails.
    case quietly(Method)

    var method: Method {
        switch self {
        case .hello: .hello
        case .publish: .publish
        case .producer: .producer
        case .subscribe: .subscribe
        case .fetch: .fetch
        case .administration(let method), .quietly(let method): method
        }
    }
}

/// Reads along what the engine sends, at the instant at which it sends it: what is not durable then
/// was visible too early.
final class Tap {
    private unowned let simulation: Simulation
    private let connection: Int
    private let user: UInt32
    private let server: Int
    private var decoder = FrameDecoder(payloadBytesMax: Limits.frameBytesMaxMax)
    private let arena = Arena()
    private var asked: [UInt32: Asked] = [:]
    private var cancelledStreams: Set<UInt32> = []
    private var sentBytes: UInt64 = 0
    /// ON_SEND: what is confirmed when the socket has taken this much.
    private var handing: [(bytes: UInt64, record: StreamRecord, upto: Position)] = []

    init(_ simulation: Simulation, connection: Int, user: UInt32, server: Int) {
        self.simulation = simulation
        self.user = user
        self.server = server
        self.connection = connection
    }

    private var checker: Checker { self.simulation.checker }

    func expect(_ asked: Asked, on stream: UInt32) {
        self.asked[stream] = asked
    }

    func cancelled(_ stream: UInt32) {
        self.cancelledStreams.insert(stream)
    }

    /// The socket has taken this much of what was sent.
    func taken(_ bytes: UInt64) {
        while let first = self.handing.first, first.bytes <= bytes {
            self.handing.removeFirst()
            self.checker.confirming(first.record, first.upto)
        }
    }

    func sent(_ bytes: [UInt8]) {
        self.sentBytes += UInt64(bytes.count)
        bytes.withUnsafeBytes { self.decoder.push($0) }
        do throws(Failure) {
            while true {
                let isFrame = try self.decoder.next { header, payload throws(Failure) in
                    try self.look(header, payload)
                }
                if !isFrame { return }
            }
        } catch {
            self.checker.broke(.decoding, "connection \(self.connection): \(error)")
        }
    }

    private func look(_ header: FrameHeader, _ payload: UnsafeRawBufferPointer) throws(Failure) {
        let stream = header.stream.rawValue
        self.simulation.note(
            .reply, self.connection << 32 | Int(stream),
            Int(header.type.rawValue) << 48 | Int(header.code) << 32 | payload.count,
            "connection \(self.connection) stream \(stream): \(header.type) code \(header.code), "
                + "\(payload.count) bytes")
        if payload.count > self.simulation.plan.limits.frameBytesMax {
            self.checker.broke(.decoding, "a frame of \(payload.count) bytes was sent")
        }
        switch header.type {
        case .response, .end: try self.answer(header, payload)
        case .data: try self.data(stream, payload)
        case .goAway: self.simulation.statistics.goAways += 1
        case .ping, .pong: break
        case .request, .cancel:
            self.checker.broke(.decoding, "the server sent a \(header.type)")
        }
    }

    private func data(_ stream: UInt32, _ payload: UnsafeRawBufferPointer) throws(Failure) {
        guard case .subscribe(let record) = self.asked[stream] else {
            return self.checker.broke(
                .answeredOnce, "connection \(self.connection): DATA on stream \(stream)")
        }
        let delivery = try Delivery.decode(payload)
        self.checker.delivered(delivery, on: record)
        self.checkGranted(delivery.events, record.exchange)
        if record.request.acknowledgement == .onSend {
            self.handing.append((self.sentBytes, record, delivery.header.upto))
        }
    }

    /// A server that another one has replaced knows nothing of later changes.
    private func checkGranted(_ events: [Event], _ exchange: ExchangeID) {
        guard self.server == self.simulation.servers.last?.number else { return }
        self.checker.checkGranted(events, of: exchange, to: self.user)
    }

    private func answer(_ header: FrameHeader, _ payload: UnsafeRawBufferPointer) throws(Failure) {
        let stream = header.stream.rawValue
        guard let asked = self.asked.removeValue(forKey: stream) else {
            return self.checker.broke(
                .answeredOnce,
                "connection \(self.connection): a \(header.type) on stream \(stream), which "
                    + "nobody has asked or was answered before")
        }
        if header.code != 0 { return self.failed(asked, header, payload) }
        if case .quietly(let method) = asked {
            return self.checker.broke(
                .answeredOnce, "a \(method.name) was answered that wanted no reply")
        }
        let reply = try Reply.decode(method: asked.method, payload: payload, arena: self.arena)
        switch (asked, reply) {
        case (.publish(let attempt), .publish(let reply)):
            self.checker.acknowledged(attempt, reply)
        case (.fetch(let record), .fetch(let delivery)):
            self.checker.fetched(delivery, record)
            self.checkGranted(delivery.events, record.exchange)
        default: break
        }
    }

    private func failed(
        _ asked: Asked, _ header: FrameHeader, _ payload: UnsafeRawBufferPointer
    ) {
        let failure = FailureMessage.decode(
            code: header.code, payload: payload, arena: self.arena)
        self.simulation.remark(.reply, "\(asked.method.name) failed: \(failure)")
        let isStream = asked.method == .subscribe || header.code == StatusCode.cancelled.rawValue
        if isStream != (header.type == .end) {
            self.checker.broke(.answeredOnce, "a \(asked.method.name) was ended by \(header.type)")
        }
        switch failure.code {
        case .internal: self.checker.broke(.answered, "\(asked.method.name): \(failure)")
        case .takenOver: self.simulation.statistics.takeovers += 1
        case .stopped: self.simulation.statistics.stops += 1
        case .tooSlow: self.simulation.statistics.tooSlow += 1
        case .positionLost: self.simulation.statistics.positionsLost += 1
        default: break
        }
    }
}
