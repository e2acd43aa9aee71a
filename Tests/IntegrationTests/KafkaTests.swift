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
    /// `dormouse-kafka` between librdkafka's mock brokers and a real server.
    @Suite(.serialized)
    struct KafkaTests {
        private static func flags(_ kafka: Kafka, _ uri: String, _ more: String...) -> [String] {
            ["--brokers", kafka.brokers, "--server", uri, "--property", "session.timeout.ms=6000"]
                + ["--property", "heartbeat.interval.ms=500"] + more
        }

        private func with(_ body: (Kafka, Server, Database) throws -> Void) throws {
            let kafka = try Kafka()
            defer { kafka.destroy() }
            try withServer { server, database in try body(kafka, server, database) }
        }

        @Test func keyHeadersTimeAndPlaceAreCarriedAndPoisonIsParked() throws {
            try self.with { kafka, server, _ in
                try kafka.run("topic shop.orders 1")
                try kafka.run("special shop.orders 0")
                let client = try TestClient(server.address())
                let stream = try client.subscribe("all", from: .first)
                let connector = try ConnectorProcess(
                    "dormouse-kafka",
                    Self.flags(kafka, try server.uri(), "--topic", "shop.orders"))
                defer { connector.destroy() }
                let events = try client.events(3, on: stream, seconds: 60)
                #expect(
                    events.map(\.key.text) == [
                        "shop.orders", "shop.orders", "error.kafka.shop.orders",
                    ])
                #expect(events[0].text == "{}" && events[0].contentType.text == "application/json")
                #expect(events[0].id.text == "shop.orders/0/0")
                let headers = Dictionary(
                    events[0].headers.map { ($0.name.text, $0.value.text) }
                ) { $1 }
                #expect(
                    headers == [
                        "kafka-key": "customer 7", "kafka-partition": "0", "kafka-offset": "0",
                        "kafka-timestamp": "1600000000123", "traceparent": "00-01",
                    ])
                #expect(events[1].headers.contains { $0.name.text == "kafka-tombstone" })
                #expect(events[2].text == "poison")
                let reason = events[2].headers.first { $0.name.text == "error-reason" }
                #expect(reason?.value.text.hasPrefix("an event has 7") == true, "\(events[2])")
            }
        }

        /// Two connectors share four partitions; one of them or the server is killed again and again.
        @Test func everyMessageComesOnceInOrderWhoeverDies() throws {
            var random = SeededNumbers.fresh(for: "kill -9 around Kafka")
            let kafka = try Kafka()
            defer { kafka.destroy() }
            let database = try Cluster.shared().makeDatabase()
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let flags = ["--database", database.conninfo, "--unix", "\(folder)/socket"]
            var server = try Server(flags)
            defer { server.destroy() }
            try kafka.run("topic t 4")
            let start = {
                try ConnectorProcess(
                    "dormouse-kafka",
                    Self.flags(kafka, "unix:\(folder)/socket", "--topic", "t"))
            }
            var connectors = [try start(), try start()]
            defer { for connector in connectors { connector.destroy() } }
            for round in 0..<6 {
                for partition in 0..<4 {
                    try kafka.run("produce t \(partition) \(round * 300) 300")
                }
                usleep(UInt32.random(in: 0...1_500_000, using: &random))
                if round % 3 == 2 {
                    try server.killAtOnce()
                    server.destroy()
                    server = try Server(flags)
                } else {
                    let victim = Int.random(in: 0...1, using: &random)
                    connectors[victim].destroy()
                    connectors[victim] = try start()
                }
            }
            let expected = 4 * 6 * 300
            try connectors.wait(for: expected, in: database)
            try Self.checkOrder(database, expected)
        }

        /// Each number of each partition once, in order.
        static func checkOrder(_ database: Database, _ expected: Int) throws {
            let wrong = try database.query(
                """
                SELECT partition, n, row FROM (
                    SELECT split_part(text, ':', 1)::int AS partition, split_part(text, ':', 2)::int AS n,
                        row_number() OVER (PARTITION BY split_part(text, ':', 1) ORDER BY position) - 1 AS row
                    FROM (SELECT position, convert_from(payload, 'UTF8') AS text FROM dormouse.events) e) x
                WHERE n <> row LIMIT 5
                """)
            #expect(wrong.isEmpty)
            let count = try database.number("SELECT count(*) FROM dormouse.events")
            #expect(count == expected)
        }

        /// Kafka has eighty megabytes for a connector whose server does not answer.
        @Test func memoryStaysBoundedWhileTheServerDoesNotAnswer() throws {
            try self.with { kafka, server, database in
                try kafka.run("topic t 16")
                let connector = try ConnectorProcess(
                    "dormouse-kafka", Self.flags(kafka, try server.uri(), "--topic", "t"))
                defer { connector.destroy() }
                try kafka.run("produce t 0 0 1")
                try eventually("events flow", seconds: 60) {
                    try database.number("SELECT head FROM dormouse.exchange") == 1
                }
                let kibibytes = {
                    Folder.text("/proc/\(connector.child.process)/status").split(separator: "\n")
                        .first { $0.hasPrefix("VmHWM:") }
                        .flatMap { Int($0.split(separator: " ").dropFirst().first ?? "") } ?? 0
                }
                let before = kibibytes()
                #expect(before > 1_000)
                server.child.signal(SIGSTOP)
                for partition in 0..<16 {
                    try kafka.run("produce t \(partition) \(partition == 0 ? 1 : 0) 50 100000")
                }
                try connector.waitForLog("cannot publish", seconds: 60)
                let most = kibibytes() - before
                #expect(most < 64 << 10, "it has grown by \(most) KiB")
                server.child.signal(SIGCONT)
                try eventually("everything comes", seconds: 60) {
                    try database.number("SELECT head FROM dormouse.exchange") == 16 * 50 + 1
                }
            }
        }

        /// Kafka has deleted what comes next: that partition stops and says so, the others go on.
        @Test func whatKafkaHasDeletedIsNotPassedOver() throws {
            try self.with { kafka, server, database in
                try kafka.run("topic t 2")
                try kafka.run("produce t 0 0 5")
                let flags = Self.flags(kafka, try server.uri(), "--topic", "t")
                let first = try ConnectorProcess("dormouse-kafka", flags)
                try eventually("the first messages are there", seconds: 60) {
                    try database.number("SELECT head FROM dormouse.exchange") == 5
                }
                first.destroy()
                // A mock broker keeps 5 MiB of a partition.
                try kafka.run("produce t 0 5 80 100000")
                try kafka.run("produce t 1 0 3")
                let second = try ConnectorProcess("dormouse-kafka", flags)
                defer { second.destroy() }
                try second.waitForLog("a partition cannot go on", seconds: 60)
                try eventually("the other partition goes on", seconds: 60) {
                    try database.number("SELECT head FROM dormouse.exchange") == 8
                }
                // The log has more of a partition than Kafka has: it was made anew.
                second.kill()
                try TestClient(server.address()).publish(
                    (0..<10).map { Event("t", "\($0)") }, producer: "kafka:t:1", sequence: 4)
                let third = try ConnectorProcess("dormouse-kafka", flags)
                defer { third.destroy() }
                try third.waitForLog("0 to 2", seconds: 60)
                #expect(try database.number("SELECT head FROM dormouse.exchange") == 18)
            }
        }

        /// What deletes a key in one topic deletes it in the other; what is larger than librdkafka's own limit goes, too. With the
        /// small messages that come at once it is more than one request.
        @Test func aMessageGoesOnAsItCame() throws {
            try self.with { kafka, server, _ in
                try kafka.run("topic t 1")
                try kafka.run("topic out 1")
                try kafka.run("special t 0")
                try kafka.run("produce t 0 3 100 2000")
                try kafka.run("produce t 0 103 1 1040000")
                let uri = try server.uri()
                let source = try ConnectorProcess(
                    "dormouse-kafka", Self.flags(kafka, uri, "--topic", "t"))
                defer { source.destroy() }
                let forward = try ConnectorProcess(
                    "dormouse-kafka",
                    Self.flags(
                        kafka, uri, "--topic", "out", "--forward", "out", "--from-first",
                        "--pattern", "t"))
                defer { forward.destroy() }
                let got = try kafka.run("consume out 103")
                #expect(!source.child.errors.contains("cannot publish"))
                #expect(got[0].hasPrefix("got 0 customer 7={} "))
                #expect(got[1].hasPrefix("got 0 gone=nothing "))
                #expect(got[102].hasPrefix("got 0 t=0:103"))
            }
        }

        @Test func aBrokerThatRestartsIsFoundAgain() throws {
            try self.with { kafka, server, database in
                try kafka.run("topic t 3")
                let connector = try ConnectorProcess(
                    "dormouse-kafka", Self.flags(kafka, try server.uri(), "--topic", "t"))
                defer { connector.destroy() }
                try kafka.run("produce t 0 0 10")
                try eventually("events flow", seconds: 60) {
                    try database.number("SELECT head FROM dormouse.exchange") == 10
                }
                for broker in 1...3 { try kafka.run("down \(broker)") }
                try connector.waitForLog("Kafka says something is wrong", seconds: 60)
                for broker in 1...3 { try kafka.run("up \(broker)") }
                for partition in 0..<3 { try kafka.run("produce t \(partition) 10 10") }
                try eventually("events flow again", seconds: 90) {
                    try database.number("SELECT head FROM dormouse.exchange") == 40
                }
            }
        }

        /// What Kafka did not take in time is tried again until it does.
        @Test func forwardingGoesOnWhenTheBrokersAreBack() throws {
            try self.with { kafka, server, database in
                try kafka.run("topic out 1")
                let client = try TestClient(server.address())
                let forward = try ConnectorProcess(
                    "dormouse-kafka",
                    Self.flags(
                        kafka, try server.uri(), "--topic", "out", "--forward", "to-kafka",
                        "--from-first", "--property", "message.timeout.ms=1000"))
                defer { forward.destroy() }
                try client.publish("a.one", "1")
                #expect(try kafka.run("consume out 1").count == 1)
                for broker in 1...3 { try kafka.run("down \(broker)") }
                try client.publish("a.two", "2")
                try forward.waitForLog("Kafka did not take an event", seconds: 60)
                for broker in 1...3 { try kafka.run("up \(broker)") }
                let all = try kafka.run("consume out 2")
                #expect(all.last == "got 0 a.two=2 dormouse-position=2")
                try eventually("it is acknowledged", seconds: 60) {
                    try database.query(
                        "SELECT position FROM dormouse.subscriptions WHERE name = 'to-kafka'")
                        == "2"
                }
            }
        }

        /// A broker that is away for longer than the server waits for a sign of life costs no connection, and so no repetition.
        @Test func theServerIsAnsweredWhileABrokerIsWaitedFor() throws {
            let kafka = try Kafka()
            defer { kafka.destroy() }
            // Three of them are more than the second in which the connector asks whether there is a broker.
            try withServer(["--heartbeat-ms", "1000"]) { server, _ in
                try kafka.run("topic out 1")
                let forward = try ConnectorProcess(
                    "dormouse-kafka",
                    Self.flags(
                        kafka, try server.uri(), "--topic", "out", "--forward", "to-kafka",
                        "--from-first", "--metrics", "127.0.0.1:0", "--property",
                        "reconnect.backoff.max.ms=500"))
                defer { forward.destroy() }
                let page = try ConnectorMetricsTests.page(of: forward)
                try TestClient(server.address()).publish("a.one", "1")
                #expect(try kafka.run("consume out 1").count == 1)
                for broker in 1...3 { try kafka.run("down \(broker)") }
                try TestClient(server.address()).publish("a.two", "2")
                try ConnectorMetricsTests.wait(page, "dormouse_connector_taken_total", is: 2)
                // One that says nothing is sent away meanwhile.
                let silent = try RawConnection(server.address())
                try silent.sayHello()
                while try silent.nextOrEnd() != nil {}
                for broker in 1...3 { try kafka.run("up \(broker)") }
                try ConnectorMetricsTests.wait(page, "dormouse_connector_stored_total", is: 2)
                try ConnectorMetricsTests.wait(
                    page, "dormouse_connector_server_connections_total", is: 1)
                #expect(try Page.get(page, "/metrics").body.contains("lag{source=\"to-kafka\"}"))
            }
        }

        /// A group that has committed nothing, or anything, changes nothing.
        @Test func thePositionIsOursAndNotTheGroups() throws {
            try self.with { kafka, server, database in
                try kafka.run("topic t 1")
                for (round, group) in ["one", "two"].enumerated() {
                    let connector = try ConnectorProcess(
                        "dormouse-kafka",
                        Self.flags(kafka, try server.uri(), "--topic", "t", "--group", group))
                    defer { connector.destroy() }
                    try connector.waitForLog("position=\(round * 10)", seconds: 60)
                    try kafka.run("produce t 0 \(round * 10) 10")
                    try eventually("events flow", seconds: 60) {
                        try database.number("SELECT head FROM dormouse.exchange") >= round * 10 + 10
                    }
                }
                try Self.checkOrder(database, 20)
            }
        }

        @Test func aSubscriptionIsHandedOnAndGoesOnWhereItWas() throws {
            try self.with { kafka, server, database in
                try kafka.run("topic out 1")
                let client = try TestClient(server.address())
                try client.publish([
                    Event("a.one", "1", headers: [("tenant", "acme")]), Event("b.two", "2"),
                    Event("a.three", "3"),
                ])
                let flags = Self.flags(
                    kafka, try server.uri(), "--topic", "out", "--forward", "to-kafka", "--pattern",
                    "a.#", "--from-first")
                let first = try ConnectorProcess("dormouse-kafka", flags)
                defer { first.destroy() }
                #expect(
                    try kafka.run("consume out 2") == [
                        "got 0 a.one=1 dormouse-position=1 tenant=acme",
                        "got 0 a.three=3 dormouse-position=3",
                    ])
                try eventually("it is acknowledged") {
                    try database.query(
                        "SELECT position FROM dormouse.subscriptions WHERE name = 'to-kafka'")
                        == "3"
                }
                first.kill()
                try client.publish("a.four", "4")
                let second = try ConnectorProcess("dormouse-kafka", flags)
                defer { second.destroy() }
                let all = try kafka.run("consume out 3")
                #expect(all.last == "got 0 a.four=4 dormouse-position=4")
            }
        }
    }
}
