import Connector
import Core
import Diagnostics

// A subscription into a RabbitMQ exchange, with publisher confirms: a delivery is acknowledged to the Dormouse server when
// the broker has confirmed all of its events. At least once, in order.

final class RabbitForward {
    private var brokers: BrokerAddresses
    private let settings: Forwarding
    private let logger: Logger
    private let metrics: ConnectorMetrics
    private var broker: Broker?
    private var published: UInt64 = 0

    init(
        _ brokers: BrokerAddresses, _ settings: Forwarding, logger: Logger,
        metrics: ConnectorMetrics
    ) {
        self.brokers = brokers
        self.settings = settings
        self.logger = logger
        self.metrics = metrics
    }

    func run() throws(Failure) {
        try self.settings.run(self.logger, self.metrics) { (events, tend) throws(Failure) in
            do throws(Failure) {
                try self.send(events, tend)
            } catch {
                // Confirms belong to a connection.
                self.broker = nil
                throw error
            }
        }
    }

    private func send(_ events: [Event], _ tend: () -> Void) throws(Failure) {
        let broker = try self.connected()
        if events.isEmpty {
            // Answers its heartbeats.
            _ = try broker.isConfirmed(self.published + 1, milliseconds: 0)
            return
        }
        for event in events {
            let headers = ForwardedHeaders.of(event).map {
                Header(name: Array($0.name.utf8), value: $0.value)
            }
            try broker.publish(event, to: self.settings.target, headers: headers)
            self.published += 1
        }
        while try !broker.isConfirmed(self.published, milliseconds: 1_000) {
            self.metrics.beat()
            tend()
            if Stop.isRequested { throw Failure(.cancelled, "told to end") }
        }
    }

    private func connected() throws(Failure) -> Broker {
        if let broker = self.broker { return broker }
        let broker = try self.brokers.connect()
        try broker.confirm()
        self.metrics.update {
            $0.brokerConnections += 1
            $0.brokerTrouble = nil
        }
        self.published = 0
        self.broker = broker
        return broker
    }
}
