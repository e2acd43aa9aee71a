import Connector
import Core
import Diagnostics

// A subscription into a RabbitMQ exchange, with publisher confirms: a delivery is acknowledged to the Dormouse server when
// the broker has confirmed all of its events. At least once, in order.

final class RabbitForward {
    private let address: BrokerAddress
    private let settings: Forwarding
    private let logger: Logger
    private var broker: Broker?
    private var published: UInt64 = 0

    init(_ address: BrokerAddress, _ settings: Forwarding, logger: Logger) {
        self.address = address
        self.settings = settings
        self.logger = logger
    }

    func run() throws(Failure) {
        try self.settings.run(self.logger) { (events) throws(Failure) in
            do throws(Failure) {
                try self.send(events)
            } catch {
                // Confirms belong to a connection.
                self.broker = nil
                throw error
            }
        }
    }

    private func send(_ events: [Event]) throws(Failure) {
        let broker = try self.connected()
        for event in events {
            let headers = ForwardedHeaders.of(event).map {
                Header(name: Array($0.name.utf8), value: $0.value)
            }
            try broker.publish(
                event, to: self.settings.target, routingKey: event.key, headers: headers)
            self.published += 1
        }
        while try !broker.isConfirmed(self.published, milliseconds: 1_000) {
            if Stop.isRequested { throw Failure(.cancelled, "told to end") }
        }
    }

    private func connected() throws(Failure) -> Broker {
        if let broker = self.broker { return broker }
        let broker = try Broker(self.address)
        try broker.confirm()
        self.published = 0
        self.broker = broker
        return broker
    }
}
