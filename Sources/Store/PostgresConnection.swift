import CLibPQ
import Core

/// A statement that a connection prepares once, the first time it runs.
struct Statement: Sendable {
    /// Unique among all statements.
    let name: String
    let sql: String
}

/// One PGconn. Its calls block, but no longer than a statement may take: a server that is frozen, or
/// behind a network that drops everything, says nothing and breaks nothing. Whoever owns it uses it
/// on one thread.
final class PostgresConnection {
    private let connection: OpaquePointer
    /// nil: for ever.
    private var statementMilliseconds: Int?
    /// A statement was given up. What becomes of it is not known, and its answer may still come, so
    /// the connection is of no use any more.
    private(set) var isOverdue = false
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
        self.statementMilliseconds = settings.statementMilliseconds
        PQsetNoticeReceiver(
            connection,
            { context, result in
                // Runs within the libpq call that read the notice. libpq frees the result.
                guard let context, let result else { return }
                let notices = Unmanaged<ConnectionNotices>.fromOpaque(context).takeUnretainedValue()
                notices.read(result)
            }, Unmanaged.passUnretained(self.notices).toOpaque())
        guard PQsetnonblocking(connection, 1) == 0 else { throw self.lost }
        try self.prepareSession(settings)
    }

    deinit {
        PQfinish(self.connection)
    }

    var isBroken: Bool { self.isOverdue || PQstatus(self.connection) != CONNECTION_OK }

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
        try self.answered { PQsendQuery($0, sql) }
    }

    /// Runs a prepared statement; rows come binary.
    @discardableResult
    func run(_ statement: Statement, _ parameters: Parameters = Parameters()) throws(Failure)
        -> PostgresResult
    {
        try self.prepare(statement)
        return try self.answered { connection in
            parameters.withPointers { count, values, lengths, formats in
                PQsendQueryPrepared(connection, statement.name, count, values, lengths, formats, 1)
            }
        }
    }

    func prepare(_ statement: Statement) throws(Failure) {
        guard !self.prepared.contains(statement.name) else { return }
        try self.answered { PQsendPrepare($0, statement.name, statement.sql, 0, nil) }
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

    /// Lets the statements of `body` take as long as they need; within a transaction.
    func withoutDeadline(_ body: () throws(Failure) -> Void) throws(Failure) {
        try self.execute("SET LOCAL statement_timeout = 0")
        let usual = self.statementMilliseconds
        self.statementMilliseconds = nil
        defer { self.statementMilliseconds = usual }
        try body()
    }

    /// Lends the handle to the pipeline.
    func withHandle<Result>(_ body: (OpaquePointer) throws(Failure) -> Result) throws(Failure)
        -> Result
    {
        try body(self.connection)
    }

    /// Sends by `send` and waits for everything that is answered: of several statements the last
    /// result, or the first failure, behind which none is run.
    @discardableResult
    private func answered(_ send: (OpaquePointer) -> Int32) throws(Failure) -> PostgresResult {
        guard !self.isOverdue, send(self.connection) == 1 else { throw self.lost }
        let deadline = self.statementMilliseconds.map { ContinuousClock.now + .milliseconds($0) }
        var last: PostgresResult?
        var failure: Failure?
        while let result = try self.nextResult(before: deadline) {
            switch result.status {
            case PGRES_COMMAND_OK, PGRES_TUPLES_OK: last = result
            default: failure = failure ?? result.failure
            }
        }
        if let failure { throw failure }
        guard let last else { throw self.lost }
        return last
    }

    /// nil when there is none left.
    private func nextResult(before deadline: ContinuousClock.Instant?) throws(Failure)
        -> PostgresResult?
    {
        while true {
            let unsent = PQflush(self.connection)
            guard unsent >= 0 else { throw self.lost }
            if unsent == 0, PQisBusy(self.connection) == 0 {
                return PQgetResult(self.connection).map { PostgresResult(owning: $0) }
            }
            try self.wait(forOutput: unsent > 0, until: deadline)
            guard PQconsumeInput(self.connection) == 1 else { throw self.lost }
        }
    }

    private func wait(forOutput: Bool, until deadline: ContinuousClock.Instant?) throws(Failure) {
        let events = POLLIN | (forOutput ? POLLOUT : 0)
        var descriptor = pollfd(fd: try self.socket, events: Int16(events), revents: 0)
        // Interrupted by a signal, or a moment too early: the caller looks and waits again.
        guard poll(&descriptor, 1, deadline.pollMilliseconds) == 0, let deadline,
            deadline <= ContinuousClock.now
        else { return }
        self.isOverdue = true
        throw .databaseAway("the server did not answer in time")
    }

    private var lost: Failure {
        .databaseAway(
            self.isOverdue
                ? "the connection was given up" : String(cString: PQerrorMessage(self.connection)))
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

extension ContinuousClock.Instant? {
    /// What is left, for `poll`, rounded up; for ever when there is no deadline.
    var pollMilliseconds: Int32 {
        guard let deadline = self else { return -1 }
        let left = (deadline - ContinuousClock.now).components
        let milliseconds = left.seconds * 1_000 + left.attoseconds / 1_000_000_000_000_000
        return Int32(clamping: max(0, milliseconds + 1))
    }
}
