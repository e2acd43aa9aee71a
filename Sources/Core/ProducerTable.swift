// How far each producer of an exchange has come.
//
// 1. A producer's events carry rising sequences; what is not above the newest accepted one is a
//    duplicate.
// 2. A publish that failed but may be sent again holds its producer: later publishes, which may
//    have been under way already, are
//    refused until one comes at or before the failed sequence. Otherwise the retry would look like a duplicate, and its events
//    would be lost.
// 3. The newest connection of a producer wins: what an older one sent, and was not read in time, is
//    refused. Otherwise it
//    could be stored after a newer connection was told how far the producer got.
//
// Invariant: stored ≤ accepted.

struct ProducerTable {
    private struct Producer {
        var stored: UInt64 = 0
        var storedAt: Position = .origin
        /// Of the newest event that is stored, under way or pending.
        var accepted: UInt64 = 0
        /// The sequence of a publish that failed and may be tried again.
        var resumeAt: UInt64?
        var connection = ConnectionID(rawValue: 0)
    }

    private let producersMax: Int
    private var producers: [Name: Producer] = [:]

    init(producersMax: Int) {
        self.producersMax = producersMax
    }

    mutating func restore(_ mark: ProducerMark) {
        self.producers[mark.name] = Producer(
            stored: mark.sequence, storedAt: mark.position, accepted: mark.sequence)
    }

    /// The sequence and position of the producer's newest stored event; 0 when there is none.
    func stored(of name: Name) -> (sequence: UInt64, position: Position) {
        let producer = self.producers[name] ?? Producer()
        return (producer.stored, producer.storedAt)
    }

    /// The producer's newest connection asked how far it got: from its answer it goes on.
    mutating func ask(_ name: Name, from connection: ConnectionID) -> Failure? {
        guard var producer = self.producers[name] else {
            // Remembered, so that an older connection is refused, too.
            guard self.producers.count < self.producersMax else { return self.fullFailure }
            self.producers[name] = Producer(connection: connection)
            return nil
        }
        guard connection >= producer.connection else { return Self.olderFailure(name) }
        producer.resumeAt = nil
        producer.connection = connection
        self.producers[name] = producer
        return nil
    }

    /// Whether this connection may speak for the producer.
    func refusal(_ name: Name, from connection: ConnectionID) -> Failure? {
        guard let producer = self.producers[name], connection < producer.connection else {
            return nil
        }
        return Self.olderFailure(name)
    }

    /// Accepts `count` events from `sequence` on; returns how many of them are duplicates.
    mutating func admit(
        _ name: Name, sequence: UInt64, count: Int, from connection: ConnectionID
    ) -> Result<Int, Failure> {
        let (past, overflow) = sequence.addingReportingOverflow(UInt64(count))
        guard sequence > 0, !overflow, past - 1 <= UInt64(Int64.max) else {
            return .failure(
                Failure(
                    .invalidArgument,
                    "the sequence \(sequence) with \(count) events is out of bounds; expected 1 to \(Int64.max) "
                        + "for the last of them"))
        }
        if let failure = self.refusal(name, from: connection) { return .failure(failure) }
        var producer = self.producers[name] ?? Producer()
        if let resumeAt = producer.resumeAt, sequence > resumeAt {
            return .failure(
                Failure(
                    .aborted,
                    "an earlier publish of the producer \(name) failed; send again from sequence \(resumeAt), or ask "
                        + "Producer, wait for its answer, and go on from there"))
        }
        guard self.producers[name] != nil || self.producers.count < self.producersMax else {
            return .failure(self.fullFailure)
        }
        let last = past - 1
        let skipping =
            producer.accepted < sequence ? 0 : Int(min(producer.accepted, last) - sequence + 1)
        producer.resumeAt = nil
        producer.connection = connection
        producer.accepted = max(producer.accepted, last)
        self.producers[name] = producer
        return .success(skipping)
    }

    /// A publish of the producer failed and may be sent again. Nothing can resume at 0, which is
    /// refused always.
    mutating func hold(_ name: Name, at sequence: UInt64) {
        guard sequence > 0 else { return }
        // Unknown producers are held, too, or the rest of a pipeline would be stored before its
        // beginning.
        guard self.producers[name] != nil || self.producers.count < self.producersMax else {
            return
        }
        var producer = self.producers[name] ?? Producer()
        producer.resumeAt = min(producer.resumeAt ?? sequence, sequence)
        self.producers[name] = producer
    }

    mutating func committed(_ mark: ProducerMark) {
        self.producers[mark.name, default: Producer()].stored = mark.sequence
        self.producers[mark.name, default: Producer()].storedAt = mark.position
    }

    /// Pending events of the producer were dropped: only what is stored or under way, up to
    /// `underWay`, stays accepted.
    mutating func rollBack(_ name: Name, underWay: UInt64) {
        guard let producer = self.producers[name] else { return }
        self.producers[name]?.accepted = max(producer.stored, underWay)
    }

    private var fullFailure: Failure {
        Failure(
            .resourceExhausted,
            "the exchange already has \(self.producers.count) producers; use fewer names, or raise --producers"
        )
    }

    private static func olderFailure(_ name: Name) -> Failure {
        Failure(
            .aborted,
            "a newer connection publishes as the producer \(name); one connection at a time may do that"
        )
    }
}
