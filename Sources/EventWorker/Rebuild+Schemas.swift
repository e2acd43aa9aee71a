/// The schemas of a rebuild. They have names that somebody else may have taken, and what is put in their place is gone: so only what a rebuild
/// has made, and marked, is dropped.
extension Rebuild {
    private static let mark = "made by a rebuild of dormouse workers"
    /// Postgres cuts longer names, and two that are cut may be one.
    private static let nameBytesMax = 63

    /// One at a time; the lock goes with the connection.
    func claim(_ database: Database) throws(WorkerError) {
        guard self.fresh.utf8.count <= Self.nameBytesMax else {
            throw WorkerError(
                .refused,
                "the schema '\(self.schema)' has too long a name to be rebuilt beside itself: expected at most "
                    + "\(Self.nameBytesMax - "_rebuild".utf8.count) bytes")
        }
        let rows = try database.execute(
            "SELECT pg_try_advisory_lock(hashtextextended('dormouse rebuild ' || $1, 0))",
            [.text(self.schema)])
        guard rows.text(0, 0) == "t" else {
            throw WorkerError(.refused, "a rebuild of '\(self.schema)' is under way already")
        }
    }

    /// Before the connection ends, which Postgres notices later.
    func release(_ database: Database) {
        do {
            try database.execute(
                "SELECT pg_advisory_unlock(hashtextextended('dormouse rebuild ' || $1, 0))",
                [.text(self.schema)])
        } catch {
            // A connection that is broken holds nothing for long.
        }
    }

    /// What an earlier rebuild left that did not come to its end.
    func clear(_ database: Database) throws(WorkerError) {
        for schema in [self.fresh, self.old] {
            let found = try database.execute(
                "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = $1",
                [.text(schema)])
            guard found.count > 0 else { continue }
            guard found.text(0, 0) == Self.mark else {
                throw WorkerError(
                    .refused,
                    "there is a schema '\(schema)' that no rebuild has made, and a rebuild needs that name; "
                        + "give it another one, or drop it")
            }
            try database.executeAll("DROP SCHEMA \(Database.quoted(schema)) CASCADE")
        }
    }

    /// A worker of the tables in use that is not rebuilt would be lost with them.
    func expectAll(_ database: Database) throws(WorkerError) {
        let table = try database.execute("SELECT to_regclass('worker')")
        guard table.text(0, 0) != nil else { return }
        let rows = try database.execute("SELECT name, exchange FROM worker ORDER BY name, exchange")
        for row in 0..<rows.count {
            let (name, exchange) = (rows.text(row, 0) ?? "", rows.text(row, 1) ?? "")
            let isMember = self.members.contains {
                $0.options.name == name && $0.options.exchange == exchange
            }
            guard !isMember else { continue }
            throw WorkerError(
                .refused,
                "'\(self.schema)' is also written by the worker '\(name)' of the exchange '\(exchange)', "
                    + "which is not rebuilt; rebuild all workers of a schema together")
        }
    }

    /// Views and foreign keys of others would go with the tables that they are about.
    func expectNoOthers(_ database: Database) throws(WorkerError) {
        let others = try database.execute(
            """
            WITH mine AS (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = $1)
            SELECT DISTINCT r.ev_class::regclass::text FROM pg_depend d
                JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
                WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT oid FROM mine)
                    AND r.ev_class NOT IN (SELECT oid FROM mine)
            UNION SELECT conrelid::regclass::text FROM pg_constraint
                WHERE contype = 'f' AND confrelid IN (SELECT oid FROM mine)
                    AND conrelid NOT IN (SELECT oid FROM mine)
            """, [.text(self.schema)])
        guard others.count == 0 else {
            let names = (0..<others.count).compactMap { others.text($0, 0) }.joined(separator: ", ")
            throw WorkerError(
                .refused,
                "\(names) refers to tables of '\(self.schema)', which are about to be replaced; "
                    + "drop it, and make it again when they are rebuilt")
        }
    }

    /// Returns a connection with the fresh tables.
    func makeFresh(_ database: Database) throws -> Database {
        try database.transaction { database in
            try database.executeAll("CREATE SCHEMA \(Database.quoted(self.fresh))")
            try self.mark(database, self.fresh)
        }
        let beside = try Database(self.members[0].options.database, schema: self.fresh)
        try Worker.prepare(beside, schema: self.fresh, self.members.map(\.observer))
        return beside
    }

    func mark(_ database: Database, _ schema: String) throws(WorkerError) {
        try database.executeAll(
            "COMMENT ON SCHEMA \(Database.quoted(schema)) IS '\(Self.mark)'")
    }

    /// Whoever still reads them may keep them; the next rebuild drops them then.
    func dropOld(_ database: Database) {
        do {
            try self.clear(database)
        } catch {
            self.members[0].options.log(
                "the tables were rebuilt; the former ones, in '\(self.old)', cannot be dropped yet: \(error)"
            )
        }
    }
}
