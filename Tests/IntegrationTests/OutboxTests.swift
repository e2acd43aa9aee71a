import Core
import Foundation
import PlainClient
import Testing
import Wire

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

extension Integration {
    /// Applications publish with SQL, within their own transactions.
    @Suite(.serialized)
    struct OutboxTests {
        @Test func anEventOfATransactionIsDeliveredAfterItsCommit() throws {
            try withServer { server, database in
                let client = try TestClient(server.address())
                let stream = try client.subscribe("name", "order.#")
                try database.query(
                    """
                    BEGIN; SELECT dormouse.publish('main', 'order.created', 'never'); ROLLBACK;
                    BEGIN;
                    SELECT dormouse.publish('main', 'order.created', '{"order": 1}'::jsonb,
                        headers => '{"tenant": "acme"}', id => 'order-1');
                    COMMIT
                    """)
                let event = try client.events(1, on: stream)[0]
                #expect(event.text == #"{"order": 1}"# && event.id == Array("order-1".utf8))
                #expect(event.contentType == Array("application/json".utf8))
                #expect(
                    event.headers == [
                        Header(name: Array("tenant".utf8), value: Array("acme".utf8))
                    ])
                try eventually("the row has left the outbox") {
                    try database.number("SELECT count(*) FROM dormouse.outbox") == 0
                }
            }
        }

        @Test func whatCannotBeAnEventHoldsUpNobody() throws {
            try withServer { server, database in
                let client = try TestClient(server.address())
                let stream = try client.subscribe("name")
                try database.query(
                    """
                    SELECT dormouse.publish('main', 'not a key', 'x');
                    SELECT dormouse.publish('main', 'large', repeat('x', 2000000));
                    SELECT dormouse.publish('nowhere', 'a', 'x');
                    SELECT dormouse.publish('main', 'good', 'x')
                    """)
                #expect(try client.events(1, on: stream)[0].key == Array("good".utf8))
                try eventually("three rows are set aside") {
                    try database.number("SELECT count(*) FROM dormouse.outbox_aside") == 3
                }
                try server.waitForLog("the event key has a byte 32")
                try server.waitForLog("rows of the outbox name no exchange that there is")
            }
        }

        @Test func rowsThatWereSetAsideAreListedRetriedAndDropped() throws {
            try withServer { server, database in
                let client = try TestClient(server.address())
                try database.query(
                    """
                    SELECT dormouse.publish('later', 'a.b', 'first');
                    SELECT dormouse.publish('main', 'not a key', 'second')
                    """)
                try eventually("two rows are set aside") {
                    try database.number("SELECT count(*) FROM dormouse.outbox_aside") == 2
                }
                let uri = try server.uri()
                func run(_ words: String...) throws -> Command.Outcome {
                    try Command.run(
                        ["\(Server.binaries)/dormouse", "--server", uri, "outbox"] + words)
                }
                #expect(
                    try run("list").output == """
                        ROW  EXCHANGE  KEY        SIZE  REASON
                          1  later     a.b         5 B  there is no exchange 'later'; create it and retry
                          2  main      not a key   6 B  the event key has a byte 32; expected words of A-Z a-z 0-9 _ - joined by dots, at most 255 bytes

                        """)
                try client.createExchange("later")
                client.exchange = "later"
                let stream = try client.subscribe("name")
                #expect(try run("retry", "1").output == "put back: 1 row\n")
                #expect(try client.payloads(1, on: stream) == ["first"])
                #expect(try run("retry").end == .exit(64))
                #expect(try run("retry", "1", "--all").end == .exit(64))
                #expect(try run("drop", "2").end == .exit(64), "nobody has said yes")
                #expect(try run("drop", "--all", "--yes", "--json").output == "{\"count\":1}\n")
                #expect(try database.number("SELECT count(*) FROM dormouse.outbox_aside") == 0)
            }
        }

        /// 64 writers, whose transactions take their time and often roll back, another session that has published and
        /// does nothing more, a server that is killed again and again, and a Postgres that crashes: every committed
        /// event is in the log once, in the order of its writer.
        @Test func everyCommittedEventComesOnceWhoeverDies() throws {
            var random = SeededNumbers.fresh(for: "64 writers of the outbox")
            let cluster = try Cluster(settings: "max_connections = 150")
            defer { cluster.destroy() }
            let database = try cluster.makeDatabase()
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let socket = "\(folder)/dormouse.sock"
            let flags = ["--database", database.conninfo, "--unix", socket]
            var server = try Server(flags)
            defer { server.destroy() }
            try database.query("CREATE TABLE truth (writer int, n bigint, PRIMARY KEY (writer, n))")
            let load = Load()
            let subscriber = LoadSubscriber(
                name: "everything", patterns: [], address: try Address("unix:\(socket)"), load: load
            )
            let receiving = subscriber.start()
            defer { subscriber.target.withLock { if $0 == nil { $0 = 0 } } }
            let idle = try Self.idleInTransaction(database, folder)
            defer { idle.destroy() }
            let seed = random.next()
            let writers = (0..<64).map { writer in
                OutboxWriter(number: writer, database: database, seed: seed, load: load).start()
            }
            defer { load.stop() }
            for round in 0..<8 {
                usleep(UInt32.random(in: 50_000...500_000, using: &random))
                if round == 4 || round == 6 {
                    try Self.crash(cluster, &random)
                } else {
                    try server.killAtOnce()
                    server.destroy()
                    server = try Server(flags)
                }
            }
            load.stop()
            for writer in writers { _ = try writer.join() }
            try eventually("everything has left the outbox", seconds: 60) {
                (try? database.number("SELECT count(*) FROM dormouse.outbox")) == 0
            }
            let check = try LogCheck(database)
            subscriber.target.withLock { $0 = check.head }
            try check.expect(try receiving.join(), of: "everything") { _ in true }
            try Self.compare(database)
        }

        /// A session that has published and leaves its transaction open.
        private static func idleInTransaction(_ database: Database, _ folder: String) throws
            -> Child
        {
            let input = "\(folder)/idle.sql"
            let fifo = mkfifo(input, 0o600)
            guard fifo == 0 else { throw Problem("cannot make a pipe") }
            let child = try Child(
                [
                    "/bin/sh", "-c",
                    "exec 3<>'\(input)'; exec '\(Postgres.binaries)/psql' -XAtq -d \"$0\" -f '\(input)'",
                    database.conninfo,
                ], in: folder, label: "idle")
            let handle = FileHandle(forWritingAtPath: input)
            try handle?.write(
                contentsOf: Data(
                    "BEGIN;\nSELECT 'row', dormouse.publish('main', 'idle', 'never');\n".utf8))
            try eventually("it is idle in its transaction") { child.output.contains("row") }
            return child
        }

        /// kill -9 of one process of Postgres: all others end too, and it recovers from its log.
        private static func crash(_ cluster: Cluster, _ random: inout SeededNumbers) throws {
            if Bool.random(using: &random) {
                try cluster.killBackend()
            } else {
                try cluster.stop("immediate")
                try cluster.start()
            }
        }

        private static func compare(_ database: Database) throws {
            let logged = """
                SELECT split_part(key, '.', 2)::int AS writer, convert_from(payload, 'UTF8')::bigint AS n,
                    position FROM dormouse.events
                """
            let lost = try database.query(
                "SELECT writer, n FROM truth EXCEPT SELECT writer, n FROM (\(logged)) l LIMIT 5")
            #expect(lost.isEmpty, "committed and not in the log")
            let invented = try database.query(
                "SELECT writer, n FROM (\(logged)) l EXCEPT SELECT writer, n FROM truth LIMIT 5")
            #expect(invented.isEmpty, "in the log and never committed")
            let wrong = try database.query(
                """
                SELECT * FROM (SELECT writer, n, position,
                    lag(n) OVER (PARTITION BY writer ORDER BY position) AS before FROM (\(logged)) l) o
                WHERE n <= before LIMIT 5
                """)
            #expect(wrong.isEmpty, "twice, or not in the writer's order")
            let count = try database.number("SELECT count(*) FROM truth")
            #expect(count > 500, "there was something to lose")
            print("outbox: \(count) committed events of 64 writers")
        }
    }
}

/// A program with transactions: it numbers its events, and writes down in the same transaction what it has published.
struct OutboxWriter: Sendable {
    let number: Int
    let database: Database
    let seed: UInt64
    let load: Load

    func start() -> Worker<Int> {
        Worker("writer \(self.number)") { self.run() }
    }

    private func run() -> Int {
        var random = SeededNumbers(seed: self.seed &+ UInt64(self.number))
        var next = 1
        while !self.load.isStopped {
            let script = (0..<20).map { _ in self.transaction(&next, &random) }.joined()
            // Numbers go on when the connection is lost: what it had under way was committed, or not.
            _ = try? Command.run(
                [
                    "\(Postgres.binaries)/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d",
                    self.database.conninfo,
                ], input: script)
        }
        return next
    }

    private func transaction(_ next: inout Int, _ random: inout SeededNumbers) -> String {
        var text = "BEGIN;\n"
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            text +=
                "SELECT dormouse.publish('main', 'w.\(self.number)', '\(next)');"
                + "INSERT INTO truth VALUES (\(self.number), \(next));\n"
            next += 1
        }
        let pause = Double.random(in: 0...0.03, using: &random)
        let end = Int.random(in: 0..<4, using: &random) == 0 ? "ROLLBACK" : "COMMIT"
        return text + "SELECT pg_sleep(\(pause));\n\(end);\n"
    }
}
