import CLibPQ
package import Core

/// Where the database is: a libpq URI or keywords, with our defaults for what it does not say.
package struct ConnectionSettings: Sendable {
    /// In the order in which libpq takes them: of equal keywords, the last one counts.
    let keywords: [(name: String, value: String)]
    /// Work even where a crash of the database may lose what it confirmed.
    let allowsLoss: Bool
    /// How long a statement may take before its connection is given up.
    let statementMilliseconds: Int

    /// Throws `invalidArgument` when libpq cannot read `conninfo`. The text is never repeated in
    /// the message: it may hold a password.
    package init(
        _ conninfo: String, unsafeNoFsync: Bool = false,
        statementMilliseconds: Int = Limits().databaseMilliseconds
    ) throws(Failure) {
        // What libpq says of it may repeat it, with the password; so nothing of that is shown.
        guard let options = PQconninfoParse(conninfo, nil) else { throw Self.unreadable }
        defer { PQconninfoFree(options) }
        var given: [(name: String, value: String)] = []
        var option = options
        while let name = option.pointee.keyword {
            if let value = option.pointee.val {
                given.append((String(cString: name), String(cString: value)))
            }
            option += 1
        }
        // A password with an @ or a / that is not encoded is cut there, and the rest taken for a host or a port, which are
        // shown when they are not found.
        for (name, value) in given where name == "port" || name == "host" {
            let parts = value.split(separator: ",", omittingEmptySubsequences: false)
            let isFine =
                name == "host"
                ? !value.contains("@")
                : parts.allSatisfy { $0.isEmpty || (UInt16($0) ?? 0) > 0 }
            guard isFine else { throw Self.unreadable }
        }
        self.keywords = Self.defaults + given
        self.allowsLoss = unsafeNoFsync
        self.statementMilliseconds = statementMilliseconds
    }

    private static let unreadable = Failure(
        .invalidArgument,
        "the database address cannot be read; expected a libpq URI (postgresql://user@host/database) or keywords "
            + "(host=… dbname=…). It is not repeated here, since it may hold a password: special characters of that are "
            + "written %40 for @, %2F for / in a URI, and in quotes in keywords; better is a password file (PGPASSFILE)"
    )

    /// A dead peer is noticed within about 15 s, an absent one within 5 s.
    private static let defaults: [(name: String, value: String)] = [
        ("application_name", "dormoused"),
        ("connect_timeout", "5"),
        ("keepalives", "1"),
        ("keepalives_idle", "10"),
        ("keepalives_interval", "2"),
        ("keepalives_count", "3"),
        ("tcp_user_timeout", "15000"),
        ("target_session_attrs", "read-write"),
        ("client_encoding", "UTF8"),
    ]
}
