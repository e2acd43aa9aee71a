internal import Channels
internal import Core
internal import Wire

/// One connection: its machine, its decoder and the subscriptions whose consumers it holds.
final class Session {
    let peer: any Peer
    let openedAt: Instant
    /// The same, for people.
    let since: Timestamp
    var machine: SessionMachine
    var preface: PrefaceDecoder? = PrefaceDecoder()
    /// Must not be touched while it lends a frame.
    var decoder = FrameDecoder()
    /// The decoder takes frames of the size that was agreed on in the hello.
    var hasFullFrames = false
    var lastHeard: Instant
    /// Reading is paused because answers are behind.
    var isPaused = false
    /// By the stream of their consumer.
    var subscriptions: [StreamID: Subscriber] = [:]
    /// The same, in an order that is not chance.
    var awake = Roster<Subscriber>(\.placeInSession)
    /// Subscriptions whose rows are being looked up or written.
    var streamsOpening = 0
    /// Fetches of it that wait for something new, by stream.
    var fetchers: [StreamID: UInt64] = [:]
    /// Requests whose work goes on outside of this turn, cancelled ones included.
    var operations = 0
    /// Those of them that were not started yet, oldest first.
    var toStart = Ring<Engine.Operation>()
    /// How many were, and are not over.
    var started = 0
    /// The large answer that waits for room; one at a time does.
    var roomWaiter: CheckedContinuation<Void, Never>?
    /// Handed to the peer so far, taken by its socket or not.
    private(set) var sentBytes: UInt64 = 0
    var receivedBytes: UInt64 = 0
    /// Events that were stored for it, or sent to it.
    var published: UInt64 = 0
    var delivered: UInt64 = 0
    /// Memory of the frame before: most are small, and allocating each costs as much as writing it.
    private var spare: [UInt8] = []
    /// Larger ones are given back: connections are many, and most are idle.
    private static let spareBytesMax = 256
    var client = ""
    var library = ""
    /// Asked for in its hello: chunks that are sent whole may go compressed.
    var takesCompressed = false
    /// nil before the hello.
    var identity: SessionIdentity?
    var permissions = Permissions.everything
    /// What it may publish as it last did; only for principals.
    var publishGate: PublishGate?
    /// It did not show who it is, and is told so after a pause.
    var refusal: (stream: StreamID, failure: Failure)?

    init(peer: any Peer, limits: Limits, now: Instant, wallTime: Timestamp) {
        self.peer = peer
        self.openedAt = now
        self.since = wallTime
        self.lastHeard = now
        self.machine = SessionMachine(limits: limits)
    }

    var id: ConnectionID { self.peer.id }
    var principal: String { self.identity?.name ?? "" }

    // MARK: Sending

    func send(_ reply: Reply, on stream: StreamID) {
        self.put { FrameEncoder.append(reply, stream: stream, to: &$0) }
    }

    func send(_ failure: Failure, as type: FrameType, on stream: StreamID) {
        self.put { FrameEncoder.append(failure, as: type, stream: stream, to: &$0) }
    }

    func send(_ type: FrameType, payload: [UInt8] = []) {
        self.put { FrameEncoder.append(type, to: &$0) { $0 += payload } }
    }

    func send(
        _ delivery: DeliveryHeader, _ portion: Portion?, of block: ByteBlock?, on stream: StreamID
    ) {
        self.put {
            FrameEncoder.append(
                delivery, eventsBytes: portion?.bytes ?? 0, stream: stream, to: &$0)
        }
        guard let portion, let block else { return }
        for range in portion.ranges { self.peer.send(block, range) }
        self.sentBytes &+= UInt64(portion.bytes)
    }

    /// The events of `delivery`, which are a whole block, compressed.
    func send(
        _ delivery: DeliveryHeader, of block: ByteBlock, compressed: ByteBlock,
        on stream: StreamID
    ) {
        var delivery = delivery
        delivery.compressed = .init(bytes: compressed.count, eventsBytes: block.count)
        self.put {
            FrameEncoder.append(
                delivery, eventsBytes: compressed.count, stream: stream, to: &$0)
        }
        self.peer.send(compressed, 0..<compressed.count)
        self.sentBytes &+= UInt64(compressed.count)
    }

    private func put(_ write: (inout [UInt8]) -> Void) {
        var bytes: [UInt8] = []
        swap(&bytes, &self.spare)
        bytes.removeAll(keepingCapacity: true)
        write(&bytes)
        self.peer.send(bytes)
        self.sentBytes &+= UInt64(bytes.count)
        if bytes.capacity <= Self.spareBytesMax { swap(&bytes, &self.spare) }
    }

    // MARK: Answering

    /// Answers a request; silently when it was answered before, or wanted no reply.
    func answer(_ stream: StreamID, _ reply: Reply) {
        guard let request = self.machine.answered(stream), !request.isQuiet else { return }
        self.send(reply, on: stream)
    }

    /// Answers a fetch: event records go as they lie in chunks.
    func answer(_ stream: StreamID, _ delivery: DeliveryHeader, records: [UInt8]) {
        guard let request = self.machine.answered(stream), !request.isQuiet else { return }
        self.put {
            FrameEncoder.append(
                delivery, eventsBytes: records.count, as: .response, stream: stream, to: &$0)
            $0 += records
        }
    }

    /// Answers a request with a failure: streams by END, others by RESPONSE.
    func fail(_ stream: StreamID, _ failure: Failure) {
        guard let request = self.machine.answered(stream) else { return }
        let isStream = request.method == Method.subscribe.rawValue
        self.send(failure, as: isStream ? .end : .response, on: stream)
    }

    func isOpen(_ stream: StreamID) -> Bool {
        self.machine.isOpen(stream)
    }
}
