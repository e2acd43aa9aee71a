import Core
import Wire

/// The requests and streams of a connection: what an incoming frame answers, and whether the ranges
/// of a stream join.
struct RequestTable {
    private struct Open {
        var method: Wire.Method
        /// Of a subscribe: the end of the last range.
        var upto: Position?
    }

    private var open: [StreamID: Open] = [:]
    /// Requests whose caller no longer waits.
    private var abandoned: Set<StreamID> = []
    private var last = StreamID.connection

    /// A number that is not in use; never 0.
    mutating func nextStream() -> StreamID {
        repeat {
            self.last = StreamID(rawValue: self.last.rawValue &+ 1)
        } while self.last == .connection || self.open[self.last] != nil
            || self.abandoned.contains(self.last)
        return self.last
    }

    mutating func add(_ stream: StreamID, _ method: Wire.Method) {
        self.open[stream] = Open(method: method)
    }

    /// An answer that comes later is dropped.
    mutating func abandon(_ stream: StreamID) {
        if self.open.removeValue(forKey: stream) != nil { self.abandoned.insert(stream) }
    }

    /// Decodes a frame; nil for one that nobody waits for. Throws for what a server must not send.
    mutating func frame(
        _ header: FrameHeader, _ payload: UnsafeRawBufferPointer, decodesEvents: Bool, arena: Arena
    ) throws(Failure) -> ClientFrame? {
        switch header.type {
        case .response:
            return try self.response(header, payload, arena: arena)
        case .data:
            return try self.data(header.stream, payload, decodesEvents: decodesEvents)
        case .end:
            let known = self.open.removeValue(forKey: header.stream) != nil
            if self.abandoned.remove(header.stream) != nil, !known { return nil }
            return .end(header.stream, Self.status(header, payload, arena: arena))
        case .goAway:
            return .goAway(Self.status(header, payload, arena: arena))
        case .pong:
            return .pong(Array(payload))
        case .request, .cancel, .ping:
            throw Failure(.internal, "it sent a frame that only clients send")
        }
    }

    private mutating func response(
        _ header: FrameHeader, _ payload: UnsafeRawBufferPointer, arena: Arena
    ) throws(Failure) -> ClientFrame? {
        let stream = header.stream
        if self.abandoned.remove(stream) != nil { return nil }
        let request = self.open.removeValue(forKey: stream)
        if header.code != StatusCode.ok.rawValue {
            // Also the failure of a request that wants no other reply.
            return .response(
                stream,
                .failure(FailureMessage.decode(code: header.code, payload: payload, arena: arena)))
        }
        guard let request else {
            throw Failure(
                .internal, "it answered request \(stream.rawValue), which was never sent")
        }
        return .response(
            stream,
            .success(try Reply.decode(method: request.method, payload: payload, arena: arena)))
    }

    private mutating func data(
        _ stream: StreamID, _ payload: UnsafeRawBufferPointer, decodesEvents: Bool
    ) throws(Failure) -> ClientFrame? {
        if self.abandoned.contains(stream) { return nil }
        guard self.open[stream]?.method == .subscribe else {
            throw Failure(
                .internal, "it sent a delivery on stream \(stream.rawValue), which is not open")
        }
        if decodesEvents {
            let delivery = try Delivery.decode(payload)
            try self.join(delivery.header, to: stream)
            try Self.check(delivery)
            return .data(stream, delivery)
        }
        let summary = try Delivery.summary(payload)
        try self.join(summary.header, to: stream)
        return .summary(stream, summary)
    }

    private mutating func join(_ header: DeliveryHeader, to stream: StreamID) throws(Failure) {
        let expected = self.open[stream]?.upto ?? header.after
        guard header.after == expected, header.after <= header.upto else {
            throw Failure(
                .internal,
                "a delivery covers the positions after \(header.after) up to \(header.upto), but "
                    + "the one before it ended at \(expected): events may be missing")
        }
        self.open[stream]?.upto = header.upto
    }

    private static func check(_ delivery: Delivery) throws(Failure) {
        var previous = delivery.header.after
        for event in delivery.events {
            guard event.position > previous, event.position <= delivery.header.upto else {
                throw Failure(
                    .internal,
                    "an event at position \(event.position) follows \(previous) in a delivery up "
                        + "to \(delivery.header.upto)")
            }
            previous = event.position
        }
    }

    /// An END or GOAWAY may say OK, which is no failure.
    private static func status(
        _ header: FrameHeader, _ payload: UnsafeRawBufferPointer, arena: Arena
    ) -> Failure {
        if header.code == StatusCode.ok.rawValue { return Failure(.ok, "ended by the server") }
        return FailureMessage.decode(code: header.code, payload: payload, arena: arena)
    }
}
