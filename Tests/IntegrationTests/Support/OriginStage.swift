import Core
import Foundation
import PlainClient
import Wire

/// Where events come from, for a subscriber that need not know.
enum Origin: String, CaseIterable, Sendable, CustomStringConvertible {
    case published
    case outbox
    case rabbitMQ = "RabbitMQ"
    case kafka = "Kafka"

    var description: String { self.rawValue }

    static let installed = Self.allCases.filter { $0 != .rabbitMQ || RabbitMQ.isInstalled }
}

/// A server, and a way for numbers to come into it: each is an event of its own, with the key `number.even` or `number.odd` and
/// a header.
final class OriginStage {
    let database: Database
    private let origin: Origin
    private let folder: String
    private let flags: [String]
    private var server: Server
    private var rabbit: RabbitMQ?
    private var kafka: Kafka?
    private var connector: ConnectorProcess?

    var address: Address {
        get throws { try Address("unix:\(self.folder)/s") }
    }

    init(_ origin: Origin) throws {
        self.origin = origin
        self.database = try Cluster.shared().makeDatabase()
        self.folder = try Folder.make()
        self.flags = ["--database", self.database.conninfo, "--unix", "\(self.folder)/s"]
        self.server = try Server(self.flags)
        let uri = "unix:\(self.folder)/s"
        switch origin {
        case .published, .outbox: break
        case .rabbitMQ:
            let rabbit = try RabbitMQ()
            self.rabbit = rabbit
            self.connector = try ConnectorProcess(
                "dormouse-rabbitmq",
                [
                    "--broker", rabbit.uri, "--server", uri, "--queue", "numbers", "--exchange",
                    "numbers",
                    // amqp-publish asks for no confirms: the last of many that it sends at once may never get into a quorum queue.
                    "--queue-type", "classic",
                ])
            try self.connector?.waitForLog("consuming", seconds: 60)
        case .kafka:
            let kafka = try Kafka()
            self.kafka = kafka
            for topic in ["number.even", "number.odd"] { try kafka.run("topic \(topic) 1") }
            self.connector = try ConnectorProcess(
                "dormouse-kafka",
                [
                    "--brokers", kafka.brokers, "--server", uri, "--topic", "number.even",
                    "--topic", "number.odd",
                ])
        }
    }

    func destroy() {
        self.connector?.destroy()
        self.rabbit?.destroy()
        self.kafka?.destroy()
        self.server.destroy()
        Folder.remove(self.folder)
    }

    /// Says, when something fails, what had come so far and what the connector has said.
    func explaining<Result>(_ what: String, _ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch {
            let head = (try? self.database.query("SELECT head FROM dormouse.exchange")) ?? "unknown"
            let queue = try? self.rabbit?.control(
                "list_queues", "name", "messages_ready", "messages_unacknowledged")
            throw Problem(
                "\(error); \(what), the log has \(head), RabbitMQ \(queue ?? "nothing")\n"
                    + (self.connector?.child.errors ?? ""))
        }
    }

    /// kill -9, and a new start.
    func killServer() throws {
        try self.server.killAtOnce()
        self.server.destroy()
        self.server = try Server(self.flags)
    }

    func emit(_ numbers: ClosedRange<Int>) throws {
        for (key, remainder) in [("number.even", 0), ("number.odd", 1)] {
            let some = numbers.filter { $0 % 2 == remainder }
            switch self.origin {
            case .published:
                let client = try TestClient(self.address)
                try client.publish(
                    some.map { Event(key, "\($0)", headers: [("tenant", "acme")]) })
                client.close()
            case .outbox:
                let calls = some.map {
                    """
                    SELECT dormouse.publish('main', '\(key)', '\($0)',
                        headers => '{"tenant": "acme"}');
                    """
                }
                try self.database.query("BEGIN; \(calls.joined()) COMMIT")
            case .rabbitMQ:
                try self.rabbit?.publish(
                    exchange: "numbers", key: key,
                    body: some.map { "\($0)\n" }.joined(), "-l", "-H", "tenant: acme")
            case .kafka:
                guard let first = some.first, let last = some.last else { continue }
                try self.kafka?.run("numbers \(key) \(first) \(last)")
            }
        }
    }
}
