import CLibPQ
import Core

/// A libpq connection, used as directly as possible.
final class Postgres {
    private let connection: OpaquePointer

    init(_ conninfo: String) throws(Failure) {
        guard let connection = PQconnectdb(conninfo) else {
            throw Failure(.unavailable, "out of memory")
        }
        self.connection = connection
        guard PQstatus(connection) == CONNECTION_OK else {
            throw Failure(
                .unavailable, "cannot connect to Postgres",
                underlying: String(cString: PQerrorMessage(connection)))
        }
        try self.execute("SET client_min_messages = warning")
    }

    deinit { PQfinish(self.connection) }

    func execute(_ sql: String) throws(Failure) {
        let result = PQexec(self.connection, sql)
        defer { PQclear(result) }
        try self.check(result)
    }

    /// The first field of the first row.
    func value(_ sql: String) throws(Failure) -> String {
        let result = PQexec(self.connection, sql)
        defer { PQclear(result) }
        try self.check(result)
        guard PQntuples(result) > 0, let text = PQgetvalue(result, 0, 0) else { return "" }
        return String(cString: text)
    }

    func prepare(_ name: String, _ sql: String) throws(Failure) {
        let result = PQprepare(self.connection, name, sql, 0, nil)
        defer { PQclear(result) }
        try self.check(result)
    }

    /// Sends one binary statement. All up to the last one are a transaction; `receive` waits for its end.
    func send(_ statement: String, _ parameters: [[UInt8]], isLast: Bool = true) throws(Failure) {
        if PQpipelineStatus(self.connection) == PQ_PIPELINE_OFF {
            PQenterPipelineMode(self.connection)
        }
        let sent = Self.withPointers(parameters) { values, lengths, formats in
            PQsendQueryPrepared(
                self.connection, statement, Int32(parameters.count), values, lengths, formats, 1)
        }
        guard sent == 1, !isLast || PQpipelineSync(self.connection) == 1 else { throw self.failure }
    }

    /// The number of rows of the last statement of the oldest transaction.
    @discardableResult
    func receive() throws(Failure) -> Int {
        var rows = 0
        while true {
            guard let result = PQgetResult(self.connection) else { continue }
            defer { PQclear(result) }
            if PQresultStatus(result) == PGRES_PIPELINE_SYNC { return rows }
            try self.check(result)
            rows = Int(PQntuples(result))
        }
    }

    var descriptor: Int32 { PQsocket(self.connection) }

    /// As `receive`, but true only if the oldest transaction has ended; does not wait.
    func receiveIfEnded() throws(Failure) -> Bool {
        guard PQconsumeInput(self.connection) == 1 else { throw self.failure }
        while PQisBusy(self.connection) == 0 {
            guard let result = PQgetResult(self.connection) else { continue }
            defer { PQclear(result) }
            if PQresultStatus(result) == PGRES_PIPELINE_SYNC { return true }
            try self.check(result)
        }
        return false
    }

    /// A column of the rows of the oldest transaction's last statement.
    func receiveBytes(column: Int32) throws(Failure) -> [[UInt8]] {
        var rows: [[UInt8]] = []
        while true {
            guard let result = PQgetResult(self.connection) else { continue }
            defer { PQclear(result) }
            if PQresultStatus(result) == PGRES_PIPELINE_SYNC { return rows }
            try self.check(result)
            rows = (0..<PQntuples(result)).map { row in
                let bytes = UnsafeRawBufferPointer(
                    start: PQgetvalue(result, row, column),
                    count: Int(PQgetlength(result, row, column)))
                return Array(bytes)
            }
        }
    }

    /// Back to one statement after the other, when all has been received.
    func leavePipeline() { PQexitPipelineMode(self.connection) }

    private static func withPointers(
        _ parameters: [[UInt8]],
        _ body: ([UnsafePointer<CChar>?], [Int32], [Int32]) -> Int32
    ) -> Int32 {
        var copies: [UnsafeMutablePointer<CChar>] = []
        defer { for copy in copies { copy.deallocate() } }
        for parameter in parameters {
            let copy = UnsafeMutablePointer<CChar>.allocate(capacity: max(1, parameter.count))
            parameter.withUnsafeBytes {
                UnsafeMutableRawBufferPointer(start: copy, count: parameter.count)
                    .copyMemory(from: $0)
            }
            copies.append(copy)
        }
        return body(
            copies.map { UnsafePointer($0) }, parameters.map { Int32($0.count) },
            parameters.map { _ in 1 })
    }

    private func check(_ result: OpaquePointer?) throws(Failure) {
        switch PQresultStatus(result) {
        case PGRES_COMMAND_OK, PGRES_TUPLES_OK: return
        default: throw self.failure
        }
    }

    private var failure: Failure {
        Failure(
            .internal, "Postgres refused a statement of the benchmark",
            underlying: String(cString: PQerrorMessage(self.connection)))
    }
}

extension [UInt8] {
    /// A bigint as binary parameter.
    init(bigint number: Int) {
        self = Swift.withUnsafeBytes(of: Int64(number).bigEndian) { Array($0) }
    }
}
