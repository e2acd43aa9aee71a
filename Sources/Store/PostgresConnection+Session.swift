import Core

extension PostgresConnection {
    /// Sets the timeouts and checks the promises that "durable before visible" rests on.
    func prepareSession(_ settings: ConnectionSettings) throws(Failure) {
        // The server itself ends a statement before we give up its connection, which costs more. One
        // that waits longer than a few seconds for a row that somebody else holds is retried; a
        // longer wait would look like a hang.
        let statement = max(1, settings.statementMilliseconds / 4 * 3)
        let lock = max(1, min(4_000, settings.statementMilliseconds / 2))
        try self.execute(
            """
            SET statement_timeout = \(statement); SET lock_timeout = \(lock);
            SET idle_in_transaction_session_timeout = '60s';
            SET search_path = pg_catalog; SET bytea_output = 'hex'; SET TimeZone = 'UTC'
            """)
        let row = try self.execute(
            """
            SELECT current_setting('synchronous_commit'), current_setting('fsync'),
                current_setting('full_page_writes'), pg_is_in_recovery(),
                current_setting('synchronous_standby_names') <> '',
                current_setting('server_version_num')::int
            """)
        guard row.rowsCount == 1 else { throw .damaged("the server's settings") }
        if row.text(0, 3) == "t" {
            throw .databaseAway("the database is a standby in recovery")
        }
        if (Int(row.text(0, 5)) ?? 0) < 150_000 {
            throw Failure(
                .failedPrecondition, "the database server is older than Postgres 15; upgrade it")
        }
        if settings.allowsLoss { return }
        let commit = row.text(0, 0)
        if commit == "off" || (commit == "local" && row.text(0, 4) == "t") {
            throw Self.refusal(
                "synchronous_commit", value: commit, expected: "on",
                remedy: "ALTER DATABASE … SET synchronous_commit = on")
        }
        for (column, name) in [(1, "fsync"), (2, "full_page_writes")]
        where row.text(0, column) != "on" {
            throw Self.refusal(
                name, value: row.text(0, column), expected: "on",
                remedy: "set it in postgresql.conf and reload")
        }
    }

    private static func refusal(
        _ setting: String, value: String, expected: String, remedy: String
    ) -> Failure {
        Failure(
            .failedPrecondition,
            "the database has \(setting) = \(value), so it may lose what it has confirmed; "
                + "expected \(expected) (\(remedy)), or start with --unsafe-no-fsync")
    }
}
