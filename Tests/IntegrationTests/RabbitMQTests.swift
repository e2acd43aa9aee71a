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
            }
        }

        /// Ids tell what comes again: each message once, although the connector is killed with messages under way.
        @Test(arguments: ["quorum", "stream"])
        func eachMessageComesOnceAlthoughTheConnectorIsKilled(type: String) throws {
            var random = SeededNumbers.fresh(for: "kill -9 of dormouse-rabbitmq, \(type)")
            try self.with { it in
                let start = {
                    try it.source(
                        "--queue", "orders", "--exchange", "shop", "--queue-type", type,
                        "--prefetch",
                        "50")
                }
                var source = try start()
                defer { source.destroy() }
                try source.waitForLog("consuming", seconds: 60)
                let forward = try it.forward()
                defer { forward.destroy() }
                for round in 0..<6 {
                    try it.publish((round * 1_000 + 1)...(round * 1_000 + 1_000))
                    usleep(UInt32.random(in: 0...600_000, using: &random))
                    source.destroy()
                    source = try start()
                }
                try it.wait(for: 6_000, seconds: 120)
                #expect(try it.numbers() == Array(1...6_000))
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

                let passive = try it.source("--queue", "nobody", "--passive")
                defer { passive.destroy() }
                try passive.waitForLog("no queue 'nobody'", seconds: 60)
                #expect(passive.child.isRunning)
            }
        }
    }
}
