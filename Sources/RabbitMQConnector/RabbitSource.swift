import Connector
import Core
import Diagnostics

// A queue, or a stream, into an exchange. One thread: it takes messages from the broker until none is there at once, or
// enough have come, publishes them, and acknowledges them to the broker after their commit. What to publish, and what to
// acknowledge, `QueueMachine` and `OffsetMachine` decide.

/// What to declare and consume.
struct QueuePlan: Hashable {
    var queue: String
    /// nil: the queue must be there.
    var queueType: String?
    var isStream: Bool
    var isSingleActive: Bool
    var exchanges: [String]
    var exchangeType: String
    var patterns: [String]
    var prefetch: Int
    /// Tells connectors apart that share a queue.
    var instance: String
    /// Stands for the broker in the names of producers.
    var name: String

    var producer: String {
        producerName([self.name, self.queue] + (self.isStream ? [] : [self.instance]))
    }
}

final class RabbitSource {
    private static let eventsMax = 500
    private static let bytesMax = 256 << 10

    private static let depthSeconds = 5

    private var brokers: BrokerAddresses
    private let plan: QueuePlan
    private let sink: Sink
    private let logger: Logger
    private let metrics: ConnectorMetrics
    private var backOff = BackOff()
    private var queue = QueueMachine()
    private var stream = OffsetMachine(isDense: true)
    private var newestTag: UInt64 = 0
    private var sequence: UInt64 = 0
    private var eventBytesMax = 0
    private var depthAt = ContinuousClock.now

    init(
        _ brokers: BrokerAddresses, _ plan: QueuePlan, sink: Sink, logger: Logger,
        metrics: ConnectorMetrics
    ) {
        self.brokers = brokers
        self.plan = plan
        self.sink = sink
        self.logger = logger
        self.metrics = metrics
    }

    func run() {
        do {
            try self.start()
            while !Stop.isRequested {
                do {
                    try self.serve()
                } catch let failure as Failure {
                    self.metrics.update { $0.brokerTrouble = failure.message }
                    let pause = self.backOff.failed(random: .random(in: 0..<1))
                    self.logger.warning(
                        "no messages from RabbitMQ; trying again",
                        [
                            .source: self.plan.queue, .error: failure.message,
                            .milliseconds: "\(pause)",
                        ])
                    Stop.pause(milliseconds: pause)
                }
            }
        } catch {
            // Told to end while it waited: what is not acknowledged comes again after the next start.
        }
        self.logger.info(
            "stopped",
            [.count: "\(self.sink.storedEvents)", .duplicates: "\(self.queue.duplicates)"])
    }

    /// What is known of the queue in the log.
    private func start() throws {
        self.eventBytesMax = try self.sink.eventBytesMax()
        guard !self.plan.isStream else { return }
        self.sequence = try self.sink.ask(self.plan.producer)
        let ids = try self.sink.recentIDs(
            header: RabbitMapping.queueHeader, equals: self.plan.queue,
            idHeader: RabbitMapping.idHeader, limit: QueueMachine.idsMax)
        for id in ids { self.queue.remember(id) }
        self.logger.info(
            "ids of messages that are in the log were read, to know them when they come again",
            [.count: "\(ids.count)"])
    }

    /// One connection, for as long as it lasts.
    private func serve() throws {
        let broker = try self.brokers.connect()
        try self.declare(broker)
        self.queue.connected()
        var offset: Int64 = -1
        if self.plan.isStream {
            offset = Int64(
                clamping: self.stream.told(stored: try self.sink.ask(self.plan.producer)))
        }
        try broker.consume(self.plan.queue, prefetch: self.plan.prefetch, offset: offset)
        self.metrics.update {
            $0.brokerConnections += 1
            $0.brokerTrouble = nil
        }
        self.logger.info(
            "consuming",
            [
                .address: broker.address, .source: self.plan.queue,
                .position: "\(max(0, offset))",
            ])
        try self.showDepth(broker)
        while !Stop.isRequested {
            if ContinuousClock.now - self.depthAt > .seconds(Self.depthSeconds) {
                try self.showDepth(broker)
            }
            let isWaiting = self.queue.events.isEmpty && self.stream.isEmpty
            guard let message = try broker.next(milliseconds: isWaiting ? 200 : 0) else {
                try self.settle(broker)
                self.sink.tend()
                self.metrics.beat()
                continue
            }
            self.backOff.succeeded()
            try self.received(message)
            if self.queue.events.count + self.stream.gatheredCount >= Self.eventsMax
                || self.queue.gatheredBytes + self.stream.gatheredBytes >= Self.bytesMax
            {
                try self.settle(broker)
            }
        }
        try self.settle(broker)
    }

    private func showDepth(_ broker: Broker) throws(Failure) {
        self.depthAt = .now
        let depth = try broker.depth(of: self.plan.queue)
        let (isStream, stored) = (self.plan.isStream, self.stream.stored)
        self.metrics.update {
            $0.sources[self.plan.queue] = .init(
                position: isStream ? stored : nil,
                // A stream's messages stay when they have been read.
                lag: isStream ? nil : depth)
        }
    }

    private func declare(_ broker: Broker) throws(Failure) {
        for exchange in self.plan.exchanges where !exchange.hasPrefix("amq.") {
            try broker.declareExchange(exchange, type: self.plan.exchangeType)
        }
        try broker.declareQueue(
            self.plan.queue, type: self.plan.queueType, isSingleActive: self.plan.isSingleActive)
        for exchange in self.plan.exchanges {
            for pattern in self.plan.patterns {
                try broker.bind(self.plan.queue, to: exchange, pattern: pattern)
            }
        }
    }

    private func received(_ message: BrokerMessage) throws(Failure) {
        self.metrics.update {
            $0.taken += 1
            $0.takenBytes += UInt64(message.body.count)
        }
        let event = RabbitMapping.event(message, queue: self.plan.queue)
        let fitted = Parking.fit(
            event, place: "rabbitmq.\(self.plan.queue)", eventBytesMax: self.eventBytesMax)
        if let reason = fitted.reason {
            self.metrics.update { $0.parked += 1 }
            self.logger.warning(
                "a message cannot be an event and was parked under the key error.rabbitmq",
                [.source: self.plan.queue, .reason: reason])
        }
        guard self.plan.isStream else {
            let known = self.queue.duplicates
            let isNext = self.queue.received(
                tag: message.tag, id: message.id, isRedelivered: message.isRedelivered,
                fitted.event, bytes: fitted.bytes)
            guard isNext else {
                throw Failure(
                    .unavailable,
                    "the delivery \(message.tag) of the broker came, and one before it did not; connecting again, so that it comes"
                )
            }
            if self.queue.duplicates > known { self.metrics.update { $0.duplicates += 1 } }
            return
        }
        self.newestTag = message.tag
        switch self.stream.received(offset: message.offset, fitted.event, bytes: fitted.bytes) {
        case .gathered, .ignored: break
        case .gap:
            self.metrics.update { $0.sources[self.plan.queue]?.isLost = true }
            throw Failure(
                .outOfRange,
                "the stream begins at offset \(message.offset), and what follows \(self.stream.stored) is gone: events would be "
                    + "missing; nothing is skipped. See 'a lost offset' in the manual")
        }
    }

    /// Publishes what was gathered, and lets the broker forget what is in the log.
    private func settle(_ broker: Broker) throws {
        if self.plan.isStream { return try self.settleStream(broker) }
        if !self.queue.events.isEmpty {
            let count = UInt64(self.queue.events.count)
            while case .mustAsk = try self.sink.publish(
                self.queue.events, as: self.plan.producer, sequence: self.sequence + 1)
            {
                self.logger.warning(
                    "another connector has the same --instance; give each of them its own",
                    [.producer: self.plan.producer])
                self.sequence = try self.sink.ask(self.plan.producer)
            }
            self.sequence += count
            self.queue.published()
        }
        if let tag = self.queue.takeAcknowledgement() {
            try broker.acknowledge(tag)
            self.metrics.acknowledged()
        }
    }

    private func settleStream(_ broker: Broker) throws {
        let tag = self.newestTag
        guard !self.stream.isEmpty else { return }
        while let run = self.stream.nextRun() {
            switch try self.sink.publish(
                run.events, as: self.plan.producer, sequence: run.sequence)
            {
            case .stored: self.stream.published(run.events.count)
            case .mustAsk:
                throw Failure(
                    .aborted, "another connector reads this stream into the same exchange")
            }
        }
        try broker.acknowledge(tag)
        self.metrics.acknowledged()
    }
}
