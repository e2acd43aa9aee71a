import CLibRDKafka
import Connector
import Core
import Diagnostics
import DormouseClient

// A subscription into a topic. An idempotent producer with acks=all; a delivery is acknowledged to the Dormouse server after
// Kafka has confirmed all of its events. So what was sent and not acknowledged comes again after a crash: at least once.

final class KafkaForward {
    private let kafka: KafkaClient
    private let settings: Forwarding
    private let logger: Logger
    private let metrics: ConnectorMetrics
    private var produced = 0
    private var teller = Teller()
    private var isBrokerAway = true

    init(
        _ properties: [(String, String)], _ settings: Forwarding, logger: Logger,
        metrics: ConnectorMetrics
    ) throws(Failure) {
        self.kafka = try KafkaClient(RD_KAFKA_PRODUCER, properties, logger)
        self.settings = settings
        self.logger = logger
        self.metrics = metrics
    }

    func run() throws(Failure) {
        try self.settings.run(self.logger, self.metrics) { (batch, tend) throws(Failure) in
            if batch.isEmpty { return self.idle() }
            // What was under way when an earlier attempt failed has its end first, and is sent again.
            _ = try self.finish(tend)
            self.kafka.forgetFailure()
            for event in batch { try self.produce(event) }
            if let failure = try self.finish(tend) { throw failure }
            self.brokerAnswers()
        }
    }

    /// Kafka's own time limit for a message ends this. Returns what was wrong with one of them.
    private func finish(_ tend: () -> Void) throws(Failure) -> Failure? {
        while true {
            let (reported, failure) = self.kafka.serve(milliseconds: 10)
            self.tellTroubles()
            tend()
            if let fatal = self.kafka.fatalError { throw Failure(.internal, fatal) }
            if reported == self.produced { return failure }
            if Stop.isRequested { throw Failure(.cancelled, "told to end") }
        }
    }

    private func idle() {
        _ = self.kafka.serve(milliseconds: 0)
        self.tellTroubles()
        if self.isBrokerAway, self.kafka.isAnswering { self.brokerAnswers() }
    }

    private func brokerAnswers() {
        guard self.isBrokerAway else { return }
        self.isBrokerAway = false
        self.metrics.update {
            $0.brokerConnections += 1
            $0.brokerTrouble = nil
        }
    }

    private func tellTroubles() {
        self.metrics.beat()
        for trouble in self.kafka.takeTroubles() {
            if trouble.code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN {
                self.isBrokerAway = true
                self.metrics.update { $0.brokerTrouble = trouble.text }
            }
            if self.teller.mayTell("\(trouble.code.rawValue)") {
                self.logger.warning("Kafka says something is wrong", [.error: trouble.text])
            }
        }
    }

    private func produce(_ event: Core.Event) throws(Failure) {
        let kafkaKey = event.headers.first { $0.name == Array(KafkaMapping.keyHeader.utf8) }
        let key = kafkaKey?.value ?? event.key
        let headers = ForwardedHeaders.of(event)
        // One that came from Kafka without a value goes there without one: it deletes its key in a compacted topic.
        let isTombstone =
            event.payload.isEmpty
            && event.headers.contains { $0.name == Array(KafkaMapping.tombstoneHeader.utf8) }
        while true {
            let isQueued = try key.span.withUnsafeBytes { key throws(Failure) in
                try event.payload.span.withUnsafeBytes { payload throws(Failure) in
                    try self.kafka.produce(
                        topic: self.settings.target, key: key,
                        payload: isTombstone ? nil : payload, headers: headers)
                }
            }
            if isQueued { break }
            _ = self.kafka.serve(milliseconds: 10)
        }
        self.produced += 1
    }
}
