public import DormouseClient

/// The events that workers have set aside, for people: to be looked at, tried again or dropped. It works
/// beside running workers.
public struct AsideEvents {
    /// One of them.
    public struct Entry: Sendable {
        /// What is known of it.
        public enum State: String, Sendable {
            /// It is tried again by itself.
            case waiting
            /// It had all its attempts.
            case parked
            /// An earlier event of its ordering key waits or is parked.
            case behind
        }

        /// Whose event.
        public let worker: String
        /// Where it is from.
        public let exchange: String
        /// It goes on behind the others of this key only.
        public let orderingKey: String
        /// What is known of it.
        public let state: State
        /// Why it is here.
        public let reason: String
        /// How often it failed.
        public let attempts: Int
        /// When it came here, in the text that Postgres writes, UTC.
        public let since: String
        /// The event itself.
        public let event: Event
    }

    private let database: Database

    /// - Parameter database: connected with the workers' schema.
    public init(_ database: Database) {
        self.database = database
    }

    /// In the order of workers and positions, at most `most`.
    public func list(worker: String? = nil, most: Int = 1_000) throws(WorkerError) -> [Entry] {
        try self.entries("$1::text IS NULL OR worker = $1", [Value(worker)], most: most)
    }

    /// nil: there is none. Throws `unexpected` when there are several: a worker's name may be in use for several exchanges.
    public func entry(
        worker: String, position: UInt64, exchange: String? = nil
    ) throws(WorkerError) -> Entry? {
        let found = try self.entries(
            "worker = $1 AND position = $2 AND ($3::text IS NULL OR exchange = $3)",
            [.text(worker), Value(position), Value(exchange)], most: 2)
        guard found.count < 2 else {
            throw WorkerError(
                .unexpected,
                "'\(worker)' has set aside events of '\(found[0].exchange)' and '\(found[1].exchange)' at position "
                    + "\(position); name the exchange")
        }
        return found.first
    }

    /// Gives parked events, or the one at `position`, all their attempts again. Returns how many.
    public func retry(
        worker: String? = nil, position: UInt64? = nil, exchange: String? = nil
    ) throws -> Int {
        try self.database.transaction { database in
            try self.hold(worker)
            return try database.execute(
                """
                UPDATE worker_aside SET state = 'waiting', due = clock_timestamp(), attempts = 0, waits = 0
                WHERE state IN ('parked', 'waiting') AND ($1::text IS NULL OR worker = $1)
                    AND ($2::bigint IS NULL OR position = $2) AND ($3::text IS NULL OR exchange = $3)
                """, [Value(worker), position.map { Value($0) } ?? .null, Value(exchange)]
            ).changedCount
        }
    }

    /// Gives an event up: it is never applied, by a rebuild neither. What waits behind it goes on. false: there is none.
    /// Throws as `entry` does.
    public func drop(worker: String, position: UInt64, exchange: String? = nil) throws -> Bool {
        try self.database.transaction { database in
            try self.hold(worker)
            let found = try self.entry(worker: worker, position: position, exchange: exchange)
            guard let entry = found else { return false }
            try database.execute(
                "INSERT INTO worker_dropped (worker, exchange, position) VALUES ($1, $2, $3)",
                [.text(worker), .text(entry.exchange), Value(position)])
            let store = WorkerStore(database: database, name: worker, exchange: entry.exchange)
            return try store.release(position, orderingKey: entry.orderingKey)
        }
    }

    /// Keeps the workers from putting anything behind an event that is about to go.
    private func hold(_ worker: String?) throws(WorkerError) {
        try self.database.execute(
            "SELECT 1 FROM worker WHERE $1::text IS NULL OR name = $1 ORDER BY name FOR UPDATE",
            [Value(worker)])
    }

    private func entries(
        _ condition: String, _ values: [Value], most: Int
    ) throws(WorkerError) -> [Entry] {
        let rows = try self.database.execute(
            """
            SELECT position, published_at, key, payload, id, content_type, headers, worker,
                exchange, ordering_key, state, reason, attempts, set_aside_at::text
            FROM worker_aside WHERE \(condition) ORDER BY worker, exchange, position LIMIT \(most)
            """, values)
        var entries: [Entry] = []
        for row in 0..<rows.count {
            guard let state = Entry.State(rawValue: rows.text(row, 10) ?? "") else {
                throw WorkerError(.unexpected, "worker_aside holds a state that is not known")
            }
            entries.append(
                Entry(
                    worker: rows.text(row, 7) ?? "", exchange: rows.text(row, 8) ?? "",
                    orderingKey: rows.text(row, 9) ?? "", state: state,
                    reason: rows.text(row, 11) ?? "",
                    attempts: Int(try rows.integer(row, 12)), since: rows.text(row, 13) ?? "",
                    event: try WorkerStore.event(rows, row)))
        }
        return entries
    }
}
