import Core

/// Brings the schema to this program's version.
enum Migrations {
    /// Any number, as long as it stays the same: two servers that start at once migrate one after
    /// the other.
    private static let lock = "7236837410871550565"

    /// In one transaction, so that an interrupted migration leaves nothing. Refuses a schema that is
    /// newer than this program.
    static func run(_ connection: PostgresConnection) throws(Failure) {
        try connection.transaction { () throws(Failure) in
            // The functions' bodies are checked when they are made, and views print their names by
            // this path; every name of ours is qualified.
            try connection.execute("SELECT pg_advisory_xact_lock(\(Self.lock))")
            let stored = try Self.version(connection)
            let known = Schema.migrations.count
            guard stored <= known else {
                throw Failure(
                    .failedPrecondition,
                    "the schema dormouse has version \(stored), this program knows up to \(known); "
                        + "start the newer version of the program")
            }
            guard stored < known else { return }
            // One of them may have to look through the whole log.
            try connection.withoutDeadline { () throws(Failure) in
                for migration in Schema.migrations[stored...] { try connection.execute(migration) }
            }
            try connection.execute(
                "UPDATE dormouse.server SET version = \(known), migrated_at = now()")
        }
    }

    /// The version that is there; 0 for none, and then the schema and its `server` row are made.
    private static func version(_ connection: PostgresConnection) throws(Failure) -> Int {
        let row = try connection.execute(
            "SELECT to_regnamespace('dormouse') IS NULL, to_regclass('dormouse.server') IS NULL")
        if row.text(0, 0) == "t" { try connection.execute("CREATE SCHEMA dormouse") }
        if row.text(0, 1) == "t" {
            try connection.execute(
                """
                CREATE TABLE dormouse.server (
                    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
                    version integer NOT NULL,
                    incarnation uuid NOT NULL DEFAULT gen_random_uuid(),
                    migrated_at timestamptz NOT NULL DEFAULT now()
                );
                INSERT INTO dormouse.server (version) VALUES (0)
                """)
            return 0
        }
        let version = try connection.execute("SELECT version FROM dormouse.server")
        guard version.rowsCount == 1, let number = Int(version.text(0, 0)) else {
            throw .damaged("dormouse.server does not have its one row")
        }
        return number
    }
}
