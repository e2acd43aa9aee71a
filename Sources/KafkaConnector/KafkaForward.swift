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

    init(
        _ properties: [(String, String)], _ settings: Forwarding, logger: Logger,
        metrics: ConnectorMetrics
    ) throws(Failure) {
        self.kafka = try KafkaClient(RD_KAFKA_PRODUCER, properties)
        self.settings = settings
        self.logger = logger
        self.metrics = metrics
    }

    func run() throws(Failure) {
        try self.settings.run(self.logger, self.metrics) { (batch) throws(Failure) in
            for event in batch { try self.produce(event) }
            // Kafka's own time limit for a message ends this.
            while true {
                let (reported, failure) = self.kafka.serve(milliseconds: 10)
                if let failure {
                    throw Failure(.unavailable, "Kafka did not take an event: \(failure)")
                }
                if let fatal = self.kafka.fatalError { throw Failure(.internal, fatal) }
                if reported == self.produced { return }
            }
        }
    }

    private func produce(_ event: Core.Event) throws(Failure) {
        let kafkaKey = event.headers.first { $0.name == Array(KafkaMapping.keyHeader.utf8) }
        let key = kafkaKey?.value ?? event.key
        let headers = ForwardedHeaders.of(event)
        while true {
            let isQueued = try key.span.withUnsafeBytes { key throws(Failure) in
                try event.payload.span.withUnsafeBytes { payload throws(Failure) in
                    try self.kafka.produce(
                        topic: self.settings.target, key: key, payload: payload, headers: headers)
                }
            }
            if isQueued { break }
            _ = self.kafka.serve(milliseconds: 10)
        }
        self.produced += 1
    }
}
