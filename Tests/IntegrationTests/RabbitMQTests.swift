import Core
import Foundation
import PlainClient
import TestCertificates
import Testing
import Wire

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

extension Integration {
    /// `dormouse-rabbitmq` between Debian's RabbitMQ and a real server. Messages come into RabbitMQ by `--forward` from
    /// one exchange, and out of it into another.
    @Suite(.serialized, .enabled(if: RabbitMQ.isInstalled, "needs rabbitmq-server"))
    struct RabbitMQTests {
        private struct Place {
            let rabbit: RabbitMQ
            let server: Server
            let database: Database
            let client: TestClient

            func uri(_ exchange: String) throws -> String { "\(try self.server.uri())/\(exchange)" }

            /// From RabbitMQ into the exchange `target`.
            func source(_ flags: String...) throws -> ConnectorProcess {
                try ConnectorProcess(
                    "dormouse-rabbitmq",
                    ["--broker", self.rabbit.uri, "--server", try self.uri("target")] + flags)
            }

            /// From the exchange `main` into RabbitMQ's exchange `shop`.
            func forward() throws -> ConnectorProcess {
                try ConnectorProcess(
                    "dormouse-rabbitmq",
                    [
                        "--broker", self.rabbit.uri, "--server", try self.uri("main"), "--forward",
                        "to-rabbitmq", "--from-first", "--exchange", "shop",
                    ])
            }

            func publish(_ numbers: ClosedRange<Int>) throws {
                try self.client.publish(
                    numbers.map {
                        var event = Event("order.created", "\($0)", headers: [("tenant", "acme")])
                        event.id = Array("id-\($0)".utf8)
                        return event
                    })
            }

            func targetCount() throws -> Int {
                try self.database.number(
                    "SELECT coalesce(max(head), 0) FROM dormouse.exchange WHERE name = 'target'")
            }

            func wait(for count: Int, seconds: Double = 90) throws {
                try eventually("\(count) messages have come", seconds: seconds) {
                    try self.targetCount() >= count
                }
            }

            /// The numbers in the log of `target`, in order.
            func numbers() throws -> [Int] {
                try self.database.query(
                    "SELECT convert_from(payload, 'UTF8') FROM dormouse.events('target', 0, 1000000)"
                ).split(separator: "\n").compactMap { Int($0) }
            }
        }

        private func with(_ body: (Place) throws -> Void) throws {
            let rabbit = try RabbitMQ()
            defer { rabbit.destroy() }
            try withServer { server, database in
                let client = try TestClient(server.address())
                try client.createExchange("target")
                try body(
                    Place(rabbit: rabbit, server: server, database: database, client: client))
            }
        }

        @Test func whatGoesOutComesBackAsItWasAndPoisonIsParked() throws {
            try self.with { it in
                let source = try it.source("--queue", "orders", "--exchange", "shop")
                defer { source.destroy() }
                try source.waitForLog("consuming", seconds: 60)
                let forward = try it.forward()
                defer { forward.destroy() }
                try it.publish(1...2_000)
                try it.wait(for: 2_000)
                #expect(try it.numbers() == Array(1...2_000))
                it.client.exchange = "target"
                let stream = try it.client.subscribe("look", from: .first)
                let event = try it.client.delivery(on: stream).events[0]
                #expect(event.key.text == "order.created" && event.id.text == "id-1")
                let headers = Dictionary(event.headers.map { ($0.name.text, $0.value.text) }) { $1 }
                #expect(headers["tenant"] == "acme" && headers["rabbitmq-queue"] == "orders")
                #expect(
                    headers["rabbitmq-exchange"] == "shop" && headers["dormouse-position"] == "1")

                try it.rabbit.publish(
                    exchange: "shop", key: "too large",
                    body: String(repeating: "x", count: 1_200_000))
                try it.rabbit.publish(exchange: "shop", key: "not a key", body: "y")
                try it.wait(for: 2_002)
                let rows = try it.database.query(
                    "SELECT key, headers FROM dormouse.events('target', 2000, 10)")
                #expect(rows.contains("error.rabbitmq.orders|") && rows.contains("error-reason"))
                #expect(rows.contains("not_a_key|") && rows.contains(#""not a key""#))

                // A small one and the largest that there may be, at once.
                try it.rabbit.publish(exchange: "shop", key: "a.b", body: "small")
                try it.rabbit.publish(
                    exchange: "shop", key: "a.b", body: String(repeating: "x", count: 1_040_000))
                try it.wait(for: 2_004)
                forward.kill()
                try Self.checkWhatNoQueueTakes(it)
            }
        }

        /// What no queue takes holds up what is behind it, and what stands around it is not sent again for ever.
        private static func checkWhatNoQueueTakes(_ it: Place) throws {
            let source = try it.source(
                "--queue", "picky", "--exchange", "picky", "--bind", "order.#")
            defer { source.destroy() }
            try source.waitForLog("consuming", seconds: 60)
            let forward = try ConnectorProcess(
                "dormouse-rabbitmq",
                [
                    "--broker", it.rabbit.uri, "--server", try it.uri("main"), "--forward", "picky",
                    "--exchange", "picky",
                ])
            defer { forward.destroy() }
            try forward.waitForLog("forwarding", seconds: 60)
            it.client.exchange = "main"
            try it.client.publish(
                [Event("order.a", "9001"), Event("order.a", "9002"), Event("nobody.wants", "9003")]
                    + (9_004...9_010).map { Event("order.a", "\($0)") })
            try eventually("it was tried some times", seconds: 60) {
                forward.child.errors.components(separatedBy: "no queue is bound").count > 4
            }
            #expect(
                forward.child.errors.contains(
                    "to go on without it: dormouse subscriptions seek picky --to 2004"))
            // Everything had its first attempt, and what stands before it one more.
            let numbers = try it.numbers().filter { $0 > 9_000 }
            #expect(
                numbers.allSatisfy { number in numbers.count { $0 == number } <= 2 }, "\(numbers)")
            let other = try it.source(
                "--queue", "other", "--exchange", "picky", "--bind", "nobody.#")
            defer { other.destroy() }
            try eventually("everything has come", seconds: 60) {
                Set(try it.numbers().filter { $0 > 9_000 }) == Set(9_001...9_010)
            }
            try it.client.publish([
                Event("order.a", "0", headers: [("h", String(repeating: "x", count: 200_000))])
            ])
            try forward.waitForLog(
                "position 2011: the broker did not take it: its headers", seconds: 60)
        }

        /// RabbitMQ writes records of its own into streams, which take offsets; and it passes over what its retention has cut
        /// away without a word.
        @Test func aStreamIsReadPastWhatIsNoMessageAndNotPastAHole() throws {
            try self.with { it in
                func limit(_ more: String) throws {
                    try it.rabbit.control(
                        "set_policy", "small", ".*",
                        "{\"stream-max-segment-size-bytes\": 20000\(more)}", "--apply-to", "queues")
                }
                func publish(_ lines: Int) throws {
                    let line = String(repeating: "x", count: 1_000) + "\n"
                    for _ in 0..<lines / 20 {
                        try it.rabbit.publish(
                            exchange: "shop", key: "a.b", body: String(repeating: line, count: 20),
                            "-l")
                    }
                }
                let flags = ["--queue", "orders", "--exchange", "shop", "--queue-type", "stream"]
                let start = {
                    try ConnectorProcess(
                        "dormouse-rabbitmq",
                        [
                            "--broker", it.rabbit.uri, "--server", try it.uri("target"),
                            "--metrics", "127.0.0.1:0",
                        ] + flags)
                }
                try limit("")
                let first = try start()
                defer { first.destroy() }
                try first.waitForLog("consuming", seconds: 60)
                try publish(200)
                // One that has more headers than an event may have before the one that tells its offset.
                try it.rabbit.publish(
                    exchange: "shop", key: "a.b", body: "poison",
                    headers: (0..<70).map { "header-\($0): x" })
                try publish(20)
                try it.wait(for: 221)
                let sequence = try it.database.number(
                    "SELECT sequence FROM dormouse.producer WHERE name = 'rabbitmq:orders'")
                #expect(sequence > 221, "RabbitMQ has written something of its own")
                first.kill()

                try limit(", \"max-length-bytes\": 60000")
                try publish(400)
                let second = try start()
                defer { second.destroy() }
                try second.waitForLog("Events would be missing", seconds: 60)
                let page = try ConnectorMetricsTests.page(of: second)
                try ConnectorMetricsTests.wait(
                    page, "dormouse_connector_lost{source=\"orders\"}", is: 1)
                #expect(try it.targetCount() == 221)
                #expect(try Page.get(page, "/readyz").status == 503)

                // Another name reads what is there. Nobody has said that it is a stream.
                let other = try it.source("--queue", "orders", "--passive", "--name", "other")
                defer { other.destroy() }
                try other.waitForLog("consuming", seconds: 60)
                try publish(20)
                try other.waitForLog("the queue is a stream", seconds: 60)
                try it.wait(for: 242)
                other.kill()

                // Deleted and made anew, it is shorter than what was read of it.
                try it.rabbit.control("delete_queue", "orders")
                try second.waitForLog("it was made anew", seconds: 120)
                #expect(second.child.isRunning)
            }
        }

        /// Ids tell what comes again: each message once, although the connector is killed with messages under way. Of two, the
        /// other one gets what this one had.
        @Test(arguments: [("quorum", 1), ("stream", 1), ("quorum", 2)])
        func eachMessageComesOnceAlthoughTheConnectorIsKilled(type: String, count: Int) throws {
            var random = SeededNumbers.fresh(for: "kill -9 of dormouse-rabbitmq, \(type) \(count)")
            try self.with { it in
                let start = { (instance: Int) in
                    try it.source(
                        "--queue", "orders", "--exchange", "shop", "--queue-type", type,
                        "--prefetch", "50", "--instance", "\(instance)")
                }
                var sources = try (0..<count).map { try start($0) }
                defer { for source in sources { source.destroy() } }
                for source in sources { try source.waitForLog("consuming", seconds: 60) }
                let forward = try it.forward()
                defer { forward.destroy() }
                for round in 0..<4 {
                    try it.publish((round * 1_000 + 1)...(round * 1_000 + 1_000))
                    usleep(UInt32.random(in: 0...600_000, using: &random))
                    sources[round % count].destroy()
                    sources[round % count] = try start(round % count)
                }
                try eventually("everything has come", seconds: 120) {
                    Set(try it.numbers()).count >= 4_000
                }
                let numbers = try it.numbers()
                #expect(Set(numbers) == Set(1...4_000))
                if type == "stream" { #expect(numbers == Array(1...4_000)) }
                // What one of two had just sent when it was killed, and was not committed yet, the other one cannot know.
                guard count == 1 else { return }
                #expect(numbers.count == 4_000)
                // The broker may give out what is next before it knows that the old consumer is gone.
                let late = RabbitMQ.late(numbers)
                #expect(late.count <= 4 * 50, "\(late)")
            }
        }

        /// A classic queue: a quorum queue of this RabbitMQ (3.10) with one member does not always find its leader again after
        /// a `kill -9` of its node.
        @Test func nothingIsLostWhenTheBrokerIsKilledAndMemoryRunsOut() throws {
            try self.with { it in
                let source = try it.source(
                    "--queue", "orders", "--exchange", "shop", "--queue-type", "classic")
                defer { source.destroy() }
                try source.waitForLog("consuming", seconds: 60)
                let forward = try it.forward()
                defer { forward.destroy() }
                try it.publish(1...500)
                try it.wait(for: 100)
                it.rabbit.killAtOnce()
                try it.publish(501...1_000)
                try it.rabbit.start()
                try it.wait(for: 1_000, seconds: 120)

                // A memory alarm: the broker reads nothing from publishers.
                try it.rabbit.control("set_vm_memory_high_watermark", "0.00001")
                try eventually("the broker has its alarm", seconds: 60) {
                    try it.rabbit.control("eval", "rabbit_alarm:get_alarms().").contains("memory")
                }
                try it.publish(1_001...1_500)
                try it.rabbit.control("set_vm_memory_high_watermark", "0.6")
                try eventually("everything has come", seconds: 120) {
                    Set(try it.numbers()).count == 1_500
                }
                // What was not confirmed when the broker died was sent again.
                #expect(Set(try it.numbers()) == Set(1...1_500))
            }
        }

        @Test func theBrokerIsReachedByTLSAndMustBeTheRightOne() throws {
            let authority = try Authority.shared.get()
            let rabbit = try RabbitMQ(
                certificate: authority.issue("rabbitmq", names: ["DNS:localhost"], usage: .server),
                authorities: authority.path)
            defer { rabbit.destroy() }
            try withServer { server, database in
                let start = { (uri: String, flags: [String]) in
                    try ConnectorProcess(
                        "dormouse-rabbitmq",
                        [
                            "--broker", uri, "--server", try server.uri(), "--queue", "q",
                            "--exchange", "shop",
                        ] + flags)
                }
                let trusting = ["--authorities", authority.path]
                let uri = rabbit.secureURI
                let byNumber = uri.replacingOccurrences(of: "localhost", with: "127.0.0.1")
                for (uri, flags) in [(uri, []), (byNumber, trusting)] {
                    let wrong = try start(uri, flags)
                    defer { wrong.destroy() }
                    try wrong.waitForLog("verification failed", seconds: 60)
                    #expect(!wrong.child.errors.contains("consuming"))
                }
                let right = try start(uri, trusting)
                defer { right.destroy() }
                try right.waitForLog("consuming", seconds: 60)
                try rabbit.publish(exchange: "shop", key: "a.b", body: "1")
                try eventually("it has come", seconds: 60) {
                    try database.number("SELECT head FROM dormouse.exchange") == 1
                }
                let forward = try ConnectorProcess(
                    "dormouse-rabbitmq",
                    [
                        "--broker", uri, "--server", try server.uri(), "--exchange", "shop",
                        "--forward", "out", "--from-first",
                    ] + trusting)
                defer { forward.destroy() }
                try eventually("it has gone out and come again", seconds: 60) {
                    try database.number("SELECT head FROM dormouse.exchange") >= 2
                }
            }
        }

        @Test func aDeletedQueueIsSaidAndMadeAnew() throws {
            try self.with { it in
                let source = try it.source("--queue", "orders", "--exchange", "shop")
                defer { source.destroy() }
                try source.waitForLog("consuming", seconds: 60)
                try it.rabbit.control("delete_queue", "orders")
                try source.waitForLog("the queue cannot be consumed from any more", seconds: 60)
                try eventually("it consumes again", seconds: 60) {
                    source.child.errors.components(separatedBy: "consuming").count > 2
                }
                try it.rabbit.publish(exchange: "shop", key: "a.b", body: "1")
                try it.wait(for: 1)
                source.kill()

                // One that is there is used as it is.
                let user = try it.source("--queue", "orders", "--passive")
                defer { user.destroy() }
                try user.waitForLog("consuming", seconds: 60)
                try it.rabbit.publish(
                    exchange: "shop", key: "a.b", body: "2", "-t", "answers", "-E", "identity",
                    "-H", "tenant: acme")
                try it.wait(for: 2)
                let headers = try it.database.query(
                    "SELECT headers FROM dormouse.events('target', 1, 1)")
                for header in [
                    #""reply-to": "answers""#, #""content-encoding": "identity""#,
                    #""tenant": "acme""#,
                ] {
                    #expect(headers.contains(header), "\(headers)")
                }

                // A table that is too large for its place takes no other's.
                try it.rabbit.control(
                    "eval",
                    """
                    rabbit_basic:publish(rabbit_misc:r(<<"/">>, exchange, <<"shop">>), <<"a.b">>, [{timestamp, 1700000000},
                        {headers, [{<<"a">>, table, [{<<"t">>, longstr, binary:copy(<<"x">>, 20000)}]},
                            {<<"price">>, double, 1234567.89}, {<<"tries">>, signedint, -3},
                            {<<"z">>, array, [{float, 1.5}, {bool, true}, {void, undefined}]}]}], <<"3">>).
                    """)
                try it.wait(for: 3)
                let typed = try it.database.query(
                    "SELECT headers FROM dormouse.events('target', 2, 1)")
                for header in [
                    #""price": "1234567.89""#, #""tries": "-3""#, #""timestamp": "1700000000""#,
                ] {
                    #expect(typed.contains(header), "\(typed.suffix(500))")
                }

                let passive = try it.source("--queue", "nobody", "--passive")
                defer { passive.destroy() }
                try passive.waitForLog("no queue 'nobody'", seconds: 60)
                #expect(passive.child.isRunning)
            }
        }
    }
}
