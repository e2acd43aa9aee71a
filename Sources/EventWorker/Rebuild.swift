import DormouseClient

/// Makes the tables of workers anew from the log, beside the ones in use, and puts them in their place.
///
/// The fresh tables, and the positions that belong to them, grow in a schema of their own, while the workers go on.
/// When they have caught up, one transaction renames the two schemas. Workers that run then find that they
/// were replaced and end; whoever started them starts them again, and they go on with the fresh tables.
///
/// Only what the workers have applied is applied again: as a replay, whose effects have happened. What they have not, because it lies behind
/// their positions or is set aside, is left to them, with its effects.
public struct Rebuild {
    /// A worker and what it applies.
    public typealias Member = (options: WorkerOptions, observer: any Observer)

    let members: [Member]
    let schema: String
    private let conninfo: String
    private let stop: StopSignal
    var fresh: String { self.schema + "_rebuild" }
    var old: String { self.schema + "_old" }

    /// How far a worker of the tables in use is.
    private struct Place {
        var bound: UInt64
        /// Set aside: whether it holds its key.
        var waiting: [UInt64: Bool] = [:]
        var dropped: Set<UInt64> = []
    }

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
    /// - Parameter progress: called now and then with a worker's name, its position and the one that it is to reach.
    public func run(
        progress: (_ worker: String, _ position: UInt64, _ head: UInt64) -> Void = { _, _, _ in }
    ) throws -> Bool {
        let database = try Database(self.conninfo, schema: self.schema)
        try self.claim(database)
        defer { self.release(database) }
        try self.clear(database)
        try self.expectAll(database)
        try self.expectNoOthers(database)
        let beside = try self.makeFresh(database)
        let workers = try self.members.map { member in
            var options = member.options
            options.dropped = try self.place(database, options, head: 0).dropped
            options.schema = self.fresh
            options.start = .first
            options.isRebuild = true
            return Worker(options, member.observer, until: self.stop)
        }
        // Twice: what came while the many were applied are few.
        for _ in 1...2 {
            guard try self.catchUp(workers, database, beside, progress) else {
                try self.clear(database)
                return false
            }
        }
        var isStopped = false
        do {
            try self.swap(database) {
                isStopped = try !self.catchUp(workers, database, beside, progress)
                // Rolls it back.
                if isStopped { throw WorkerError(.refused, "the rebuild was stopped") }
            }
        } catch {
            guard isStopped else { throw error }
            try self.clear(database)
            return false
        }
        self.wakeWorkers()
        self.dropOld(database)
        return true
    }

    /// Whoever has nothing to do would not look at the database, and so not find that it was replaced. The swap is done: what fails
    /// here is said, and changes nothing.
    private func wakeWorkers() {
        for (options, _) in self.members {
            do {
                let client = try BlockingClient(options.server)
                _ = try client.stop(options.name, exchange: options.exchange)
            } catch {
                // It never ran.
                if error.status == .notFound { continue }
                options.log("cannot tell '\(options.name)' that its tables were rebuilt: \(error)")
            }
        }
    }

    /// Where a worker of the tables in use is; all of the log where there are no such tables. Nothing behind the newest event: the
    /// position may be of another log.
    private func place(
        _ database: Database, _ options: WorkerOptions, head: UInt64
    ) throws(WorkerError) -> Place {
        let table = try database.execute("SELECT to_regclass('worker')")
        guard table.text(0, 0) != nil else { return Place(bound: head) }
        let me: [Value] = [.text(options.name), .text(options.exchange)]
        // One statement for both: what is set aside may be applied between two.
        let rows = try database.execute(
            """
            SELECT w.position, a.position, a.holds_key FROM worker w
            LEFT JOIN worker_aside a ON (a.worker, a.exchange) = (w.name, w.exchange)
            WHERE (w.name, w.exchange) = ($1, $2)
            """, me)
        var place = Place(bound: 0)
        for row in 0..<rows.count {
            place.bound = min(head, UInt64(clamping: try rows.integer(row, 0)))
            guard rows.text(row, 1) != nil else { continue }
            place.waiting[UInt64(clamping: try rows.integer(row, 1))] = rows.text(row, 2) == "t"
        }
        let dropped = try database.execute(
            "SELECT position FROM worker_dropped WHERE (worker, exchange) = ($1, $2)", me)
        for row in 0..<dropped.count {
            place.dropped.insert(UInt64(clamping: try dropped.integer(row, 0)))
        }
        return place
    }

    /// The newest position of each exchange.
    private func heads() throws -> [String: UInt64] {
        guard let options = self.members.first?.options else { return [:] }
        let exchanges = try BlockingClient(options.server).exchanges()
        return Dictionary(exchanges.map { ($0.name, $0.head) }) { first, _ in first }
    }

    // MARK: Catching up

    /// With the tables in use; `beside` is connected with the fresh ones. false: it was stopped.
    private func catchUp(
        _ workers: [Worker], _ database: Database, _ beside: Database,
        _ progress: (String, UInt64, UInt64) -> Void
    ) throws -> Bool {
        let heads = try self.heads()
        let places = try workers.map { worker in
            let head = heads[worker.options.exchange] ?? 0
            return try self.place(database, worker.options, head: head)
        }
        for (worker, place) in zip(workers, places) {
            worker.bound = place.bound
            worker.waiting = place.waiting
        }
        repeat {
            for worker in workers {
                // They depend on each other's tables, so none may run far ahead.
                for _ in 0..<10 where worker.isBehind { try worker.step(most: 10) }
                progress(worker.options.name, worker.place?.position ?? 0, worker.bound)
            }
            if self.stop.isRaised { return false }
        } while workers.contains(where: \.isBehind)
        for (worker, place) in zip(workers, places) {
            try self.store(beside, worker)
                .letGo(except: Set(place.waiting.keys), dropped: place.dropped)
        }
        // What waits for its cause gets it now, or has none in the log.
        var aside = Int.max
        var left = try self.asideCount(beside)
        while left < aside, left > 0 {
            aside = left
            for worker in workers { try self.retryAll(worker, beside) }
            if self.stop.isRaised { return false }
            left = try self.asideCount(beside)
        }
        for worker in workers { try worker.pass(min(worker.passed, worker.bound)) }
        return true
    }

    private func store(_ database: Database, _ worker: Worker) -> WorkerStore {
        WorkerStore(
            database: database, name: worker.options.name, exchange: worker.options.exchange)
    }

    private func asideCount(_ database: Database) throws -> Int {
        Int(
            try database.execute(
                "SELECT count(*) FROM worker_aside WHERE state <> 'parked'"
            ).integer(0, 0))
    }

    /// Everything that waits is tried once more, now.
    private func retryAll(_ worker: Worker, _ database: Database) throws {
        try database.execute(
            """
            UPDATE worker_aside SET due = clock_timestamp()
            WHERE state = 'waiting' AND (worker, exchange) = ($1, $2)
            """, [.text(worker.options.name), .text(worker.options.exchange)])
        var rounds = try self.asideCount(database)
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
    private func swap(_ database: Database, catchUp: () throws -> Void) throws {
        let live = Database.quoted(self.schema)
        let fresh = Database.quoted(self.fresh)
        try database.transaction { database in
            let isThere = try database.execute(
                "SELECT to_regclass($1 || '.worker')", [.text(live)])
            if isThere.text(0, 0) != nil {
                try database.executeAll("LOCK TABLE \(live).worker IN ACCESS EXCLUSIVE MODE")
                try self.expectAll(database)
                try catchUp()
                try self.carryOver(database, live: live, fresh: fresh)
                try database.executeAll(
                    "ALTER SCHEMA \(live) RENAME TO \(Database.quoted(self.old))")
                try self.mark(database, self.old)
            }
            try database.executeAll(
                """
                UPDATE \(fresh).worker SET replay_upto = position;
                ALTER SCHEMA \(fresh) RENAME TO \(live);
                COMMENT ON SCHEMA \(live) IS NULL
                """)
        }
    }

    /// What happened in the world has happened: events that were published stay published. What the old tables had not applied
    /// yet is no replay, and is tried anew; a worker that never began does so where its options say.
    private func carryOver(
        _ database: Database, live: String, fresh: String
    ) throws(WorkerError) {
        try database.executeAll(
            """
            UPDATE \(fresh).worker f SET epoch = l.epoch + 1, published = l.published
                FROM \(live).worker l WHERE (l.name, l.exchange) = (f.name, f.exchange);
            DELETE FROM \(fresh).worker f WHERE NOT EXISTS (
                SELECT 1 FROM \(live).worker l WHERE (l.name, l.exchange) = (f.name, f.exchange));
            INSERT INTO \(fresh).worker_outgoing SELECT * FROM \(live).worker_outgoing;
            INSERT INTO \(fresh).worker_dropped SELECT * FROM \(live).worker_dropped;
            UPDATE \(fresh).worker_aside f SET is_replay = l.is_replay, reason = l.reason,
                    attempts = 0, waits = 0, holds_key = l.holds_key, set_aside_at = l.set_aside_at,
                    state = CASE l.state WHEN 'behind' THEN 'behind' ELSE 'waiting' END,
                    due = CASE l.state WHEN 'behind' THEN NULL ELSE clock_timestamp() END
                FROM \(live).worker_aside l
                WHERE (l.worker, l.exchange, l.position) = (f.worker, f.exchange, f.position)
            """)
    }
}
