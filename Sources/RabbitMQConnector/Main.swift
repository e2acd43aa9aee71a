import Connector
import Core
import Diagnostics

@main
struct Main {
    static let program = Program(
        name: "dormouse-rabbitmq",
        summary: "a RabbitMQ queue or stream into a Dormouse exchange, and back",
        usage: [
            "--broker amqp://HOST --queue QUEUE [--exchange NAME… --bind PATTERN…] [flags]",
            "--broker amqp://HOST --forward NAME --exchange EXCHANGE [flags]",
        ],
        flags: [
            Flag(
                "broker", "URI",
                "amqp://USER@HOST:PORT/VHOST, amqps:// with TLS (default amqp://guest@127.0.0.1); the nodes of a cluster are "
                    + "tried in turn", isRepeated: true),
            Flag("password-file", "FILE", "read the password from this file's first line"),
            Flag(
                "authorities", "FILE",
                "certificates that amqps trusts (default: those of the system)"),
            Flag("queue", "QUEUE", "what to consume; declared, durable"),
            Flag("queue-type", "TYPE", "quorum, classic or stream (default quorum)"),
            Flag("passive", nil, "declare nothing: the queue must be there"),
            Flag(
                "single-active", nil,
                "one connector at a time gets messages, so that they stay in order"
            ),
            Flag(
                "exchange", "NAME", "declare it and bind the queue to it; with --forward: where to",
                isRepeated: true),
            Flag("exchange-type", "TYPE", "of these exchanges (default topic)"),
            Flag(
                "bind", "PATTERN", "routing keys to bind the queue by (default #)", isRepeated: true
            ),
            Flag("prefetch", "N", "messages under way, at most (default 500)"),
            Flag("instance", "NAME", "tells connectors apart that share a queue (default 1)"),
            Flag(
                "name", "NAME",
                "stands for the broker in the names of producers: never change it (default rabbitmq)"
            ),
        ] + Forwarding.flags,
        notes: """
            Messages are acknowledged to the broker after their commit in the log. Streams come exactly once; messages of other queues
            at least once, and those that the broker sends again are known by their message-id.
            """)

    static func main() {
        Self.program.main { (settings, logger, metrics) throws(Failure) in
            let brokers = try BrokerAddresses(
                settings.has("broker") ? settings.all("broker") : ["amqp://guest@127.0.0.1"],
                password: try settings.secret("password-file"),
                authorities: settings.text("authorities"))
            if let name = settings.text("forward") {
                guard settings.all("exchange").count == 1, let target = settings.text("exchange")
                else {
                    throw Failure(.invalidArgument, "--forward wants one --exchange, to publish to")
                }
                let forwarding = try Forwarding(
                    settings, name: name, program: Self.program, target: target)
                return try RabbitForward(
                    brokers, forwarding, logger: logger, metrics: metrics
                ).run()
            }
            let source = RabbitSource(
                brokers, try Self.plan(settings),
                sink: try Sink(
                    settings, program: Self.program, logger: logger, metrics: metrics),
                logger: logger, metrics: metrics)
            source.run()
        }
    }

    private static func plan(_ settings: Settings) throws(Failure) -> QueuePlan {
        let queue = try settings.required("queue", "which queue?")
        let type = settings.text("queue-type") ?? "quorum"
        guard ["quorum", "classic", "stream"].contains(type) else {
            throw Failure(
                .invalidArgument, "--queue-type is '\(type)'; expected quorum, classic or stream")
        }
        guard queue.utf8.count <= 255 else {
            throw Failure(.invalidArgument, "--queue has more than 255 bytes")
        }
        return QueuePlan(
            queue: queue, queueType: settings.has("passive") ? nil : type,
            isStream: type == "stream",
            isSingleActive: settings.has("single-active") && type != "stream",
            exchanges: settings.all("exchange"),
            exchangeType: settings.text("exchange-type") ?? "topic",
            patterns: settings.has("bind") ? settings.all("bind") : ["#"],
            prefetch: try settings.number("prefetch", default: 500, in: 1...5_000),
            instance: settings.text("instance") ?? "1", name: settings.text("name") ?? "rabbitmq")
    }
}
