import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// `dormouse-rabbitmq` and a cluster of three nodes.
    @Suite(.serialized, .enabled(if: RabbitMQ.isInstalled, "needs rabbitmq-server"))
    struct RabbitMQClusterTests {
        /// Messages come into the cluster through a node that stays, and out of it through the one that leads the queue, until that is
        /// killed. What was under way there comes again, and is known by its id.
        @Test func nothingIsLostWhenTheNodeThatLeadsTheQueueIsKilled() throws {
            let cluster = try RabbitMQCluster()
            defer { cluster.destroy() }
            try withServer { server, database in
                let client = try TestClient(server.address())
                try client.createExchange("target")
                let source = try ConnectorProcess(
                    "dormouse-rabbitmq",
                    cluster.flags(first: 0) + [
                        "--server", "\(try server.uri())/target", "--queue", "orders",
                        "--exchange", "shop", "--prefetch", "100",
                    ])
                defer { source.destroy() }
                try source.waitForLog("127.0.0.1:\(cluster.nodes[0].port)", seconds: 60)
                try source.waitForLog("consuming", seconds: 60)
                let forward = try ConnectorProcess(
                    "dormouse-rabbitmq",
                    [
                        "--broker", cluster.nodes[1].uri, "--server", "\(try server.uri())/main",
                        "--forward", "out", "--from-first", "--exchange", "shop",
                    ])
                defer { forward.destroy() }
                let count = {
                    try database.number(
                        "SELECT head FROM dormouse.exchange WHERE name = 'target'")
                }
                for first in stride(from: 1, through: 6_000, by: 1_000) {
                    try client.publish(
                        (first..<first + 1_000).map { number in
                            var event = Event("order.created", "\(number)")
                            event.id = Array("id-\(number)".utf8)
                            return event
                        })
                    guard first == 2_001 else { continue }
                    try eventually("it is in mid-stream", seconds: 60) { try count() > 500 }
                    cluster.nodes[0].killAtOnce()
                }
                try eventually("everything has come", seconds: 120) { try count() >= 6_000 }
                let numbers = try database.query(
                    "SELECT convert_from(payload, 'UTF8') FROM dormouse.events('target', 0, 10000)"
                ).split(separator: "\n").compactMap { Int($0) }
                #expect(numbers.sorted() == Array(1...6_000))
                // The new leader may give out what is next before it knows that the old consumer is gone, and what that one had
                // comes behind it: at most the prefetch, in its own order. Everything else is in order.
                let late = RabbitMQ.late(numbers)
                #expect(late.count <= 100)
                #expect(late == late.sorted())
                let log = source.child.errors
                #expect(
                    log.contains("no messages from RabbitMQ"), "it was connected to that node")
                #expect(
                    (1...2).contains { log.contains("127.0.0.1:\(cluster.nodes[$0].port)") },
                    "it consumes from another node")
            }
        }
    }
}
