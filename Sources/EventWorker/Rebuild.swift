import DormouseClient

/// Makes the tables of workers anew from the log, beside the ones in use, and puts them in their place.
///
/// The fresh tables, and the positions that belong to them, grow in a schema of their own, while the workers go on.
/// When they have caught up, one transaction renames the two schemas. Workers that run then find that they
/// were replaced and end; whoever started them starts them again, and they go on with the fresh tables.
public struct Rebuild {
    /// A worker and what it applies.
    public typealias Member = (options: WorkerOptions, observer: any Observer)

    private let members: [Member]
    private let schema: String
    private let conninfo: String
    private let stop: StopSignal
    private var fresh: String { self.schema + "_rebuild" }
    private var old: String { self.schema + "_old" }

    /// - Parameter members: all workers that share the schema of the first.
    public init?(_ members: [Member], until stop: StopSignal) {
        guard let first = members.first else { return nil }
        self.members = members
        self.schema = first.options.schema
        self.conninfo = first.options.database
        self.stop = stop
    }

    /// Does it. Returns false when the signal was raised before it was complete; nothing has changed then.
    ///
    /// - Parameter progress: called now and then with a worker's name, its position and the newest one.
    public func run(
        progress: (_ worker: String, _ position: UInt64, _ head: UInt64) -> Void = { _, _, _ in }
    ) throws -> Bool {
        let database = try Database(self.conninfo, schema: self.schema)
        try self.claim(database)
        try self.clear(database)
        let workers = try self.members.map { member in
            var options = member.options
            options.dropped = try self.dropped(database, options)
            options.schema = self.fresh
            options.start = .first
            options.isRebuild = true
            return Worker(options, member.observer, until: self.stop)
        }
        // Twice: what came while the many were applied are few.
        for _ in 1...2 {
            let head = try self.head()
            guard try self.catchUp(workers, head: head, progress) else {
                try self.clear(database)
                return false
            }
        }
        try self.swap(database) { head in try self.catchUp(workers, head: head, progress) }
        try database.executeAll("DROP SCHEMA IF EXISTS \(Database.quoted(self.old)) CASCADE")
        try self.wakeWorkers()
        return true
    }

    /// Whoever has nothing to do would not look at the database, and so not find that it was replaced.
    private func wakeWorkers() throws {
        guard let first = self.members.first else { return }
        let client = try BlockingClient(first.options.server)
        for member in self.members {
            _ = try client.stop(member.options.name, exchange: member.options.exchange)
        }
    }

    /// One at a time; the lock goes with the connection.
    private func claim(_ database: Database) throws(WorkerError) {
        let rows = try database.execute(
            "SELECT pg_try_advisory_lock(hashtextextended('dormouse rebuild ' || $1, 0))",
            [.text(self.schema)])
        guard rows.text(0, 0) == "t" else {
            throw WorkerError(.refused, "a rebuild of '\(self.schema)' is under way already")
        }
    }

    /// What an earlier rebuild left that did not come to its end.
    private func clear(_ database: Database) throws(WorkerError) {
        for schema in [self.fresh, self.old] {
            try database.executeAll("DROP SCHEMA IF EXISTS \(Database.quoted(schema)) CASCADE")
        }
    }

    /// What was given up stays so.
    private func dropped(
        _ database: Database, _ options: WorkerOptions
    ) throws(WorkerError) -> Set<UInt64> {
        let table = try database.execute("SELECT to_regclass('worker_dropped')")
        guard table.text(0, 0) != nil else { return [] }
        let rows = try database.execute(
            "SELECT position FROM worker_dropped WHERE worker = $1 AND exchange = $2",
            [.text(options.name), .text(options.exchange)])
        return Set((0..<rows.count).compactMap { UInt64(rows.text($0, 0) ?? "") })
    }

    private func head() throws -> UInt64 {
        guard let options = self.members.first?.options else { return 0 }
        let exchanges = try BlockingClient(options.server).exchanges()
        return exchanges.first { $0.name == options.exchange }?.head ?? 0
    }

    // MARK: Catching up

    /// false: it was stopped.
    private func catchUp(
        _ workers: [Worker], head: UInt64, _ progress: (String, UInt64, UInt64) -> Void
    ) throws -> Bool {
        repeat {
            for worker in workers {
                // They depend on each other's tables, so none may run far ahead.
                for _ in 0..<10 where worker.passed < head { try worker.step(most: 10) }
                progress(worker.options.name, worker.place?.position ?? 0, head)
            }
            if self.stop.isRaised { return false }
        } while workers.contains { $0.passed < head }
        // What waits for its cause gets it now, or has none in the log.
        var aside = Int.max
        while let left = try self.asideCount(workers), left < aside, left > 0 {
            aside = left
            for worker in workers { try self.retryAll(worker) }
            if self.stop.isRaised { return false }
        }
        for worker in workers { try worker.pass(worker.passed) }
        return true
    }

    private func asideCount(_ workers: [Worker]) throws -> Int? {
        guard let database = workers.first?.database else { return nil }
        return Int(
            try database.execute(
                "SELECT count(*) FROM worker_aside WHERE state <> 'parked'"
            ).integer(0, 0))
    }

    /// Everything that waits is tried once more, now.
    private func retryAll(_ worker: Worker) throws {
        guard let database = worker.database else { return }
        try database.execute(
            "UPDATE worker_aside SET due = clock_timestamp() WHERE state = 'waiting' AND worker = $1",
            [.text(worker.options.name)])
        var rounds = try self.asideCount([worker]) ?? 0
        worker.lookAgain()
        while rounds > 0, worker.isDue {
            try worker.step(most: 0)
            worker.lookAgain()
            rounds -= 1
        }
    }

    // MARK: Swapping

    /// The last few events are applied while the workers wait: each of their transactions begins with its row
    /// of the table that is locked here.
    private func swap(_ database: Database, catchUp: (UInt64) throws -> Bool) throws {
        let live = Database.quoted(self.schema)
        let fresh = Database.quoted(self.fresh)
        try database.transaction { database in
            let isThere = try database.execute(
                "SELECT to_regclass($1 || '.worker')", [.text(live)])
            if isThere.text(0, 0) != nil {
                try database.executeAll("LOCK TABLE \(live).worker IN ACCESS EXCLUSIVE MODE")
                try self.expectAll(database, live: live, fresh: fresh)
                let head = try database.execute(
                    "SELECT coalesce(max(position), 0) FROM \(live).worker")
                guard try catchUp(UInt64(clamping: try head.integer(0, 0))) else {
                    throw WorkerError(.refused, "the rebuild was stopped; nothing has changed")
                }
                try self.carryOver(database, live: live, fresh: fresh)
                try database.executeAll(
                    "ALTER SCHEMA \(live) RENAME TO \(Database.quoted(self.old))")
            }
            try database.executeAll(
                """
                UPDATE \(fresh).worker SET replay_upto = position;
                ALTER SCHEMA \(fresh) RENAME TO \(live)
                """)
        }
    }

    /// A worker of the live tables that is not rebuilt would be lost with them.
    private func expectAll(
        _ database: Database, live: String, fresh: String
    ) throws(WorkerError) {
        let rows = try database.execute(
            """
            SELECT l.name FROM \(live).worker l LEFT JOIN \(fresh).worker f USING (name, exchange)
            WHERE f.name IS NULL
            """)
        guard rows.count == 0 else {
            throw WorkerError(
                .refused,
                "'\(self.schema)' is also written by the worker '\(rows.text(0, 0) ?? "")', "
                    + "which is not rebuilt; rebuild all workers of a schema together")
        }
    }

    /// What happened in the world has happened: events that were published stay published, and only what the
    /// old tables had not applied yet is no replay.
    private func carryOver(
        _ database: Database, live: String, fresh: String
    ) throws(WorkerError) {
        try database.executeAll(
            """
            UPDATE \(fresh).worker f SET epoch = l.epoch + 1, published = l.published
                FROM \(live).worker l WHERE (l.name, l.exchange) = (f.name, f.exchange);
            INSERT INTO \(fresh).worker_outgoing SELECT * FROM \(live).worker_outgoing;
            INSERT INTO \(fresh).worker_dropped SELECT * FROM \(live).worker_dropped;
            UPDATE \(fresh).worker_aside f SET is_replay = false
                FROM \(live).worker_aside l
                WHERE (l.worker, l.exchange, l.position) = (f.worker, f.exchange, f.position)
            """)
    }
}
