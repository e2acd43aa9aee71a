import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// What connectors show of themselves.
    @Suite(.serialized)
    struct ConnectorMetricsTests {
        static func page(of connector: ConnectorProcess) throws -> String {
            try eventually("the connector says where its page is") {
                guard let begin = connector.child.errors.range(of: "address=http://") else {
                    return nil
                }
                let rest = connector.child.errors[begin.upperBound...]
                return rest.range(of: "/metrics").map { "http://" + rest[..<$0.lowerBound] }
            }
        }

        private static func samples(_ page: String) throws -> Samples {
            try Samples(Page.get(page, "/metrics").body)
        }

        static func wait(_ page: String, _ sample: String, is value: Double) throws {
            try eventually("\(sample) is \(value)", seconds: 60) {
                try Self.samples(page)[sample] == value
            }
        }

        private static func withKafka(_ body: (Kafka, Server, String) throws -> Void) throws {
            let kafka = try Kafka()
            defer { kafka.destroy() }
            try withServer { server, _ in
                try kafka.run("topic t 1")
                let connector = try ConnectorProcess(
                    "dormouse-kafka",
                    ["--brokers", kafka.brokers, "--server", try server.uri(), "--topic", "t"],
                    environment: ["DORMOUSE_METRICS": "127.0.0.1:0"])
                defer { connector.destroy() }
                try body(kafka, server, try Self.page(of: connector))
            }
        }

        @Test func numbersOfKafkaAreThoseOfWhatHappened() throws {
            try Self.withKafka { kafka, _, page in
                try kafka.run("produce t 0 0 10")
                try kafka.run("special t 0")
                try Self.wait(page, "dormouse_connector_stored_total", is: 13)
                try Self.wait(page, "dormouse_connector_position{source=\"t/0\"}", is: 13)
                try Self.wait(page, "dormouse_connector_lag{source=\"t/0\"}", is: 0)
                let samples = try Self.samples(page)
                #expect(samples["dormouse_connector_taken_total"] == 13)
                // Ten of three bytes, "{}", nothing and "poison".
                #expect(samples["dormouse_connector_taken_bytes_total"] == 38)
                #expect(samples["dormouse_connector_parked_total"] == 1)
                #expect(samples["dormouse_connector_duplicates_total"] == 0)
                #expect(samples["dormouse_connector_server_connections_total"] == 1)
                #expect(samples["dormouse_connector_broker_connections_total"] == 1)
                #expect(samples["dormouse_connector_lost{source=\"t/0\"}"] == 0)
                let at = samples["dormouse_connector_acknowledged_timestamp_seconds"] ?? 0
                #expect(abs(at - Date().timeIntervalSince1970) < 120)
                #expect(samples["dormouse_connector_ready"] == 1)
                #expect(try Page.get(page, "/readyz").body == "ready\n")
                #expect(try Page.get(page, "/healthz").status == 200)
                #expect(try Page.get(page, "/else").status == 404)

                for broker in 1...3 { try kafka.run("down \(broker)") }
                try eventually("it is not ready", seconds: 60) {
                    try Page.get(page, "/readyz").status == 503
                }
                #expect(try Page.get(page, "/healthz").status == 200, "it goes on trying")
                for broker in 1...3 { try kafka.run("up \(broker)") }
                try eventually("it is ready again", seconds: 60) {
                    try Page.get(page, "/readyz").status == 200
                }
                #expect(
                    try Self.samples(page)["dormouse_connector_broker_connections_total"] == 2)
            }
        }

        /// Without a server, messages wait, and the page tells why.
        @Test func aServerThatIsAwayIsTold() throws {
            try Self.withKafka { kafka, server, page in
                try eventually("it is ready", seconds: 60) {
                    try Page.get(page, "/readyz").status == 200
                }
                #expect(try server.stop() == .exit(0))
                try eventually("it says that the server is away", seconds: 60) {
                    let answer = try Page.get(page, "/readyz")
                    return answer.status == 503 && !answer.body.hasPrefix("ready")
                }
            }
        }

        @Test(.enabled(if: RabbitMQ.isInstalled, "needs rabbitmq-server"))
        func numbersOfRabbitMQAreThoseOfWhatHappened() throws {
            let rabbit = try RabbitMQ()
            defer { rabbit.destroy() }
            try withServer { server, _ in
                let start = { (flags: [String]) in
                    try ConnectorProcess(
                        "dormouse-rabbitmq",
                        [
                            "--broker", rabbit.uri, "--server", try server.uri(), "--exchange",
                            "shop", "--metrics", "127.0.0.1:0",
                        ] + flags)
                }
                let source = try start(["--queue", "orders", "--queue-type", "classic"])
                defer { source.destroy() }
                try source.waitForLog("consuming", seconds: 60)
                let page = try Self.page(of: source)
                try rabbit.publish(exchange: "shop", key: "a.b", body: "12345")
                try rabbit.publish(
                    exchange: "shop", key: "a", body: String(repeating: "x", count: 1_200_000))
                try Self.wait(page, "dormouse_connector_stored_total", is: 2)
                let samples = try Self.samples(page)
                #expect(samples["dormouse_connector_taken_bytes_total"] == 1_200_005)
                #expect(samples["dormouse_connector_parked_total"] == 1)
                #expect(samples["dormouse_connector_lag{source=\"orders\"}"] == 0)
                try eventually("it is acknowledged") {
                    let name = "dormouse_connector_acknowledged_timestamp_seconds"
                    return (try Self.samples(page)[name] ?? 0) > 0
                }

                let forward = try start(["--forward", "out", "--from-first"])
                defer { forward.destroy() }
                let other = try Self.page(of: forward)
                // What goes out comes in again, and goes out again.
                try eventually("events are handed on", seconds: 60) {
                    (try Self.samples(other)["dormouse_connector_stored_total"] ?? 0) >= 2
                }
                #expect(try Page.get(other, "/readyz").status == 200)
                #expect(try Self.samples(other)["dormouse_connector_lag{source=\"out\"}"] != nil)
                forward.kill()

                rabbit.killAtOnce()
                try eventually("it is not ready", seconds: 60) {
                    try Page.get(page, "/readyz").status == 503
                }
            }
        }

        @Test func thePageIsForThisMachineOnly() throws {
            let outcome = try Command.run([
                "\(Server.binaries)/dormouse-kafka", "--brokers", "127.0.0.1:1", "--topic", "t",
                "--metrics", "0.0.0.0:0",
            ])
            #expect(outcome.end == .exit(64) && outcome.errors.contains("everybody may read"))
        }

        /// What does not become right by itself ends the connector at once.
        @Test(arguments: [
            ["--server", "no address"], ["--forward", "no name"], ["--pattern", "a..b"],
        ])
        func aWrongCommandLineOfForwardingIsSaid(flags: [String]) throws {
            let outcome = try Command.run(
                [
                    "\(Server.binaries)/dormouse-kafka", "--brokers", "127.0.0.1:1", "--topic", "t",
                ] + (flags[0] == "--forward" ? [] : ["--forward", "out"]) + flags)
            #expect(outcome.end == .exit(64), "\(outcome.errors)")
        }

        /// An address may be one of IPv6, and have a virtual host of any name; it is not tried before the server is there.
        @Test(arguments: [
            ("amqp://[::1]:1/%2Fshop", true), ("amqps://user%40shop@[::1]", true),
            ("amqp://[::1", false),
            ("amqp://[::1]x:1", false), ("amqp://h/%2", false), ("amqp://h/%+1", false),
            ("amqp://h/%00", false), ("amqp://h/%ff", false), ("amqp://h:0", false),
        ])
        func addressesOfRabbitMQAreRead(address: String, isGood: Bool) throws {
            let connector = try ConnectorProcess(
                "dormouse-rabbitmq",
                ["--broker", address, "--queue", "q", "--server", "unix:/nowhere/at/all"])
            defer { connector.destroy() }
            if isGood { return try connector.waitForLog("cannot connect to the Dormouse server") }
            #expect(try connector.child.wait() == .exit(64))
        }

        /// promtool's own rules, and ours; docs/sources.md has a line for each metric, in the page's order.
        @Test func prometheusItselfFindsNothingWrongAndTheManualListsWhatIsServed() throws {
            try Self.withKafka { kafka, _, page in
                try kafka.run("produce t 0 0 1")
                try Self.wait(page, "dormouse_connector_stored_total", is: 1)
                let body = try Page.get(page, "/metrics").body
                let root = URL(fileURLWithPath: UnitFile.folder).deletingLastPathComponent().path
                let promtool = try Command.check(["\(root)/scripts/promtool.sh"], seconds: 600)
                    .trimmingCharacters(in: .whitespacesAndNewlines)
                let verdict = try Command.run([promtool, "check", "metrics"], input: body)
                #expect(verdict.end == .exit(0) && verdict.output + verdict.errors == "")
                let metrics = try Samples(body).metrics
                for metric in metrics {
                    #expect(metric.help.hasSuffix("."), "\(metric.name): \(metric.help)")
                }
                let documented = OperatingManual.rows(
                    of: "docs/sources.md", after: "## What connectors show"
                ).map { "\($0[0]) \($0[1])" }
                #expect(documented == metrics.map { "\($0.name) \($0.kind)" })
            }
        }

        /// The manual pages have every flag of `--help`, in its order.
        @Test(arguments: ["dormouse-kafka", "dormouse-rabbitmq"])
        func theManualPageListsEveryFlag(program: String) throws {
            let root = URL(fileURLWithPath: UnitFile.folder).deletingLastPathComponent().path
            let path = "\(root)/docs/man/\(program).1"
            let help = try Command.check(["\(Server.binaries)/\(program)", "--help"])
            let flags = help.split(separator: "\n").filter { $0.hasPrefix("  --") }
                .map { String($0.dropFirst(4).prefix { $0 != " " }) }
            let page = Folder.text(path).split(separator: "\n")
            let described = page.filter { $0.hasPrefix(".It Fl ") }
                .flatMap { $0.split(separator: " ").filter { $0.hasPrefix("\\-") } }
                .map { String($0.dropFirst(2)) }
            #expect(Set(described) == Set(flags))
            let lint = try Command.run(["/usr/bin/mandoc", "-Tlint", "-Wwarning", path])
            #expect(lint.end == .exit(0), "\(lint.output)")
        }
    }
}
