import Core

/// PgQ in a database of its own in the Postgres that our server uses, so with the same settings.
final class PgQ: System {
    let name = "PgQ"
    let settings: String
    private let server: Dormouse

    init(_ server: Dormouse) throws(Failure) {
        self.server = server
        let first = try Postgres(server.conninfo)
        if try first.value("SELECT 1 FROM pg_database WHERE datname = 'pgq'").isEmpty {
            try first.execute("CREATE DATABASE pgq")
        }
        let postgres = try Postgres(server.conninfo + " dbname=pgq")
        try postgres.execute("CREATE EXTENSION IF NOT EXISTS pgq")
        let version = try postgres.value("SELECT pgq.version()")
        self.settings =
            "PgQ \(version) in the same Postgres, insert_event, a statement and a commit per request: flushed before "
            + "the answer; ticks by hand"
    }

    func run(_ job: Job) throws(Failure) -> Double? {
        let postgres = try Postgres(self.server.conninfo + " dbname=pgq")
        switch job {
        case .publish(let load): return try self.publish(load, postgres)
        case .replay(let events): return try self.replay(events, postgres)
        case .filteredReplay, .fanOut: return nil
        }
    }

    private func publish(_ load: Load, _ postgres: Postgres) throws(Failure) -> Double {
        if try !postgres.value("SELECT 1 FROM pgq.queue WHERE queue_name = 'bench'").isEmpty {
            try postgres.execute("SELECT pgq.drop_queue('bench', true)")
        }
        try postgres.execute(
            "SELECT pgq.create_queue('bench'); SELECT pgq.register_consumer('bench', 'reader')")
        try postgres.prepare(
            "put",
            "SELECT count(pgq.insert_event('bench', 'key', repeat(chr(65 + (n % 26)::int), $1::bigint::int))) "
                + "FROM generate_series(1, $2::bigint) AS n")
        // A tenth of the events, since it is so much slower than the rest.
        let requests = max(1, load.requests / 10)
        let window = min(64, load.requestsWindow)
        let parameters = [[UInt8](bigint: load.payloadBytes), [UInt8](bigint: load.batch)]
        let begin = seconds()
        for request in 0..<requests {
            try postgres.send("put", parameters)
            if request >= window { try postgres.receive() }
        }
        for _ in 0..<min(window, requests) { try postgres.receive() }
        return Double(requests * load.batch) / (seconds() - begin)
    }

    private func replay(_ events: Int, _ postgres: Postgres) throws(Failure) -> Double {
        try postgres.execute("SELECT pgq.force_tick('bench'); SELECT pgq.ticker('bench')")
        try postgres.prepare("get", "SELECT * FROM pgq.get_batch_events($1)")
        var rows = 0
        let begin = seconds()
        while true {
            let batch = try postgres.value("SELECT pgq.next_batch('bench', 'reader')")
            guard let number = Int(batch) else { break }
            try postgres.send("get", [[UInt8](bigint: number)])
            rows += try postgres.receive()
            postgres.leavePipeline()
            try postgres.execute("SELECT pgq.finish_batch(\(number))")
        }
        return Double(rows) / (seconds() - begin)
    }
}
