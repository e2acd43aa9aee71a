internal import CLibPQ

/// A connection to the worker's own database, for one thread.
///
/// Its calls wait, but not for ever: a server that is frozen, or behind a network that drops
/// everything, says nothing and breaks nothing.
public final class Database {
    private let connection: OpaquePointer
    private let statementMilliseconds: Int64
    private var isGivenUp = false

    /// Connects, and makes `schema` the place where names without one are looked up and made.
    ///
    /// - Parameters:
    ///   - conninfo: a libpq URI or keywords, such as `host=/run/postgresql dbname=shop`.
    ///   - schema: it need not exist yet.
    ///   - statementMilliseconds: how long a statement may take.
    public init(
        _ conninfo: String, schema: String, statementMilliseconds: Int64 = 30_000
    ) throws(WorkerError) {
        guard Self.isReadable(conninfo) else {
            throw WorkerError(
                .unexpected,
                "the database's address cannot be read; expected a libpq URI (postgresql://user@host/database) or "
                    + "keywords (host=… dbname=…). It is not repeated here, since it may hold a password"
            )
        }
        let names = Self.defaults.map(\.0) + ["dbname"]
        let values = Self.defaults.map(\.1) + [conninfo]
        let made = withCStrings(names) { names in
            withCStrings(values) { values in PQconnectdbParams(names, values, 1) }
        }
        guard let made else { throw WorkerError(.databaseAway, "libpq has no memory") }
        self.connection = made
        self.statementMilliseconds = statementMilliseconds
        guard PQstatus(made) == CONNECTION_OK else { throw self.lost }
        guard PQsetnonblocking(made, 1) == 0 else { throw self.lost }
        try self.execute(
            """
            SELECT set_config('search_path', $1, false),
                set_config('statement_timeout', $2, false), set_config('lock_timeout', $3, false),
                set_config('client_min_messages', 'warning', false),
                set_config('TimeZone', 'UTC', false)
            """,
            // The shorter one says that it was another transaction's fault, and not the statement's.
            [
                .text(Self.quoted(schema)), .integer(max(2, statementMilliseconds / 4 * 3)),
                .integer(max(1, statementMilliseconds / 2)),
            ])
    }

    deinit {
        PQfinish(self.connection)
    }

    /// Whether it is of no use any more.
    public var isBroken: Bool {
        self.isGivenUp || PQstatus(self.connection) != CONNECTION_OK
    }

    /// Runs one statement with parameters `$1`, `$2` …, at most 65,535. Throws `refused` for what never can be
    /// sent or stored, `databaseAway` when trying again helps.
    @discardableResult
    public func execute(_ sql: String, _ values: [Value] = []) throws(WorkerError) -> Rows {
        try Self.check(values)
        guard !self.isGivenUp, self.send(sql, values) == 1 else { throw self.lost }
        return try self.answer()
    }

    /// Runs several statements without parameters.
    public func executeAll(_ sql: String) throws(WorkerError) {
        guard !self.isGivenUp, PQsendQuery(self.connection, sql) == 1 else { throw self.lost }
        _ = try self.answer()
    }

    /// Runs `body` in a transaction, which is rolled back when it throws.
    public func transaction<Result>(_ body: (Database) throws -> Result) throws -> Result {
        try self.execute("BEGIN")
        let result: Result
        do {
            result = try body(self)
        } catch {
            self.rollBack()
            throw error
        }
        // A COMMIT of a transaction in which a statement failed rolls back and does not say so as an error.
        guard try self.execute("COMMIT").tag == "COMMIT" else {
            throw WorkerError(
                .refused, "a statement of the transaction had failed, so nothing was committed")
        }
        return result
    }

    /// The first failure is the one to report; a connection that cannot even roll back is broken, and its
    /// transaction with it.
    private func rollBack() {
        do { try self.execute("ROLLBACK") } catch { self.isGivenUp = true }
    }

    /// A name as SQL wants it.
    public static func quoted(_ name: String) -> String {
        "\"" + name.replacing("\"", with: "\"\"") + "\""
    }

    // MARK: Waiting

    /// libpq would not send these, or only a part of them.
    private static func check(_ values: [Value]) throws(WorkerError) {
        guard values.count <= UInt16.max else {
            throw WorkerError(
                .refused,
                "a statement has \(values.count) parameters; \(UInt16.max) can be sent, so make several of it"
            )
        }
        for case .text(let text) in values where text.utf8.contains(0) {
            throw WorkerError(
                .refused, "a text has the character U+0000, which Postgres cannot store")
        }
    }

    private func send(_ sql: String, _ values: [Value]) -> Int32 {
        // Starts with one byte, so that an empty value has an address (none would mean NULL).
        var bytes: [UInt8] = [0]
        var starts: [Int?] = []
        var lengths: [Int32] = []
        var formats: [Int32] = []
        for value in values {
            starts.append(value == .null ? nil : bytes.count)
            let raw: [UInt8] =
                switch value {
                case .null: []
                case .text(let text): Array(text.utf8)
                case .integer(let number): Array(String(number).utf8)
                case .bytes(let raw): raw
                }
            if case .bytes = value { formats.append(1) } else { formats.append(0) }
            lengths.append(Int32(clamping: raw.count))
            bytes += raw + [0]
        }
        return bytes.withUnsafeBytes { all in
            let pointers = starts.map { start in
                start.flatMap { start in
                    all.baseAddress.map { ($0 + start).assumingMemoryBound(to: CChar.self) }
                }
            }
            return PQsendQueryParams(
                self.connection, sql, Int32(values.count), nil, pointers, lengths, formats, 0)
        }
    }

    /// The last result, or the first failure.
    private func answer() throws(WorkerError) -> Rows {
        let deadline = ContinuousClock.now + .milliseconds(self.statementMilliseconds)
        var last: Rows?
        var error: WorkerError?
        while let rows = try self.nextResult(before: deadline) {
            switch rows.status {
            case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY: last = rows
            case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
                // libpq says so for ever, until somebody has copied.
                self.isGivenUp = true
                throw WorkerError(.refused, "COPY does not work here; use INSERT")
            default: error = error ?? rows.error
            }
        }
        if let error { throw error }
        guard let last else { throw self.lost }
        return last
    }

    private func nextResult(
        before deadline: ContinuousClock.Instant
    ) throws(WorkerError) -> Rows? {
        while true {
            let unsent = PQflush(self.connection)
            guard unsent >= 0 else { throw self.lost }
            if unsent == 0, PQisBusy(self.connection) == 0 {
                return PQgetResult(self.connection).map { Rows(owning: $0) }
            }
            let left = (deadline - .now) / .milliseconds(1)
            guard left > 0 else {
                self.isGivenUp = true
                throw WorkerError(.databaseAway, "the database did not answer in time")
            }
            var descriptor = pollfd(
                fd: PQsocket(self.connection),
                events: Int16(POLLIN | (unsent > 0 ? POLLOUT : 0)), revents: 0)
            // Interrupted or a moment too early: it is looked at again.
            _ = poll(&descriptor, 1, Int32(clamping: Int(left) + 1))
            guard PQconsumeInput(self.connection) == 1 else { throw self.lost }
        }
    }

    private var lost: WorkerError {
        WorkerError(
            .databaseAway,
            self.isGivenUp
                ? "the connection to the database was given up"
                : String(cString: PQerrorMessage(self.connection)).trimmedEnd)
    }

    /// What libpq would say of one that is not repeats it, with the password. One of those with an `@` or a `/` that is not
    /// encoded is cut there, and the rest taken for a host or a port, which are shown as well.
    private static func isReadable(_ conninfo: String) -> Bool {
        let isURI = ["postgres://", "postgresql://"].contains { conninfo.hasPrefix($0) }
        // A database's name alone.
        guard isURI || conninfo.contains("=") else { return true }
        guard let options = PQconninfoParse(conninfo, nil) else { return false }
        defer { PQconninfoFree(options) }
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val.map({ String(cString: $0) }) {
                switch String(cString: keyword) {
                case "host" where value.contains("@"): return false
                case "port" where !value.utf8.allSatisfy(Self.ofPorts.contains): return false
                default: break
                }
            }
            option += 1
        }
        return true
    }

    private static let ofPorts = Array("0123456789,".utf8)

    /// A dead peer is noticed within about 15 s, an absent one within 5 s.
    private static let defaults = [
        ("application_name", "dormouse worker"), ("connect_timeout", "5"), ("keepalives", "1"),
        ("keepalives_idle", "10"), ("keepalives_interval", "2"), ("keepalives_count", "3"),
        ("tcp_user_timeout", "15000"), ("client_encoding", "UTF8"),
    ]
}

/// Lends the strings as C wants them, with a null pointer behind the last.
private func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> Result
) -> Result {
    let bytes = strings.map(\.utf8CString)
    var starts: [Int] = []
    var all: [CChar] = []
    for text in bytes {
        starts.append(all.count)
        all += text
    }
    return all.withUnsafeBufferPointer { all in
        let pointers = starts.map { start in all.baseAddress.map { $0 + start } } + [nil]
        return pointers.withUnsafeBufferPointer { body($0.baseAddress) }
    }
}
