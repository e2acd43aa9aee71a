import PlainClient

/// A session that keeps others from one of our tables, until the test ends it.
final class TableLock {
    private let database: Database
    private let folder: String
    private let child: Child

    init(_ table: String, of database: Database) throws {
        self.database = database
        self.folder = try Folder.make()
        self.child = try Child(
            [
                "\(Postgres.binaries)/psql", "-XAtq", "-d", database.conninfo, "-c",
                "BEGIN; LOCK TABLE dormouse.\(table); SELECT pg_sleep(600)",
            ], in: self.folder, label: "lock", environment: ["PGAPPNAME": "lock"])
        try eventually("the table is locked") {
            try database.query(
                """
                SELECT count(*) FROM pg_locks WHERE granted AND mode = 'AccessExclusiveLock'
                AND relation = 'dormouse.\(table)'::regclass
                """) != "0"
        }
    }

    /// Without its client, the session would go on.
    func release() throws {
        try self.database.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lock'"
        )
    }

    func destroy() {
        self.child.destroy()
        Folder.remove(self.folder)
    }
}
