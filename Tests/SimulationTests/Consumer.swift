import Core
import Wire

// Subscribes, with a name that others may use, too, or without one; confirms early, late or never;
// grants credit in small pieces; comes back with another config, or elsewhere in the log. The final
// consumers, which come when everything is healed, behave well and wait until they have everything.

/// `@unchecked Sendable`: used on the simulation's thread only.
final class Consumer: SimulatedClient, @unchecked Sendable {
    private enum Confirming {
        case always, often, late, never
    }

    private let exchange: ExchangeID
    private let exchangeName: [UInt8]
    private let name: Name?
    private let isFinal: Bool
    private var config: ReceiverConfig
    private let confirming: Confirming
    private var stream: UInt32?
    private var mustReposition = false
    private var restsUntil: UInt64 = 0

    override init(_ simulation: Simulation, number: Int) {
        let exchange = simulation.dice.within(1...simulation.plan.exchanges)
        self.exchange = ExchangeID(rawValue: Int64(exchange))
        let names = (0..<3).compactMap { try? Name("s\($0)") }
        self.name = simulation.dice.chance(800) ? simulation.dice.pick(names) : nil
        self.isFinal = false
        self.config = Self.config(simulation.dice, of: self.name)
        self.confirming = simulation.dice.pick([.always, .often, .late, .never], or: .often)
        self.exchangeName = Self.name(exchange)
        super.init(simulation, number: number)
    }

    init(
        _ simulation: Simulation, number: Int, finalFor name: Name, in exchange: ExchangeID,
        _ config: ReceiverConfig
    ) {
        self.exchange = exchange
        self.exchangeName = Self.name(Int(exchange.rawValue))
        self.name = name
        self.isFinal = true
        self.config = config
        self.confirming = .always
        super.init(simulation, number: number)
    }

    private static func name(_ exchange: Int) -> [UInt8] {
        exchange == 1 ? [] : Array("other-\(exchange - 1)".utf8)
    }

    // MARK: Configs

    private static let patterns = ["#", "a.#", "*.b", "#.c", "a.*.c", "b", "a.#.b.#", "none.*"]

    /// Usually the same one for a name.
    private static func config(_ dice: Dice, of name: Name?) -> ReceiverConfig {
        if let name, dice.chance(850) {
            switch name.text {
            case "s0": return .everything
            case "s1": return Self.config(["a.#", "*.b"], [])
            default: return Self.config(["#"], [.exists])
            }
        }
        let patterns = (0..<dice.below(3)).compactMap { _ in dice.pick(Self.patterns) }
        let kinds = (0..<dice.below(2)).compactMap { _ in dice.pick(MatchKind.allCases) }
        return Self.config(patterns, kinds)
    }

    private static func config(_ patterns: [String], _ kinds: [MatchKind]) -> ReceiverConfig {
        do throws(Failure) {
            var all: [KeyPattern] = []
            for pattern in patterns { all.append(try KeyPattern(pattern)) }
            var headers: [HeaderMatch] = []
            for kind in kinds {
                headers.append(
                    try HeaderMatch(name: Array("h".utf8), kind: kind, value: Array("x".utf8)))
            }
            return try ReceiverConfig(patterns: all, headers: headers)
        } catch {
            return .everything
        }
    }

    // MARK: Turns

    override func calmDown() {
        super.calmDown()
        self.stop()
    }

    override var waitsFor: String? {
        guard self.isFinal, let name = self.name else { return super.waitsFor }
        let head = self.simulation.checker.head(self.exchange)
        let upto = self.record?.receivedUpto ?? .origin
        let stored = self.simulation.durable.exchange(self.exchange)?.subscribers[name]?.position
        if self.record == nil || upto < head || stored ?? .origin < head {
            return "\(name) got everything up to \(upto) and is stored at \(stored ?? .origin), "
                + "the head is \(head), \(self.stream == nil ? "not " : "")subscribed"
        }
        return super.waitsFor
    }

    private var record: StreamRecord? {
        guard let stream = self.stream, case .subscribe(let record) = self.asked[stream] else {
            return nil
        }
        return record
    }

    override func act() {
        guard let stream = self.stream, let record = self.record else {
            return self.simulation.now < self.restsUntil ? () : self.subscribe()
        }
        if self.isFinal { return }
        switch self.dice.below(100) {
        case 0..<40: self.grant(record, stream)
        case 40..<70: if self.confirming != .never { self.confirm(record, stream) }
        case 70..<72: self.cancel(stream)
        case 72..<74: self.subscribe()
        case 74..<75: self.confirmTooMuch(record, stream)
        default: break
        }
    }

    private func subscribe() {
        var request = SubscribeRequest(
            name: Array((self.name?.text ?? "").utf8),
            config: ReceiverConfigMessage(exchange: self.exchangeName, self.config))
        if self.isFinal {
            request.creditEvents = 1_000
            request.creditBytes = 1 << 20
            request.replaceConfig = true
        } else {
            request.creditEvents = UInt32(self.dice.within(1...30))
            request.creditBytes = UInt32(self.dice.within(1...4_000))
            request.acknowledgement = self.dice.chance(250) ? .onSend : .manual
            request.replaceConfig = self.dice.chance(100)
            if self.dice.chance(200) {
                request.acknowledgeWithinMilliseconds = UInt32(self.dice.within(5...500))
            }
        }
        self.drawStart(&request)
        let record = StreamRecord(
            exchange: self.exchange, name: self.name, server: self.connection?.server.number ?? 0,
            request: request, config: self.config,
            headBefore: self.simulation.checker.visibleHeads[self.exchange] ?? .origin)
        self.stream = self.ask(.subscribe(request), .subscribe(record))
        self.simulation.statistics.subscriptions += 1
    }

    private func drawStart(_ request: inout SubscribeRequest) {
        let head = Int(self.simulation.checker.head(self.exchange).rawValue)
        request.start = self.dice.pick(Start.allCases, or: .first)
        if self.isFinal || self.mustReposition { request.start = .first }
        switch request.start {
        case .next, .first, .last: break
        case .position: request.startValue = UInt64(self.dice.within(1...head + 1))
        case .time:
            let now = Int(self.simulation.wallTime.rawValue)
            request.startValue = UInt64(now - self.dice.below(2_000_000))
        }
        request.reposition =
            self.mustReposition || (!self.isFinal && self.dice.chance(60))
        self.mustReposition = false
    }

    private func grant(_ record: StreamRecord, _ stream: UInt32) {
        let events = self.isFinal ? 1_000 : self.dice.within(0...20)
        let bytes = self.isFinal ? 1 << 20 : self.dice.within(0...3_000)
        record.grantedEvents += events
        record.grantedBytes += bytes
        self.ask(
            .grant(GrantRequest(stream: stream, events: UInt32(events), bytes: UInt32(bytes))),
            .quietly(.grant), isQuiet: true)
    }

    private func confirm(_ record: StreamRecord, _ stream: UInt32) {
        guard let received = record.receivedUpto, received > record.acknowledged else { return }
        var upto = received
        if !self.isFinal, self.dice.chance(300) {
            let back = self.dice.below(Int(received.distance(from: record.acknowledged)))
            upto = Position(received.rawValue - UInt64(back))
        }
        record.acknowledged = upto
        self.simulation.checker.confirming(record, upto)
        let request = Request.acknowledge(
            AcknowledgeRequest(stream: stream, upto: upto.rawValue))
        if self.dice.chance(500) {
            self.ask(request, .quietly(.acknowledge), isQuiet: true)
        } else {
            self.ask(request, .administration(.acknowledge))
        }
    }

    /// Must be refused.
    private func confirmTooMuch(_ record: StreamRecord, _ stream: UInt32) {
        let beyond = self.simulation.checker.head(self.exchange).rawValue + 1_000
        self.ask(
            .acknowledge(AcknowledgeRequest(stream: stream, upto: beyond)),
            .quietly(.acknowledge), isQuiet: true)
    }

    // MARK: Answers

    override func delivered(_ stream: UInt32, _ record: StreamRecord, _ delivery: Delivery) {
        if let last = record.receivedUpto, delivery.header.after != last {
            self.simulation.checker.broke(.chain, "client \(self.number) missed a delivery")
        }
        record.receivedUpto = delivery.header.upto
        record.receivedEvents += delivery.events.count
        guard stream == self.stream else { return }
        switch self.confirming {
        case .always: self.confirm(record, stream)
        case .often: if self.dice.chance(500) { self.confirm(record, stream) }
        case .late, .never: break
        }
        if self.isFinal || self.dice.chance(500) { self.grant(record, stream) }
    }

    override func ended() {
        self.stream = nil
    }

    override func answered(_ stream: UInt32, _ asked: Asked, _ result: Result<Reply, Failure>) {
        guard case .subscribe = asked, case .failure(let failure) = result else { return }
        if stream == self.stream { self.stream = nil }
        switch failure.code {
        case .positionLost, .outOfRange:
            self.mustReposition = true
        case .takenOver:
            // Or two consumers of one name would do nothing else.
            self.restsUntil = self.simulation.now + UInt64(self.dice.within(5_000...400_000))
        case .failedPrecondition:
            self.config = Self.config(self.dice, of: self.name)
        default: break
        }
    }
}
