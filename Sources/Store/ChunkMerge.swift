import Core

/// What merging needs to know of a chunk.
struct ChunkOutline: Hashable, Sendable {
    let first: Position
    let count: Int64
    let bytes: Int64

    var next: Position { Position(self.first.rawValue + UInt64(self.count)) }

    /// Rows of one scan: about a millisecond.
    static let scanRowsMax = 1024

    static func scan(
        _ exchange: ExchangeID, from position: Position, upto: Position,
        _ connection: PostgresConnection
    ) throws(Failure) -> [ChunkOutline] {
        var parameters = Parameters()
        parameters.add(exchange.rawValue)
        parameters.add(position)
        parameters.add(upto)
        parameters.add(Int64(Self.scanRowsMax))
        let result = try connection.run(Self.statement, parameters)
        var outlines: [ChunkOutline] = []
        for row in 0..<result.rowsCount {
            outlines.append(
                ChunkOutline(
                    first: try result.position(row, 0), count: try result.integer(row, 1),
                    bytes: try result.integer(row, 2)))
        }
        return outlines
    }

    private static let statement = Statement(
        name: "merge_scan",
        sql: """
            SELECT position, count, octet_length(data)::bigint FROM dormouse.chunk
            WHERE exchange_id = $1::bigint AND position >= $2::bigint
                AND position <= $3::bigint AND position + count - 1 <= $3::bigint
                AND codec = 0
            ORDER BY position LIMIT $4::bigint
            """)
}

/// Neighbouring small chunks without a hole between them.
struct ChunkRun: Hashable, Sendable {
    private(set) var chunks: [ChunkOutline]

    /// Fewer would write more bytes than they save rows.
    static let chunksMin = 8

    var first: Position { self.chunks.first?.first ?? .origin }
    var last: Position { self.chunks.last?.first ?? .origin }
    var events: Int64 { self.chunks.reduce(0) { $0 + $1.count } }

    enum Search: Hashable {
        case found(ChunkRun)
        /// None here; everything before `next` need not be looked at again.
        case none(next: Position)
    }

    /// The first run in `outlines` that is worth merging. A run that reaches the end may still grow,
    /// so a search starts there again.
    static func search(_ outlines: [ChunkOutline], from: Position, chunkBytesMax: Int) -> Search {
        var run: [ChunkOutline] = []
        var bytes: Int64 = 0
        var next = from
        for outline in outlines {
            let isSmall = outline.bytes < Int64(chunkBytesMax / 4)
            let fits = bytes + outline.bytes <= Int64(chunkBytesMax)
            let follows = run.last.map { $0.next == outline.first } ?? true
            if !(isSmall && fits && follows) {
                if run.count >= Self.chunksMin { return .found(ChunkRun(chunks: run)) }
                run = []
                bytes = 0
            }
            next = outline.next
            guard isSmall else { continue }
            run.append(outline)
            bytes += outline.bytes
        }
        if run.count >= Self.chunksMin { return .found(ChunkRun(chunks: run)) }
        return .none(next: run.first?.first ?? next)
    }

    /// Replaces the run by one chunk in one transaction; false when somebody else has changed it
    /// meanwhile, and then nothing was done.
    func merge(in exchange: ExchangeID, _ connection: PostgresConnection) throws(Failure) -> Bool {
        let changed = Failure(.aborted, "the chunks have changed meanwhile")
        do throws(Failure) {
            try connection.transaction { () throws(Failure) in
                var parameters = Parameters()
                parameters.add(exchange.rawValue)
                parameters.add(self.first)
                parameters.add(self.last)
                parameters.add(Int64(Chunk.distinctKeysMax))
                let result = try connection.run(Self.statement, parameters)
                guard result.rowsCount == 1,
                    try result.integer(0, 0) == Int64(self.chunks.count),
                    try result.integer(0, 1) == self.events,
                    try result.position(0, 2) == self.first
                else { throw changed }
            }
            return true
        } catch {
            if error == changed { return false }
            throw error
        }
    }

    private static let statement = Statement(
        name: "merge",
        sql: """
            WITH gone AS (
                DELETE FROM dormouse.chunk
                WHERE exchange_id = $1::bigint AND position BETWEEN $2::bigint AND $3::bigint
                    AND codec = 0
                RETURNING position, count, first_at, last_at, keys, data),
            named AS (
                SELECT array_agg(DISTINCT key) AS keys FROM gone, unnest(gone.keys) AS k (key)),
            merged AS (
                SELECT count(*) AS chunks, sum(count)::bigint AS events,
                    min(position) AS position, min(first_at) AS first_at, max(last_at) AS last_at,
                    bool_or(keys IS NULL) AS is_open,
                    string_agg(data, ''::bytea ORDER BY position) AS data
                FROM gone),
            stored AS (
                INSERT INTO dormouse.chunk
                    (exchange_id, position, count, first_at, last_at, keys, data)
                SELECT $1::bigint, m.position, m.events, m.first_at, m.last_at,
                    CASE WHEN m.is_open OR cardinality(named.keys) > $4::bigint THEN NULL
                        ELSE named.keys END, m.data
                FROM merged m, named WHERE m.chunks > 0)
            SELECT chunks, events, position FROM merged WHERE chunks > 0
            """)
}
