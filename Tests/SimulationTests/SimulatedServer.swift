import Core
import Diagnostics

@testable import Engine

/// One run of the server: an engine, its clock, its way to the store and its connections.
///
/// `@unchecked Sendable`: used on the simulation's thread only.
final class SimulatedServer: Host, @unchecked Sendable {
    enum Phase: Hashable {
        case starting, serving, draining
        /// Killed: nothing that it does has an effect any more.
        case dead
        /// `run` has returned.
        case ended
    }

    private unowned let simulation: Simulation
    let number: Int
    let engine: Engine
    let store: StoreConnection
    private(set) var phase = Phase.starting
    private(set) var hasReturned = false
    private var drainedAt: UInt64 = 0
    private var timeOfDeath: UInt64 = 1 << 58
    private var alarms = 0
    var connections: [SimulatedConnection] = []

    init(_ simulation: Simulation, number: Int) {
        self.simulation = simulation
        self.number = number
        self.store = StoreConnection(simulation, server: number)
        let host = HostRelay()
        let executor = simulation.executor
        self.engine = Engine(
            executor: executor, host: host, log: self.store, store: self.store, outbox: self.store,
            limits: simulation.plan.limits, owner: OwnerID(rawValue: Int64(number)),
            version: "simulated",
            logger: Logger(threshold: simulation.trace.isText ? .debug : .error, format: .timed) {
                simulation.remark(.logger, "server \(number): \($0.dropLast())")
            })
        host.server = self
        if let planted = simulation.plan.planted {
            self.engine.assumeIsolated { $0.plantedBug = planted }
        }
    }

    func start() {
        self.simulation.rootTasks += 1
        // Unstructured, because nothing in a simulation is async above it; `rootTasks` sees it end.
        Task(executorPreference: self.simulation.executor) {
            var problem = "nothing"
            do throws(Failure) {
                try await self.engine.run { () async throws(Failure) in self.isReady() }
            } catch {
                problem = error.description
                if error.code == .aborted { self.simulation.statistics.abandoned += 1 }
            }
            self.returned(problem)
        }
    }

    private func isReady() {
        guard self.phase == .starting else { return }
        self.phase = .serving
        self.simulation.note(.server, self.number, 1, "server \(self.number) serves")
    }

    private func returned(_ problem: String) {
        self.simulation.rootTasks -= 1
        self.hasReturned = true
        self.store.leave()
        self.simulation.note(
            .server, self.number, 2, "server \(self.number) returned, problem: \(problem)")
        guard self.phase != .dead else { return }
        if self.phase == .draining, self.simulation.now > self.drainedAt + self.drainAllowance {
            self.simulation.checker.broke(
                .ends, "server \(self.number) did not end within its drain limit")
        }
        self.phase = .ended
        for connection in self.connections { connection.serverEnded() }
        self.connections = []
    }

    /// The limit, and last statements that may be slow.
    private var drainAllowance: UInt64 {
        UInt64(self.simulation.plan.limits.drainMillisecondsMax) * 1_000 + 15_000_000
    }

    /// SIGTERM.
    func drain() {
        guard self.phase == .serving || self.phase == .starting else { return }
        self.simulation.note(.server, self.number, 3, "server \(self.number) drains")
        self.simulation.statistics.drains += 1
        self.phase = .draining
        self.drainedAt = self.simulation.now
        self.engine.assumeIsolated { $0.drain() }
    }

    /// SIGKILL: from now on the engine talks to nobody. It is then made to end, which also shows
    /// that it can from any state.
    func kill() {
        guard self.phase != .dead, self.phase != .ended else { return }
        self.simulation.note(.server, self.number, 4, "server \(self.number) is killed")
        self.simulation.statistics.kills += 1
        self.store.die(isCut: self.simulation.dice.chance(500))
        self.phase = .dead
        for connection in self.connections { connection.serverEnded() }
        self.connections = []
        self.engine.assumeIsolated { $0.drain() }
        // All of its deadlines have passed, that of the drain included.
        self.timeOfDeath = 1 << 59
        self.engine.assumeIsolated { $0.alarm() }
    }

    /// Calls into the engine, unless it is gone.
    func withEngine(_ body: (isolated Engine) -> Void) {
        guard self.phase == .serving || self.phase == .draining else { return }
        self.engine.assumeIsolated(body)
    }

    /// Of the durable subscribers that it knows.
    func configs(in id: ExchangeID) -> [Name: ReceiverConfig] {
        var configs: [Name: ReceiverConfig] = [:]
        self.withEngine { engine in
            configs = engine.exchanges[id]?.subscribers.mapValues(\.receiver.config) ?? [:]
        }
        return configs
    }

    // MARK: Host

    var now: Instant {
        Instant(rawValue: self.phase == .dead ? self.timeOfDeath : self.simulation.now)
    }

    var wallTime: Timestamp { self.simulation.wallTime }

    var queuedBytes: Int { self.connections.reduce(0) { $0 + $1.queuedBytes } }

    func setAlarm(at time: Instant) {
        self.alarms += 1
        let alarm = self.alarms
        guard time.rawValue < 1 << 58 else { return }
        self.simulation.executor.at(time.rawValue) {
            guard self.alarms == alarm, !self.hasReturned else { return }
            self.engine.assumeIsolated { $0.alarm() }
        }
    }

    func random(below bound: Int) -> Int {
        self.simulation.dice.below(bound)
    }

    // MARK: Cryptography

    /// Nobody that is simulated guesses: it must only be the same for the same bytes.
    var userID: UInt32 { 0 }
    func isSame(_ left: [UInt8], _ right: [UInt8]) -> Bool { left == right }
    func sha256(_ bytes: [UInt8]) -> [UInt8] { bytes.reversed() + [UInt8(bytes.count & 255)] }

    func randomBytes(_ count: Int) throws(Failure) -> [UInt8] {
        (0..<count).map { _ in UInt8(self.simulation.dice.below(256)) }
    }
}

/// The engine is made with its host, and the server with its engine.
///
/// `@unchecked Sendable`: used on the simulation's thread only.
private final class HostRelay: Host, @unchecked Sendable {
    weak var server: SimulatedServer?

    var now: Instant { self.server?.now ?? Instant(rawValue: 0) }
    var wallTime: Timestamp { self.server?.wallTime ?? .zero }
    func setAlarm(at time: Instant) { self.server?.setAlarm(at: time) }
    var queuedBytes: Int { self.server?.queuedBytes ?? 0 }
    func random(below bound: Int) -> Int { self.server?.random(below: bound) ?? 0 }
    var userID: UInt32 { self.server?.userID ?? 0 }
    func isSame(_ left: [UInt8], _ right: [UInt8]) -> Bool { left == right }
    func sha256(_ bytes: [UInt8]) -> [UInt8] { self.server?.sha256(bytes) ?? [] }
    func randomBytes(_ count: Int) throws(Failure) -> [UInt8] {
        try self.server?.randomBytes(count) ?? []
    }
}
