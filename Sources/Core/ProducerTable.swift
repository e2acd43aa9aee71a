// How far each producer of an exchange has come.
//
// 1. A producer's events carry rising sequences; what is not above the newest accepted one is a
//    duplicate.
// 2. A publish that failed but may be sent again holds its producer: later publishes, which may
//    have been under way already, are
//    refused until one comes at or before the failed sequence. Otherwise the retry would look like a duplicate, and its events
//    would be lost.
// 3. The newest connection that publishes as a producer wins: what an older one sent, and was not
//    read in time, is refused.
// 4. What a connection was told of a producer must still be true when it publishes for the first
//    time: if an older one has published in between, the newer one must ask again. Otherwise its
//    own new events would look like duplicates of those, and be lost. Merely asking takes nothing
//    from the connection that publishes.
//
// Invariant: stored ≤ accepted.

struct ProducerTable {
    fileprivate struct Producer {
        var stored: UInt64 = 0
        var storedAt: Position = .origin
        /// Of the newest event that is stored, under way or pending.
        var accepted: UInt64 = 0
        /// The sequence of a publish that failed and may be tried again.
        var resumeAt: UInt64?
        /// The newest that published.
        var connection = ConnectionID(rawValue: 0)
        /// A newer one that asked how far the producer got, while that is still true.
        var asker: ConnectionID?
        /// Whoever asked up to here was told something that is no longer true.
        var outdated = ConnectionID(rawValue: 0)

        /// Whether its name is among the idle ones.
        var isListed = false

        var isIdle: Bool { self.accepted == 0 && self.resumeAt == nil }
    }

    private let producersMax: Int
    private var producers: [Name: Producer] = [:]
    /// Remembered without having published, oldest first, and some that have published since: the
    /// former make room for others.
    private var idle: [Name] = []
    /// Whose name a producer is; only those that are somebody's, and are among `producers`.
    private var principals: [Name: Name] = [:]

    init(producersMax: Int) {
        self.producersMax = producersMax
    }

    mutating func restore(_ mark: ProducerMark) {
        self.producers[mark.name] = Producer(
            stored: mark.sequence, storedAt: mark.position, accepted: mark.sequence)
        self.principals[mark.name] = mark.principal
    }

    /// Whether this principal may speak for the producer; nil may always.
    func refusal(_ name: Name, for principal: Name?) -> Failure? {
        guard let principal, let owner = self.principals[name], owner != principal else {
            return nil
        }
        return Failure(
            .permissionDenied,
            "the producer '\(name)' belongs to another principal; use another name")
    }

    /// A name that is nobody's belongs to the first principal that publishes with it.
    mutating func claim(_ name: Name, for principal: Name) {
        guard self.producers[name] != nil, self.principals[name] == nil else { return }
        self.principals[name] = principal
    }

    /// The same with whose they are.
    func named(_ marks: [ProducerMark]) -> [ProducerMark] {
        if self.principals.isEmpty { return marks }
        return marks.map { mark in
            ProducerMark(
                name: mark.name, sequence: mark.sequence, position: mark.position,
                principal: self.principals[mark.name])
        }
    }

    /// The sequence and position of the producer's newest stored event; 0 when there is none.
    func stored(of name: Name) -> (sequence: UInt64, position: Position) {
        let producer = self.producers[name] ?? Producer()
        return (producer.stored, producer.storedAt)
    }

    /// A connection asked how far the producer got: from its answer it may go on.
    mutating func ask(_ name: Name, from connection: ConnectionID) -> Failure? {
        // An unknown one is remembered, too: what an older connection publishes as it makes the
        // answer untrue.
        guard var producer = self.remembered(name) else { return self.fullFailure }
        guard connection >= producer.connection else { return Self.olderFailure(name) }
        if connection == producer.connection {
            producer.resumeAt = nil
        } else {
            // One of them is remembered; the others ask again.
            producer.forgetAsker()
            producer.asker = connection
        }
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
        guard var producer = self.remembered(name) else { return .failure(self.fullFailure) }
        if let failure = producer.turn(name, to: connection, sequence: sequence) {
            return .failure(failure)
        }
        let last = past - 1
        let skipping =
            producer.accepted < sequence ? 0 : Int(min(producer.accepted, last) - sequence + 1)
        if skipping < count { producer.forgetAsker() }
        producer.resumeAt = nil
        producer.accepted = max(producer.accepted, last)
        self.producers[name] = producer
        return .success(skipping)
    }

    /// A publish of the producer failed and may be sent again. Nothing can resume at 0, which is
    /// refused always. `connection` sent it, unless it was accepted before.
    mutating func hold(_ name: Name, at sequence: UInt64, from connection: ConnectionID? = nil) {
        guard sequence > 0 else { return }
        if let connection, self.refusal(name, from: connection) != nil { return }
        // Unknown producers are held, too, or the rest of a pipeline would be stored before its
        // beginning.
        guard var producer = self.remembered(name) else { return }
        if let connection, producer.turn(name, to: connection, sequence: sequence) != nil { return }
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
        guard self.producers[name]?.isIdle == true, !producer.isListed else { return }
        self.producers[name]?.isListed = true
        self.idle.append(name)
    }

    /// What is known of the producer, known from now on; nil when there is no room for it.
    private mutating func remembered(_ name: Name) -> Producer? {
        if let known = self.producers[name] { return known }
        if self.producers.count >= self.producersMax { self.dropOldestIdle() }
        guard self.producers.count < self.producersMax else { return nil }
        let made = Producer(isListed: true)
        self.producers[name] = made
        self.idle.append(name)
        return made
    }

    /// A name that is looked at leaves the list, so this costs no more than listing them.
    private mutating func dropOldestIdle() {
        let found = self.idle.firstIndex { self.producers[$0]?.isIdle == true }
        let index = found ?? self.idle.endIndex
        for name in self.idle[..<index] { self.producers[name]?.isListed = false }
        if let found {
            self.producers[self.idle[found]] = nil
            self.principals[self.idle[found]] = nil
        }
        self.idle.removeFirst(min(index + 1, self.idle.count))
    }

    private var fullFailure: Failure {
        Failure(
            .resourceExhausted,
            "the exchange already has \(self.producers.count) producers; use fewer names, or raise --producers"
        )
    }

    fileprivate static func resumeFailure(_ name: Name, at sequence: UInt64) -> Failure {
        Failure(
            .aborted,
            "an earlier publish of the producer \(name) failed; send again from sequence \(sequence), or ask "
                + "Producer, wait for its answer, and go on from there")
    }

    fileprivate static func outdatedFailure(_ name: Name) -> Failure {
        Failure(
            .aborted,
            "another connection has published as the producer \(name) since this one asked how far it got; ask "
                + "Producer again, and go on from there")
    }

    private static func olderFailure(_ name: Name) -> Failure {
        Failure(
            .aborted,
            "a newer connection publishes as the producer \(name); one connection at a time may do that"
        )
    }
}

extension ProducerTable.Producer {
    /// It is this connection's turn to publish, unless it must ask first. The connection is not
    /// older than ours.
    fileprivate mutating func turn(
        _ name: Name, to connection: ConnectionID, sequence: UInt64
    ) -> Failure? {
        if connection == self.asker, connection > self.connection {
            // It knows what became of everything before.
            self.asker = nil
            self.resumeAt = nil
        } else if connection > self.connection, connection <= self.outdated {
            return ProducerTable.outdatedFailure(name)
        } else if let resumeAt = self.resumeAt, sequence > resumeAt {
            return ProducerTable.resumeFailure(name, at: resumeAt)
        }
        self.connection = connection
        return nil
    }

    /// What was told to whoever asked is no longer true.
    fileprivate mutating func forgetAsker() {
        guard let asker = self.asker else { return }
        self.outdated = max(self.outdated, asker)
        self.asker = nil
    }
}
