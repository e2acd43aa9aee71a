import Core

/// The statements of the writer. An append is one transaction: it advances the head if head and epoch
/// are the expected ones, stores the chunks and moves the producers only if it did, and its first statement
/// returns a row only if it did. So do rows leave the outbox.
///
/// With one chunk, as with events that come one by one, that is one statement. More chunks are a statement each behind
/// the one that moves the head: Postgres works on the first while the others arrive, and copies each of them
/// less often than as an element of one large array.
enum AppendStatements {
    static let one = Statement(name: "append_one", sql: move(bytes: "$10") + oneChunk + tail)
    static let oneWithProducers = Statement(
        name: "append_one_producers",
        sql: move(bytes: "$14") + oneChunk + producers(from: 10) + tail)
    static let move = Statement(name: "append_move", sql: move(bytes: "$5") + tail)
    static let moveWithProducers = Statement(
        name: "append_move_producers",
        sql: move(bytes: "$9") + producers(from: 5) + tail)

    /// Stores nothing unless this transaction has moved the head: then the exchange's row is its own.
    static let chunk = Statement(
        name: "append_chunk",
        sql: """
            INSERT INTO dormouse.chunk (exchange_id, position, count, first_at, last_at, keys, data)
            SELECT exchange_id, $2::bigint, $3::bigint, $4::timestamptz, $5::timestamptz,
                string_to_array($6::text, ' '), $7::bytea
            FROM dormouse.exchange
            WHERE exchange_id = $1::bigint AND xmin = pg_current_xact_id()::xid
            """)

    /// The row's lock orders this after whatever a lost connection still does: what holds the row
    /// commits first and is seen, what comes later finds another epoch.
    static let retake = Statement(
        name: "retake",
        sql: """
            UPDATE dormouse.exchange SET epoch = epoch + 1
            WHERE exchange_id = $1::bigint AND owner = $2::bigint RETURNING epoch, head
            """)

    static let all = [
        one, oneWithProducers, move, moveWithProducers, chunk, OutboxStatements.leave, retake,
    ]

    private static func move(bytes: String) -> String {
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

    /// Names, sequences, positions and principals are four parameters.
    private static func producers(from first: Int) -> String {
        """
        , sequenced AS (
            INSERT INTO dormouse.producer (exchange_id, name, sequence, position, principal)
            SELECT moved.exchange_id, p.name, p.sequence, p.position, p.principal
            FROM moved, unnest($\(first)::text[], $\(first + 1)::bigint[], $\(first + 2)::bigint[],
                $\(first + 3)::text[]) AS p (name, sequence, position, principal)
            ON CONFLICT (exchange_id, name) DO UPDATE SET sequence = excluded.sequence,
                position = excluded.position, principal = excluded.principal)
        """
    }

    private static let tail = " SELECT exchange_id FROM moved"
}

/// A statement with its parameters.
struct Step {
    let statement: Statement
    let parameters: Parameters
}

extension Append {
    /// In one transaction, in this order; the first tells the outcome.
    var steps: [Step] {
        let stores = self.chunks.count == 1 ? [] : self.chunks.map(self.store)
        return [self.move] + stores + self.leaves
    }

    private var move: Step {
        let isOne = self.chunks.count == 1
        let hasProducers = !self.producers.isEmpty
        var parameters = Parameters()
        parameters.add(self.exchange.rawValue)
        parameters.add(self.epoch.rawValue)
        parameters.add(self.after)
        parameters.add(self.last)
        if isOne { parameters.add(content: self.chunks[0]) }
        if hasProducers {
            let marks = self.newestMarks
            parameters.add(marks.map { Optional($0.name.text) })
            parameters.add(marks.map { Int64(bitPattern: $0.sequence) })
            parameters.add(marks.map { Int64(clamping: $0.position.rawValue) })
            parameters.add(marks.map { $0.principal?.text })
        }
        parameters.add(Int64(self.chunks.reduce(0) { $0 + $1.bytesCount }))
        let statement =
            switch (isOne, hasProducers) {
            case (true, false): AppendStatements.one
            case (true, true): AppendStatements.oneWithProducers
            case (false, false): AppendStatements.move
            case (false, true): AppendStatements.moveWithProducers
            }
        return Step(statement: statement, parameters: parameters)
    }

    private func store(_ chunk: Chunk) -> Step {
        var parameters = Parameters()
        parameters.add(self.exchange.rawValue)
        parameters.add(chunk.first)
        parameters.add(content: chunk)
        return Step(statement: AppendStatements.chunk, parameters: parameters)
    }

    /// Rows of the outbox, if there are any.
    private var leaves: [Step] {
        guard let first = self.rows.min(), let last = self.rows.max() else { return [] }
        var parameters = Parameters()
        parameters.add(self.exchange.rawValue)
        parameters.add(self.rows.map(\.rawValue))
        parameters.add(first.rawValue)
        parameters.add(last.rawValue)
        return [Step(statement: OutboxStatements.leave, parameters: parameters)]
    }

    /// One mark per producer, since a statement may touch a row once only.
    private var newestMarks: [ProducerMark] {
        if self.producers.count == 1 { return self.producers }
        let newest = Dictionary(self.producers.map { ($0.name, $0) }) { $1 }
        return newest.count == self.producers.count ? self.producers : Array(newest.values)
    }
}

extension Parameters {
    /// Five of them: count, times, keys and bytes.
    fileprivate mutating func add(content chunk: Chunk) {
        self.add(Int64(chunk.count))
        self.add(chunk.firstAt)
        self.add(chunk.lastAt)
        self.add(chunk.joinedKeys)
        self.add(chunk.block)
    }
}

extension Chunk {
    /// The distinct keys of the chunk with blanks between them (no key holds one), or nil when they
    /// are too many to be kept.
    var joinedKeys: String? {
        self.keys.map { $0.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ") }
    }
}
