// What the engine asks of its store. Each port has two implementations: Postgres (target Store) and
// memory (the simulation's). All methods may be called concurrently; appends to one exchange take
// effect in the order of the calls.

/// One atomic addition to an exchange's log. Takes effect only if the exchange's head is still
/// `after` and its epoch still
/// `epoch`: then all chunks are stored, the producers' sequences are moved, the rows have left the outbox and the head is
/// the last chunk's last position.
package struct Append: Sendable {
    package let exchange: ExchangeID
    package let epoch: OwnerEpoch
    package let after: Position
    package let chunks: [Chunk]
    package let producers: [ProducerMark]
    /// They leave the outbox with this append.
    package let rows: [OutboxID]

    package init(
        exchange: ExchangeID, epoch: OwnerEpoch, after: Position, chunks: [Chunk],
        producers: [ProducerMark], rows: [OutboxID] = []
    ) {
        self.exchange = exchange
        self.epoch = epoch
        self.after = after
        self.chunks = chunks
        self.producers = producers
        self.rows = rows
    }

    /// The head after this append; `chunks` is never empty.
    package var last: Position { self.chunks.last?.last ?? self.after }
}

/// How far a producer's sequence has come.
package struct ProducerMark: Hashable, Sendable {
    package let name: Name
    /// Of the producer's newest stored event.
    package let sequence: UInt64
    /// Where that event is.
    package let position: Position
    /// Whose name it is; nil: nobody's.
    package let principal: Name?

    package init(name: Name, sequence: UInt64, position: Position, principal: Name? = nil) {
        self.name = name
        self.sequence = sequence
        self.position = position
        self.principal = principal
    }
}

package enum AppendOutcome: Hashable, Sendable {
    /// COMMIT returned: durable.
    case committed
    /// Nothing was written: the head or the epoch was not the expected one.
    case conflict
    /// The connection was lost or the server is in trouble: it may have been written, or may yet
    /// be, until ownership is taken anew.
    case unknown(Failure)
}

/// What taking an exchange found.
package struct Ownership: Hashable, Sendable {
    package let epoch: OwnerEpoch
    package let head: Position

    package init(epoch: OwnerEpoch, head: Position) {
        self.epoch = epoch
        self.head = head
    }
}

/// Some chunks from the log, in order, contiguous.
package struct LogPage: Sendable {
    package let chunks: [Chunk]
    /// Where the page after this one will end, when it is read with the same size and nothing is
    /// merged meanwhile; nil when that is not known. So the one after it can be read at the same
    /// time.
    package let nextEnd: Position?

    package init(chunks: [Chunk], nextEnd: Position? = nil) {
        self.chunks = chunks
        self.nextEnd = nextEnd
    }
}

/// What a stored chunk says of itself without being read.
package struct ChunkKeys: Hashable, Sendable {
    package let first: Position
    package let last: Position
    /// The distinct keys of its events; nil when they were too many to be kept.
    package let keys: [[UInt8]]?

    package init(first: Position, last: Position, keys: [[UInt8]]?) {
        self.first = first
        self.last = last
        self.keys = keys
    }
}

package protocol EventLog: Sendable {
    /// Writes the append and commits it durably. Several may be under way; they take effect in the
    /// order of the calls.
    func append(_ append: Append) async -> AppendOutcome

    /// Takes the exchange anew after an unknown outcome, as the owner that it already has: the
    /// epoch moves on, so that whatever is still under way on a lost connection can no longer take
    /// effect; the returned head is final.
    /// `nil` when another owner has taken it meanwhile.
    func retakeOwnership(of exchange: ExchangeID, as owner: OwnerID) async throws(Failure)
        -> Ownership?

    /// Chunks from the one that holds the position after `after` on: at least one (when there is
    /// one), else as many as fit into `bytesMax`. The first chunk may begin before that position.
    /// When that position was deleted, the page starts with what is left, further on.
    func read(_ exchange: ExchangeID, after: Position, bytesMax: Int) async throws(Failure)
        -> LogPage

    /// The keys of at most `limit` chunks, from the one on that holds the position after `after`, or
    /// from what is left.
    func keys(_ exchange: ExchangeID, after: Position, limit: Int) async throws(Failure)
        -> [ChunkKeys]

    /// The position before the first event published at `time` or later; nil when there is none.
    func position(before time: Timestamp, in exchange: ExchangeID) async throws(Failure)
        -> Position?

    /// Merges small neighbouring chunks at or below `upto` into large ones (same bytes, same
    /// positions, one transaction). Returns how many chunks became fewer; 0 = nothing to do.
    func mergeSmallChunks(_ exchange: ExchangeID, upto: Position, chunkBytesMax: Int)
        async throws(Failure) -> Int
}

package struct ExchangeRecord: Hashable, Sendable {
    package let id: ExchangeID
    package let name: Name
    package let epoch: OwnerEpoch
    package let head: Position
    /// The oldest position that is still stored; head + 1 when none is.
    package let first: Position
    /// When the newest stored event was published; zero when there is none.
    package let lastAt: Timestamp
    /// Of all event records that were appended and not taken away by retention.
    package let bytes: UInt64

    package init(
        id: ExchangeID, name: Name, epoch: OwnerEpoch, head: Position, first: Position,
        lastAt: Timestamp = .zero, bytes: UInt64 = 0
    ) {
        self.id = id
        self.name = name
        self.epoch = epoch
        self.head = head
        self.first = first
        self.lastAt = lastAt
        self.bytes = bytes
    }
}

/// An exchange that somebody else has taken.
package struct TakenExchange: Hashable, Sendable {
    package let id: ExchangeID
    /// Its owner is connected to the store. One that is not may have died before its last statement
    /// took effect: then nobody serves the exchange.
    package let isOwnerAlive: Bool

    package init(id: ExchangeID, isOwnerAlive: Bool) {
        self.id = id
        self.isOwnerAlive = isOwnerAlive
    }
}

package struct ReceiverRecord: Hashable, Sendable {
    package let exchange: ExchangeID
    package let id: ReceiverID
    package let config: ReceiverConfig

    package init(exchange: ExchangeID, id: ReceiverID, config: ReceiverConfig) {
        self.exchange = exchange
        self.id = id
        self.config = config
    }
}

/// A pause that an administrator has ordered.
package struct Pause: Hashable, Sendable {
    /// Ends by itself at this time.
    package let until: Timestamp
    package let reason: String

    package init(until: Timestamp, reason: String) {
        self.until = until
        self.reason = reason
    }
}

package struct SubscriberRecord: Hashable, Sendable {
    package let exchange: ExchangeID
    package let name: Name
    package let receiver: ReceiverID
    /// Confirmed up to here.
    package let position: Position
    package let epoch: SessionEpoch
    package let pause: Pause?
    /// Whose name it is; nil: nobody's.
    package let principal: Name?

    package init(
        exchange: ExchangeID, name: Name, receiver: ReceiverID, position: Position,
        epoch: SessionEpoch, pause: Pause?, principal: Name? = nil
    ) {
        self.principal = principal
        self.exchange = exchange
        self.name = name
        self.receiver = receiver
        self.position = position
        self.epoch = epoch
        self.pause = pause
    }
}

/// A subscriber's newest confirmed position, to be stored if it is newer than what is stored:
/// `epoch` is greater, or it is equal and `position` is greater.
package struct PositionSave: Hashable, Sendable {
    package let name: Name
    package let position: Position
    package let epoch: SessionEpoch

    package init(name: Name, position: Position, epoch: SessionEpoch) {
        self.name = name
        self.position = position
        self.epoch = epoch
    }
}

package protocol PrincipalStore: Sendable {
    /// All principals, ordered by name.
    func principals() async throws(Failure) -> [Principal]
    /// Replaces everything about the principal and adds a line to the audit: both or neither.
    func storePrincipal(_ change: PrincipalChange) async throws(Failure)
}

package protocol StateStore: PrincipalStore {
    /// Takes every exchange (its epoch moves on, its owner becomes `owner`); `main` exists
    /// afterwards. Ordered by id.
    func takeExchanges(as owner: OwnerID) async throws(Failure) -> [ExchangeRecord]
    /// The exchanges that belong to others than `owner`, ordered by id. `owner` counts as alive from
    /// when it takes its exchanges until its store is closed or its process ends.
    func exchangesTaken(from owner: OwnerID) async throws(Failure) -> [TakenExchange]
    /// All producers of an exchange, a page at a time, ordered by name: those after `name`.
    func producers(of exchange: ExchangeID, after name: Name?, limit: Int) async throws(Failure)
        -> [ProducerMark]
    /// All receivers of an exchange, a page at a time, ordered by id: those after `id`.
    func receivers(of exchange: ExchangeID, after id: ReceiverID?, limit: Int) async throws(Failure)
        -> [ReceiverRecord]
    /// All subscribers of an exchange, a page at a time, ordered by name: those after `name`.
    func subscribers(of exchange: ExchangeID, after name: Name?, limit: Int) async throws(Failure)
        -> [SubscriberRecord]
    func incarnation() async throws(Failure) -> Incarnation
    /// Replaces the incarnation by a new one, when it is `old`. Returns the one that is stored now.
    func endIncarnation(_ old: Incarnation) async throws(Failure) -> Incarnation

    /// Makes an exchange owned by `owner`; `alreadyExists` when there is one of this name.
    func createExchange(_ name: Name, owner: OwnerID) async throws(Failure) -> ExchangeRecord
    // From here on, a store whose server no longer owns the exchange changes nothing of it and
    // throws `Failure.exchangeLost`: subscribers are the next owner's.

    /// Finds the receiver with this config or makes it.
    func registerReceiver(_ config: ReceiverConfig, in exchange: ExchangeID) async throws(Failure)
        -> ReceiverID
    func removeReceiver(_ id: ReceiverID, of exchange: ExchangeID) async throws(Failure)
    /// Inserts the subscriber, or replaces everything about it: a new one, another config, a seek,
    /// a pause. Refused (`aborted`) when the stored session epoch is newer than the record's.
    func storeSubscriber(_ record: SubscriberRecord) async throws(Failure)
    /// Removes the subscriber, unless its stored session epoch is newer than `epoch`: then it was
    /// made or changed after this was meant.
    func removeSubscriber(_ name: Name, of exchange: ExchangeID, upto epoch: SessionEpoch)
        async throws(Failure)
    /// Stores the positions that are newer than the stored ones, in one statement; nothing is
    /// stored when the exchange's epoch is not `owner`, and then false is returned.
    func savePositions(_ positions: [PositionSave], of exchange: ExchangeID, owner: OwnerEpoch)
        async throws(Failure) -> Bool
}
