import Core
import Foundation
import PlainClient
import TestCertificates
import Testing
import Wire

extension Integration {
    /// `dormouse-kafka` and a broker of others, with a newer librdkafka than the system's.
    @Suite(.serialized, .enabled(if: KafkaBroker.isInstalled, "needs PyPI once"))
    struct KafkaBrokerTests {
        /// Two connectors share four partitions; each is killed once, and so is the server.
        @Test func everyMessageComesOnceInOrderWhoeverDies() throws {
            let broker = try KafkaBroker()
            defer { broker.destroy() }
            let kafka = try Kafka([broker.address], environment: broker.environment)
            defer { kafka.destroy() }
            let database = try Cluster.shared().makeDatabase()
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let flags = ["--database", database.conninfo, "--unix", "\(folder)/s"]
            var server = try Server(flags)
            defer { server.destroy() }
            try kafka.run("topic t 4")
            let start = {
                try ConnectorProcess(
                    "dormouse-kafka",
                    [
                        "--brokers", broker.address, "--server", "unix:\(folder)/s", "--topic", "t",
                        "--property", "session.timeout.ms=6000", "--property",
                        "heartbeat.interval.ms=500",
                    ], environment: broker.environment)
            }
            var connectors = [try start(), try start()]
            defer { for connector in connectors { connector.destroy() } }
            let count = { (try? database.number("SELECT head FROM dormouse.exchange")) ?? 0 }
            for round in 0..<3 {
                let before = count()
                for partition in 0..<4 {
                    try kafka.run("produce t \(partition) \(round * 300) 300")
                }
                try eventually("it is in mid-stream", seconds: 60) { count() > before }
                if round == 2 {
                    try server.killAtOnce()
                    server.destroy()
                    server = try Server(flags)
                } else {
                    connectors[round].destroy()
                    connectors[round] = try start()
                }
            }
            let expected = 4 * 3 * 300
            try connectors.wait(for: expected, in: database)
            try KafkaTests.checkOrder(database, expected)
        }

        /// A byte of a message is another one on its way: its checksum tells, and nothing behind it is taken.
        @Test func aDamagedMessageIsSaidAndNotPassedOver() throws {
            let broker = try KafkaBroker(damaging: ("0:4711", "0:4712"))
            defer { broker.destroy() }
            let kafka = try Kafka([broker.address], environment: broker.environment)
            defer { kafka.destroy() }
            try kafka.run("topic t 1")
            try kafka.run("produce t 0 0 5")
            try withServer { server, database in
                let connector = try ConnectorProcess(
                    "dormouse-kafka",
                    [
                        "--brokers", broker.address, "--server", try server.uri(), "--topic", "t",
                        "--metrics", "127.0.0.1:0",
                    ], environment: broker.environment)
                defer { connector.destroy() }
                try eventually("messages come", seconds: 60) {
                    try database.number("SELECT head FROM dormouse.exchange") == 5
                }
                try kafka.run("produce t 0 4711 1")
                try kafka.run("produce t 0 6 5")
                try connector.waitForLog("a partition cannot go on", seconds: 60)
                try ConnectorMetricsTests.wait(
                    try ConnectorMetricsTests.page(of: connector),
                    "dormouse_connector_lost{source=\"t/0\"}", is: 1)
                #expect(try database.number("SELECT head FROM dormouse.exchange") == 5)
            }
        }

        /// The connector believes the broker whose certificate its authority has signed, and no other.
        @Test func aBrokerIsReachedByTLSAndMustBeTheRightOne() throws {
            let authority = try Authority.shared.get()
            let broker = try KafkaBroker(
                certificate: authority.issue("kafka", names: ["DNS:localhost"], usage: .server))
            defer { broker.destroy() }
            let settings = ["security.protocol=ssl", "ssl.ca.location=\(authority.path)"]
            let kafka = try Kafka([broker.address] + settings, environment: broker.environment)
            defer { kafka.destroy() }
            try kafka.run("topic t 1")
            try kafka.run("produce t 0 0 3")
            try withServer { server, database in
                let start = { (settings: [String]) in
                    try ConnectorProcess(
                        "dormouse-kafka",
                        [
                            "--brokers", broker.address, "--server", try server.uri(), "--topic",
                            "t",
                        ] + settings.flatMap { ["--property", $0] },
                        environment: broker.environment)
                }
                let distrustful = try start(["security.protocol=ssl"])
                defer { distrustful.destroy() }
                try distrustful.waitForLog("certificate verify failed", seconds: 60)
                #expect(try database.number("SELECT head FROM dormouse.exchange") == 0)
                distrustful.kill()
                let right = try start(settings)
                defer { right.destroy() }
                try eventually("messages come", seconds: 60) {
                    try database.number("SELECT head FROM dormouse.exchange") == 3
                }
            }
        }
    }
}
