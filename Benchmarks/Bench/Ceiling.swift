import Core

/// The same Postgres without a server in front of it: what none can beat by much. Chunks of a thousand events,
/// a row each, ten a
/// commit, two commits under way: as much at once as the clients of P1 have under way.
final class Ceiling: System {
    private static let eventsPerChunk = 1_000
    private static let eventBytes = 140
    /// With two commits under way, as much as the window of P1 holds.
    private static let chunksPerCommit = 10
    /// As `storage` does it: the head moves if it is the expected one, and only then is a chunk stored.
    private static let append = """
        WITH moved AS (
            UPDATE bench_head SET head = $2::bigint WHERE id = 1 AND head = $1::bigint RETURNING id),
        stored AS (INSERT INTO bench_append SELECT $2::bigint, $3::bytea FROM moved)
        SELECT id FROM moved
        """

    private let server: Dormouse
    /// In its log, which grows from round to round as ours does: a table that is made anew finds warm memory.
    private var rows = 0
    let settings: String
    let name = "libpq"

    init(_ server: Dormouse) throws(Failure) {
        self.server = server
        let postgres = try Postgres(server.conninfo)
        let version = try postgres.value("show server_version")
        try Self.makeTables(postgres)
        let commit = try postgres.value("show synchronous_commit")
        let fsync = try postgres.value("show fsync")
        self.settings =
            "plain libpq on Postgres \(version), synchronous_commit=\(commit), fsync=\(fsync), a row per "
            + "140 kB, ten rows a commit, two commits under way"
    }

    func run(_ job: Job) throws(Failure) -> Double? {
        let postgres = try Postgres(self.server.conninfo)
        switch job {
        case .publish(let load):
            if load.batch == 1 { return nil }
            return try self.write(load.events, postgres)
        case .replay(let events): return try self.read(events, postgres)
        case .filteredReplay, .fanOut: return nil
        }
    }

    private static func makeTables(_ postgres: Postgres) throws(Failure) {
        try postgres.execute(
            """
            CREATE TABLE bench_head (id int PRIMARY KEY, head bigint) WITH (fillfactor = 20);
            INSERT INTO bench_head VALUES (1, 0);
            CREATE TABLE bench_append (position bigint PRIMARY KEY, data bytea NOT NULL);
            CREATE TABLE bench_chunk (position bigint PRIMARY KEY, data bytea NOT NULL);
            ALTER TABLE bench_chunk ALTER COLUMN data SET STORAGE EXTERNAL
            """)
    }

    private func write(_ events: Int, _ postgres: Postgres) throws(Failure) -> Double {
        try postgres.prepare("put", "INSERT INTO bench_chunk VALUES ($1, $2)")
        let data = randomBytes(Self.eventsPerChunk * Self.eventBytes)
        let commits = max(1, events / (Self.eventsPerChunk * Self.chunksPerCommit))
        let begin = seconds()
        for commit in 0..<commits {
            for chunk in 0..<Self.chunksPerCommit {
                try postgres.send(
                    "put", [[UInt8](bigint: self.rows), data],
                    isLast: chunk == Self.chunksPerCommit - 1)
                self.rows += 1
            }
            if commit > 0 { try postgres.receive() }
        }
        try postgres.receive()
        let stored = commits * Self.chunksPerCommit * Self.eventsPerChunk
        return Double(stored) / (seconds() - begin)
    }

    private func read(_ events: Int, _ postgres: Postgres) throws(Failure) -> Double {
        try postgres.prepare(
            "get",
            "SELECT position, data FROM bench_chunk WHERE position >= $1 ORDER BY position LIMIT 8")
        let begin = seconds()
        let first = max(0, self.rows - events / Self.eventsPerChunk)
        var position = first
        while true {
            try postgres.send("get", [[UInt8](bigint: position)])
            let rows = try postgres.receive()
            if rows == 0 { break }
            position += rows
        }
        return Double((position - first) * Self.eventsPerChunk) / (seconds() - begin)
    }

    /// Milliseconds of the bare append statement with one event, one after the other.
    func appends(_ count: Int) throws(Failure) -> [Double] {
        let postgres = try Postgres(self.server.conninfo)
        try postgres.execute("UPDATE bench_head SET head = 0; TRUNCATE bench_append")
        try postgres.prepare("append", Self.append)
        let data = randomBytes(Self.eventBytes)
        var times: [Double] = []
        for head in 0..<count {
            let begin = seconds()
            try postgres.send("append", [[UInt8](bigint: head), [UInt8](bigint: head + 1), data])
            guard try postgres.receive() == 1 else {
                throw Failure(.internal, "the bare append moved nothing")
            }
            times.append((seconds() - begin) * 1_000)
        }
        return times
    }
}
