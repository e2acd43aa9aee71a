import CRabbitMQ
import DormouseClient
import Foundation
import WorkerCommands

/// To an exchange of RabbitMQ, with confirms. `dormouse-rabbitmq` brings in what is published there.
final class RabbitMQWay: Way {
    private static let answerMilliseconds: Int32 = 10_000
    /// Published and not confirmed, at most; the broker's answers are read behind them.
    private static let unconfirmedMax = 500

    private let broker: OpaquePointer
    private let exchange: String
    private var published: UInt64 = 0

    init(_ settings: ShopSettings) throws {
        guard let address = URLComponents(string: settings.rabbitmq), let host = address.host,
            address.scheme == "amqp", (0...65_535).contains(address.port ?? 0)
        else {
            throw UsageError(
                "--rabbitmq cannot be read; expected amqp://USER:PASSWORD@HOST:PORT/VHOST"
            )
        }
        guard let broker = rabbit_new() else {
            throw WayBroken(description: "there is no memory for a connection to RabbitMQ")
        }
        (self.broker, self.exchange) = (broker, settings.rabbitmqExchange)
        let path = address.path.dropFirst()
        let status = host.withCString { host in
            (path.isEmpty ? "/" : String(path)).withCString { virtualHost in
                (address.user ?? "guest").withCString { user in
                    (address.password ?? "guest").withCString { password in
                        var place = rabbit_address(
                            host: host, port: Int32(address.port ?? 5_672), vhost: virtualHost,
                            user: user, password: password, is_tls: false, authorities: nil)
                        return rabbit_connect(broker, &place, Self.answerMilliseconds)
                    }
                }
            }
        }
        try self.check(status)
        try self.check(rabbit_declare_exchange(broker, self.exchange, "topic"))
        try self.check(rabbit_confirm(broker))
    }

    deinit {
        rabbit_free(self.broker)
    }

    func send(_ events: [Event]) throws {
        for start in stride(from: 0, to: events.count, by: Self.unconfirmedMax) {
            for event in events[start..<min(events.count, start + Self.unconfirmedMax)] {
                try self.publish(event)
            }
            let confirmed = rabbit_wait_confirmed(
                self.broker, self.published, Self.answerMilliseconds)
            try self.check(min(confirmed, 0))
            guard confirmed == 1 else {
                throw WayBroken(description: "RabbitMQ did not confirm the events in time")
            }
        }
    }

    private func publish(_ event: Event) throws {
        // One block for all of them, so that a single borrow covers it.
        let parts = [
            Array(event.key.utf8), event.payload, event.id, Array(event.contentType.utf8),
        ]
        let status = parts.flatMap { $0 }.withUnsafeBytes { all in
            var offset = 0
            let lent = parts.map { part in
                defer { offset += part.count }
                return rabbit_bytes(data: all.baseAddress.map { $0 + offset }, size: part.count)
            }
            return rabbit_publish(
                self.broker, self.exchange, lent[0], lent[1], lent[2], lent[3], nil, 0)
        }
        try self.check(status)
        self.published += 1
    }

    private func check(_ status: Int32) throws {
        guard status != 0 else { return }
        throw WayBroken(description: "RabbitMQ: \(String(cString: rabbit_error(self.broker)))")
    }
}
