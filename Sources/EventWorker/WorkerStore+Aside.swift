import DormouseClient

/// Events that were set aside.
extension WorkerStore {
    /// One of them.
    struct Aside {
        let event: Event
        let orderingKey: String
        let attempts: Int
        let waits: Int
        let isReplay: Bool
    }

    /// How many there are, and in how many milliseconds the first is due; nil: none ever.
    func aside() throws(WorkerError) -> (count: Int, due: Int64?) {
        let rows = try self.database.execute(
            """
            SELECT count(*), ceil(extract(epoch FROM min(due) FILTER (WHERE state = 'waiting')
                - clock_timestamp()) * 1000)::bigint
            FROM worker_aside WHERE worker = $1 AND exchange = $2
            """, [.text(self.name), .text(self.exchange)])
        let due = rows.text(0, 1) == nil ? nil : try rows.integer(0, 1)
        return (Int(try rows.integer(0, 0)), due)
    }

    /// Which of these ordering keys have events that others must wait behind.
    func blocked(_ keys: Set<String>) throws(WorkerError) -> Set<String> {
        let rows = try self.database.execute(
            """
            SELECT DISTINCT ordering_key FROM worker_aside
            WHERE worker = $1 AND exchange = $2 AND ordering_key = ANY($3::text[])
                AND holds_key
            """, [.text(self.name), .text(self.exchange), Value(Array(keys))])
        return Set((0..<rows.count).compactMap { rows.text($0, 0) })
    }

    /// `later` nil: parked, or behind another one of its key.
    func setAside(
        _ event: Event, orderingKey: String, state: String, milliseconds: Int64?, reason: String,
        attempts: Int, waits: Int, isReplay: Bool, holdsKey: Bool = true
    ) throws(WorkerError) {
        try self.database.execute(
            """
            INSERT INTO worker_aside (worker, exchange, position, ordering_key, state, due, reason,
                attempts, waits, is_replay, holds_key, key, payload, id, content_type, headers, published_at)
            VALUES ($1, $2, $3, $4, $5, clock_timestamp() + $6 * interval '1 ms', $7, $8, $9, $10,
                $11, $12, $13, $14, $15, $16, $17)
            """,
            [
                .text(self.name), .text(self.exchange), Value(event.position), .text(orderingKey),
                .text(state), milliseconds.map { .integer($0) } ?? .null,
                .text(StoredText.reason(reason)),
                .integer(Int64(attempts)), .integer(Int64(waits)), .text(isReplay ? "t" : "f"),
                .text(holdsKey ? "t" : "f"),
                .text(event.key), .bytes(event.payload), .bytes(event.id),
                .text(StoredText.clean(event.contentType)),
                .bytes(EventHeaders.encode(event.headers)),
                Value(event.publishedAt),
            ])
    }

    /// For a rebuild: it waits in the tables in use, so it is not tried until they are swapped. No attempt: that tells it from
    /// what was parked here.
    func keep(_ event: Event, orderingKey: String, holdsKey: Bool) throws(WorkerError) {
        try self.setAside(
            event, orderingKey: orderingKey, state: "parked", milliseconds: nil, reason: "it waits",
            attempts: 0, waits: 0, isReplay: true, holdsKey: holdsKey)
    }

    /// What was kept, and has been applied in the meantime, is applied here, too; what was dropped goes.
    func letGo(except waiting: Set<UInt64>, dropped: Set<UInt64>) throws(WorkerError) {
        let kept = try self.database.execute(
            """
            SELECT position, ordering_key FROM worker_aside
            WHERE worker = $1 AND exchange = $2 AND state = 'parked' AND attempts = 0
            """, [.text(self.name), .text(self.exchange)])
        for row in 0..<kept.count {
            let position = UInt64(clamping: try kept.integer(row, 0))
            let key = kept.text(row, 1) ?? ""
            if waiting.contains(position) { continue }
            if dropped.contains(position) {
                _ = try self.release(position, orderingKey: key)
                continue
            }
            try self.database.execute(
                """
                UPDATE worker_aside SET state = CASE WHEN holds_key THEN 'behind' ELSE 'waiting' END,
                    due = CASE WHEN holds_key THEN NULL ELSE clock_timestamp() END
                WHERE worker = $1 AND exchange = $2 AND position = $3
                """, [.text(self.name), .text(self.exchange), Value(position)])
        }
        // Now that all of them are behind each other, the first of each key goes.
        for key in Set((0..<kept.count).compactMap { kept.text($0, 1) }) {
            try self.releaseKey(key)
        }
    }

    /// The one that has been due the longest.
    func due() throws(WorkerError) -> Aside? {
        let rows = try self.database.execute(
            """
            SELECT position, published_at, key, payload, id, content_type, headers, ordering_key,
                attempts, waits, is_replay
            FROM worker_aside WHERE worker = $1 AND exchange = $2 AND state = 'waiting'
                AND due <= clock_timestamp()
            ORDER BY due, position LIMIT 1
            """, [.text(self.name), .text(self.exchange)])
        guard rows.count > 0 else { return nil }
        return Aside(
            event: try Self.event(rows, 0), orderingKey: rows.text(0, 7) ?? "",
            attempts: Int(try rows.integer(0, 8)), waits: Int(try rows.integer(0, 9)),
            isReplay: rows.text(0, 10) == "t")
    }

    /// Of columns position, published_at, key, payload, id, content_type, headers.
    static func event(_ rows: Rows, _ row: Int) throws(WorkerError) -> Event {
        Event(
            key: rows.text(row, 2) ?? "", payload: try rows.bytes(row, 3),
            id: try rows.bytes(row, 4), contentType: rows.text(row, 5) ?? "",
            headers: try EventHeaders.decode(try rows.bytes(row, 6)),
            position: UInt64(clamping: try rows.integer(row, 0)),
            publishedAt: UInt64(clamping: try rows.integer(row, 1)))
    }

    /// It is tried once more, or was, and nothing is to be counted. Not by an instance that was replaced.
    func count(_ position: UInt64, attempts: Int, _ place: Place) throws {
        try self.database.transaction { database in
            try database.execute("SET LOCAL synchronous_commit = off")
            try self.hold(place)
            try database.execute(
                """
                UPDATE worker_aside SET attempts = $4
                WHERE worker = $1 AND exchange = $2 AND position = $3
                """,
                [
                    .text(self.name), .text(self.exchange), Value(position),
                    .integer(Int64(attempts)),
                ])
        }
    }

    /// It failed again. nil: it stays parked.
    func postpone(
        _ aside: Aside, milliseconds: Int64?, reason: String, attempts: Int, waits: Int,
        holdsKey: Bool, _ place: Place
    ) throws {
        try self.database.transaction { database in
            try self.hold(place)
            try database.execute(
                """
                UPDATE worker_aside SET holds_key = $8,
                    state = CASE WHEN $4::bigint IS NULL THEN 'parked' ELSE 'waiting' END,
                    due = clock_timestamp() + $4 * interval '1 ms', reason = $5, attempts = $6,
                    waits = $7
                WHERE worker = $1 AND exchange = $2 AND position = $3
                """,
                [
                    .text(self.name), .text(self.exchange), Value(aside.event.position),
                    milliseconds.map { .integer($0) } ?? .null, .text(StoredText.reason(reason)),
                    .integer(Int64(attempts)), .integer(Int64(waits)), .text(holdsKey ? "t" : "f"),
                ])
            if !holdsKey { try self.releaseKey(aside.orderingKey) }
        }
    }

    /// It is done with: the next one of its key is due. false: it was not there, or not in
    /// this state, which an event that is dropped may change meanwhile.
    func release(
        _ position: UInt64, orderingKey: String, state: String? = nil
    ) throws(WorkerError) -> Bool {
        let mine: [Value] = [.text(self.name), .text(self.exchange), .text(orderingKey)]
        let removed = try self.database.execute(
            """
            DELETE FROM worker_aside
            WHERE worker = $1 AND exchange = $2 AND ordering_key = $3 AND position = $4
                AND ($5::text IS NULL OR state = $5)
            """, mine + [Value(position), Value(state)])
        guard removed.changedCount == 1 else { return false }
        try self.releaseKey(orderingKey)
        return true
    }

    /// The first that others wait behind is due now, if it has waited behind one itself.
    private func releaseKey(_ orderingKey: String) throws(WorkerError) {
        try self.database.execute(
            """
            UPDATE worker_aside SET state = 'waiting', due = clock_timestamp()
            WHERE worker = $1 AND exchange = $2 AND position = (
                SELECT min(position) FROM worker_aside
                WHERE worker = $1 AND exchange = $2 AND ordering_key = $3 AND holds_key)
                AND state = 'behind'
            """, [.text(self.name), .text(self.exchange), .text(orderingKey)])
    }
}
