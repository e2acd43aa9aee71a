import Core
import Wire

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// P12: events that SQL writers commit, beside the least that plain SQL must do for the same: rows are inserted, and one statement
/// after the other deletes them and stores them as a block.
struct OutboxMeasure {
    private static let writers = 4
    private static let rowsPerCommit = 500
    private let options: Options
    private let server: Dormouse

    init(_ options: Options) {
        self.options = options
        self.server = Dormouse(options, folder: "p12", port: options.port)
    }

    func run(_ figures: inout Figures) throws(Failure) {
        try self.server.start()
        defer { self.server.stop() }
        try self.makeTables()
        let link = try self.server.connect()
        for round in 1...(self.options.quick ? 3 : self.options.rounds) {
            say("P12 round \(round)")
            try self.server.makeExchange(on: link)
            self.add(&figures, "P12", "dormouse", try self.sustained())
            self.add(&figures, "P12", "libpq", try self.bare())
            try self.server.makeExchange(on: link)
            self.add(&figures, "P12 backlog", "dormouse", try self.backlog())
        }
        let times = try self.latencies(self.options.quick ? 100 : 300)
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            let value = percentile(times, share)
            self.add(&figures, "P12 \(name)", "dormouse", value, unit: "ms")
        }
    }

    private func add(
        _ figures: inout Figures, _ measure: String, _ system: String, _ value: Double,
        unit: String = "/s"
    ) {
        figures.add(measure, system, value, unit: unit)
        say("  \(measure)  \(system): \(shortNumber(value)) \(unit)")
    }

    private func makeTables() throws(Failure) {
        try Postgres(self.server.conninfo).execute(
            """
            CREATE TABLE bench_outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                key text, payload bytea) WITH (autovacuum_vacuum_scale_factor = 0,
                autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0);
            CREATE TABLE bench_moved (first bigint, data bytea);
            ALTER TABLE bench_moved ALTER COLUMN data SET STORAGE EXTERNAL
            """)
    }

    /// Events of a round.
    private var events: Int { self.options.events / 2 }

    // MARK: - Writers

    /// Connections that commit so many rows each time, all at once, as often as it takes for the events of a round.
    private func write(
        _ sql: String, _ beside: (Bool) throws(Failure) -> Bool
    ) throws(Failure) -> Double {
        var writers: [Postgres] = []
        for _ in 0..<Self.writers {
            let writer = try Postgres(self.server.conninfo)
            try writer.prepare("put", sql)
            writers.append(writer)
        }
        let payload = randomBytes(100)
        var left = self.events / Self.rowsPerCommit
        let begin = seconds()
        var busy: [Postgres] = []
        while left > 0 || !busy.isEmpty {
            while left > 0, busy.count < writers.count {
                guard let free = writers.first(where: { one in !busy.contains { $0 === one } })
                else { break }
                try free.send("put", [payload, [UInt8](bigint: Self.rowsPerCommit)])
                busy.append(free)
                left -= 1
            }
            var polls = busy.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
            poll(&polls, nfds_t(polls.count), 1)
            var still: [Postgres] = []
            for writer in busy where try !writer.receiveIfEnded() { still.append(writer) }
            busy = still
            _ = try beside(false)
        }
        while try !beside(true) {}
        return Double(self.events) / (seconds() - begin)
    }

    private func sustained() throws(Failure) -> Double {
        let watch = try Postgres(self.server.conninfo)
        return try self.write(
            "SELECT count(dormouse.publish('\(self.server.exchange)', 'bench.key', $1::bytea)) "
                + "FROM generate_series(1, $2::bigint)"
        ) { (isLast) throws(Failure) in
            isLast ? try self.isMoved(watch) : false
        }
    }

    private func isMoved(_ watch: Postgres) throws(Failure) -> Bool {
        usleep(1_000)
        return try watch.value(
            "SELECT head >= \(self.events) FROM dormouse.exchange WHERE name = '\(self.server.exchange)'"
        ) == "t"
    }

    private func bare() throws(Failure) -> Double {
        let mover = try Postgres(self.server.conninfo)
        try mover.execute("TRUNCATE bench_outbox, bench_moved; SET enable_seqscan = off")
        try mover.prepare(
            "move",
            """
            WITH gone AS (DELETE FROM bench_outbox WHERE ctid = ANY (ARRAY(
                    SELECT ctid FROM bench_outbox ORDER BY id LIMIT 10000)) RETURNING *),
                stored AS (INSERT INTO bench_moved SELECT min(id), string_agg(payload, '' ORDER BY id)
                    FROM gone HAVING count(*) > 0)
            SELECT FROM gone LIMIT 1
            """)
        try mover.send("move", [])
        return try self.write(
            "INSERT INTO bench_outbox (key, payload) SELECT 'bench.key', $1::bytea "
                + "FROM generate_series(1, $2::bigint)"
        ) { (isLast) throws(Failure) in
            if isLast {
                // What was under way when the last writer committed may not have seen its rows.
                let isEmpty = try mover.receive() == 0
                if isEmpty, try self.isEmpty() { return true }
                try mover.send("move", [])
            } else if try mover.receiveIfEnded() {
                try mover.send("move", [])
            }
            return false
        }
    }

    private func isEmpty() throws(Failure) -> Bool {
        try Postgres(self.server.conninfo).value("SELECT count(*) FROM bench_outbox") == "0"
    }

    // MARK: - A backlog

    /// One transaction of very many: from its commit until all are in the log.
    private func backlog() throws(Failure) -> Double {
        let writer = try Postgres(self.server.conninfo)
        let watch = try Postgres(self.server.conninfo)
        try writer.execute(
            "BEGIN; SELECT count(dormouse.publish('\(self.server.exchange)', 'bench.key', "
                + "repeat('x', 100))) FROM generate_series(1, \(self.events))")
        try writer.execute("COMMIT")
        let begin = seconds()
        while try !self.isMoved(watch) {}
        return Double(self.events) / (seconds() - begin)
    }

    // MARK: - One at a time

    /// Milliseconds from the answer to COMMIT until the delivery is there.
    private func latencies(_ count: Int) throws(Failure) -> [Double] {
        let link = try self.server.connect()
        try self.server.makeExchange(on: link)
        var bytes: [UInt8] = []
        self.server.subscribe("reader", start: .next, to: &bytes)
        try link.write(bytes)
        var answers = DormouseAnswers()
        while answers.streamsOpened == 0 { try link.read(&answers) }
        let writer = try Postgres(self.server.conninfo)
        var times: [Double] = []
        for number in 1...count {
            _ = try writer.value(
                "SELECT dormouse.publish('\(self.server.exchange)', 'bench.key', '\(number)'::text)"
            )
            let begin = seconds()
            while answers.delivered < number { try link.read(&answers) }
            times.append((seconds() - begin) * 1_000)
        }
        return times
    }
}
