public import DormouseClient

/// Who a worker is, where its events come from and where its tables are.
public struct WorkerOptions: Sendable {
    /// Durable: under this name it goes on where it was. It is the name of its subscription, too.
    public var name: String
    /// Where its events are.
    public var exchange: String
    /// Which of them it gets. A known worker may get another filter; it holds for what follows.
    public var filter: Filter
    /// The server, as for `Client.connect`.
    public var server: String
    /// The worker's own database: a libpq URI or keywords.
    public var database: String
    /// Where the tables of worker and observer are. Workers that write to the same tables share it.
    public var schema: String
    /// Where a new worker begins; `first`, unless it shall not know what happened before it.
    public var start = Start.first
    /// Bounds.
    public var limits = WorkerLimits()
    /// Told what a person may want to know, one line at a time.
    public var log: @Sendable (String) -> Void = { _ in }
    /// Everything that is applied was applied before.
    var isRebuild = false
    /// Positions of events that were given up; for a rebuild.
    var dropped: Set<UInt64> = []

    /// What every worker needs.
    public init(
        name: String, exchange: String = "main", filter: Filter = .everything, server: String,
        database: String, schema: String
    ) {
        self.name = name
        self.exchange = exchange
        self.filter = filter
        self.server = server
        self.database = database
        self.schema = schema
    }
}
