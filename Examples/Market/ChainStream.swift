import DormouseClient
import WorkerCommands

/// A stream of the chain on its way into the log, each event exactly once: the stream is a producer, and its sequence number,
/// counted from 1, the producer's sequence. Where to go on is asked of the server, so nothing is kept here.
struct ChainStream {
    /// A request may have a megabyte.
    private static let batchBytesMax = 512 * 1024

    let handle: Handle
    /// The chain's number of the first event that is not in the log.
    private(set) var next: UInt64
    private let key: String
    private let producer: String
    private let line: LogLine

    /// nil: the signal was raised.
    ///
    /// - Parameter producer: never another one for the same stream.
    init?(_ handle: Handle, as producer: String, _ line: LogLine) throws {
        guard let key = MarketEvent.keys[handle.field] else {
            let fields = MarketEvent.keys.keys.sorted().joined(separator: ", ")
            throw UsageError("'\(handle.field)' is no stream of the market; there are \(fields)")
        }
        guard let next = try line.sequence(of: producer) else { return nil }
        self.handle = handle
        self.next = next
        self.key = key
        self.producer = producer
        self.line = line
        Program.log("market: \(handle.field) goes on with event \(next)")
    }

    /// These are gone for ever.
    mutating func skip(to next: UInt64) { self.next = next }

    /// Publishes a page. What is not wanted is passed over, for good.
    mutating func publish(
        _ page: [Node.NodeEvent], where isWanted: (Node.NodeEvent) throws -> Bool = { _ in true }
    ) throws {
        try self.expectWhole(page)
        var batch = PublishBatch()
        var first: UInt64 = 0
        for event in page {
            let wanted = try isWanted(event)
            if !wanted || batch.byteCount > Self.batchBytesMax {
                try self.send(&batch, sequence: first)
            }
            guard wanted else { continue }
            if batch.count == 0 { first = event.sequence + 1 }
            batch.append(
                key: Array(self.key.utf8), payload: event.json,
                id: Array("\(self.handle.field):\(event.sequence)".utf8),
                contentType: Array("application/json".utf8))
        }
        let isLastWanted = batch.count > 0
        try self.send(&batch, sequence: first)
        guard let last = page.last else { return }
        if !isLastWanted {
            // So that whoever goes on does not read all of this again.
            batch.append(key: Array("market.passed".utf8), payload: [])
            try self.send(&batch, sequence: last.sequence + 1)
        }
        self.next = last.sequence + 1
    }

    private func expectWhole(_ page: [Node.NodeEvent]) throws {
        for (index, event) in page.enumerated()
        where event.sequence != self.next + UInt64(index) {
            throw Node.WrongAnswer(
                description:
                    "the node left out events of \(self.handle.field) behind \(self.next + UInt64(index)): "
                    + "it went on with \(event.sequence)")
        }
    }

    private func send(_ batch: inout PublishBatch, sequence: UInt64) throws {
        guard batch.count > 0 else { return }
        guard try self.line.publish(batch, as: self.producer, sequence: sequence) else {
            throw Stopped()
        }
        batch.removeAll()
    }
}
