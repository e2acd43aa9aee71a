import Core
import DormouseClient

// Sends events in batches that form by themselves: a batch goes out when it is full, or when there
// is no further input yet. The library keeps several under way; their answers come in order.

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
        /// Events that were answered, well or not.
        var answered: UInt64 = 0
    }

    /// What the answers come to; the library calls back while it works.
    private final class Ledger {
        var outcome = Outcome()
        /// The first refusal; nothing is sent after it.
        var refusal: DormouseError?

        func note(
            _ result: Result<Published, DormouseError>, count: UInt64, lastLine: UInt64
        ) {
            self.outcome.answered += count
            switch result {
            case .failure(let error):
                self.refusal = self.refusal ?? error
            case .success(let published):
                let duplicates = min(UInt64(published.duplicates), count)
                self.outcome.duplicates += duplicates
                self.outcome.published += count - duplicates
                if published.first > 0 {
                    if self.outcome.firstPosition == 0 {
                        self.outcome.firstPosition = published.first
                    }
                    self.outcome.lastPosition = published.last
                }
                if self.refusal == nil { self.outcome.lastLine = lastLine }
            }
        }
    }

    /// What may wait for its answer: enough to hide the commit of what was sent before, few enough
    /// that little is stored after a refusal.
    static let options = ["window_events": "16384", "window_bytes": String(4 << 20)]
    private static let batchEventsMax = 1000
    private static let batchBytesMax = 128 << 10

    let client: BlockingClient
    private let timeout: Duration
    private let eventBytesMax: Int
    private let ledger = Ledger()
    private var batch = PublishBatch()
    private var batchBytes = 0
    private var lastLine: UInt64 = 0

    init(client: BlockingClient) {
        self.client = client
        self.timeout = .milliseconds(client.answerMilliseconds)
        self.eventBytesMax = client.eventBytesMax
    }

    var outcome: Outcome { self.ledger.outcome }

    /// The bytes of an event; throws what is wrong with it, before anything is sent.
    func check(_ event: Core.Event) throws(Failure) -> Int {
        try EncodedEvents.checkedBytes(event, eventBytesMax: self.eventBytesMax)
    }

    /// Adds an event of so many bytes to the batch, which is sent when it is full.
    mutating func add(_ event: Core.Event, bytes: Int, line: UInt64) throws(CommandFailure) {
        let bytesMax = min(Self.batchBytesMax, self.eventBytesMax)
        if self.batch.count >= Self.batchEventsMax
            || (self.batch.count > 0 && self.batchBytes + bytes > bytesMax)
        {
            try self.flush()
        }
        self.batchBytes += bytes
        self.batch.append(
            key: event.key, payload: event.payload, id: event.id, contentType: event.contentType,
            headers: event.headers.isEmpty ? [] : event.headers.map { ($0.name, $0.value) })
        self.lastLine = line
    }

    /// Sends what has gathered, and waits while too much is under way.
    mutating func flush() throws(CommandFailure) {
        guard self.batch.count > 0 else { return }
        let (count, lastLine, ledger) = (UInt64(self.batch.count), self.lastLine, self.ledger)
        while true {
            try self.throwRefusal()
            let isTaken = try asking(Self.doing) { () throws(DormouseError) in
                try self.client.publish(self.batch) { result in
                    ledger.note(result, count: count, lastLine: lastLine)
                }
            }
            if isTaken { break }
            try self.waitForAnswer()
        }
        self.batch.removeAll()
        self.batchBytes = 0
    }

    /// Sends the rest and waits for all answers. Throws the first refusal, when every answer is
    /// there.
    mutating func finish() throws(CommandFailure) {
        try self.flush()
        try self.settle()
    }

    /// Waits for the answers of what was sent, so that `outcome` is complete.
    func settle() throws(CommandFailure) {
        while self.client.pendingEvents > 0 { try self.waitForAnswer() }
        try self.throwRefusal()
    }

    /// Takes answers until the input can be read.
    func receive(untilReadable descriptor: Int32) throws(CommandFailure) {
        while !LineReader.isReadable(descriptor) {
            try self.throwRefusal()
            try self.work(wake: descriptor, milliseconds: -1)
        }
    }

    private static let doing = "cannot publish"

    private func throwRefusal() throws(CommandFailure) {
        if let refusal = self.ledger.refusal {
            throw CommandFailure(refusal, doing: Self.doing)
        }
    }

    private func waitForAnswer() throws(CommandFailure) {
        let before = self.ledger.outcome.answered
        let deadline = ContinuousClock.now + self.timeout
        while self.ledger.outcome.answered == before, self.client.pendingEvents > 0 {
            let left = deadline - ContinuousClock.now
            guard left > .zero else {
                throw CommandFailure(
                    DormouseError(
                        .timeout,
                        "the server did not answer within \(self.client.answerMilliseconds) ms; "
                            + "whether the last events are stored is not known"),
                    doing: Self.doing)
            }
            try self.work(wake: -1, milliseconds: Int32(left / .milliseconds(1)) + 1)
        }
    }

    /// A connection that is given up fails all that was under way: the reason is told by that.
    private func work(wake: Int32, milliseconds: Int32) throws(CommandFailure) {
        do throws(DormouseError) {
            try self.client.wait(wake: wake, milliseconds: milliseconds)
        } catch {
            try self.throwRefusal()
            throw CommandFailure(error, doing: Self.doing)
        }
    }
}
