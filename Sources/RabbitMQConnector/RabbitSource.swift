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
    /// A broker gives a message that it has long before.
    private static let proofMax = Duration.seconds(5)
    /// A connection that has lasted so long was a good one.
    private static let lastingMin = Duration.seconds(15)

    private var brokers: BrokerAddresses
    private var plan: QueuePlan
    private let sink: Sink
    private let logger: Logger
    private let metrics: ConnectorMetrics
    private let observer: QueueObserver
    private var backOff = BackOff()
    private var teller = Teller()
    private var queue = QueueMachine()
    private var stream = OffsetMachine(isProven: true)
    /// A stream's tags: of the newest message, and of the newest that the broker was told of.
    private var newestTag: UInt64 = 0
    private var acknowledgedTag: UInt64 = 0
    private var sequence: UInt64 = 0
    private var eventBytesMax = 0
    private var consumingSince = ContinuousClock.now
    /// How far the log was read for ids, and whether that was since the last publish.
    private var idsUpto: UInt64 = 0
    private var areIDsFresh = false
    private var seen: QueueObserver.Seen?
    private var isLost = false

    init(
        _ brokers: BrokerAddresses, _ plan: QueuePlan, sink: Sink, logger: Logger,
        metrics: ConnectorMetrics
    ) {
        self.brokers = brokers
        self.plan = plan
        self.sink = sink
        self.logger = logger
        self.metrics = metrics
        self.observer = QueueObserver(queue: plan.queue, logger: logger)
    }

    func run() {
        do {
            try self.start()
            while !Stop.isRequested {
                do {
                    try self.serve()
                } catch let failure as Failure {
                    self.metrics.update { $0.brokerTrouble = failure.message }
                    self.show()
                    self.areIDsFresh = false
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
        guard !self.plan.isStream else { return }
        self.sequence = try self.sink.ask(self.plan.producer)
        let count = try self.readIDs()
        self.logger.info(
            "ids of messages that are in the log were read, to know them when they come again",
            [.count: "\(count)"])
    }

    /// Ids that came into the log since they were last read. Returns how many.
    @discardableResult
    private func readIDs() throws -> Int {
        let (ids, upto) = try self.sink.recentIDs(
            header: RabbitMapping.queueHeader, equals: self.plan.queue,
            idHeader: RabbitMapping.idHeader, limit: QueueMachine.idsMax, after: self.idsUpto)
        self.idsUpto = upto
        self.areIDsFresh = true
        for id in ids { self.queue.remember(id) }
        return ids.count
    }

    /// One connection, for as long as it lasts.
    private func serve() throws {
        self.eventBytesMax = try self.sink.eventBytesMax()
        let broker = try self.brokers.connect()
        try self.declare(broker)
        self.queue.connected()
        (self.newestTag, self.acknowledgedTag) = (0, 0)
        // The broker takes a connection that says nothing for dead, and would give all its messages out again.
        self.sink.whileWaiting = {
            do throws(Failure) { try broker.beat() } catch {
                // The next look for messages says the same.
            }
        }
        defer { self.sink.whileWaiting = {} }
        var offset: Int64 = -1
        if self.plan.isStream {
            offset = Int64(
                clamping: self.stream.told(stored: try self.sink.ask(self.plan.producer)))
        }
        try broker.consume(self.plan.queue, prefetch: self.plan.prefetch, offset: offset)
        self.consumingSince = .now
        self.metrics.update { $0.brokerConnections += 1 }
        if self.stream.state != .proving { self.works() }
        self.logger.info(
            "consuming",
            [
                .address: broker.address, .source: self.plan.queue,
                .position: "\(self.plan.isStream ? self.stream.stored : 0)",
            ])
        while !Stop.isRequested { try self.turn(broker) }
        try self.settle(broker)
    }

    private func turn(_ broker: Broker) throws {
        if self.metrics.isServed, self.observer.isDue {
            self.seen = self.observer.look(at: broker.place, isStream: self.plan.isStream)
            self.show()
        }
        let isWaiting = self.queue.isEmpty && self.stream.isEmpty
        guard let message = try broker.next(milliseconds: isWaiting ? 200 : 0) else {
            try self.settle(broker)
            self.sink.tend()
            self.metrics.beat()
            return try self.looksAtTime()
        }
        try self.received(message)
        if self.queue.gatheredCount + self.stream.gatheredCount >= Self.eventsMax
            || self.queue.gatheredBytes + self.stream.gatheredBytes >= Self.bytesMax
        {
            try self.settle(broker)
        }
    }

    private func looksAtTime() throws(Failure) {
        let time = ContinuousClock.now - self.consumingSince
        if time > Self.lastingMin { self.backOff.succeeded() }
        guard self.plan.isStream, self.stream.state == .proving, time > Self.proofMax else {
            return
        }
        throw self.lost(
            "the stream does not have offset \(self.stream.stored - 1), which is in the log: it is shorter, so it was made anew"
        )
    }

    /// The connection is good.
    private func works() {
        self.isLost = false
        self.metrics.update { $0.brokerTrouble = nil }
    }

    private func lost(_ what: String) -> Failure {
        self.isLost = true
        return Failure(
            .outOfRange,
            "\(what). Events would be missing; nothing is skipped. See 'a lost offset' in the manual"
        )
    }

    private func show() {
        let (isStream, stored, isLost) = (self.plan.isStream, self.stream.stored, self.isLost)
        var lag: UInt64?
        switch self.seen {
        case .ready(let count): lag = count
        // The messages of the newest chunk, but for its first, are not counted.
        case .newest(let offset): lag = offset + 1 - min(offset + 1, stored)
        case nil: break
        }
        self.metrics.update {
            $0.sources[self.plan.queue] = .init(
                position: isStream ? stored : nil, lag: lag, isLost: isLost)
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

    // MARK: Messages

    private func received(_ message: BrokerMessage) throws {
        try self.checkKind(message)
        self.metrics.update {
            $0.taken += 1
            $0.takenBytes += UInt64(message.body.count)
        }
        let event = RabbitMapping.event(message, queue: self.plan.queue)
        let fitted = Parking.fit(
            event, place: "rabbitmq.\(self.plan.queue)", eventBytesMax: self.eventBytesMax)
        if let reason = fitted.reason {
            self.metrics.update { $0.parked += 1 }
            if self.teller.mayTell("parked") {
                self.logger.warning(
                    "a message cannot be an event and was parked under the key error.rabbitmq",
                    [.source: self.plan.queue, .reason: reason])
            }
        }
        if self.plan.isStream {
            try self.receivedOfStream(message, fitted.event, bytes: fitted.bytes)
        } else {
            try self.receivedOfQueue(message, fitted.event, bytes: fitted.bytes)
        }
    }

    /// Messages of streams, and no others, have an offset.
    private func checkKind(_ message: BrokerMessage) throws(Failure) {
        guard self.plan.isStream != (message.offset >= 0) else { return }
        guard !self.plan.isStream else {
            throw Failure(
                .failedPrecondition,
                "the queue is no stream; start the connector without --queue-type stream")
        }
        // With --passive nobody has said what it is, and a broker does not tell either.
        self.plan.isStream = true
        throw Failure(.aborted, "the queue is a stream; connecting again, to read it as one")
    }

    private func receivedOfQueue(_ message: BrokerMessage, _ event: Event, bytes: Int) throws {
        if message.isRedelivered, !message.id.isEmpty, !self.areIDsFresh,
            !self.queue.knows(message.id)
        {
            // Another connector may have had it, and have died before it said so to the broker.
            try self.readIDs()
        }
        let known = self.queue.duplicates
        let isNext = self.queue.received(
            tag: message.tag, id: message.id, isRedelivered: message.isRedelivered, event,
            bytes: bytes)
        guard isNext else {
            throw Failure(
                .unavailable,
                "the delivery \(message.tag) of the broker came, and one before it did not; connecting again, so that it comes"
            )
        }
        if self.queue.duplicates > known { self.metrics.update { $0.duplicates += 1 } }
    }

    private func receivedOfStream(_ message: BrokerMessage, _ event: Event, bytes: Int)
        throws(Failure)
    {
        self.newestTag = message.tag
        let wasProving = self.stream.state == .proving
        switch self.stream.received(offset: message.offset, event, bytes: bytes) {
        case .gathered, .ignored:
            if wasProving, self.stream.state == .reading { self.works() }
        case .gap:
            throw self.lost(
                "the stream goes on at offset \(message.offset), and what follows \(self.stream.stored - 1) is gone"
            )
        }
    }

    // MARK: Publishing

    /// Publishes what was gathered, and lets the broker forget what is in the log.
    private func settle(_ broker: Broker) throws {
        if self.plan.isStream { return try self.settleStream(broker) }
        while !self.queue.isEmpty {
            let events = self.queue.nextRun(bytesMax: self.eventBytesMax)
            while case .mustAsk = try self.sink.publish(
                events, as: self.plan.producer, sequence: self.sequence + 1)
            {
                if self.teller.mayTell("instance") {
                    self.logger.warning(
                        "another connector has the same --instance; give each of them its own",
                        [.producer: self.plan.producer])
                }
                self.sequence = try self.sink.ask(self.plan.producer)
            }
            self.sequence += UInt64(events.count)
            self.queue.published(events.count)
            self.areIDsFresh = false
        }
        if let tag = self.queue.takeAcknowledgement() { try self.acknowledge(tag, broker) }
    }

    private func settleStream(_ broker: Broker) throws {
        while let run = self.stream.nextRun(bytesMax: self.eventBytesMax) {
            switch try self.sink.publish(
                run.events, as: self.plan.producer, sequence: run.sequence)
            {
            case .stored: self.stream.published(run.events.count)
            case .mustAsk:
                throw Failure(
                    .aborted, "another connector reads this stream into the same exchange")
            }
        }
        // Also what was not gathered: the broker gives only so many that it was not told of.
        guard self.newestTag > self.acknowledgedTag else { return }
        self.acknowledgedTag = self.newestTag
        try self.acknowledge(self.newestTag, broker)
    }

    private func acknowledge(_ tag: UInt64, _ broker: Broker) throws(Failure) {
        try broker.acknowledge(tag)
        self.metrics.acknowledged()
        self.backOff.succeeded()
    }
}
