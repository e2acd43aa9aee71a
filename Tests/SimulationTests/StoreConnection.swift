import Core

// A server's way to the durable state, with everything that may go wrong on it. A call is in three
// parts: it takes effect at one instant, its answer comes at a later one, and each of the two may
// fail to happen.
//
// Appends to one exchange take effect in the order of the calls, except those that got lost on the
// way and come late; all state calls share one line, as they share one connection. Reads overtake.
// When the server dies, what is under way is cut off or goes on, as chance will have it; answers no
// longer matter.

/// How likely something goes wrong, in cases of 1,000.
struct StoreFaults {
    var failed = 0
    var lostReply = 0
    var late = 0
    var stateFailed = 0
    var stateLostReply = 0
    var readFailed = 0
    /// Most microseconds that a call takes.
    var latencyMax = 3_000
    /// Calls that take a hundred times as long.
    var slow = 0

    static let none = StoreFaults()
}

/// `@unchecked Sendable`: used on the simulation's thread only.
final class StoreConnection: EventLog, StateStore, @unchecked Sendable {
    private enum Line: Hashable {
        case log(ExchangeID)
        case state
    }

    private enum Fate {
        case done
        case failed
        case lostReply
        case late
    }

    unowned let simulation: Simulation
    private let server: Int
    private var lines: [Line: UInt64] = [:]
    private var isDead = false
    private var isCut = false
    private var owner: OwnerID?
    /// Where pages under way begin.
    private var pagesUnderWay: [ExchangeID: [Position]] = [:]
    /// Where the page after one that was read ends, as the log said, and where it begins.
    private var nextPages: [ExchangeID: [Position: Position]] = [:]
    private var lastAppends: [ExchangeID: (epoch: OwnerEpoch, last: Position)] = [:]

    init(_ simulation: Simulation, server: Int) {
        self.simulation = simulation
        self.server = server
    }

    /// The server is gone. With `isCut`, so is what it had under way.
    func die(isCut: Bool) {
        self.isDead = true
        self.isCut = isCut
        self.leave()
    }

    /// Its server shows no life any more.
    func leave() {
        if let owner = self.owner { self.simulation.livingOwners.remove(owner) }
    }

    // MARK: Fates

    private static let away = Failure(.unavailable, "the store is away")

    private var faults: StoreFaults { self.simulation.faults }

    private var latency: UInt64 {
        let base = 50 + self.simulation.dice.below(self.faults.latencyMax)
        return UInt64(self.simulation.dice.chance(self.faults.slow) ? base * 100 : base)
    }

    /// When the next call of this line takes effect.
    private func turn(_ line: Line) -> UInt64 {
        let time = max(self.simulation.now + self.latency, self.lines[line] ?? 0)
        self.lines[line] = time
        return time
    }

    private func draw(_ shares: [(Int, Fate)]) -> Fate {
        if self.isDead || self.simulation.isStoreAway {
            return self.simulation.dice.chance(100) ? .lostReply : .failed
        }
        var drawn = self.simulation.dice.below(1_000)
        for (share, fate) in shares {
            if drawn < share { return fate }
            drawn -= share
        }
        return .done
    }

    private func wait(until time: UInt64) async {
        await withCheckedContinuation { continuation in
            self.simulation.executor.at(time) { continuation.resume() }
        }
    }

    private final class Box<Value> {
        var value: Value?
    }

    private func call<Value>(
        _ time: UInt64, _ fate: Fate, _ body: @escaping () -> Value
    ) async -> Value? {
        let box = Box<Value>()
        if fate != .failed, !self.isDead {
            let lateness = fate == .late ? UInt64(self.simulation.dice.below(400_000)) : 0
            self.simulation.executor.at(time + lateness) {
                if !self.isCut { box.value = body() }
            }
        }
        await self.wait(until: time + self.latency)
        return fate == .done && !self.isDead ? box.value : nil
    }

    // MARK: EventLog

    func append(_ append: Append) async -> AppendOutcome {
        self.checkOrder(append)
        let faults = self.faults
        let fate = self.draw([
            (faults.failed, .failed), (faults.lostReply, .lostReply), (faults.late, .late),
        ])
        if fate != .done { self.simulation.statistics.unknownAppends += 1 }
        let outcome = await self.call(self.turn(.log(append.exchange)), fate) {
            self.simulation.committing(append, by: self.server)
        }
        return outcome ?? .unknown(Self.away)
    }

    /// The engine says that appends take effect in the order of its calls, so it must call in order.
    private func checkOrder(_ append: Append) {
        let id = append.exchange
        self.simulation.remark(
            .store,
            "server \(self.server) is asked to append (\(append.after), \(append.last)] to "
                + "\(id.rawValue) with epoch \(append.epoch.rawValue)")
        if let before = self.lastAppends[id], before.epoch == append.epoch,
            before.last != append.after, !self.isDead
        {
            self.simulation.checker.broke(
                .appendOrder,
                "server \(self.server) appends after \(append.after), its append before ended at "
                    + "\(before.last)")
        }
        self.lastAppends[id] = (append.epoch, append.last)
    }

    func retakeOwnership(of exchange: ExchangeID, as owner: OwnerID) async throws(Failure)
        -> Ownership?
    {
        let fate = self.draw([
            (self.faults.stateFailed, .failed), (self.faults.stateLostReply, .lostReply),
        ])
        self.simulation.statistics.recoveries += 1
        return try await self.result(self.turn(.log(exchange)), fate) { () throws(Failure) in
            try self.simulation.durable.retake(exchange, as: owner)
        }
    }

    private func result<Value>(
        _ time: UInt64, _ fate: Fate, _ body: @escaping () throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let outcome = await self.call(time, fate) { () -> Result<Value, Failure> in
            do throws(Failure) {
                return .success(try body())
            } catch {
                return .failure(error)
            }
        }
        guard let outcome else { throw Self.away }
        return try outcome.get()
    }

    func reading<Value>(
        _ body: @escaping () throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let fate = self.draw([(self.faults.readFailed, .failed)])
        return try await self.result(self.simulation.now + self.latency, fate, body)
    }

    func changing<Value>(
        _ what: String, late: Int = 0, _ body: @escaping () throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let faults = self.faults
        let fate = self.draw([
            (faults.stateFailed, .failed), (faults.stateLostReply, .lostReply), (late, .late),
        ])
        self.simulation.remark(.store, "server \(self.server): \(what), \(fate)")
        return try await self.result(self.turn(.state), fate, body)
    }

    /// A server that has lost the exchange must not change its subscribers: they are the next one's.
    func changing<Value>(
        _ what: String, in exchange: ExchangeID, _ body: @escaping () throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        try await self.changing(what) { () throws(Failure) in
            guard self.simulation.durable.exchange(exchange)?.owner == self.owner else {
                throw Failure.exchangeLost
            }
            return try body()
        }
    }

    func read(_ exchange: ExchangeID, after: Position, bytesMax: Int) async throws(Failure)
        -> LogPage
    {
        if let before = self.nextPages[exchange]?[after],
            self.pagesUnderWay[exchange]?.contains(before) == true
        {
            self.simulation.statistics.pagesReadAhead += 1
        }
        self.pagesUnderWay[exchange, default: []].append(after)
        defer {
            if let index = self.pagesUnderWay[exchange]?.firstIndex(of: after) {
                self.pagesUnderWay[exchange]?.remove(at: index)
            }
        }
        let page = try await self.reading { () throws(Failure) in
            self.simulation.statistics.pagesRead += 1
            return try self.simulation.durable.read(exchange, after: after, bytesMax: bytesMax)
        }
        if let end = page.chunks.last?.last, let nextEnd = page.nextEnd {
            self.nextPages[exchange, default: [:]][nextEnd] = end
        }
        return page
    }

    func keys(_ exchange: ExchangeID, after: Position, limit: Int) async throws(Failure)
        -> [ChunkKeys]
    {
        try await self.reading { () throws(Failure) in
            self.simulation.statistics.keysRead += 1
            return try self.simulation.durable.keys(exchange, after: after, limit: limit)
        }
    }

    func position(before time: Timestamp, in exchange: ExchangeID) async throws(Failure)
        -> Position?
    {
        try await self.reading { () throws(Failure) in
            try self.simulation.durable.position(before: time, in: exchange)
        }
    }

    func mergeSmallChunks(_ exchange: ExchangeID, upto: Position, chunkBytesMax: Int)
        async throws(Failure) -> Int
    {
        try await self.reading { () throws(Failure) in
            let fewer = try self.simulation.durable.merge(
                exchange, upto: upto, bytesMax: chunkBytesMax)
            if fewer > 0 { self.simulation.statistics.merges += 1 }
            return fewer
        }
    }

    // MARK: StateStore

    func takeExchanges(as owner: OwnerID) async throws(Failure) -> [ExchangeRecord] {
        self.leave()
        self.owner = owner
        self.simulation.livingOwners.insert(owner)
        // A server that hears nothing of this ends, and may be followed by another one before the
        // exchanges are taken for it.
        return try await self.changing("takes the exchanges", late: self.faults.late) {
            self.simulation.durable.take(as: owner)
        }
    }

    func exchangesTaken(from owner: OwnerID) async throws(Failure) -> [TakenExchange] {
        try await self.reading {
            self.simulation.durable.exchanges.filter { $0.owner != owner }.map {
                TakenExchange(
                    id: $0.id, isOwnerAlive: self.simulation.livingOwners.contains($0.owner))
            }
        }
    }

    func producers(of exchange: ExchangeID, after name: Name?, limit: Int) async throws(Failure)
        -> [ProducerMark]
    {
        try await self.reading { () throws(Failure) in
            try self.simulation.durable.producers(exchange, after: name, limit: limit)
        }
    }

    func receivers(of exchange: ExchangeID, after id: ReceiverID?, limit: Int) async throws(Failure)
        -> [ReceiverRecord]
    {
        try await self.reading { () throws(Failure) in
            try self.simulation.durable.receivers(exchange, after: id, limit: limit)
        }
    }

    func subscribers(of exchange: ExchangeID, after name: Name?, limit: Int) async throws(Failure)
        -> [SubscriberRecord]
    {
        try await self.reading { () throws(Failure) in
            try self.simulation.durable.subscribers(exchange, after: name, limit: limit)
        }
    }

    func incarnation() async throws(Failure) -> Incarnation {
        try await self.reading { self.simulation.durable.incarnation }
    }

    func principals() async throws(Failure) -> [Principal] {
        try await self.reading { self.simulation.durable.sortedPrincipals }
    }

    func storePrincipal(_ change: PrincipalChange) async throws(Failure) {
        try await self.changing("changes the principal \(change.principal.name)") {
            self.simulation.durable.store(change)
        }
    }

    func endIncarnation(_ old: Incarnation) async throws(Failure) -> Incarnation {
        try await self.changing("ends the incarnation") { () throws(Failure) in
            self.simulation.durable.endIncarnation(old)
        }
    }

    func createExchange(_ name: Name, owner: OwnerID) async throws(Failure) -> ExchangeRecord {
        try await self.changing("creates \(name)") { () throws(Failure) in
            try self.simulation.durable.createExchange(name, owner: owner)
        }
    }

    func registerReceiver(_ config: ReceiverConfig, in exchange: ExchangeID) async throws(Failure)
        -> ReceiverID
    {
        try await self.changing("registers \(config.patterns)", in: exchange) {
            () throws(Failure) in
            try self.simulation.durable.register(config, in: exchange)
        }
    }

    func removeReceiver(_ id: ReceiverID, of exchange: ExchangeID) async throws(Failure) {
        try await self.changing("removes receiver \(id.rawValue)", in: exchange) {
            () throws(Failure) in
            try self.simulation.durable.removeReceiver(id, of: exchange)
        }
    }

    func storeSubscriber(_ record: SubscriberRecord) async throws(Failure) {
        try await self.changing("stores \(record.name) at \(record.position)", in: record.exchange)
        {
            () throws(Failure) in
            let old = self.simulation.durable.exchange(record.exchange)?.subscribers[record.name]
            try self.simulation.durable.store(record)
            self.simulation.checker.stored(record, replacing: old, isDead: self.isDead)
        }
    }

    func removeSubscriber(_ name: Name, of exchange: ExchangeID, upto epoch: SessionEpoch)
        async throws(Failure)
    {
        try await self.changing("removes \(name)", in: exchange) { () throws(Failure) in
            try self.simulation.durable.removeSubscriber(name, of: exchange, upto: epoch)
        }
    }

    func savePositions(_ positions: [PositionSave], of exchange: ExchangeID, owner: OwnerEpoch)
        async throws(Failure) -> Bool
    {
        try await self.changing("saves \(positions.map { "\($0.name)=\($0.position)" })") {
            () throws(Failure) -> Bool in
            guard
                let saved = try self.simulation.durable.save(positions, of: exchange, owner: owner)
            else { return false }
            for save in saved { self.simulation.checker.saved(save, in: exchange) }
            return true
        }
    }
}
