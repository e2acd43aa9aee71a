import Core
import Engine

// The world of one seed: a store that lasts, servers that come and go, clients that speak real
// bytes, and trouble. First everybody is active and things go wrong; then everything is healed, and
// all that was promised must come true.

/// `@unchecked Sendable`: used on the simulation's thread only.
final class Simulation: @unchecked Sendable {
    let seed: UInt64
    let plan: Plan
    let dice: Dice
    let executor: SimulatedExecutor
    let trace: Trace
    let checker = Checker()
    var statistics = Statistics()
    var durable = DurableState()
    /// Those whose servers run and are connected.
    var livingOwners: Set<OwnerID> = []
    var rootTasks = 0

    private(set) var servers: [SimulatedServer] = []
    private(set) var clients: [SimulatedClient] = []
    private(set) var publishers: [Publisher] = []
    private(set) var finalConsumers: [Consumer] = []
    /// Healed: nothing goes wrong any more.
    private(set) var isQuiet = false
    private var lastConnection: UInt64 = 0
    private var lastServer = 0
    var newestServer: Int { self.lastServer }
    private var storeAwayUntil: UInt64 = 0
    private var wallOffset: UInt64 = 1_000_000_000

    /// A run that takes more than this goes in circles.
    private static let stepsMax = 400_000
    private static let quietMicroseconds: UInt64 = 60_000_000

    init(seed: UInt64, plan: Plan?, isText: Bool) {
        self.seed = seed
        self.dice = Dice(seed: seed)
        self.plan = plan ?? Plan(self.dice)
        self.executor = SimulatedExecutor(dice: self.dice)
        self.trace = Trace(isText: isText)
        self.checker.simulation = self
    }

    // MARK: For everybody

    var now: UInt64 { self.executor.now }
    var wallTime: Timestamp { Timestamp(rawValue: self.wallOffset + self.now) }
    var faults: StoreFaults { self.isQuiet ? .none : self.plan.faults }
    var isStoreAway: Bool { !self.isQuiet && self.now < self.storeAwayUntil }

    func after(_ microseconds: Int, _ body: @escaping () -> Void) {
        self.executor.at(self.now + UInt64(max(0, microseconds)), body)
    }

    func note(
        _ kind: Trace.Kind, _ first: Int, _ second: Int = 0, _ text: @autoclosure () -> String
    ) {
        self.trace.note(
            kind, at: self.now, UInt64(truncatingIfNeeded: first),
            UInt64(truncatingIfNeeded: second), text())
    }

    func remark(_ kind: Trace.Kind, _ text: @autoclosure () -> String) {
        self.trace.remark(kind, at: self.now, text())
    }

    /// An append takes effect now.
    func committing(_ append: Append, by server: Int) -> AppendOutcome {
        let outcome = self.durable.append(append)
        if outcome == .committed {
            self.checker.committed(append, by: server)
            self.statistics.movedRows += append.rows.count
        }
        self.note(
            .store, Int(append.last.rawValue), outcome == .committed ? 1 : 0,
            "server \(server) appends (\(append.after), \(append.last)] to "
                + "\(append.exchange.rawValue) with epoch \(append.epoch.rawValue): \(outcome)")
        return outcome
    }

    /// A connection to a server that serves, usually the newest one; nil when nobody listens.
    func connect(_ client: SimulatedClient) -> SimulatedConnection? {
        let serving = self.servers.filter { $0.phase == .serving }
        let server = self.dice.chance(850) ? serving.last : self.dice.pick(serving)
        guard let server else { return nil }
        self.lastConnection += 1
        let connection = SimulatedConnection(
            self, id: ConnectionID(rawValue: self.lastConnection), server: server, client: client)
        server.connections.append(connection)
        return connection
    }

    // MARK: Run

    func run() -> Report {
        self.executor.at(0) { self.begin() }
        while self.checker.broken == nil, self.executor.steps < Self.stepsMax {
            guard self.executor.step() else { break }
            if self.isOver { break }
        }
        if self.checker.broken == nil, !self.isOver {
            self.checker.broke(.ends, "it did not end: \(self.phases)")
        }
        self.statistics.seeds = 1
        self.statistics.steps = self.executor.steps
        self.statistics.virtualMilliseconds = Int(self.now / 1_000)
        return Report(
            seed: self.seed, broken: self.checker.broken, hash: self.trace.hash,
            lines: self.trace.lines, statistics: self.statistics)
    }

    private var isEnding = false
    private var isOver: Bool { self.isEnding && self.rootTasks == 0 }

    private var phases: String {
        self.servers.map { "server \($0.number) is \($0.phase)" }.joined(separator: ", ")
    }

    private func begin() {
        if let problem = self.plan.limits.problem { self.checker.broke(.ends, problem) }
        _ = self.durable.take(as: OwnerID(rawValue: 0))
        do throws(Failure) {
            for number in 1..<max(1, self.plan.exchanges) {
                _ = try self.durable.createExchange(
                    try Name("other-\(number)"), owner: OwnerID(rawValue: 0))
            }
        } catch {
            self.checker.broke(.ends, error.description)
        }
        self.startServer()
        for number in 0..<self.plan.publishers {
            let publisher = Publisher(self, number: number)
            self.publishers.append(publisher)
            self.add(publisher)
        }
        for number in 0..<self.plan.consumers { self.add(Consumer(self, number: 100 + number)) }
        for number in 0..<self.plan.writers { OutboxWriter(self, number: 400 + number).begin() }
        if self.plan.hasAdministrator { self.add(Administrator(self, number: 200)) }
        for number in 0..<self.plan.tenants {
            let tenant = Consumer(self, number: 400 + number)
            tenant.user = Registrar.firstUser + UInt32(number)
            self.add(tenant)
        }
        if self.plan.tenants > 0 { self.add(Registrar(self, number: 500)) }
        if self.plan.hasStranger { self.add(Stranger(self, number: 300)) }
        self.tick()
        self.after(self.plan.activeMilliseconds * 1_000) { self.heal() }
    }

    private func add(_ client: SimulatedClient) {
        self.clients.append(client)
        client.start()
    }

    private func startServer() {
        self.lastServer += 1
        let server = SimulatedServer(self, number: self.lastServer)
        self.servers.append(server)
        self.note(.server, self.lastServer, 0, "server \(self.lastServer) starts")
        self.statistics.starts += 1
        server.start()
    }

    // MARK: Trouble

    private func tick() {
        guard !self.isQuiet else { return }
        self.checker.checkMemory(self.servers, self.plan.limits)
        self.keepServing()
        let newest = self.servers.last
        if self.dice.chance(self.plan.kills) { self.dice.pick(self.servers)?.kill() }
        if self.dice.chance(self.plan.drains) { newest?.drain() }
        if self.dice.chance(self.plan.seconds), newest?.phase == .serving {
            self.statistics.seconds += 1
            self.checker.hasSecondServers = true
            self.startServer()
        }
        if self.dice.chance(self.plan.outages) {
            self.statistics.outages += 1
            let length = self.dice.within(1...self.plan.limits.publishWaitMilliseconds * 2)
            self.storeAwayUntil = self.now + UInt64(length) * 1_000
            self.note(.world, length, 1, "the store is away for \(length) ms")
        }
        if self.dice.chance(self.plan.deletions) { self.deleteOldest() }
        if self.dice.chance(self.plan.clockJumps) {
            self.wallOffset = UInt64(self.dice.within(900_000_000...1_100_000_000))
            self.note(.world, Int(self.wallOffset), 2, "the wall clock is set")
        }
        self.after(self.dice.within(1_000...20_000)) { self.tick() }
    }

    private func deleteOldest() {
        let exchange = ExchangeID(rawValue: Int64(self.dice.within(1...self.plan.exchanges)))
        let count = self.durable.deleteOldest(exchange, chunks: self.dice.within(1...4))
        self.statistics.deletedChunks += count
        self.note(.world, count, 3, "\(count) chunks are deleted")
    }

    /// A server that is gone is started anew; one that another one has replaced ends some day.
    private func keepServing() {
        for server in self.servers.dropLast()
        where server.phase == .serving && (self.isQuiet || self.dice.chance(50)) {
            if self.dice.chance(500) { server.kill() } else { server.drain() }
        }
        let isNeeded = self.servers.allSatisfy { $0.phase == .dead || $0.phase == .ended }
        if isNeeded { self.startServer() }
        let newest = self.servers.last
        self.servers.removeAll { $0.hasReturned && $0 !== newest }
    }

    // MARK: Healing

    private func heal() {
        self.isQuiet = true
        self.note(.world, 0, 4, "everything is healed")
        for client in self.clients { client.calmDown() }
        self.waitForServer(until: self.now + Self.quietMicroseconds)
    }

    private func waitForServer(until deadline: UInt64) {
        guard self.now < deadline else {
            return self.checker.broke(.ends, "no server, or one that does not end: \(self.phases)")
        }
        self.keepServing()
        guard let server = self.servers.last, server.phase == .serving, self.servers.count == 1
        else { return self.after(20_000) { self.waitForServer(until: deadline) } }
        // Whoever is subscribed when all is quiet must get everything.
        for exchange in self.durable.exchanges {
            // The server may know of one whose row is gone, or the other way round.
            let known = server.configs(in: exchange.id)
            for name in Set(exchange.subscribers.keys).union(known.keys).sorted() {
                let stored = exchange.subscribers[name].flatMap {
                    exchange.receivers[$0.receiver]
                }
                guard let config = known[name] ?? stored else { continue }
                let consumer = Consumer(
                    self, number: 1_000 + self.finalConsumers.count,
                    finalFor: name, in: exchange.id, config)
                self.finalConsumers.append(consumer)
                self.add(consumer)
            }
        }
        self.waitForQuiet(until: self.now + Self.quietMicroseconds)
    }

    private func waitForQuiet(until deadline: UInt64) {
        self.checker.checkMemory(self.servers, self.plan.limits)
        self.keepServing()
        let waiting =
            self.clients.compactMap(\.waitsFor)
            + self.durable.waiting.map { "rows of the outbox of \($0.rawValue)" }
        if waiting.isEmpty, self.servers.last?.phase == .serving {
            self.checker.checkEnd(self.durable, self.finalConsumers)
            if let server = self.servers.last { self.checker.checkRows(self.durable, server) }
            self.isEnding = true
            self.servers.last?.drain()
        } else if self.now > deadline {
            self.checker.broke(.complete, "after quiet: \(waiting.joined(separator: "; "))")
        } else {
            self.after(20_000) { self.waitForQuiet(until: deadline) }
        }
    }
}

struct Report {
    let seed: UInt64
    let broken: Broken?
    let hash: UInt64
    let lines: [String]
    let statistics: Statistics
}
