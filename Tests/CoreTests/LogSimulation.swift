@testable import Core

/// One seed: a log machine between producers that retry and a store that breaks.
struct LogSimulation: ~Copyable {
    private var random: SeededGenerator
    private var machine: LogMachine
    private var store = LogStoreModel()
    private var clients: [LogClientModel]
    /// Publishes without a producer and wrong requests, not answered yet.
    private var anonymous: [Ticket: String] = [:]
    private var streams: UInt32 = 0
    private var now: UInt64 = 0
    private var visible = Position.origin
    private var mustRecover = false
    private var problem: String?

    init(seed: UInt64) {
        self.random = SeededGenerator(seed: seed)
        var configuration = LogMachine.Configuration(Limits())
        configuration.pendingBytesMax = 400
        configuration.chunkBytesMax = 100
        configuration.appendBytesMax = 200
        configuration.appendsInFlightMax = Int.random(in: 1...3, using: &self.random)
        configuration.gatherBytes = Bool.random(using: &self.random) ? 0 : 300
        self.machine = LogMachine(
            exchange: ExchangeID(rawValue: 1), head: .origin, epoch: OwnerEpoch(rawValue: 1),
            configuration: configuration)
        self.clients = []
        for index in 0..<3 {
            self.clients.append(LogClientModel(name: "p\(index)", count: 60, &self.random))
        }
    }

    /// Returns what went wrong.
    mutating func run(steps: Int) throws -> String? {
        for _ in 0..<steps where self.problem == nil { try self.step(calm: false) }
        if self.random.chance(10) {
            self.answers(self.machine.lostOwnership())
            self.answers(self.machine.take().answers)
            return self.problem ?? self.leftovers
        }
        for _ in 0..<20_000 where self.problem == nil {
            if self.clients.allSatisfy(\.isFinished), self.anonymous.isEmpty, !self.store.hasUntold
            {
                return self.leftovers ?? self.losses
            }
            try self.step(calm: true)
        }
        return self.problem ?? "the producers do not come to an end: \(self.clients)"
    }

    private mutating func step(calm: Bool) throws {
        switch Int.random(in: 0..<(calm ? 60 : 100), using: &self.random) {
        case 0..<20: try self.publish()
        case 20..<32: self.take()
        case 32..<44: self.store.applyOne(&self.random)
        case 44..<56: self.tell()
        case 56..<60: self.recover()
        case 60..<70: try self.publishWithoutProducer()
        case 70..<74: self.store.breakConnection()
        case 74..<78: try self.ask()
        case 78..<80: self.refuse()
        default: self.pass()
        }
        if self.machine.pendingBytes < 0 { self.problem = "fewer than no pending bytes" }
    }

    private mutating func nextTicket() -> Ticket {
        self.streams += 1
        return ticket(self.streams)
    }

    private mutating func publish() throws {
        let index = Int.random(in: 0..<self.clients.count, using: &self.random)
        guard self.clients[index].maySend else { return }
        let ticket = self.nextTicket()
        let producer = self.clients[index].name
        let sequences = self.clients[index].next(ticket, &self.random)
        let events = try encoded(
            sequences.map { Event(key: bytes("k"), payload: bytes("\(producer)/\($0)")) })
        let action = self.machine.publish(
            events, producer: try name(producer), sequence: sequences[0], ticket: ticket,
            now: Instant(rawValue: self.now), time: Timestamp(rawValue: self.now))
        self.carryOut(action, ticket)
    }

    private mutating func ask() throws {
        let index = Int.random(in: 0..<self.clients.count, using: &self.random)
        let ticket = self.nextTicket()
        self.clients[index].ask(ticket)
        let action = self.machine.askProducer(
            try name(self.clients[index].name), ticket: ticket, now: Instant(rawValue: self.now))
        self.carryOut(action, ticket)
    }

    private mutating func publishWithoutProducer() throws {
        let ticket = self.nextTicket()
        let payload = "-/\(ticket.stream.rawValue)"
        self.anonymous[ticket] = payload
        let action = self.machine.publish(
            try encoded(payload), producer: nil, sequence: 0, ticket: ticket,
            now: Instant(rawValue: self.now), time: Timestamp(rawValue: self.now))
        self.carryOut(action, ticket)
    }

    private mutating func refuse() {
        let ticket = self.nextTicket()
        self.anonymous[ticket] = "refused"
        let action = self.machine.refuse(
            Failure(.invalidArgument, "bad"), ticket: ticket, now: Instant(rawValue: self.now))
        self.carryOut(action, ticket)
    }

    private mutating func take() {
        let action = self.machine.take()
        self.answers(action.answers)
        if let append = action.append { self.store.send(append) }
    }

    private mutating func tell() {
        guard let (last, outcome) = self.store.tellOne(&self.random) else { return }
        self.carryOut(self.machine.completed(last: last, outcome: outcome))
    }

    private mutating func recover() {
        guard self.mustRecover else { return }
        self.mustRecover = false
        self.carryOut(self.machine.recovered(self.store.retake()))
        if self.machine.state != .writing {
            self.problem = "recovery ends as \(self.machine.state)"
        }
    }

    private mutating func pass() {
        self.now += UInt64.random(in: 0...2_000_000, using: &self.random)
        self.answers(self.machine.expire(now: Instant(rawValue: self.now)))
    }

    private mutating func carryOut(_ action: LogMachine.PublishAction, _ ticket: Ticket) {
        guard case .answer(let answer) = action else { return }
        self.answers([AnsweredTicket(ticket: ticket, answer: answer)])
    }

    private mutating func carryOut(_ action: LogMachine.CompletionAction) {
        for chunk in action.chunks {
            let stored = self.store.payloads.dropFirst(Int(chunk.first.rawValue) - 1)
            let isDense = chunk.first == self.visible.next
            if !isDense || Array(stored.prefix(chunk.count)) != chunk.payloads {
                self.problem = "the chunk at \(chunk.first) is visible and not stored like this"
            }
            self.visible = chunk.last
        }
        if self.visible != self.machine.head { self.problem = "head is not what is visible" }
        if action.next == .recover { self.mustRecover = true }
        self.answers(action.answers)
    }

    private mutating func answers(_ answers: [AnsweredTicket]) {
        for answered in answers { self.answer(answered) }
    }

    private mutating func answer(_ answered: AnsweredTicket) {
        if let payload = self.anonymous.removeValue(forKey: answered.ticket) {
            guard case .published(let first, _, _) = answered.answer else { return }
            if first > self.visible || self.store.payloads[Int(first.rawValue) - 1] != payload {
                self.problem = "\(payload) is answered and not stored"
            }
            return
        }
        let index = self.clients.firstIndex { client in
            client.requests.contains { $0.ticket == answered.ticket }
        }
        guard let index else {
            self.problem = "\(answered) belongs to nobody, or came twice"
            return
        }
        if let problem = self.clients[index].answered(answered, by: self.store) {
            self.problem = self.problem ?? problem
        }
    }

    /// What must be gone when all is done.
    private var leftovers: String? {
        if self.machine.pendingBytes != 0 { return "\(self.machine.pendingBytes) bytes are left" }
        if self.machine.deadline != nil { return "a deadline is left" }
        let isAnswered = self.anonymous.isEmpty && self.clients.allSatisfy(\.requests.isEmpty)
        return isAnswered ? nil : "somebody was not answered"
    }

    /// Every producer's events are in the log once and in order.
    private var losses: String? {
        for client in self.clients {
            let stored = self.store.sequences(of: client.name)
            if stored != client.sequences { return "\(client.name) stored \(stored)" }
        }
        return nil
    }
}
