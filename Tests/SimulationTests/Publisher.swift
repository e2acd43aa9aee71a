import Core
import Wire

// Publishes, alone or as a producer with sequences.
//
// A producer keeps a window of attempts that are not acknowledged. When one fails, or the
// connection does, it goes back and sends all of the window again, in order: what was stored is a
// duplicate then. After a new connection it sometimes asks first how far it got, and so it does after
// ABORTED, which may mean that what it was told is no longer true. Without a producer a failure is an
// unknown outcome and the attempt is given up.

/// `@unchecked Sendable`: used on the simulation's thread only.
final class Publisher: SimulatedClient, @unchecked Sendable {
    private let exchange: ExchangeID
    private let exchangeName: [UInt8]
    private let producer: Name?
    private let windowMax: Int
    private var nextSequence: UInt64 = 1
    private var lastEvent = 0
    private var window: [Attempt] = []
    /// Attempts of the window that were sent and are not to be sent again; the rest follows.
    private var sent = 0
    /// Grows with every going back; answers to earlier rounds no longer cause one.
    private var round = 0
    private var rounds: [UInt32: Int] = [:]
    private var isWaiting = false
    private var mustAsk = false

    override init(_ simulation: Simulation, number: Int) {
        let exchange = simulation.dice.within(1...simulation.plan.exchanges)
        self.exchange = ExchangeID(rawValue: Int64(exchange))
        self.exchangeName = exchange == 1 ? [] : Array("other-\(exchange - 1)".utf8)
        let isProducer = simulation.plan.retriesWithoutSequence || simulation.dice.chance(650)
        self.producer = isProducer ? try? Name("p\(number)") : nil
        self.windowMax = simulation.dice.pick([1, 3, 10], or: 3)
        super.init(simulation, number: number)
    }

    override var turnMicroseconds: Int { 12_000 }

    override var waitsFor: String? {
        if !self.window.isEmpty, self.producer != nil, !self.isStopped {
            return "publisher \(self.number) for \(self.window.count) acknowledgements"
        }
        return super.waitsFor
    }

    // MARK: Turns

    override func act() {
        guard !self.isWaiting else { return }
        if self.mustAsk { return self.askProducer() }
        if self.sent < self.window.count { return self.send(self.window[self.sent]) }
        guard !self.simulation.isQuiet else { return }
        if self.dice.chance(40) { return self.sendNonsense() }
        let isEnough = self.simulation.statistics.events >= self.simulation.plan.eventsMax
        guard !isEnough, self.window.count < self.windowMax else { return }
        for _ in 0..<self.dice.within(1...3) where self.window.count < self.windowMax {
            let attempt = self.makeAttempt()
            self.window.append(attempt)
            self.simulation.checker.attempting(attempt)
            self.send(attempt)
        }
    }

    private func makeAttempt() -> Attempt {
        let count = self.dice.chance(700) ? self.dice.within(1...4) : self.dice.within(1...20)
        // A sequence may jump forward.
        if self.dice.chance(50) { self.nextSequence += UInt64(self.dice.within(1...10)) }
        let attempt = Attempt(
            publisher: self.number, exchange: self.exchange, producer: self.producer,
            sequence: self.nextSequence, events: (0..<count).map { _ in self.makeEvent() })
        self.nextSequence += UInt64(count)
        return attempt
    }

    private static let words = ["a", "b", "c"]

    private func makeEvent() -> Event {
        self.lastEvent += 1
        let key = (0..<self.dice.within(1...3)).map { _ in self.dice.pick(Self.words, or: "a") }
        let size = self.dice.chance(20) ? self.dice.within(500...4_000) : self.dice.below(40)
        var headers: [Header] = []
        if self.dice.chance(300) {
            headers.append(
                Header(
                    name: Array("h".utf8), value: Array(self.dice.pick(["x", "xy"], or: "x").utf8)))
        }
        if self.dice.chance(100) { headers.append(Header(name: Array("trace".utf8), value: [])) }
        return Event(
            key: Array(key.joined(separator: ".").utf8), payload: self.dice.bytes(size),
            id: Array("\(self.number).\(self.lastEvent)".utf8),
            contentType: self.dice.chance(100) ? Array("text/plain".utf8) : [], headers: headers)
    }

    private func send(_ attempt: Attempt) {
        let forgets = self.simulation.plan.retriesWithoutSequence && attempt.isRetried
        if attempt.isRetried { self.simulation.statistics.retriedPublishes += 1 }
        let request = PublishRequest(
            exchange: self.exchangeName,
            producer: forgets ? [] : Array((self.producer?.text ?? "").utf8),
            sequence: self.producer == nil || forgets ? 0 : attempt.sequence)
        attempt.isRetried = true
        let isQuiet = self.producer == nil && self.dice.chance(100)
        let asked = isQuiet ? Asked.quietly(.publish) : .publish(attempt)
        let stream = self.ask(asked, isQuiet: isQuiet) {
            request.encode(with: attempt.events, into: &$0)
        }
        if isQuiet {
            self.window.removeAll { $0 === attempt }
        } else {
            self.rounds[stream] = self.round
            self.sent += 1
        }
    }

    /// Must be refused as a whole, and must not disturb the others.
    private func sendNonsense() {
        var event = self.makeEvent()
        var events = [self.makeEvent()]
        switch self.dice.below(4) {
        case 0: event.key = Array("not a key".utf8)
        case 1: event.payload = self.dice.bytes(15_400)
        case 2: event.headers = Array(repeating: Header(name: [1], value: []), count: 65)
        default: events = []
        }
        if !events.isEmpty { events.append(event) }
        let request = PublishRequest(exchange: self.exchangeName)
        self.ask(.administration(.publish)) { request.encode(with: events, into: &$0) }
    }

    // MARK: Answers

    override func opened() {
        guard self.producer != nil, !self.window.isEmpty, self.dice.chance(400) else { return }
        self.askProducer()
    }

    private func askProducer() {
        self.mustAsk = false
        self.isWaiting = true
        self.ask(
            .producer(
                ProducerRequest(
                    exchange: self.exchangeName, producer: Array((self.producer?.text ?? "").utf8))),
            .producer)
    }

    override func ended() {
        self.rounds = [:]
        self.isWaiting = false
        self.mustAsk = false
        if self.producer == nil { self.window = [] }
        self.goBack()
    }

    private func goBack() {
        self.round += 1
        self.sent = 0
    }

    override func answered(_ stream: UInt32, _ asked: Asked, _ result: Result<Reply, Failure>) {
        switch (asked, result) {
        case (.producer, .success(.producer(let reply))):
            self.isWaiting = false
            let stored = self.window.prefix { $0.last <= reply.sequence }.count
            self.window.removeFirst(stored)
        case (.producer, _):
            self.isWaiting = false
        case (.publish(let attempt), .success):
            self.acknowledged(attempt)
        case (.publish(let attempt), .failure(let failure)):
            self.failed(attempt, failure, stream)
        case (.administration, .success):
            self.simulation.checker.broke(.answered, "nonsense was accepted")
        default: break
        }
        self.rounds[stream] = nil
    }

    private func acknowledged(_ attempt: Attempt) {
        guard let index = self.window.firstIndex(where: { $0 === attempt }) else { return }
        self.window.remove(at: index)
        if index < self.sent { self.sent -= 1 }
    }

    private func failed(_ attempt: Attempt, _ failure: Failure, _ stream: UInt32) {
        self.simulation.statistics.failedPublishes += 1
        if !failure.code.isRetryable {
            self.simulation.checker.broke(.answered, "a good publish failed: \(failure)")
        }
        guard self.producer != nil else {
            return self.acknowledged(attempt)
        }
        guard self.rounds[stream] == self.round else { return }
        self.goBack()
        self.mustAsk = failure.code == .aborted && self.dice.chance(500)
        self.isWaiting = true
        self.simulation.after(self.dice.within(1_000...50_000)) { self.isWaiting = false }
    }
}
