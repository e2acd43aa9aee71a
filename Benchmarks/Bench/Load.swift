import Core
import Wire

/// Publishes pre-encoded requests with a window, and counts replies.
struct Publisher {
    private let settings: Settings

    init(_ settings: Settings) {
        self.settings = settings
    }

    /// Events per second, all of them acknowledged.
    func run() throws(Failure) -> Double {
        let socket = try Socket(self.settings)
        let requests = self.settings.events / self.settings.batch
        let window = max(1, self.settings.window / self.settings.batch)
        let frames = try self.frames()
        let begin = seconds()
        var sent = 0
        var answered = 0
        var refused: UInt16 = 0
        while answered < requests {
            var bytes: [UInt8] = []
            while sent < requests, sent - answered < window, bytes.count < 256 << 10 {
                bytes += self.numbered(frames[sent % frames.count], UInt32(sent + 2))
                sent += 1
            }
            if !bytes.isEmpty { try socket.write(bytes) }
            guard bytes.isEmpty || sent - answered >= window || sent == requests else { continue }
            try socket.read { header, _ in
                if header.type == .response { answered += 1 }
                if header.code != 0 { refused = header.code }
            }
        }
        guard refused == 0 else {
            throw Failure(.internal, "a publish was refused with status \(refused)")
        }
        return Double(requests * self.settings.batch) / (seconds() - begin)
    }

    /// A few different requests, so that nothing compresses or caches away.
    private func frames() throws(Failure) -> [[UInt8]] {
        var generator = SystemRandomNumberGenerator()
        var frames: [[UInt8]] = []
        for _ in 0..<16 {
            var events = EncodedEvents()
            for index in 0..<self.settings.batch {
                let payload = (0..<self.settings.payloadBytes).map { _ in
                    UInt8.random(in: 0...255, using: &generator)
                }
                try events.append(
                    Event(key: Array("bench.key\(index % 10)".utf8), payload: payload),
                    eventBytesMax: 1 << 20)
            }
            var frame: [UInt8] = []
            FrameEncoder.append(
                .publish(PublishRequest(events: events)), stream: StreamID(rawValue: 1), to: &frame)
            frames.append(frame)
        }
        return frames
    }

    private func numbered(_ frame: [UInt8], _ stream: UInt32) -> [UInt8] {
        var frame = frame
        frame.withUnsafeMutableBytes {
            $0.storeBytes(of: stream.bigEndian, toByteOffset: 8, as: UInt32.self)
        }
        return frame
    }
}

/// Reads the newest events of a round again, from a subscription without a name, and counts them.
struct Replayer {
    private let settings: Settings

    init(_ settings: Settings) {
        self.settings = settings
    }

    func run() throws(Failure) -> Double {
        let socket = try Socket(self.settings)
        let stream = StreamID(rawValue: 3)
        var request = SubscribeRequest()
        request.start = .first
        request.acknowledgement = .onSend
        request.creditEvents = UInt32(Int32.max)
        request.creditBytes = UInt32(Int32.max)
        var bytes: [UInt8] = []
        FrameEncoder.append(.subscribe(request), stream: stream, to: &bytes)
        let begin = seconds()
        try socket.write(bytes)
        var received = 0
        var creditUsed = 0
        var status: UInt16 = 0
        var next: UInt32 = 5
        while received < self.settings.events {
            try socket.read { header, payload in
                switch header.type {
                case .data:
                    received += (try? Delivery.summary(payload))?.eventsCount ?? 0
                    creditUsed += payload.count
                case .end: status = header.code
                case .request, .response, .cancel, .ping, .pong, .goAway: break
                }
            }
            guard status == 0 else {
                throw Failure(.internal, "the replay ended with status \(status)")
            }
            if creditUsed > 1 << 30 {
                var grant: [UInt8] = []
                FrameEncoder.append(
                    .grant(
                        GrantRequest(stream: stream.rawValue, events: 0, bytes: UInt32(creditUsed))),
                    stream: StreamID(rawValue: next), to: &grant)
                next += 2
                creditUsed = 0
                try socket.write(grant)
            }
        }
        return Double(received) / (seconds() - begin)
    }
}
