import Core
import Engine
import Wire

// A connection: two directions of bytes, each cut at random places.
//
//   engine ─send─▶ queue ─kernel takes─▶ kernel ─client reads─▶ client
//   client ─write─▶ way ─arrives─▶ engine (unless it does not read)
//
// Each end may learn of the connection's end at another time, or never.

/// `@unchecked Sendable`: used on the simulation's thread only.
final class SimulatedConnection: Peer, @unchecked Sendable {
    let id: ConnectionID
    let server: SimulatedServer
    private unowned let simulation: Simulation
    private weak var client: SimulatedClient?
    private let tap: Tap
    private let user: UInt32

    private var queue: [UInt8] = []
    private var kernel: [UInt8] = []
    private let kernelMax: Int
    private static let never: UInt64 = 1 << 60
    private let lowWater: Int
    private var wasAboveLowWater = false
    private var progress: UInt64
    private var isFlushing = false
    private var isClosingAfterFlush = false

    private var way: [UInt8] = []
    private var isArriving = false
    private var isReadingPaused = false

    private var isAccepted = false
    /// The engine has closed it, or been told that it is gone.
    private var isServerEnded = false
    private var isClientEnded = false
    /// The client does not read until then.
    private var stalledUntil: UInt64 = 0
    private var isClientReading = false

    init(
        _ simulation: Simulation, id: ConnectionID, server: SimulatedServer,
        client: SimulatedClient
    ) {
        self.simulation = simulation
        self.id = id
        self.server = server
        self.client = client
        self.user = client.user
        self.tap = Tap(
            simulation, connection: Int(id.rawValue), user: client.user, server: server.number)
        self.kernelMax = simulation.dice.within(64...8_000)
        self.lowWater = simulation.dice.below(simulation.plan.limits.outboundBytesMax)
        self.progress = simulation.now
        simulation.statistics.connections += 1
        simulation.after(self.delay) { self.accept() }
    }

    private var delay: Int { self.simulation.dice.within(10...2_000) }

    private func accept() {
        var isTaken = false
        self.server.withEngine { isTaken = $0.accepted(self) }
        self.isAccepted = isTaken
        if isTaken {
            self.arriveSoon()
        } else {
            self.isServerEnded = true
            self.endClient()
        }
    }

    // MARK: Peer

    var address: String { "simulated:\(self.id.rawValue)" }
    var identity: PeerIdentity {
        PeerIdentity(
            evidence: .unixUser(uid: self.user, gid: self.user), isLocal: true, network: nil)
    }
    var queuedBytes: Int { self.queue.count }
    private(set) var takenBytes: UInt64 = 0
    var lastWriteProgress: Instant { Instant(rawValue: self.progress) }

    func send(_ bytes: [UInt8]) {
        // The engine may not know yet that the connection is gone: for it, this was sent.
        self.tap.sent(bytes)
        guard !self.isServerEnded else { return }
        if self.queue.isEmpty { self.progress = self.simulation.now }
        self.queue += bytes
        self.simulation.checker.checkQueue(self.queue.count, self.simulation.plan.limits)
        self.takeBytes(most: self.kernelMax)
        if self.queue.count > self.lowWater { self.wasAboveLowWater = true }
        self.flushSoon()
    }

    func send(_ block: ByteBlock, _ range: Range<Int>) {
        self.send(block.withUnsafeBytes { Array($0[range]) })
    }

    func pauseReading() {
        self.isReadingPaused = true
    }

    func resumeReading() {
        self.isReadingPaused = false
        self.arriveSoon()
    }

    func close() {
        self.endServer("closed by the server")
    }

    func closeAfterFlush() {
        self.isClosingAfterFlush = true
        self.flushSoon()
    }

    // MARK: To the client

    private func takeBytes(most: Int) {
        let taken = min(self.kernelMax - self.kernel.count, self.queue.count, most)
        guard taken > 0 else { return }
        self.kernel += self.queue[..<taken]
        self.queue.removeFirst(taken)
        self.takenBytes += UInt64(taken)
        self.tap.taken(self.takenBytes)
        self.progress = self.simulation.now
        self.readSoon()
    }

    private func flushSoon() {
        guard !self.isFlushing, !self.isServerEnded else { return }
        guard !self.queue.isEmpty || self.isClosingAfterFlush else { return }
        self.isFlushing = true
        self.simulation.after(self.delay) { self.flush() }
    }

    private func flush() {
        self.isFlushing = false
        guard !self.isServerEnded else { return }
        self.takeBytes(most: self.simulation.dice.within(1...self.kernelMax))
        if self.wasAboveLowWater, self.queue.count <= self.lowWater {
            self.wasAboveLowWater = false
            self.server.withEngine { $0.drained(self.id) }
        }
        guard self.queue.isEmpty else {
            // A full kernel makes room when the client reads.
            if self.kernel.count < self.kernelMax { self.flushSoon() }
            return
        }
        if self.isClosingAfterFlush { self.endServer("closed by the server") }
    }

    private func readSoon() {
        guard !self.isClientReading, !self.isClientEnded else { return }
        self.isClientReading = true
        let start = max(self.stalledUntil, self.simulation.now)
        guard start < Self.never else { return }
        self.simulation.executor.at(start + UInt64(self.delay)) { self.clientReads() }
    }

    private func clientReads() {
        self.isClientReading = false
        guard !self.isClientEnded else { return }
        guard self.stalledUntil <= self.simulation.now else { return self.readSoon() }
        let count = min(self.kernel.count, self.simulation.dice.within(1...self.kernelMax))
        let bytes = Array(self.kernel[..<count])
        self.kernel.removeFirst(count)
        self.client?.received(bytes, from: self)
        if !self.kernel.isEmpty { self.readSoon() }
        self.flushSoon()
        if self.kernel.isEmpty, self.isServerEnded { self.endClient() }
    }

    // MARK: To the server

    /// The client writes.
    func write(_ bytes: [UInt8]) {
        guard !self.isClientEnded else { return }
        self.way += bytes
        self.arriveSoon()
    }

    private func arriveSoon() {
        guard !self.isArriving, self.isAccepted, !self.way.isEmpty else { return }
        self.isArriving = true
        self.simulation.after(self.delay) { self.arrive() }
    }

    private func arrive() {
        self.isArriving = false
        guard !self.isServerEnded, !self.isReadingPaused, !self.way.isEmpty else { return }
        let most = self.simulation.dice.chance(500) ? self.way.count : 40
        let count = self.simulation.dice.within(1...min(most, self.way.count))
        let bytes = Array(self.way[..<count])
        self.way.removeFirst(count)
        self.server.withEngine { engine in
            bytes.withUnsafeBytes { engine.received($0, from: self.id) }
        }
        self.arriveSoon()
    }

    /// What the client awaits on a stream, for the checks.
    func expect(_ asked: Asked, on stream: UInt32) {
        self.tap.expect(asked, on: stream)
    }

    func cancelled(_ stream: UInt32) {
        self.tap.cancelled(stream)
    }

    // MARK: Trouble and ends

    /// The client stops reading; nil: for ever.
    func stall(milliseconds: Int?) {
        self.stalledUntil =
            milliseconds.map { self.simulation.now + UInt64($0) * 1_000 } ?? Self.never
    }

    func endStall() {
        self.stalledUntil = 0
        self.isClientReading = false
        self.readSoon()
    }

    /// The network loses it: both ends learn of it, each at its time.
    func lose() {
        self.simulation.after(self.delay) { self.endServer("connection reset") }
        self.simulation.after(self.delay) { self.endClient() }
    }

    /// The client is gone without a word: the server is not told.
    func vanish() {
        self.stalledUntil = Self.never
        self.way = []
        self.endClient()
    }

    /// The client closes it, as one should.
    func closeFromClient() {
        self.endClient()
        self.simulation.after(self.delay) { self.endServer("closed by the client") }
    }

    /// The process at the other end is gone.
    func serverEnded() {
        self.isServerEnded = true
        self.queue = []
        self.simulation.after(self.delay) { self.endClient() }
    }

    private func endServer(_ reason: String) {
        guard !self.isServerEnded else { return }
        self.isServerEnded = true
        self.queue = []
        self.server.connections.removeAll { $0 === self }
        self.simulation.after(self.delay) {
            if self.isAccepted {
                self.server.withEngine { $0.closed(self.id, reason: reason) }
            }
        }
        // What the kernel holds may still be read, or not.
        if self.kernel.isEmpty || self.simulation.dice.chance(500) {
            self.simulation.after(self.delay) { self.endClient() }
        }
    }

    private func endClient() {
        guard !self.isClientEnded else { return }
        self.isClientEnded = true
        self.client?.lost(self)
        self.client = nil
    }
}
