import Core
import Wire

// Does one part of the server's work for N events of 100 bytes and nothing else, so that callgrind can count its
// instructions: see Benchmarks/instructions.sh. What is made before the work does not depend on N, so the difference of
// two runs is the work alone.

@main
struct Main {
    static func main() throws(Failure) {
        guard CommandLine.arguments.count == 3, let events = Int(CommandLine.arguments[2]),
            let part = Part(rawValue: CommandLine.arguments[1])
        else {
            let parts = Part.allCases.map(\.rawValue).joined(separator: "|")
            throw Failure(.invalidArgument, "usage: dormouse-instructions \(parts) EVENTS")
        }
        try part.run(events)
    }
}

enum Part: String, CaseIterable {
    /// The bytes of a request become events that can be stored.
    case decode
    case decodeSingles = "decode-singles"
    /// Events of requests become an append, and their answers, without the store.
    case append
    case appendSingles = "append-singles"
    /// A pattern and a chunk with more keys than it keeps a list of.
    case filter
    /// From chunk to frame for one awake subscriber: all events of a chunk, one of a hundred, one chunk an event.
    case deliver
    case deliverFiltered = "deliver-filtered"
    case deliverSingles = "deliver-singles"

    func run(_ events: Int) throws(Failure) {
        switch self {
        case .decode: try decodeFrames(events, batch: 100)
        case .decodeSingles: try decodeFrames(events, batch: 1)
        case .append: try appendEvents(events, batch: 100)
        case .appendSingles: try appendEvents(events, batch: 1)
        case .filter: try filterChunks(events)
        case .deliver: try deliverChunks(events, batch: 1_000, pattern: "#")
        case .deliverFiltered: try deliverChunks(events, batch: 1_000, pattern: "orders.7.*")
        case .deliverSingles: try deliverChunks(events, batch: 1, pattern: "#")
        }
    }
}

private let limits = Limits()

/// So many events, with a hundred keys in turn and 100 bytes each.
private func made(_ count: Int) throws(Failure) -> EncodedEvents {
    var events = EncodedEvents()
    for index in 0..<count {
        let key = Array("orders.\(index % 100).paid".utf8)
        let payload = [UInt8](repeating: UInt8(truncatingIfNeeded: index), count: 100)
        try events.append(
            Event(key: key, payload: payload), eventBytesMax: limits.eventBytesMax)
    }
    return events
}

/// Frames as they come from a socket, several at a time.
private func decodeFrames(_ count: Int, batch: Int) throws(Failure) {
    var frames: [UInt8] = []
    let request = Request.publish(PublishRequest(events: try made(batch)))
    let framesCount = 1_000 / batch
    for stream in 1...framesCount {
        FrameEncoder.append(request, stream: StreamID(rawValue: UInt32(stream)), to: &frames)
    }
    var decoder = FrameDecoder(payloadBytesMax: limits.frameBytesMax)
    for _ in 0..<count / 1_000 {
        var failure: Failure?
        frames.withUnsafeBytes { bytes in
            do throws(Failure) {
                _ = try decoder.decode(bytes) { header, payload throws(Failure) in
                    _ = try PublishRequest.decode(payload, eventBytesMax: limits.eventBytesMax)
                    return .next
                }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }
}

private func appendEvents(_ count: Int, batch: Int) throws(Failure) {
    let request = try made(batch)
    var log = LogMachine(
        exchange: ExchangeID(rawValue: 1), head: .origin, epoch: OwnerEpoch(rawValue: 1),
        configuration: LogMachine.Configuration(limits))
    let connection = ConnectionID(rawValue: 1)
    var answers = 0
    for round in 0..<count / 1_000 {
        for stream in 1...1_000 / batch {
            let ticket = Ticket(
                connection: connection, stream: StreamID(rawValue: UInt32(stream)))
            _ = log.publish(
                request, producer: nil, sequence: 0, ticket: ticket,
                now: Instant(rawValue: UInt64(round)), time: Timestamp(rawValue: UInt64(round)))
        }
        guard let append = log.take().append else {
            throw Failure(.internal, "nothing to append")
        }
        let action = log.completed(last: append.last, outcome: .committed)
        answers += action.answers.count
    }
    guard answers == count / batch else {
        throw Failure(.internal, "\(answers) answers to \(count / batch) requests")
    }
}

private func chunk(_ count: Int, after head: Position) throws(Failure) -> Chunk {
    var builder = ChunkBuilder(after: head, chunkBytesMax: limits.chunkBytesMax)
    builder.append(try made(count), skipping: 0, at: Timestamp(rawValue: 1))
    guard let chunk = builder.finish().first else { throw Failure(.internal, "no chunk") }
    return chunk
}

private func pattern(_ text: String) throws(Failure) -> ReceiverConfig {
    try ReceiverConfig(patterns: [try KeyPattern(text)], headers: [])
}

private func filterChunks(_ count: Int) throws(Failure) {
    let chunk = try chunk(1_000, after: .origin)
    var filter = EventFilter(try pattern("orders.7.*"))
    for _ in 0..<count / chunk.count {
        guard case .some(let found) = filter.matches(chunk), found.count == 10 else {
            throw Failure(.internal, "the filter found other events")
        }
    }
}

private func deliverChunks(_ count: Int, batch: Int, pattern text: String) throws(Failure) {
    let config = try pattern(text)
    let consumer = Consumer(
        connection: ConnectionID(rawValue: 1), stream: StreamID(rawValue: 1))
    var bytes: [UInt8] = []
    let chunk = try chunk(batch, after: .origin)
    var filter = EventFilter(config)
    var awake = SubscriberMachine(createdAt: .origin, now: .zero)
    _ = awake.wake(
        name: nil, consumer: consumer,
        settings: ConsumerSettings(
            acknowledgement: .manual, creditEvents: 20_000, creditBytes: 8 << 20),
        start: nil, now: .zero)
    for _ in 0..<count / batch {
        bytes.removeAll(keepingCapacity: true)
        var machine = awake
        guard
            case .tail(let after, let allowance) = machine.next(
                head: chunk.last, tailFirst: .origin, frameBytes: limits.frameBytesMax)
        else { throw Failure(.internal, "nothing to deliver") }
        let portion = Portion(
            of: chunk, after: after, upto: chunk.last, matches: filter.matches(chunk),
            allowance: allowance)
        guard let delivery = machine.deliver(portion, fromLog: false, now: Instant(rawValue: 0))
        else {
            throw Failure(.internal, "nothing was delivered")
        }
        FrameEncoder.append(
            DeliveryHeader(
                after: delivery.after, upto: delivery.upto, head: chunk.last,
                replay: delivery.replay, redelivered: delivery.redelivered),
            eventsBytes: portion.bytes, stream: consumer.stream, to: &bytes)
    }
}
