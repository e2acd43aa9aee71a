import CLibRDKafka
import Connector
import Core

/// How a Kafka message becomes an event: the topic is the key, the rest is carried in headers.
enum KafkaMapping {
    static let keyHeader = "kafka-key"
    static let partitionHeader = "kafka-partition"
    static let offsetHeader = "kafka-offset"
    static let timeHeader = "kafka-timestamp"
    /// A message without a value, which deletes its key in a compacted topic.
    static let tombstoneHeader = "kafka-tombstone"

    static func event(_ message: UnsafeMutablePointer<rd_kafka_message_t>, _ place: TopicPartition)
        -> Event
    {
        let raw = message.pointee
        let payload = UnsafeRawBufferPointer(
            start: raw.payload, count: raw.payload == nil ? 0 : raw.len)
        var event = Event(
            key: Array(KeyText.words(place.topic).utf8), payload: Array(payload),
            id: Array(Self.id(place, raw.offset).utf8))
        if let key = raw.key {
            Self.add(
                &event, Self.keyHeader,
                Array(UnsafeRawBufferPointer(start: key, count: raw.key_len)))
        }
        Self.add(&event, Self.partitionHeader, Array("\(raw.partition)".utf8))
        Self.add(&event, Self.offsetHeader, Array("\(raw.offset)".utf8))
        var kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
        let time = rd_kafka_message_timestamp(message, &kind)
        if kind != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE {
            Self.add(&event, Self.timeHeader, Array("\(time)".utf8))
        }
        if raw.payload == nil { Self.add(&event, Self.tombstoneHeader, Array("true".utf8)) }
        Self.addHeaders(of: message, to: &event)
        return event
    }

    private static func addHeaders(
        of message: UnsafeMutablePointer<rd_kafka_message_t>, to event: inout Event
    ) {
        var headers: OpaquePointer?
        guard rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR else {
            return
        }
        var index = 0
        var name: UnsafePointer<CChar>?
        var value: UnsafeRawPointer?
        var count = 0
        while rd_kafka_header_get_all(headers, index, &name, &value, &count)
            == RD_KAFKA_RESP_ERR_NO_ERROR
        {
            let text = name.map { String(cString: $0) } ?? ""
            let bytes = Array(UnsafeRawBufferPointer(start: value, count: value == nil ? 0 : count))
            if text == "content-type" {
                event.contentType = bytes
            } else {
                Self.add(&event, text, bytes)
            }
            index += 1
        }
    }

    private static func add(_ event: inout Event, _ name: String, _ value: [UInt8]) {
        event.headers.append(Header(name: Array(name.utf8), value: value))
    }

    /// "topic/3/1234", without the topic where that is too long.
    private static func id(_ place: TopicPartition, _ offset: Int64) -> String {
        let long = "\(place)/\(offset)"
        return long.utf8.count <= Limits.eventIDBytesMax ? long : "\(place.partition)/\(offset)"
    }
}
