internal import CDormouse

/// Events that are published all together or not at all, in one block of memory: for many small events
/// this is several times faster than an `Event` for each.
public struct PublishBatch {
    private struct Piece {
        let key: Int
        let payload: Int
        let id: Int
        let contentType: Int
        let headers: Int
    }

    private var bytes: [UInt8] = []
    private var pieces: [Piece] = []
    private var headers: [(name: Int, value: Int)] = []

    /// An empty one.
    public init() {}

    /// How many events it has.
    public var count: Int { self.pieces.count }
    /// Bytes of all their parts.
    public var byteCount: Int { self.bytes.count }

    /// Adds an event. It is checked when it is published.
    public mutating func append(
        key: [UInt8], payload: [UInt8], id: [UInt8] = [], contentType: [UInt8] = [],
        headers: [(name: [UInt8], value: [UInt8])] = []
    ) {
        self.bytes += key
        self.bytes += payload
        self.bytes += id
        self.bytes += contentType
        for header in headers {
            self.bytes += header.name
            self.bytes += header.value
            self.headers.append((header.name.count, header.value.count))
        }
        self.pieces.append(
            Piece(
                key: key.count, payload: payload.count, id: id.count,
                contentType: contentType.count, headers: headers.count))
    }

    /// Keeps the memory for the next events.
    public mutating func removeAll() {
        self.bytes.removeAll(keepingCapacity: true)
        self.pieces.removeAll(keepingCapacity: true)
        self.headers.removeAll(keepingCapacity: true)
    }

    /// Lends the events as the library wants them.
    func withEvents<Value>(_ body: (UnsafePointer<dormouse_event>?, Int) -> Value) -> Value {
        self.bytes.withUnsafeBytes { bytes in
            var offset = 0
            func take(_ count: Int) -> dormouse_bytes {
                defer { offset += count }
                return dormouse_bytes(
                    data: count == 0 ? nil : bytes.baseAddress.map { $0 + offset }, size: count)
            }
            var headers = [dormouse_header](
                repeating: dormouse_header(), count: self.headers.count)
            var events = [dormouse_event](repeating: dormouse_event(), count: self.pieces.count)
            return headers.withUnsafeMutableBufferPointer { headers in
                var header = 0
                for (index, piece) in self.pieces.enumerated() {
                    events[index].key = take(piece.key)
                    events[index].payload = take(piece.payload)
                    events[index].id = take(piece.id)
                    events[index].content_type = take(piece.contentType)
                    guard piece.headers > 0 else { continue }
                    events[index].headers = headers.baseAddress.map { UnsafePointer($0 + header) }
                    events[index].header_count = piece.headers
                    for _ in 0..<piece.headers {
                        headers[header].name = take(self.headers[header].name)
                        headers[header].value = take(self.headers[header].value)
                        header += 1
                    }
                }
                return events.withUnsafeBufferPointer { body($0.baseAddress, $0.count) }
            }
        }
    }
}

extension BlockingClient {
    /// Queues the events and returns. `whenAnswered` is called inside a later call of this client,
    /// after their COMMIT or with what went wrong. false: as many events as `window_events` and
    /// `window_bytes` allow wait for their answer, nothing was queued; wait until fewer do.
    public func publish(
        _ batch: PublishBatch,
        whenAnswered: @escaping (Result<Published, DormouseError>) -> Void
    ) throws(DormouseError) -> Bool {
        let context = Unmanaged.passRetained(Receipt(whenAnswered))
        let status = batch.withEvents { events, count in
            dormouse_publish_async(
                self.handle.pointer, events, count, 0,
                { context, result in
                    guard let context, let result else { return }
                    Unmanaged<Receipt>.fromOpaque(context).takeRetainedValue()
                        .give(result.pointee)
                }, context.toOpaque())
        }
        if status == DORMOUSE_OK { return true }
        context.release()
        if status == DORMOUSE_WINDOW_FULL { return false }
        throw self.handle.error(status)
    }

    /// Publishes the events under sequences that the program gives, such as places in a queue of somebody
    /// else: event i is `sequence` + i of `producer`, and what is not above the producer's stored sequence
    /// is counted and not stored. Returns after the COMMIT. Sends nothing again itself: after
    /// `connectionLost` or `timeout` call it again with the same; after `aborted` ask `producer`, and
    /// go on from there.
    @discardableResult
    public func publish(
        _ batch: PublishBatch, as producer: String, sequence: UInt64
    ) throws(DormouseError) -> Published {
        var result = dormouse_published()
        let status = batch.withEvents { events, count in
            dormouse_publish_as(
                self.handle.pointer, producer, sequence, events, count, self.answerMilliseconds,
                &result)
        }
        try self.handle.check(status)
        return try Published.result(result).get()
    }

    /// Events that are published and not yet answered.
    public var pendingEvents: Int { dormouse_pending_events(self.handle.pointer) }
}

/// Whom to tell of a publish. Kept for ever when the handle is freed before the answer came: the
/// library says nothing then.
private final class Receipt {
    private let tell: (Result<Published, DormouseError>) -> Void

    init(_ tell: @escaping (Result<Published, DormouseError>) -> Void) {
        self.tell = tell
    }

    func give(_ result: dormouse_published) {
        self.tell(Published.result(result))
    }
}

extension Published {
    static func result(_ result: dormouse_published) -> Result<Published, DormouseError> {
        guard result.status == DORMOUSE_OK else {
            let text = result.error.map { String(cString: $0) } ?? ""
            return .failure(DormouseError(.init(result.status), text))
        }
        return .success(
            Published(
                first: result.first_position, last: result.last_position,
                duplicates: result.duplicate_count))
    }
}
