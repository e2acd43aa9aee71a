import CLibPQ
import Core

/// The same Postgres, used as directly as possible: what no server in front of it can beat by much.
final class Ceiling {
    private static let eventsPerChunk = 1_000
    private static let chunkBytes = 140_000

    private let connection: OpaquePointer
    private var next = 1

    init(conninfo: String) throws(Failure) {
        guard let connection = PQconnectdb(conninfo), PQstatus(connection) == CONNECTION_OK else {
            throw Failure(.unavailable, "cannot connect to Postgres; give --postgres CONNINFO")
        }
        self.connection = connection
        try self.execute(
            "drop table if exists bench_chunk; create table bench_chunk (position bigint primary key, data bytea not null);"
                + "alter table bench_chunk alter column data set storage external")
    }

    deinit {
        PQclear(PQexec(self.connection, "drop table if exists bench_chunk"))
        PQfinish(self.connection)
    }

    var version: String { self.value("show server_version") }
    var durability: String {
        "synchronous_commit=\(self.value("show synchronous_commit")), fsync=\(self.value("show fsync"))"
    }

    /// Events per second: a prepared insert and a commit per chunk, one at a time.
    func write(_ settings: Settings) throws(Failure) -> Double {
        let chunks = max(1, settings.events / Self.eventsPerChunk)
        let data = (0..<Self.chunkBytes).map { _ in UInt8.random(in: 0...255) }
        let begin = seconds()
        for _ in 0..<chunks {
            try self.insert(self.next, data)
            self.next += 1
        }
        return Double(chunks * Self.eventsPerChunk) / (seconds() - begin)
    }

    /// Events per second: pages of eight rows by key.
    func read() throws(Failure) -> Double {
        let begin = seconds()
        var position = 0
        while true {
            let result = self.select(after: position)
            defer { PQclear(result) }
            guard PQresultStatus(result) == PGRES_TUPLES_OK else {
                throw Failure(.internal, "cannot read bench_chunk")
            }
            let rows = Int(PQntuples(result))
            if rows == 0 { break }
            position += rows
        }
        return Double(position * Self.eventsPerChunk) / (seconds() - begin)
    }

    private func insert(_ position: Int, _ data: [UInt8]) throws(Failure) {
        let number = withUnsafeBytes(of: Int64(position).bigEndian) { Array($0) }
        let ok = number.withUnsafeBytes { number in
            data.withUnsafeBytes { data in
                let values = [number.baseAddress, data.baseAddress].map {
                    $0?.assumingMemoryBound(to: CChar.self)
                }
                let result = PQexecParams(
                    self.connection, "insert into bench_chunk values ($1, $2)", 2, [20, 17], values,
                    [Int32(number.count), Int32(data.count)], [1, 1], 1)
                defer { PQclear(result) }
                return PQresultStatus(result) == PGRES_COMMAND_OK
            }
        }
        guard ok else { throw Failure(.internal, "cannot write bench_chunk") }
    }

    private func select(after position: Int) -> OpaquePointer? {
        let number = withUnsafeBytes(of: Int64(position).bigEndian) { Array($0) }
        return number.withUnsafeBytes { number in
            PQexecParams(
                self.connection,
                "select position, data from bench_chunk where position > $1 order by position limit 8",
                1, [20],
                [number.baseAddress?.assumingMemoryBound(to: CChar.self)], [Int32(number.count)],
                [1], 1)
        }
    }

    private func execute(_ sql: String) throws(Failure) {
        let result = PQexec(self.connection, sql)
        defer { PQclear(result) }
        guard PQresultStatus(result) == PGRES_COMMAND_OK else {
            throw Failure(
                .internal, "cannot prepare bench_chunk",
                underlying: String(cString: PQresultErrorMessage(result)))
        }
    }

    private func value(_ sql: String) -> String {
        let result = PQexec(self.connection, sql)
        defer { PQclear(result) }
        guard PQntuples(result) > 0, let text = PQgetvalue(result, 0, 0) else { return "?" }
        return String(cString: text)
    }
}
