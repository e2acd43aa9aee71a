import CLibRDKafka
import Connector
import Core
import Diagnostics

// Topics into an exchange. One thread: it polls Kafka, gathers what comes by partition, and publishes whenever
// nothing more is there at once, or enough is. What to do with a message, and where to read on, `OffsetMachine`
// decides.

final class KafkaSource {
    /// Gathered events of a partition that are published at once, at most: a request must fit a frame.
    private static let eventsMax = 1_000
    private static let bytesMax = 256 << 10
    /// Of all partitions together, in memory. librdkafka has as much beside it.
    private static let allBytesMax = 16 << 20
    /// A partition whose messages are few does not wait for the end of those of others.
    private static let publishPause = Duration.milliseconds(100)

    private let kafka: KafkaClient
    private let sink: Sink
    private let logger: Logger
    private let metrics: ConnectorMetrics
    /// Stands for the Kafka cluster in the names of producers.
    private let name: String
    private var partitions: [TopicPartition: OffsetMachine] = [:]
    private var eventBytesMax = 0
    private var parked = 0
    /// Bytes that were gathered, and when all of them were last published.
    private var gatheredBytes = 0
    private var publishedAt = ContinuousClock.now
    /// When it was last tried to read partitions from where the server is.
    private var askedAt = ContinuousClock.now
    /// When the lags were last shown.
    private var lagsAt = ContinuousClock.now
    private var isBrokerAway = true
    private var teller = Teller()

    init(
        _ properties: [(String, String)], topics: [String], name: String, sink: Sink,
        logger: Logger,
        metrics: ConnectorMetrics
    ) throws(Failure) {
        self.kafka = try KafkaClient(RD_KAFKA_CONSUMER, properties, logger)
        self.sink = sink
        self.name = name
        self.logger = logger
        self.metrics = metrics
        try self.kafka.subscribe(topics)
    }

    func run() throws(Failure) {
        do {
            while !Stop.isRequested { try self.turn() }
        } catch let failure as Failure {
            throw failure
        } catch {
            // Told to end while it waited: what is not published comes again after the next start.
        }
        self.kafka.closeConsumer()
        self.logger.info(
            "stopped",
            [.count: "\(self.sink.storedEvents)", .duplicates: "\(self.sink.duplicateEvents)"])
    }

    private func turn() throws {
        let isWaiting = self.partitions.values.allSatisfy(\.isEmpty)
        let found = self.kafka.poll(milliseconds: isWaiting ? 100 : 0)
        for rebalance in self.kafka.takeRebalances() { try self.rebalance(rebalance) }
        for trouble in self.kafka.takeTroubles() {
            try self.trouble(nil, trouble.code, trouble.text)
        }
        switch found {
        case .nothing:
            try self.publishAll()
            self.sink.tend()
            self.showLags()
        case .message(let place, let offset, let event):
            try self.received(event, at: offset, of: place)
            let isDue = ContinuousClock.now - self.publishedAt > Self.publishPause
            if isDue || self.gatheredBytes > Self.allBytesMax {
                try self.publishAll()
                self.showLags()
            }
        case .trouble(let place, let code, let text):
            try self.trouble(place, code, text)
        }
        try self.goBack()
        if let fatal = self.kafka.fatalError {
            throw Failure(.internal, "librdkafka cannot go on: \(fatal)")
        }
    }

    // MARK: Messages

    private func received(_ event: Event, at offset: Int64, of place: TopicPartition) throws {
        self.metrics.update {
            $0.taken += 1
            $0.takenBytes += UInt64(event.payload.count)
        }
        self.brokerAnswers()
        if self.eventBytesMax == 0 { self.eventBytesMax = try self.sink.eventBytesMax() }
        let fitted = Parking.fit(
            event, place: "kafka.\(place.topic)", eventBytesMax: self.eventBytesMax)
        if let reason = fitted.reason {
            self.parked += 1
            self.metrics.update { $0.parked += 1 }
            if self.teller.mayTell("parked \(place)") {
                self.logger.warning(
                    "a message cannot be an event and was parked under the key error.kafka",
                    [
                        .source: "\(place)", .position: "\(offset)", .reason: reason,
                        .count: "\(self.parked)",
                    ])
            }
        }
        guard
            self.partitions[place]?.received(offset: offset, fitted.event, bytes: fitted.bytes)
                == .gathered, let machine = self.partitions[place]
        else { return }
        self.gatheredBytes += fitted.bytes
        if machine.gatheredCount >= Self.eventsMax || machine.gatheredBytes >= Self.bytesMax {
            try self.publish(place)
        }
    }

    private func publishAll() throws {
        (self.gatheredBytes, self.publishedAt) = (0, .now)
        for place in self.partitions.keys where self.partitions[place]?.isEmpty == false {
            try self.publish(place)
        }
    }

    private func publish(_ place: TopicPartition) throws {
        while let run = self.partitions[place]?.nextRun(bytesMax: self.eventBytesMax) {
            let outcome = try self.sink.publish(
                run.events, as: self.producer(place), sequence: run.sequence)
            switch outcome {
            case .stored:
                self.partitions[place]?.published(run.events.count)
                self.metrics.acknowledged()
                self.show(place)
            case .mustAsk:
                self.partitions[place]?.mustAsk()
                try self.goBack(place)
            }
        }
    }

    /// Reads a partition from where the server is. Until Kafka has gone there, what it gives is not taken: it may lie behind
    /// what is next.
    private func goBack(_ place: TopicPartition) throws {
        self.askedAt = .now
        let stored = try self.sink.ask(self.producer(place))
        do throws(Failure) {
            try self.kafka.seek(place, to: Self.begin(stored))
        } catch {
            if self.teller.mayTell("seek \(place)") {
                self.logger.warning(
                    "cannot read a partition from where the server is; trying again",
                    [.source: "\(place)", .error: error.message])
            }
            return
        }
        _ = self.partitions[place]?.told(stored: stored)
    }

    /// Tries it again, once a second.
    private func goBack() throws {
        guard ContinuousClock.now - self.askedAt > .seconds(1) else { return }
        self.askedAt = .now
        for (place, machine) in self.partitions where machine.state == .asking {
            try self.goBack(place)
        }
    }

    /// A partition that nothing is known of is read from its beginning, whatever that is.
    private static func begin(_ stored: UInt64) -> Int64 {
        stored == 0 ? Int64(RD_KAFKA_OFFSET_BEGINNING) : Int64(clamping: stored)
    }

    // MARK: Partitions

    private func producer(_ place: TopicPartition) -> String {
        producerName([self.name, place.topic, "\(place.partition)"])
    }

    private func rebalance(_ rebalance: Rebalance) throws {
        // What was gathered is published first: it is ours until it is given back.
        if !rebalance.isAssigned { try self.publishAll() }
        self.partitions = [:]
        self.metrics.update { $0.sources = [:] }
        guard rebalance.isAssigned else {
            self.logger.info("partitions given back", [.count: "\(rebalance.partitions.count)"])
            return try self.kafka.assign(nil)
        }
        var offsets: [TopicPartition: Int64] = [:]
        for place in rebalance.partitions {
            var machine = OffsetMachine()
            let stored = machine.told(stored: try self.sink.ask(self.producer(place)))
            self.partitions[place] = machine
            offsets[place] = Self.begin(stored)
            self.show(place)
            self.logger.info(
                "reading a partition", [.source: "\(place)", .position: "\(stored)"])
        }
        try self.kafka.assign(offsets)
        // The group's coordinator has answered.
        self.brokerAnswers()
    }

    // MARK: What is shown

    private func show(_ place: TopicPartition) {
        guard let machine = self.partitions[place] else { return }
        let high = self.kafka.newestOffset(place)
        self.metrics.update {
            $0.sources["\(place)"] = .init(
                position: machine.stored,
                lag: high.map { UInt64(max(0, $0)) }.map { $0 - min($0, machine.stored) },
                isLost: machine.state == .lost)
        }
    }

    /// Once a second: partitions that nothing comes from have a lag, too.
    private func showLags() {
        self.metrics.beat()
        guard ContinuousClock.now - self.lagsAt > .seconds(1) else { return }
        self.lagsAt = .now
        for place in self.partitions.keys { self.show(place) }
        if self.isBrokerAway, !self.partitions.isEmpty, self.kafka.isAnswering {
            self.brokerAnswers()
        }
    }

    private func brokerAnswers() {
        guard self.isBrokerAway else { return }
        self.isBrokerAway = false
        self.metrics.update {
            $0.brokerConnections += 1
            $0.brokerTrouble = nil
        }
    }

    // MARK: Trouble

    private func trouble(
        _ place: TopicPartition?, _ code: rd_kafka_resp_err_t, _ text: String
    ) throws {
        let isLost =
            code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET
            || code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE
            || code == RD_KAFKA_RESP_ERR__BAD_MSG
        guard isLost, let place, self.partitions[place] != nil else {
            if code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN {
                self.isBrokerAway = true
                self.metrics.update { $0.brokerTrouble = text }
            }
            if self.teller.mayTell("\(code.rawValue)") {
                self.logger.warning("Kafka says something is wrong", [.error: text])
            }
            return
        }
        try self.publish(place)
        let stored = self.partitions[place]?.stored ?? 0
        self.partitions[place]?.becameLost()
        self.show(place)
        try self.kafka.pause(place)
        let there = self.kafka.offsets(place).map { "\($0.low) to \($0.high - 1)" } ?? "unknown"
        self.logger.error(
            "a partition cannot go on: Kafka does not give what comes next, so events would be missing; nothing is skipped. "
                + "Other partitions go on. See 'a lost offset' in the manual",
            [
                .source: "\(place)", .position: "\(stored)", .limit: there, .error: text,
                .producer: self.producer(place),
            ])
    }
}
