public import DormouseClient

/// What a worker does with events: it changes tables of the worker's own database. An observer has no
/// state of its own that matters; after any crash a fresh one goes on.
public protocol Observer {
    /// Makes the observer's tables if they are not there; called at each start. Names without a schema
    /// are those of the worker's schema, which a rebuild makes anew: so write `CREATE TABLE IF NOT EXISTS customer`.
    func prepare(_ database: Database) throws

    /// Events with the same ordering key are applied in the order of the log, also when one of them has
    /// to be tried again. Others may overtake it. The key of the event unless the observer says otherwise.
    func orderingKey(of event: Event) -> String

    /// Applies events, in this order, in a transaction that also moves the worker's position: either all
    /// of it happens, once, or nothing.
    ///
    /// What it throws undoes the transaction. `CauseMissing` lets the event wait for another one;
    /// an error of kind `databaseAway` is tried again for as long as it takes, unless a statement took too long;
    /// anything else is a failed attempt at the event.
    func apply(_ events: [Event], in transaction: Transaction) throws
}

extension Observer {
    /// The key of the event.
    public func orderingKey(of event: Event) -> String { event.key }
}

/// The transaction in which an observer applies events.
public final class Transaction {
    /// The connection that it runs on.
    public let database: Database
    private let store: WorkerStore
    private let replayUpto: UInt64
    /// Events were published in it.
    private(set) var hasPublished = false

    init(_ database: Database, _ store: WorkerStore, replayUpto: UInt64) {
        self.database = database
        self.store = store
        self.replayUpto = replayUpto
    }

    /// Runs one statement with parameters `$1`, `$2` …
    @discardableResult
    public func execute(_ sql: String, _ values: [Value] = []) throws(WorkerError) -> Rows {
        try self.database.execute(sql, values)
    }

    /// Whether this event was applied before, to tables that a rebuild is replacing. What it sets off in the
    /// world, such as a mail, has happened then and must not happen again.
    public func isReplay(_ event: Event) -> Bool { event.position <= self.replayUpto }

    /// Publishes `event` exactly once if this transaction commits, and never if it does not. Not at all
    /// when `cause` is a replay: it has been published.
    ///
    /// Throws `refused` for what no server takes. Once it is committed it has to be published, and until that is done the worker goes
    /// no further: so its exchange must be there, and the worker must be allowed to publish to it.
    ///
    /// - Parameter exchange: the worker's own when it is empty.
    public func publish(
        _ event: Event, because cause: Event, exchange: String = ""
    ) throws(WorkerError) {
        if self.isReplay(cause) { return }
        if let problem = OutgoingEvents.problem(in: event) {
            throw WorkerError(.refused, "an event to publish \(problem)")
        }
        try self.store.addOutgoing(event, exchange: exchange)
        self.hasPublished = true
    }
}
