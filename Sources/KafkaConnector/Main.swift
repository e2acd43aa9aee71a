import Connector
import Core
import Diagnostics

@main
struct Main {
    static let program = Program(
        name: "dormouse-kafka", summary: "Kafka topics into a Dormouse exchange, and back",
        usage: [
            "--brokers HOST:PORT[,…] --topic TOPIC… [flags]",
            "--brokers HOST:PORT[,…] --forward NAME --topic TOPIC [flags]",
        ],
        flags: [
            Flag("brokers", "HOST:PORT", "where the Kafka cluster is found; several with commas"),
            Flag(
                "topic", "TOPIC",
                "what to read; ^… is a regular expression. With --forward: where to",
                isRepeated: true),
            Flag("group", "NAME", "consumer group that shares the partitions (default dormouse)"),
            Flag(
                "name", "NAME",
                "stands for the cluster in the names of producers, which keep the positions: never change it (default kafka)"
            ),
            Flag(
                "property", "NAME=VALUE", "a setting of librdkafka, such as security.protocol=ssl",
                isRepeated: true),
            Flag(
                "property-file", "FILE",
                "more of these, NAME=VALUE on a line each: for those that are secret"),
            Flag(
                "password-file", "FILE",
                "sets librdkafka's sasl.password from the file's first line"),
        ] + Forwarding.flags,
        notes: """
            Each partition is a producer with the offset plus one as sequence: events come into the log exactly once, whichever side
            dies. The position is kept by the Dormouse server; no commit of the consumer group is trusted. When Kafka has deleted
            what comes next, the partition stops with an error instead of skipping events.
            """)

    static func main() {
        Self.program.main { (settings, logger, metrics) throws(Failure) in
            let brokers = try settings.required("brokers", "where is the Kafka cluster?")
            let topics = settings.all("topic")
            guard !topics.isEmpty else {
                throw Failure(.invalidArgument, "--topic is missing: which topics?")
            }
            let isForward = settings.has("forward")
            let fixed = isForward ? Self.producerProperties : Self.consumerProperties
            // The first may be set to something else. What is too large the broker says, not we.
            var properties =
                isForward ? [("linger.ms", "2"), ("message.max.bytes", "16777216")] : []
            properties += try Self.given(settings, fixed) + fixed
            properties.append(("bootstrap.servers", brokers))
            properties.append(("client.id", "dormouse-kafka"))
            properties.append(("socket.keepalive.enable", "true"))
            if let name = settings.text("forward") {
                guard topics.count == 1 else {
                    throw Failure(.invalidArgument, "--forward wants one --topic, to write to")
                }
                let forwarding = try Forwarding(
                    settings, name: name, program: Self.program, target: topics[0])
                return try KafkaForward(
                    properties, forwarding, logger: logger,
                    metrics: metrics
                ).run()
            }
            properties.append(("group.id", settings.text("group") ?? "dormouse"))
            let source = try KafkaSource(
                properties, topics: topics,
                name: settings.text("name") ?? "kafka",
                sink: try Sink(
                    settings, program: Self.program, logger: logger, metrics: metrics),
                logger: logger, metrics: metrics)
            try source.run()
        }
    }

    private static func given(
        _ settings: Settings, _ fixed: [(String, String)]
    ) throws(Failure) -> [(String, String)] {
        var properties: [(String, String)] = []
        for text in settings.all("property") {
            let property = try Self.property(text, "--property", fixed)
            guard !Self.isSecret(property.0) else {
                throw Failure(
                    .invalidArgument,
                    "--property \(property.0) could be read by everybody on this machine; put it into a file and give "
                        + "--property-file")
            }
            properties.append(property)
        }
        for text in try settings.secretLines("property-file") ?? []
        where !text.isEmpty && !text.hasPrefix("#") {
            properties.append(try Self.property(text, "--property-file", fixed))
        }
        // The file of a unit must be there, and has an empty line when there is no password.
        if let password = try settings.secret("password-file"), !password.isEmpty {
            properties.append(("sasl.password", password))
        }
        return properties
    }

    /// Neither failure repeats the value, which may be a secret.
    private static func property(
        _ text: String, _ flag: String, _ fixed: [(String, String)]
    ) throws(Failure) -> (String, String) {
        let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2 else {
            throw Failure(.invalidArgument, "\(flag) has something else than NAME=VALUE")
        }
        if let ours = fixed.first(where: { $0.0 == parts[0] }), ours.1 != parts[1] {
            throw Failure(
                .invalidArgument,
                "\(flag): \(ours.0) is \(ours.1) and cannot be changed: what this program promises depends on it"
            )
        }
        return (parts[0], parts[1])
    }

    private static func isSecret(_ name: String) -> Bool {
        ["password", "secret", "key.pem"].contains { name.hasSuffix($0) }
    }

    /// Promises depend on these; the last four bound the memory.
    private static let consumerProperties = [
        ("enable.auto.commit", "false"), ("enable.auto.offset.store", "false"),
        ("auto.offset.reset", "error"), ("check.crcs", "true"),
        ("isolation.level", "read_committed"), ("allow.auto.create.topics", "false"),
        ("enable.partition.eof", "false"), ("partition.assignment.strategy", "range,roundrobin"),
        ("queued.max.messages.kbytes", "16384"), ("queued.min.messages", "10000"),
        ("fetch.max.bytes", "8388608"), ("fetch.message.max.bytes", "1048576"),
    ]

    private static let producerProperties = [
        ("enable.idempotence", "true"), ("acks", "all"),
        ("queue.buffering.max.kbytes", "65536"),
    ]
}
