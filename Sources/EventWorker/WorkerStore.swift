import DormouseClient

/// What a worker keeps beside the observer's tables, in the same schema, and so in the same transactions.
struct WorkerStore {
    /// Where a worker is.
    struct Place: Equatable {
        var position: UInt64
        var incarnation: [UInt8]
        var epoch: Int64
        var attempts: Int
        var replayUpto: UInt64
    }

    let database: Database
    let name: String
    let exchange: String

    /// `worker`: one row for each. `worker_aside`: events that could not be applied. `worker_outgoing`: events
    /// that are to be published. `worker_dropped`: events that were given up, which a rebuild leaves out, too.
    static let schema = """
        CREATE TABLE IF NOT EXISTS worker (
            name text NOT NULL, exchange text NOT NULL, incarnation bytea NOT NULL DEFAULT '',
            position bigint NOT NULL, epoch bigint NOT NULL DEFAULT 0,
            attempts integer NOT NULL DEFAULT 0, replay_upto bigint NOT NULL DEFAULT 0,
            published bigint NOT NULL DEFAULT 0, changed_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (name, exchange)) WITH (fillfactor = 50);
        CREATE TABLE IF NOT EXISTS worker_aside (
            worker text NOT NULL, exchange text NOT NULL, position bigint NOT NULL,
            ordering_key text NOT NULL, state text NOT NULL
                CHECK (state IN ('waiting', 'parked', 'behind')),
            due timestamptz, reason text NOT NULL, attempts integer NOT NULL DEFAULT 0,
            waits integer NOT NULL DEFAULT 0, is_replay boolean NOT NULL,
            holds_key boolean NOT NULL DEFAULT true,
            set_aside_at timestamptz NOT NULL DEFAULT now(),
            key text NOT NULL, payload bytea NOT NULL, id bytea NOT NULL,
            content_type text NOT NULL, headers bytea NOT NULL, published_at bigint NOT NULL,
            PRIMARY KEY (worker, exchange, position));
        CREATE INDEX IF NOT EXISTS worker_aside_order
            ON worker_aside (worker, exchange, ordering_key, position);
        CREATE INDEX IF NOT EXISTS worker_aside_due
            ON worker_aside (worker, exchange, due) WHERE state = 'waiting';
        CREATE TABLE IF NOT EXISTS worker_dropped (
            worker text NOT NULL, exchange text NOT NULL, position bigint NOT NULL,
            dropped_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (worker, exchange, position));
        CREATE TABLE IF NOT EXISTS worker_outgoing (
            worker text NOT NULL, exchange text NOT NULL, sequence bigint NOT NULL,
            target text NOT NULL, key text NOT NULL, payload bytea NOT NULL, id bytea NOT NULL,
            content_type text NOT NULL, headers bytea NOT NULL,
            PRIMARY KEY (worker, exchange, sequence))
        """

    /// Makes the schema, the tables and what the observer needs. Several that start at once do it one
    /// after the other: CREATE … IF NOT EXISTS of two transactions can fail.
    static func prepare(
        _ database: Database, schema: String, _ observers: [any Observer]
    ) throws {
        try database.transaction { database in
            try database.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended('dormouse worker ' || $1, 0))",
                [.text(schema)])
            try database.executeAll("CREATE SCHEMA IF NOT EXISTS \(Database.quoted(schema))")
            try database.executeAll(Self.schema)
            for observer in observers { try observer.prepare(database) }
        }
    }

    private var me: [Value] { [.text(self.name), .text(self.exchange)] }

    // MARK: The position

    /// Takes the place over from whoever has it. A new worker begins behind `position`.
    func take(from position: UInt64, replayUpto: UInt64) throws(WorkerError) -> Place {
        let rows = try self.database.execute(
            """
            INSERT INTO worker AS mine (name, exchange, position, epoch, replay_upto)
            VALUES ($1, $2, $3, 1, $4)
            ON CONFLICT (name, exchange) DO UPDATE SET epoch = mine.epoch + 1
            RETURNING position, incarnation, epoch, attempts, replay_upto
            """, self.me + [Value(position), Value(replayUpto)])
        return try Self.place(rows)
    }

    /// nil: there is no such worker.
    func look() throws(WorkerError) -> Place? {
        let rows = try self.database.execute(
            """
            SELECT position, incarnation, epoch, attempts, replay_upto FROM worker
            WHERE name = $1 AND exchange = $2
            """, self.me)
        return rows.count == 0 ? nil : try Self.place(rows)
    }

    private static func place(_ rows: Rows) throws(WorkerError) -> Place {
        guard rows.count == 1 else {
            throw WorkerError(.unexpected, "the worker's row is gone; start the worker again")
        }
        return Place(
            position: UInt64(clamping: try rows.integer(0, 0)), incarnation: try rows.bytes(0, 1),
            epoch: try rows.integer(0, 2), attempts: Int(try rows.integer(0, 3)),
            replayUpto: UInt64(clamping: try rows.integer(0, 4)))
    }

    /// Writes down that what follows `place` is begun once more, before it is begun. Not durable at once:
    /// only a crash of the database itself forgets it, and that is not the event's fault.
    func begin(_ place: Place, attempt: Int) throws {
        try self.database.transaction { database in
            try database.execute("SET LOCAL synchronous_commit = off")
            let rows = try database.execute(
                """
                UPDATE worker SET attempts = $5
                WHERE name = $1 AND exchange = $2 AND epoch = $3 AND position = $4
                """,
                self.me
                    + [.integer(place.epoch), Value(place.position), .integer(Int64(attempt))])
            guard rows.changedCount == 1 else { throw Self.replaced }
        }
    }

    /// Moves the position, first thing in its transaction: from here on nobody else can.
    func move(
        _ place: Place, to position: UInt64, incarnation: [UInt8]
    ) throws(WorkerError) {
        let rows = try self.database.execute(
            """
            UPDATE worker SET position = $5, incarnation = $6, attempts = 0, changed_at = now()
            WHERE name = $1 AND exchange = $2 AND epoch = $3 AND position = $4
            """,
            self.me
                + [
                    .integer(place.epoch), Value(place.position), Value(position),
                    .bytes(incarnation),
                ])
        guard rows.changedCount == 1 else { throw Self.replaced }
    }

    /// Makes sure that nobody else works under this name until the transaction ends.
    func hold(_ place: Place) throws(WorkerError) {
        let rows = try self.database.execute(
            """
            SELECT 1 FROM worker WHERE name = $1 AND exchange = $2 AND epoch = $3 FOR UPDATE
            """, self.me + [.integer(place.epoch)])
        guard rows.count == 1 else { throw Self.replaced }
    }

    static let replaced = WorkerError(
        .replaced, "a newer instance of this worker has taken over, or its tables were rebuilt")

    // MARK: Events to publish

    struct Outgoing {
        let sequence: UInt64
        let exchange: String
        let event: Event
    }

    func addOutgoing(_ event: Event, exchange: String) throws(WorkerError) {
        try self.database.execute(
            """
            WITH next AS (
                UPDATE worker SET published = published + 1 WHERE name = $1 AND exchange = $2
                RETURNING published)
            INSERT INTO worker_outgoing
            SELECT $1, $2, published, $3, $4, $5, $6, $7, $8 FROM next
            """,
            self.me
                + [
                    .text(exchange), .text(event.key), .bytes(event.payload), .bytes(event.id),
                    .text(event.contentType), .bytes(EventHeaders.encode(event.headers)),
                ])
    }

    /// The oldest ones; 1000 of 1 KB are what one request of the protocol holds. Of large ones fewer, but one.
    func outgoing() throws(WorkerError) -> [Outgoing] {
        let rows = try self.database.execute(
            """
            SELECT sequence, target, key, payload, id, content_type, headers FROM (
                SELECT *, sum(length(payload)) OVER (ORDER BY sequence) - length(payload) AS before
                FROM (SELECT * FROM worker_outgoing WHERE worker = $1 AND exchange = $2
                    ORDER BY sequence LIMIT 1000) AS oldest) AS counted
            WHERE before < 4194304 ORDER BY sequence
            """, self.me)
        var all: [Outgoing] = []
        for row in 0..<rows.count {
            let event = Event(
                key: rows.text(row, 2) ?? "", payload: try rows.bytes(row, 3),
                id: try rows.bytes(row, 4), contentType: rows.text(row, 5) ?? "",
                headers: try EventHeaders.decode(try rows.bytes(row, 6)))
            all.append(
                Outgoing(
                    sequence: UInt64(clamping: try rows.integer(row, 0)),
                    exchange: rows.text(row, 1) ?? "", event: event))
        }
        return all
    }

    func removeOutgoing(upto sequence: UInt64) throws(WorkerError) {
        try self.database.execute(
            "DELETE FROM worker_outgoing WHERE worker = $1 AND exchange = $2 AND sequence <= $3",
            self.me + [Value(sequence)])
    }
}
