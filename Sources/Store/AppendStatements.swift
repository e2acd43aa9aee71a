import Core

/// The statements of the writer: each advances the head if head and epoch are the expected ones,
/// stores the chunks and moves the producers only if it did, and returns a row only if it did.
enum AppendStatements {
    static let one = Statement(name: "append_one", sql: head(bytes: "$10") + oneChunk + tail)
    static let oneWithProducers = Statement(
        name: "append_one_producers",
        sql: head(bytes: "$13") + oneChunk + producers("$10", "$11", "$12") + tail)
    static let many = Statement(name: "append_many", sql: head(bytes: "$11") + manyChunks + tail)
    static let manyWithProducers = Statement(
        name: "append_many_producers",
        sql: head(bytes: "$14") + manyChunks + producers("$11", "$12", "$13") + tail)

    /// The row's lock orders this after whatever a lost connection still does: what holds the row
    /// commits first and is seen, what comes later finds another epoch.
    static let retake = Statement(
        name: "retake",
        sql: """
            UPDATE dormouse.exchange SET epoch = epoch + 1
            WHERE exchange_id = $1::bigint AND owner = $2::bigint RETURNING epoch, head
            """)

    static let all = [one, oneWithProducers, many, manyWithProducers, retake]

    private static func head(bytes: String) -> String {
        """
        WITH moved AS (
            UPDATE dormouse.exchange SET head = $4::bigint, bytes = bytes + \(bytes)::bigint
            WHERE exchange_id = $1::bigint AND epoch = $2::bigint AND head = $3::bigint
            RETURNING exchange_id)
        """
    }

    private static let oneChunk = """
        , stored AS (
            INSERT INTO dormouse.chunk
                (exchange_id, position, count, first_at, last_at, keys, data)
            SELECT exchange_id, $3::bigint + 1, $5::bigint, $6::timestamptz, $7::timestamptz,
                string_to_array($8::text, ' '), $9::bytea
            FROM moved)
        """

    private static let manyChunks = """
        , stored AS (
            INSERT INTO dormouse.chunk
                (exchange_id, position, count, first_at, last_at, keys, data)
            SELECT moved.exchange_id, c.position, c.count, c.first_at, c.last_at,
                string_to_array(c.keys, ' '), c.data
            FROM moved, unnest($5::bigint[], $6::bigint[], $7::timestamptz[], $8::timestamptz[],
                $9::text[], $10::bytea[]) AS c (position, count, first_at, last_at, keys, data))
        """

    private static func producers(_ names: String, _ sequences: String, _ positions: String)
        -> String
    {
        """
        , sequenced AS (
            INSERT INTO dormouse.producer (exchange_id, name, sequence, position)
            SELECT moved.exchange_id, p.name, p.sequence, p.position
            FROM moved, unnest(\(names)::text[], \(sequences)::bigint[], \(positions)::bigint[])
                AS p (name, sequence, position)
            ON CONFLICT (exchange_id, name)
            DO UPDATE SET sequence = excluded.sequence, position = excluded.position)
        """
    }

    private static let tail = " SELECT exchange_id FROM moved"
}

extension Append {
    var statement: Statement {
        switch (self.chunks.count == 1, self.producers.isEmpty) {
        case (true, true): AppendStatements.one
        case (true, false): AppendStatements.oneWithProducers
        case (false, true): AppendStatements.many
        case (false, false): AppendStatements.manyWithProducers
        }
    }

    var parameters: Parameters {
        var parameters = Parameters()
        parameters.add(self.exchange.rawValue)
        parameters.add(self.epoch.rawValue)
        parameters.add(self.after)
        parameters.add(self.last)
        if self.chunks.count == 1, let chunk = self.chunks.first {
            parameters.add(Int64(chunk.count))
            parameters.add(chunk.firstAt)
            parameters.add(chunk.lastAt)
            parameters.add(chunk.joinedKeys)
            parameters.add(chunk.block)
        } else {
            parameters.add(self.chunks.map { Int64(clamping: $0.first.rawValue) })
            parameters.add(self.chunks.map { Int64($0.count) })
            parameters.add(self.chunks.map(\.firstAt))
            parameters.add(self.chunks.map(\.lastAt))
            parameters.add(self.chunks.map(\.joinedKeys))
            parameters.add(self.chunks.map(\.block))
        }
        if !self.producers.isEmpty {
            let marks = self.newestMarks
            parameters.add(marks.map { Optional($0.name.text) })
            parameters.add(marks.map { Int64(bitPattern: $0.sequence) })
            parameters.add(marks.map { Int64(clamping: $0.position.rawValue) })
        }
        parameters.add(Int64(self.chunks.reduce(0) { $0 + $1.bytesCount }))
        return parameters
    }

    /// One mark per producer, since a statement may touch a row once only.
    private var newestMarks: [ProducerMark] {
        if self.producers.count == 1 { return self.producers }
        let newest = Dictionary(self.producers.map { ($0.name, $0) }) { $1 }
        return newest.count == self.producers.count ? self.producers : Array(newest.values)
    }
}

extension Chunk {
    /// The distinct keys of the chunk with blanks between them (no key holds one), or nil when they
    /// are too many to be kept.
    var joinedKeys: String? {
        self.keys.map { $0.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ") }
    }
}
