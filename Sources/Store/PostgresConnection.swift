import CLibPQ
import Core

/// A statement that a connection prepares once, the first time it runs.
struct Statement: Sendable {
    /// Unique among all statements.
    let name: String
    let sql: String
}

/// One PGconn. Its calls block; whoever owns it uses it on one thread.
final class PostgresConnection {
    private let connection: OpaquePointer
    private let notices = ConnectionNotices()
    private var prepared: Set<String> = []

    /// Connects, and checks that what this database confirms is durable.
    init(_ settings: ConnectionSettings) throws(Failure) {
        let pairs = settings.keywords
        let connection = Self.withStrings(pairs.map(\.name)) { names in
            Self.withStrings(pairs.map(\.value)) { values in PQconnectdbParams(names, values, 0) }
        }
        guard let connection else { throw .databaseAway("libpq has no memory") }
        guard PQstatus(connection) == CONNECTION_OK else {
            let text = String(cString: PQerrorMessage(connection))
            PQfinish(connection)
            throw .databaseAway(text)
        }
        self.connection = connection
        PQsetNoticeReceiver(
            connection,
            { context, result in
                // Runs within the libpq call that read the notice. libpq frees the result.
                guard let context, let result else { return }
                let notices = Unmanaged<ConnectionNotices>.fromOpaque(context).takeUnretainedValue()
                notices.read(result)
            }, Unmanaged.passUnretained(self.notices).toOpaque())
        try self.prepareSession(settings)
    }

    deinit {
        PQfinish(self.connection)
    }

    var isBroken: Bool { PQstatus(self.connection) != CONNECTION_OK }

    var serverProcess: Int32 { PQbackendPID(self.connection) }

    /// Whether a commit since the last call was only stored locally although replication was
    /// promised.
    func takeNotReplicated() -> Bool {
        defer { self.notices.isNotReplicated = false }
        return self.notices.isNotReplicated
    }

    /// Runs SQL without parameters, maybe several statements; rows come as text.
    @discardableResult
    func execute(_ sql: String) throws(Failure) -> PostgresResult {
        try self.checked(PQexec(self.connection, sql))
    }

    /// Runs a prepared statement; rows come binary.
    @discardableResult
    func run(_ statement: Statement, _ parameters: Parameters = Parameters()) throws(Failure)
        -> PostgresResult
    {
        try self.prepare(statement)
        return try self.checked(
            parameters.withPointers { count, values, lengths, formats in
                PQexecPrepared(
                    self.connection, statement.name, count, values, lengths, formats, 1)
            })
    }

    func prepare(_ statement: Statement) throws(Failure) {
        guard !self.prepared.contains(statement.name) else { return }
        _ = try self.checked(PQprepare(self.connection, statement.name, statement.sql, 0, nil))
        self.prepared.insert(statement.name)
    }

    /// Runs `body` within a transaction, which is rolled back when it throws. A commit that was
    /// not replicated as promised is a failure.
    func transaction<Result>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        try self.execute("BEGIN")
        let result: Result
        do throws(Failure) {
            result = try body()
        } catch {
            // The first failure is the one to report; a connection that cannot even roll back is
            // broken, and its transaction with it.
            _ = try? self.execute("ROLLBACK")
            throw error
        }
        try self.execute("COMMIT")
        if self.takeNotReplicated() { throw .databaseAway("the commit was not replicated") }
        return result
    }

    /// Lends the handle to the pipeline.
    func withHandle<Result>(_ body: (OpaquePointer) throws(Failure) -> Result) throws(Failure)
        -> Result
    {
        try body(self.connection)
    }

    private func checked(_ result: OpaquePointer?) throws(Failure) -> PostgresResult {
        guard let result else {
            throw .databaseAway(String(cString: PQerrorMessage(self.connection)))
        }
        let owned = PostgresResult(owning: result)
        switch owned.status {
        case PGRES_COMMAND_OK, PGRES_TUPLES_OK: return owned
        default: throw owned.failure
        }
    }

    private static func withStrings<Result>(
        _ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Result
    ) -> Result {
        var bytes: [CChar] = []
        var starts: [Int] = []
        for string in strings {
            starts.append(bytes.count)
            bytes += string.utf8CString
        }
        return bytes.withUnsafeBufferPointer { buffer in
            let pointers = starts.map { start in buffer.baseAddress.map { $0 + start } } + [nil]
            return pointers.withUnsafeBufferPointer { list in
                // Never empty: it ends with nil.
                withUnsafePointer(to: nil as UnsafePointer<CChar>?) { empty in
                    body(list.baseAddress ?? empty)
                }
            }
        }
    }
}

/// What the server said beside results; written by libpq's callback, on the calling thread.
private final class ConnectionNotices {
    var isNotReplicated = false

    /// Source: SyncRepWaitForLSN in PostgreSQL's syncrep.c. The function's name is in the protocol
    /// and is never translated, the text may be.
    func read(_ notice: OpaquePointer) {
        let function = PQresultErrorField(notice, Int32(UInt8(ascii: "R")))
        let text = PQresultErrorField(notice, Int32(UInt8(ascii: "M")))
        if function.map({ String(cString: $0) }) == "SyncRepWaitForLSN"
            || text.map({ String(cString: $0).contains("synchronous replication") }) == true
        {
            self.isNotReplicated = true
        }
    }
}
