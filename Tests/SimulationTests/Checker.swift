import Core
import Wire

@testable import Engine

/// Compares what happens with what was promised. The first broken promise ends the run.
///
/// `@unchecked Sendable`: used on the simulation's thread only.
final class Checker: @unchecked Sendable {
    private struct EventID: Hashable {
        let bytes: [UInt8]
    }

    struct NameKey: Hashable {
        let exchange: ExchangeID
        let name: Name
    }

    struct NameState {
        /// Up to here a position may be stored: a start, a confirmation, or something sent ON_SEND.
        var confirmable: Position?
        /// The highest event that was sent to the name.
        var sent = Position.origin
        /// A consumer was told where it starts.
        var hasStarted = false
        var isSought = false
        var isForgotten = false
    }

    weak var simulation: Simulation?
    private(set) var broken: Broken?
    var hasSecondServers = false
    private(set) var logs: [ExchangeID: [LogEntry]] = [:]
    private var attempted: [EventID: (attempt: Attempt, index: Int)] = [:]
    private var positions: [EventID: Position] = [:]
    private var sequences: [Int: UInt64] = [:]
    /// What clients were told.
    var visibleHeads: [ExchangeID: Position] = [:]
    private var lastTimes: [ExchangeID: Timestamp] = [:]
    private var writers: [ExchangeID: (epoch: OwnerEpoch, server: Int)] = [:]
    var names: [NameKey: NameState] = [:]
    /// There is a principal, and somebody was told so.
    var isClosed = false
    /// What each unix user may have at most.
    var possibleGrants: [UInt32: [PrincipalGrant]] = [:]

    func broke(_ invariant: Invariant, _ text: String) {
        guard self.broken == nil else { return }
        self.broken = Broken(invariant: invariant, text: text)
        self.simulation?.remark(.world, "BROKEN: \(invariant.rawValue): \(text)")
    }

    func head(_ exchange: ExchangeID) -> Position {
        Position(UInt64(self.logs[exchange]?.count ?? 0))
    }

    // MARK: Publishing

    func attempting(_ attempt: Attempt) {
        for (index, event) in attempt.events.enumerated() {
            self.attempted[EventID(bytes: event.id)] = (attempt, index)
        }
    }

    /// An append has taken effect.
    func committed(_ append: Append, by server: Int) {
        if let before = self.writers[append.exchange],
            append.epoch < before.epoch || (append.epoch == before.epoch && server != before.server)
        {
            self.broke(.ownership, "server \(server) wrote after server \(before.server)")
        }
        self.writers[append.exchange] = (append.epoch, server)
        var before: (attempt: Attempt, index: Int)?
        for chunk in append.chunks {
            for (index, event) in self.events(of: chunk).enumerated() {
                let entry = LogEntry(
                    event: event, cost: chunk.messageBytes(index),
                    words: NaiveMatcher.words(event.key))
                self.add(entry, append.exchange, after: &before)
            }
        }
        if let before, before.index + 1 != before.attempt.events.count {
            self.broke(.together, "an append ends within a request")
        }
        self.simulation?.statistics.events += append.chunks.reduce(0) { $0 + $1.count }
    }

    private func add(
        _ entry: LogEntry, _ exchange: ExchangeID,
        after before: inout (attempt: Attempt, index: Int)?
    ) {
        let event = entry.event
        guard event.position == self.head(exchange).next else {
            return self.broke(
                .dense, "position \(event.position) follows \(self.head(exchange))")
        }
        if event.publishedAt < self.lastTimes[exchange] ?? .zero {
            self.broke(.times, "the event at \(event.position) is older than the one before")
        }
        self.lastTimes[exchange] = event.publishedAt
        self.logs[exchange, default: []].append(entry)
        let id = EventID(bytes: event.id)
        guard let found = self.attempted[id], found.attempt.exchange == exchange,
            Self.isSame(event, found.attempt.events[found.index])
        else {
            return self.broke(
                .invention, "nobody published the event at \(event.position)")
        }
        if let earlier = self.positions[id] {
            self.broke(
                .producerSequence, "the event at \(event.position) is at \(earlier), too")
        }
        self.positions[id] = event.position
        if found.attempt.producer != nil {
            let sequence = found.attempt.sequence + UInt64(found.index)
            if sequence <= self.sequences[found.attempt.publisher] ?? 0 {
                self.broke(.producerSequence, "sequence \(sequence) at \(event.position)")
            }
            self.sequences[found.attempt.publisher] = sequence
        }
        if let before {
            let isNext =
                before.attempt === found.attempt
                ? found.index == before.index + 1
                : before.index + 1 == before.attempt.events.count
            if !isNext { self.broke(.together, "a request is torn before \(event.position)") }
        }
        before = found
    }

    /// A chunk's bytes are those of a delivery without its own fields.
    private func events(of chunk: Chunk) -> [Event] {
        do throws(Failure) {
            return try chunk.block.bytes.span.withUnsafeBytes { bytes throws(Failure) in
                try Delivery.decode(bytes).events
            }
        } catch {
            self.broke(.dense, "a chunk cannot be decoded: \(error)")
            return []
        }
    }

    private static func isSame(_ left: Event, _ right: Event) -> Bool {
        left.key == right.key && left.payload == right.payload && left.id == right.id
            && left.contentType == right.contentType && left.headers == right.headers
    }

    /// The engine sends the answer now.
    func acknowledged(_ attempt: Attempt, _ reply: PublishReply) {
        self.simulation?.statistics.acknowledgedPublishes += 1
        self.simulation?.statistics.duplicates += Int(reply.duplicates)
        let places = attempt.events.map { self.positions[EventID(bytes: $0.id)] }
        if places.contains(nil) {
            return self.broke(
                .acknowledgedIsStored,
                "publisher \(attempt.publisher), sequence \(attempt.sequence): positions "
                    + "\(reply.firstPosition) to \(reply.lastPosition) with \(reply.duplicates) "
                    + "duplicates, but the events are at \(places)")
        }
        self.visibleHeads[attempt.exchange] = max(
            self.visibleHeads[attempt.exchange] ?? .origin, Position(reply.lastPosition))
        let fresh = places.compactMap { $0?.rawValue }.dropFirst(Int(reply.duplicates))
        let isRight =
            fresh.isEmpty
            ? reply.firstPosition == 0 && reply.duplicates == attempt.events.count
            : fresh.first == reply.firstPosition && fresh.last == reply.lastPosition
                && fresh.count == Int(reply.lastPosition - reply.firstPosition) + 1
        if !isRight {
            self.broke(
                .acknowledgedIsStored,
                "acknowledged at \(reply.firstPosition) to \(reply.lastPosition), stored at "
                    + "\(places)")
        }
    }

    // MARK: The end

    /// Whoever is awake has a row, which leads to the same receiver.
    func checkRows(_ durable: DurableState, _ server: SimulatedServer) {
        server.withEngine { engine in
            for stored in durable.exchanges {
                guard let exchange = engine.exchanges[stored.id] else { continue }
                for name in exchange.subscribers.keys.sorted() {
                    guard let subscriber = exchange.subscribers[name],
                        subscriber.machine.awake != nil
                    else { continue }
                    let row = stored.subscribers[name]
                    if row == nil || row?.receiver != subscriber.receiver.id {
                        self.broke(
                            .storedAsKnown,
                            "\(name) is awake with receiver \(subscriber.receiver.id?.rawValue ?? 0), stored is "
                                + "\(row.map { "\($0.receiver.rawValue)" } ?? "nothing")")
                    }
                }
            }
        }
    }

    /// What is left of the log must be what was committed, however it was merged.
    func checkEnd(_ durable: DurableState, _ consumers: [Consumer]) {
        for exchange in durable.exchanges {
            let log = self.logs[exchange.id] ?? []
            if exchange.head != self.head(exchange.id) {
                self.broke(.dense, "the head is \(exchange.head), \(log.count) were committed")
            }
            var expected = exchange.first
            for chunk in exchange.chunks {
                for event in self.events(of: chunk) {
                    let index = Int(expected.rawValue) - 1
                    if index >= log.count || event != log[index].event {
                        self.broke(.dense, "the event at \(expected) has changed")
                    }
                    expected = expected.next
                }
            }
            if expected != exchange.head.next {
                self.broke(.dense, "the log ends before \(expected), the head is \(exchange.head)")
            }
        }
    }
}
