import DormouseClient
import EventWorker
import WorkerCommands

/// By which way events get into the log.
enum Through: String, CaseIterable {
    case dormouse
    case outbox
    case rabbitmq
    case kafka

    func open(_ settings: ShopSettings) throws -> any Way {
        switch self {
        case .dormouse: try DormouseWay(settings)
        case .outbox: try OutboxWay(settings, Database(settings.database, schema: settings.schema))
        case .rabbitmq: try RabbitMQWay(settings)
        case .kafka: try KafkaWay(settings)
        }
    }
}

/// A way that is open.
protocol Way {
    /// Returns when the events are durable, wherever the way begins.
    func send(_ events: [Event]) throws
}

/// The way was open, and ended.
struct WayBroken: Error, CustomStringConvertible {
    let description: String
}

/// Straight to the server: as a producer, so that what is sent again after a break is stored once.
struct DormouseWay: Way {
    private let client: BlockingClient

    init(_ settings: ShopSettings) throws {
        let number = UInt64.random(in: .min ... .max)
        self.client = try BlockingClient(
            settings.broker,
            options: [
                "exchange": settings.exchange, "producer": "shop:\(String(number, radix: 36))",
                "client": "shop",
            ])
    }

    func send(_ events: [Event]) throws { try self.client.publish(events) }
}

/// Into the outbox of a server whose database is also the shop's: with a transaction of the shop, or not at all.
struct OutboxWay: Way {
    private let database: Database
    private let exchange: String

    init(_ settings: ShopSettings, _ database: Database) throws {
        self.database = database
        self.exchange = settings.exchange
        let found = try database.execute(
            "SELECT to_regprocedure('dormouse.publish(text,text,bytea,jsonb,text,text)')")
        guard found.text(0, 0) != nil else {
            throw UsageError(
                "the database has no outbox: --database must be the one that dormoused keeps its log in"
            )
        }
    }

    func send(_ events: [Event]) throws {
        try self.database.transaction { _ in try self.sendWithin(events) }
    }

    /// In the transaction that the database is in.
    func sendWithin(_ events: [Event]) throws {
        for event in events {
            try self.database.execute(
                "SELECT dormouse.publish($1, $2, $3::bytea, NULL, $4, $5)",
                [
                    .text(self.exchange), .text(event.key), .bytes(event.payload),
                    .text(String(decoding: event.id, as: UTF8.self)), .text(event.contentType),
                ])
        }
    }
}
