import Channels
import Core
import Wire

@testable import Engine

// The whole engine on the simulation's store and executor, with a few connections whose bytes, order and ends are the input.
// Traps and sanitizers end the run, and so does: a frame that cannot be read, an answer that nobody asked for, and whatever
// is not given back when everybody has gone.

/// The first byte draws limits and the store's faults, the second says whether there are any.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 2 else { return 0 }
    let run = EngineRun(seed: bytes[0], hasFaults: bytes[1] % 2 == 1)
    run.play(UnsafeBufferPointer(start: bytes + 2, count: count - 2))
    run.end()
    return 0
}

/// Used on one thread, as everything in a simulation.
private final class EngineRun: @unchecked Sendable {
    private static let connections = 4
    /// What goes on for longer goes in circles.
    private static let stepsMax = 200_000

    let simulation: Simulation
    let server: SimulatedServer
    private var peers: [FuzzPeer?] = Array(repeating: nil, count: EngineRun.connections)
    private var lastConnection: UInt64 = 0
    private var input: ArraySlice<UInt8> = []

    init(seed: UInt8, hasFaults: Bool) {
        var plan = Plan(Dice(seed: UInt64(seed)))
        if !hasFaults { plan.faults = .none }
        plan.limits.connectionsPerPrincipalMax = 2
        plan.limits.newcomersPerOriginMax = 2
        self.simulation = Simulation(seed: UInt64(seed), plan: plan, isText: false)
        _ = self.simulation.durable.take(as: OwnerID(rawValue: 0))
        self.server = SimulatedServer(self.simulation, number: 1)
        self.server.start()
        self.step { self.server.phase == .serving || self.server.hasReturned }
    }

    // MARK: Steps

    private func step(until isDone: () -> Bool) {
        for _ in 0..<Self.stepsMax {
            if isDone() { return }
            _ = self.simulation.executor.step()
        }
        preconditionFailure("it goes on and on")
    }

    /// On the engine's executor.
    private func perform(_ body: @escaping () -> Void) {
        var isDone = false
        self.simulation.executor.at(self.simulation.now) {
            body()
            isDone = true
        }
        self.step { isDone }
    }

    // MARK: The input

    func play(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard self.server.phase == .serving else { return }
        self.input = Array(bytes)[...]
        while let operation = self.input.popFirst() {
            self.play(operation % 16, on: Int(operation >> 4) % Self.connections)
            for _ in 0..<4 { _ = self.simulation.executor.step() }
        }
    }

    private func number() -> Int { Int(self.input.popFirst() ?? 0) }

    private func text() -> [UInt8] {
        let count = self.number()
        defer { self.input = self.input.dropFirst(count) }
        return Array(self.input.prefix(count))
    }

    private func play(_ operation: UInt8, on index: Int) {
        switch operation {
        case 0: self.open(index)
        case 1:
            self.open(index)
            self.send(Preface.bytes, index)
            self.send(.hello, stream: 1, [], index)
        case 2, 3, 4, 5, 6:
            let method = Method.allCases[self.number() % Method.allCases.count]
            let stream = self.number()
            self.send(
                method, stream: UInt32(stream % 16), isQuiet: stream >= 128, self.text(), index)
        case 7:
            self.peers[index]?.isAskingAnything = true
            self.send(self.text(), index)
        case 8:
            let stream = StreamID(rawValue: UInt32(self.number() % 16))
            var bytes: [UInt8] = []
            FrameEncoder.append(.cancel, stream: stream, to: &bytes)
            self.send(bytes, index)
        case 9: self.close(index)
        case 10: self.perform { self.peers[index]?.isTaking.toggle() }
        case 11: for _ in 0..<self.number() { _ = self.simulation.executor.step() }
        case 12:
            let time = self.simulation.now + UInt64(self.number()) * 10_000
            self.step { self.simulation.now >= time }
        case 13: self.peers[index]?.cut = max(1, self.number())
        case 14:
            _ = self.simulation.durable.deleteOldest(ExchangeID(rawValue: 1), chunks: 1)
        case _:
            var bytes: [UInt8] = []
            FrameEncoder.append(.ping, to: &bytes) { $0 += [1, 2, 3] }
            self.send(bytes, index)
        }
    }

    private func open(_ index: Int) {
        guard self.peers[index]?.isGone ?? true else { return }
        self.lastConnection += 1
        // The first is the administrator's; of the others, two are the same user's.
        let user = index == 0 ? 0 : Registrar.firstUser + UInt32(index / 2)
        let peer = FuzzPeer(self, ConnectionID(rawValue: self.lastConnection), user: user)
        self.peers[index] = peer
        self.perform { peer.connect() }
    }

    private func send(
        _ method: Method, stream: UInt32, isQuiet: Bool = false, _ payload: [UInt8], _ index: Int
    ) {
        var bytes: [UInt8] = []
        FrameEncoder.append(
            .request, flags: isQuiet ? FrameHeader.noReplyFlag : 0, code: method.rawValue,
            stream: StreamID(rawValue: stream), to: &bytes
        ) { $0 += payload }
        self.peers[index]?.asked[stream, default: 0] += 1
        self.send(bytes, index)
    }

    private func send(_ bytes: [UInt8], _ index: Int) {
        guard let peer = self.peers[index] else { return }
        self.perform { peer.write(bytes) }
    }

    private func close(_ index: Int) {
        guard let peer = self.peers[index] else { return }
        self.perform { peer.end() }
    }

    // MARK: The end

    /// Everybody goes; then nothing is left of them, and the server ends when it is told to.
    func end() {
        for index in self.peers.indices { self.close(index) }
        if self.server.phase == .serving {
            var rounds = 0
            while !self.isEmpty {
                rounds += 1
                precondition(rounds < 2_000, "something is left of connections that are gone")
                for _ in 0..<100 { _ = self.simulation.executor.step() }
            }
            self.perform { self.server.drain() }
        }
        self.step { self.server.hasReturned }
        // What waits in the executor knows the engine, which knows the executor.
        self.step { !self.simulation.executor.step() }
    }

    private var isEmpty: Bool {
        var isEmpty = false
        self.perform { self.server.withEngine { isEmpty = $0.holdsNothing } }
        return isEmpty
    }
}

extension Engine {
    /// What connections hold is given back.
    fileprivate var holdsNothing: Bool {
        self.sessions.isEmpty && self.newcomers.count == 0 && self.connectionsOfPrincipal.isEmpty
            && self.waitingFetches.isEmpty && self.pageWaiters.isEmpty && self.wantedPages.isEmpty
            && self.pagePrincipals.isEmpty && self.replayShares.waitingCount == 0
            && self.pressed.isEmpty && self.due.count == 0 && self.exchangesInMaking == 0
            && self.exchanges.values.allSatisfy { exchange in
                exchange.awakeReceivers.isEmpty && exchange.fetchers.isEmpty
                    && exchange.log.pendingBytes == 0 && exchange.subscribersInMaking == 0
                    && exchange.receivers.values.allSatisfy { $0.reservations == 0 }
            }
    }
}

/// A connection whose other end is the input.
private final class FuzzPeer: Peer, @unchecked Sendable {
    private unowned let run: EngineRun
    let id: ConnectionID
    private let user: UInt32
    /// Requests by stream, answered ones included.
    var asked: [UInt32: Int] = [:]
    /// Bytes that nobody here has counted were sent.
    var isAskingAnything = false
    /// What comes is handed on in pieces of so many bytes.
    var cut = 1 << 20
    /// Whether its socket takes what it is sent.
    var isTaking = true { didSet { self.take() } }
    private(set) var isGone = false

    private var decoder = FrameDecoder(payloadBytesMax: Limits.frameBytesMaxMax)
    private var way: [UInt8] = []
    private var isPaused = false
    private var isAccepted = false
    private var isFlushing = false
    private(set) var queuedBytes = 0
    private(set) var takenBytes: UInt64 = 0
    private var progress: UInt64 = 0

    init(_ run: EngineRun, _ id: ConnectionID, user: UInt32) {
        self.run = run
        self.id = id
        self.user = user
    }

    var address: String { "fuzzed:\(self.id.rawValue)" }
    var identity: PeerIdentity {
        PeerIdentity(
            evidence: .unixUser(uid: self.user, gid: self.user), isLocal: true, network: nil)
    }
    var lastWriteProgress: Instant { Instant(rawValue: self.progress) }

    // MARK: From the input

    func connect() {
        self.run.server.withEngine { self.isAccepted = $0.accepted(self) }
        self.isGone = !self.isAccepted
    }

    func write(_ bytes: [UInt8]) {
        self.way += bytes
        self.hand()
    }

    /// Not from inside a call of the engine's.
    private func hand() {
        while !self.isPaused, !self.isGone, !self.way.isEmpty {
            let bytes = Array(self.way.prefix(self.cut))
            self.way.removeFirst(bytes.count)
            self.run.server.withEngine { engine in
                bytes.withUnsafeBytes { engine.received($0, from: self.id) }
            }
        }
    }

    /// The other end hangs up.
    func end() {
        guard !self.isGone else { return }
        self.isGone = true
        self.queuedBytes = 0
        self.run.server.withEngine { $0.closed(self.id, reason: "it hung up") }
    }

    // MARK: Peer

    func send(_ bytes: [UInt8]) {
        guard !self.isGone, !self.isFlushing else { return }
        self.read(bytes)
        if self.queuedBytes == 0 { self.progress = self.run.simulation.now }
        self.queuedBytes += bytes.count
        self.takeSoon()
    }

    func send(_ block: ByteBlock, _ range: Range<Int>) {
        self.send(block.withUnsafeBytes { Array($0[range]) })
    }

    func pauseReading() { self.isPaused = true }

    func resumeReading() {
        self.isPaused = false
        self.run.simulation.after(10) { self.hand() }
    }

    func close() { self.run.simulation.after(10) { self.end() } }

    func closeAfterFlush() {
        self.isFlushing = true
        self.takeSoon()
    }

    // MARK: Its socket

    private func takeSoon() { self.run.simulation.after(20) { self.take() } }

    private func take() {
        guard self.isTaking, !self.isGone else { return }
        let hadBytes = self.queuedBytes > 0
        self.takenBytes += UInt64(self.queuedBytes)
        self.queuedBytes = 0
        self.progress = self.run.simulation.now
        if self.isFlushing { return self.end() }
        if hadBytes { self.run.server.withEngine { $0.drained(self.id) } }
    }

    /// Each answer is one that was asked for, and can be read.
    private func read(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { self.decoder.push($0) }
        do throws(Failure) {
            while try self.decoder.next({ header, _ in self.look(header) }) {}
        } catch {
            preconditionFailure("the server sent what cannot be read: \(error)")
        }
    }

    private func look(_ header: FrameHeader) {
        switch header.type {
        case .response, .end:
            guard !self.isAskingAnything else { return }
            let stream = header.stream.rawValue
            self.asked[stream, default: 0] -= 1
            precondition(self.asked[stream, default: 0] >= 0, "it was answered twice")
        case .data, .goAway, .ping, .pong: break
        case .request, .cancel: preconditionFailure("the server sent a \(header.type)")
        }
    }
}
