import Connector
import Core

/// How a message becomes an event: the routing key is the key, properties and headers are headers.
enum RabbitMapping {
    static let queueHeader = "rabbitmq-queue"
    static let exchangeHeader = "rabbitmq-exchange"
    static let routingKeyHeader = "rabbitmq-routing-key"
    static let idHeader = "rabbitmq-message-id"

    static func event(_ message: BrokerMessage, queue: String) -> Event {
        let routingKey = String(decoding: message.routingKey, as: UTF8.self)
        let key = KeyText.words(routingKey.isEmpty ? queue : routingKey)
        var event = Event(
            key: Array(key.utf8), payload: message.body, contentType: message.contentType)
        event.headers.append(Self.header(Self.queueHeader, Array(queue.utf8)))
        if !message.exchange.isEmpty {
            event.headers.append(Self.header(Self.exchangeHeader, Array(message.exchange.utf8)))
        }
        if key != routingKey {
            event.headers.append(Self.header(Self.routingKeyHeader, message.routingKey))
        }
        if message.id.count <= Limits.eventIDBytesMax {
            event.id = message.id
        } else {
            event.headers.append(Self.header(Self.idHeader, message.id))
        }
        event.headers += message.headers.filter { !$0.name.isEmpty }
        return event
    }

    private static func header(_ name: String, _ value: [UInt8]) -> Header {
        Header(name: Array(name.utf8), value: value)
    }
}
