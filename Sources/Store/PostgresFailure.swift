import Core

extension Failure {
    /// A failure that Postgres reported. Its text goes to the log only: it may hold SQL and values.
    static func postgres(sqlState: String, text: String) -> Failure {
        let underlying = sqlState.isEmpty ? text : "\(sqlState): \(text)"
        if Self.isRetryable(sqlState) {
            return .databaseAway(underlying)
        }
        return Failure(
            .internal, "the database refused a statement; see the server's log",
            underlying: underlying)
    }

    static func databaseAway(_ underlying: String) -> Failure {
        Failure(
            .unavailable, "the database cannot be reached or is in trouble; retry later",
            underlying: underlying)
    }

    static func damaged(_ what: String) -> Failure {
        Failure(
            .internal, "a row of the database does not have the expected form",
            underlying: what)
    }

    /// Source: PostgreSQL documentation, appendix A. None (libpq's own errors) and 08: connection.
    /// 57P01–57P03: shutdown, crash, starting up. 53: out of resources. 40001, 40P01: lost against
    /// another transaction. 25006: a standby. 55P03, 57014: our own lock and statement timeouts.
    private static func isRetryable(_ sqlState: String) -> Bool {
        switch sqlState {
        case "", "57P01", "57P02", "57P03", "40001", "40P01", "25006", "55P03", "57014": true
        default: sqlState.hasPrefix("08") || sqlState.hasPrefix("53")
        }
    }
}
