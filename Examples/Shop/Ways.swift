import DormouseClient
import EventWorker
import WorkerCommands

/// By which way events get into the log.
enum Through: String, CaseIterable {
    case dormouse
}

/// A way that is open.
protocol Way {
    /// Returns when the events are durable, wherever the way begins.
    func send(_ events: [Event]) throws
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

extension Through {
    func open(_ settings: ShopSettings) throws -> any Way {
        switch self {
        case .dormouse: return try DormouseWay(settings)
        }
    }
}
