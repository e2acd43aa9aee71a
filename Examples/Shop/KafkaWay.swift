import CLibRDKafka
import DormouseClient
import WorkerCommands

/// To a topic of Kafka, as an idempotent producer. `dormouse-kafka` brings in what is produced there.
///
/// A topic keeps the order of what has the same key, so the key is what orders the shop's events; it comes back in the
/// header `kafka-key`.
final class KafkaWay: Way {
    private let producer: OpaquePointer
    private let topic: String
    private let reports = Reports()

    /// What librdkafka said of messages; on the thread that polls it.
    private final class Reports {
        var failure: String?
    }

    init(_ settings: ShopSettings) throws {
        self.topic = settings.topic
        let conf = rd_kafka_conf_new()
        var text = [CChar](repeating: 0, count: 512)
        let properties = [
            "bootstrap.servers": settings.kafka, "enable.idempotence": "true", "acks": "all",
            "client.id": "shop", "linger.ms": "2", "message.timeout.ms": "30000",
        ]
        for (name, value) in properties {
            guard rd_kafka_conf_set(conf, name, value, &text, text.count) == RD_KAFKA_CONF_OK else {
                rd_kafka_conf_destroy(conf)
                throw UsageError("--kafka: \(Self.text(of: text))")
            }
        }
        rd_kafka_conf_set_opaque(conf, Unmanaged.passUnretained(self.reports).toOpaque())
        rd_kafka_conf_set_dr_msg_cb(conf) { _, message, context in
            guard let message, let context, message.pointee.err != RD_KAFKA_RESP_ERR_NO_ERROR
            else { return }
            Unmanaged<Reports>.fromOpaque(context).takeUnretainedValue().failure =
                KafkaWay.text(message.pointee.err)
        }
        // Takes the configuration over when it succeeds.
        guard let producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, &text, text.count) else {
            rd_kafka_conf_destroy(conf)
            throw WayBroken(description: "Kafka: \(Self.text(of: text))")
        }
        self.producer = producer
    }

    deinit {
        rd_kafka_destroy(self.producer)
    }

    func send(_ events: [Event]) throws {
        for event in events { try self.produce(event) }
        // Longer than a message may take: whatever is left has failed and was reported.
        let code = rd_kafka_flush(self.producer, 40_000)
        if let failure = self.reports.failure {
            throw WayBroken(description: "Kafka did not take an event: \(failure)")
        }
        try Self.check(code)
    }

    private func produce(_ event: Event) throws {
        let key = Array(ShopTables.orderingKey(ofKey: event.key).utf8)
        while true {
            let headers = rd_kafka_headers_new(1)
            rd_kafka_header_add(headers, "content-type", -1, event.contentType, -1)
            let code = dormouse_kafka_produce(
                self.producer, self.topic, key, key.count, event.payload, event.payload.count,
                headers)
            if code == RD_KAFKA_RESP_ERR_NO_ERROR { return }
            rd_kafka_headers_destroy(headers)
            guard code == RD_KAFKA_RESP_ERR__QUEUE_FULL else { return try Self.check(code) }
            rd_kafka_poll(self.producer, 100)
        }
    }

    private static func check(_ code: rd_kafka_resp_err_t) throws {
        guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
        throw WayBroken(description: "Kafka: \(Self.text(code))")
    }

    private static func text(_ code: rd_kafka_resp_err_t) -> String {
        String(cString: rd_kafka_err2str(code))
    }

    /// What a C function has written into a buffer.
    private static func text(of buffer: [CChar]) -> String {
        String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
