// The outbox: a table that SQL writers insert into, within transactions of their own. The server moves its rows into
// the log.
//
// 1. A row is read when its transaction has committed, and it leaves the outbox in the transaction that appends its
//    event. So it is in the log once, whatever dies, and however late it was committed: no position in the
//    table is remembered.
// 2. Rows are taken in the order of their ids, all that can be seen. A writer's transactions follow each other, so
//    whoever sees a row of its later one sees those of its earlier ones, which have lower ids.
// 3. Rows under way are still in the table until their append has committed. So one page of an exchange
//    is under way at a time.
// 4. What cannot be an event is set aside with the reason, and holds up nobody.

/// The row of an event in the outbox.
package struct OutboxID: RawRepresentable, Hashable, Comparable, Sendable {
    package let rawValue: Int64
    package init(rawValue: Int64) { self.rawValue = rawValue }
    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Some rows of an exchange, in order.
package struct OutboxPage: Sendable {
    /// One for each of `rows`.
    package var events = EncodedEvents()
    package var rows: [OutboxID] = []
    /// Rows between them that cannot be events.
    package var unfit: [UnfitRow] = []

    package init() {}
}

/// A row that cannot be an event, and why.
package struct UnfitRow: Hashable, Sendable {
    package let id: OutboxID
    package let reason: String

    package init(id: OutboxID, reason: String) {
        self.id = id
        self.reason = reason
    }
}

/// A row that was set aside, as an administrator sees it.
package struct AsideRow: Hashable, Sendable {
    package let id: OutboxID
    /// As the writer gave it, and the key, too: any text, the beginning of it.
    package let exchange: String
    package let key: String
    package let bytes: Int
    package let reason: String
    package let insertedAt: Timestamp

    package init(
        id: OutboxID, exchange: String, key: String, bytes: Int, reason: String,
        insertedAt: Timestamp
    ) {
        self.id = id
        self.exchange = exchange
        self.key = key
        self.bytes = bytes
        self.reason = reason
        self.insertedAt = insertedAt
    }
}

/// What a look into the outbox has found.
package struct OutboxLook: Hashable, Sendable {
    /// The exchanges that have rows, ordered by id.
    package let exchanges: [ExchangeID]
    /// Rows that named no exchange that there is, and were set aside.
    package let unknownRows: Int

    package init(exchanges: [ExchangeID], unknownRows: Int = 0) {
        self.exchanges = exchanges
        self.unknownRows = unknownRows
    }
}

/// What a page may hold.
package struct OutboxPageLimits: Hashable, Sendable {
    package let rowsMax: Int
    package let bytesMax: Int
    package let eventBytesMax: Int

    package init(_ limits: Limits) {
        self.rowsMax = limits.outboxRowsMax
        self.bytesMax = limits.appendBytesMax
        self.eventBytesMax = limits.eventBytesMax
    }
}

package protocol Outbox: Sendable {
    /// The exchanges that have rows. Rows that name no exchange that exists are set aside.
    func look() async throws(Failure) -> OutboxLook
    /// The first rows of an exchange; at least one when there is one.
    func read(_ exchange: ExchangeID, _ limits: OutboxPageLimits) async throws(Failure)
        -> OutboxPage
    /// Takes these rows out of the way, unless the exchange's epoch is another one.
    func setAside(_ rows: [UnfitRow], of exchange: ExchangeID, owner: OwnerEpoch)
        async throws(Failure)

    /// What was set aside, ordered by id: at most `limit` rows after `id`.
    func aside(after id: OutboxID?, limit: Int) async throws(Failure) -> [AsideRow]
    /// Puts these rows back where they were; nil: all of them. Returns how many there were.
    func retry(_ ids: [OutboxID]?) async throws(Failure) -> Int
    /// Deletes these rows that were set aside; nil: all of them. Returns how many there were.
    func drop(_ ids: [OutboxID]?) async throws(Failure) -> Int
}
