import Core
import PlainClient
import Wire

// Sends events in batches that form by themselves: a batch goes out when it is full, or when there
// is no further input yet. A few are under way at once, and their replies come in order.

/// Publishes a sequence of events over one connection.
struct Publisher {
    /// What is known to be in the log.
    struct Outcome: Hashable {
        var published: UInt64 = 0
        var duplicates: UInt64 = 0
        /// 0: none.
        var firstPosition: UInt64 = 0
        var lastPosition: UInt64 = 0
        /// The last line of the input that is in the log, with all before it.
        var lastLine: UInt64 = 0
    }

    private struct Batch {
        var events = EncodedEvents()
        /// What decoding takes beyond 8 times the request's bytes; see `decodingCost`.
        var decodingBytes = 0
        var lastLine: UInt64 = 0
    }

    private struct Sent {
        let stream: StreamID
        let count: UInt64
        let lastLine: UInt64
    }

    /// As many as fit well into one of the server's chunks.
    private static let batchEventsMax = 1000
    private static let batchBytesMax = 256 << 10
    /// A server spends at most 64 KiB beyond 8 times a request's size on decoding it, so a request
    /// of very small events may not have 1,000 of them. Source: protocol.md, "Rules for both sides".
    private static let decodingBytesMax = 60 << 10
    /// Enough to hide the commit of the ones before; 2 MiB of events.
    private static let window = 8

    let client: Client
    private let exchange: [UInt8]
    private let producer: [UInt8]
    /// Of the next event to be sent, with a producer.
    private(set) var sequence: UInt64
    private let batchBytes: Int
    private var batch = Batch()
    private var sent: [Sent] = []
    private(set) var outcome = Outcome()
    /// The first refusal; nothing is sent after it.
    private var refusal: Failure?

    init(client: Client, exchange: [UInt8], producer: [UInt8] = [], sequence: UInt64 = 0) {
        self.client = client
        self.exchange = exchange
        self.producer = producer
        self.sequence = sequence
        self.batchBytes = min(Self.batchBytesMax, client.eventBytesMax)
    }

    /// Checks an event and adds it to the batch, which is sent when it is full.
    mutating func add(_ event: Event, line: UInt64) throws(Failure) {
        let bytes = self.batch.events.bytes.count + event.creditBytes + 8
        let cost = Self.decodingCost(event)
        if self.batch.events.count >= Self.batchEventsMax
            || self.batch.decodingBytes + cost > Self.decodingBytesMax
            || (!self.batch.events.isEmpty && bytes > self.batchBytes)
        {
            try self.flush()
        }
        try self.batch.events.append(event, eventBytesMax: self.client.eventBytesMax)
        // What a large event leaves over is not counted for the small ones after it: simple, and
        // costs a larger batch only where sizes differ a lot.
        self.batch.decodingBytes += max(0, cost)
        self.batch.lastLine = line
    }

    /// What decoding an event takes beyond 8 times its bytes. protobuf-c makes 120 bytes of an event
    /// and 56 of a header, and rounds each of their fields up to 16.
    private static func decodingCost(_ event: Event) -> Int {
        192 + 112 * event.headers.count - 8 * (event.creditBytes - 18)
    }

    /// Sends what has gathered, and waits while too much is under way.
    mutating func flush() throws(Failure) {
        guard !self.batch.events.isEmpty else { return }
        while self.sent.count >= Self.window { try self.receive() }
        let count = UInt64(self.batch.events.count)
        let request = PublishRequest(
            exchange: self.exchange, producer: self.producer, sequence: self.sequence,
            events: self.batch.events)
        let stream = try self.client.sendRequest(.publish(request))
        self.sent.append(Sent(stream: stream, count: count, lastLine: self.batch.lastLine))
        if !self.producer.isEmpty { self.sequence &+= count }
        self.batch = Batch()
    }

    /// Sends the rest and waits for all replies. Throws the first refusal, when every reply is
    /// there.
    mutating func finish() throws(Failure) {
        try self.flush()
        try self.settle()
    }

    /// Waits for the replies of what was sent, so that `outcome` is complete.
    mutating func settle() throws(Failure) {
        while !self.sent.isEmpty { try self.receive(stopsAtRefusal: false) }
        if let refusal = self.refusal { throw refusal }
    }

    /// Takes replies until the input can be read.
    mutating func receive(untilReadable descriptor: Int32) throws(Failure) {
        self.client.wakeDescriptor = descriptor
        defer { self.client.wakeDescriptor = -1 }
        while let frame = try self.client.nextFrame() { try self.take(frame) }
    }

    private mutating func receive(stopsAtRefusal: Bool = true) throws(Failure) {
        let timeout = self.client.timeoutMilliseconds
        guard let frame = try self.client.nextFrame(timeoutMilliseconds: timeout) else {
            self.sent = []
            throw Failure(
                .deadlineExceeded,
                "the server did not answer within \(timeout) ms; whether the last events are "
                    + "stored is not known")
        }
        try self.take(frame, stopsAtRefusal: stopsAtRefusal)
    }

    private mutating func take(
        _ frame: ClientFrame, stopsAtRefusal: Bool = true
    ) throws(Failure) {
        guard case .response(let stream, let result) = frame,
            let index = self.sent.firstIndex(where: { $0.stream == stream })
        else { return }
        let sent = self.sent.remove(at: index)
        switch result {
        case .success(.publish(let reply)): self.note(reply, sent)
        case .success: break
        case .failure(let failure):
            self.refusal = self.refusal ?? failure
            if stopsAtRefusal { throw failure }
        }
    }

    private mutating func note(_ reply: PublishReply, _ sent: Sent) {
        let duplicates = min(UInt64(reply.duplicates), sent.count)
        self.outcome.duplicates += duplicates
        self.outcome.published += sent.count - duplicates
        if reply.firstPosition > 0 {
            if self.outcome.firstPosition == 0 { self.outcome.firstPosition = reply.firstPosition }
            self.outcome.lastPosition = reply.lastPosition
        }
        if self.refusal == nil { self.outcome.lastLine = sent.lastLine }
    }
}
