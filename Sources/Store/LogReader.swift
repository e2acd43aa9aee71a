import Channels
import Core

/// One connection for reading the log, on a thread of its own.
actor LogReader {
    private nonisolated let executor: ThreadExecutor
    private let connection: ReconnectingConnection

    init(_ settings: ConnectionSettings, name: String) {
        self.executor = ThreadExecutor(name: name, isPatient: true)
        self.connection = ReconnectingConnection(settings)
        self.connection.prepareEach(Self.prepare)
    }

    /// Everything here begins at a position and goes on in order, so the primary key is always right. A
    /// planner that knows nothing of the table yet expects a handful of rows behind the position,
    /// gathers all of them and sorts; and the plan is kept for as long as the connection lives.
    static func prepare(_ connection: PostgresConnection) throws(Failure) {
        try connection.execute(
            "SET enable_bitmapscan = off; SET enable_seqscan = off; SET enable_sort = off")
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor {
        self.executor.asUnownedSerialExecutor()
    }

    /// From another thread than the reader's own, when nobody uses it any more.
    func close() async {
        self.connection.close()
    }

    nonisolated func stop() {
        self.executor.stop()
    }

    func read(_ exchange: ExchangeID, after: Position, bytesMax: Int) throws(Failure) -> LogPage {
        try self.connection.perform { connection throws(Failure) in
            var parameters = Parameters()
            parameters.add(exchange.rawValue)
            parameters.add(Position(min(after.next.rawValue, Position.last.rawValue)))
            parameters.add(Int64(bytesMax))
            let result = try connection.run(Self.page, parameters)
            let chunks = try Self.chunks(result)
            return LogPage(
                chunks: chunks,
                nextEnd: try Self.end(result, from: chunks.count, bytesMax: bytesMax))
        }
    }

    func keys(_ exchange: ExchangeID, after: Position, limit: Int) throws(Failure) -> [ChunkKeys] {
        try self.connection.perform { connection throws(Failure) in
            var parameters = Parameters()
            parameters.add(exchange.rawValue)
            parameters.add(Position(min(after.next.rawValue, Position.last.rawValue)))
            parameters.add(Int64(limit))
            let result = try connection.run(Self.keys, parameters)
            return try result.map { row throws(Failure) in
                let first = try result.position(row, 0)
                let keys =
                    result.isNull(row, 2)
                    ? nil
                    : result.bytes(row, 2).split(separator: UInt8(ascii: " ")).map { Array($0) }
                guard let last = first.previous.advanced(by: Int(try result.integer(row, 1)))
                else { throw .damaged("the chunk at position \(first) has no end") }
                return ChunkKeys(first: first, last: last, keys: keys)
            }
        }
    }

    /// See `EventLog.position(before:in:)`. Halves the positions between the first chunk and the
    /// head, so it needs no index on the times: about 40 short statements in the largest log.
    func position(before time: Timestamp, in exchange: ExchangeID) throws(Failure) -> Position? {
        try self.connection.perform { connection throws(Failure) in
            try Self.position(before: time, in: exchange, connection)
        }
    }

    func merge(_ run: ChunkRun, in exchange: ExchangeID) throws(Failure) -> Bool {
        try self.connection.perform { connection throws(Failure) in
            try run.merge(in: exchange, connection)
        }
    }

    func scan(_ exchange: ExchangeID, from position: Position, upto: Position) throws(Failure)
        -> [ChunkOutline]
    {
        try self.connection.perform { connection throws(Failure) in
            try ChunkOutline.scan(exchange, from: position, upto: upto, connection)
        }
    }

    /// Contiguous ones: they end before a hole, and before what cannot be read. Whoever asks for what
    /// follows is told of it.
    private static func chunks(_ result: PostgresResult) throws(Failure) -> [Chunk] {
        var chunks: [Chunk] = []
        chunks.reserveCapacity(result.rowsCount)
        for row in 0..<result.rowsCount where !result.isNull(row, 3) {
            let first = try result.position(row, 0)
            if let last = chunks.last?.last, first > last.next { break }
            guard first > chunks.last?.last ?? .origin else {
                throw Failure(
                    .internal,
                    "the chunk at position \(first) overlaps the one before it; compare with "
                        + "dormouse.chunk and restore it from a backup")
            }
            do throws(Failure) {
                chunks.append(try Self.chunk(result, row, first))
            } catch {
                guard !chunks.isEmpty else { throw error }
                break
            }
        }
        return chunks
    }

    private static func chunk(_ result: PostgresResult, _ row: Int, _ first: Position)
        throws(Failure) -> Chunk
    {
        guard try result.integer(row, 2) == 0 else {
            throw Failure(
                .failedPrecondition,
                "the chunk at position \(first) has a form that this version cannot read; "
                    + "start the version that wrote it, or a newer one")
        }
        let count = Int(try result.integer(row, 1))
        return try Chunk(first: first, count: count, block: result.block(row, 3))
    }

    /// Where a page ends that begins with this row; nil when the rows end before it does.
    private static func end(_ result: PostgresResult, from start: Int, bytesMax: Int)
        throws(Failure) -> Position?
    {
        var bytes: Int64 = 0
        for row in start..<max(start, result.rowsCount) {
            bytes += try result.integer(row, 4)
            if row > start, bytes > Int64(bytesMax) { return try result.position(row, 0).previous }
        }
        return nil
    }

    private static func position(
        before time: Timestamp, in exchange: ExchangeID, _ connection: PostgresConnection
    ) throws(Failure) -> Position? {
        var bounds = Parameters()
        bounds.add(exchange.rawValue)
        let ends = try connection.run(Self.ends, bounds)
        guard ends.rowsCount == 1, try ends.time(0, 2) >= time else { return nil }
        // The chunk that is sought begins within low...high.
        var low = try ends.position(0, 0).rawValue
        var high = try ends.position(0, 1).rawValue
        while low < high {
            var parameters = Parameters()
            parameters.add(exchange.rawValue)
            let middle = low + (high - low) / 2
            parameters.add(Position(middle))
            let probe = try connection.run(Self.chunkAt, parameters)
            guard probe.rowsCount == 1 else { return nil }
            let first = try probe.position(0, 0).rawValue
            if try probe.time(0, 2) >= time {
                high = first
            } else {
                // Where chunks are missing, the next one begins after the middle.
                low = max(first + UInt64(try probe.integer(0, 1)), middle + 1)
            }
        }
        var parameters = Parameters()
        parameters.add(exchange.rawValue)
        parameters.add(Position(low))
        parameters.add(Int64(0))
        guard let chunk = try Self.chunks(try connection.run(Self.page, parameters)).first else {
            return nil
        }
        let index = (0..<chunk.count).first { chunk.time(at: $0) >= time } ?? chunk.count - 1
        return chunk.position(at: index).previous
    }

    /// From the chunk that holds $2 on, at most $3 bytes, at least one chunk; then the sizes of some
    /// that follow. `octet_length` reads only the row, not the data that is stored out of line. The
    /// inner limit keeps the sum from running over the whole log: it follows from the size of the
    /// first chunk, so a page is shorter than it might be only where chunks get much smaller.
    static let page = Statement(
        name: "page",
        sql: """
            WITH start AS (
                SELECT position, octet_length(data) AS bytes FROM dormouse.chunk
                WHERE exchange_id = $1::bigint AND position >= coalesce(
                        (SELECT max(position) FROM dormouse.chunk
                         WHERE exchange_id = $1::bigint AND position <= $2::bigint), $2::bigint)
                    AND position + count > $2::bigint
                ORDER BY position LIMIT 1)
            SELECT position, count, codec::bigint,
                CASE WHEN total <= $3::bigint OR position = (SELECT position FROM start)
                    THEN data END,
                bytes
            FROM (
                SELECT position, count, codec, data, octet_length(data)::bigint AS bytes,
                    sum(octet_length(data)) OVER (ORDER BY position) AS total
                FROM (
                    SELECT c.position, c.count, c.codec, c.data FROM dormouse.chunk c
                    WHERE c.exchange_id = $1::bigint
                        AND c.position >= (SELECT position FROM start)
                    ORDER BY c.position
                    LIMIT (SELECT least(1024, 4 + 2 * $3::bigint / greatest(bytes, 1)) FROM start)
                ) AS near
            ) AS summed
            ORDER BY position
            """)

    /// From the chunk that holds $2 on. No key holds a blank.
    static let keys = Statement(
        name: "keys",
        sql: """
            SELECT position, count, array_to_string(keys, ' ') FROM dormouse.chunk
            WHERE exchange_id = $1::bigint AND position >= coalesce(
                    (SELECT max(position) FROM dormouse.chunk
                     WHERE exchange_id = $1::bigint AND position <= $2::bigint), $2::bigint)
                AND position + count > $2::bigint
            ORDER BY position LIMIT $3::bigint
            """)

    /// First and last chunk's position, and the newest time.
    private static let ends = Statement(
        name: "ends",
        sql: """
            SELECT (SELECT min(position) FROM dormouse.chunk WHERE exchange_id = $1::bigint),
                position, last_at
            FROM dormouse.chunk WHERE exchange_id = $1::bigint ORDER BY position DESC LIMIT 1
            """)

    private static let chunkAt = Statement(
        name: "chunk_at",
        sql: """
            SELECT position, count, last_at FROM dormouse.chunk
            WHERE exchange_id = $1::bigint AND position <= $2::bigint
            ORDER BY position DESC LIMIT 1
            """)
}
