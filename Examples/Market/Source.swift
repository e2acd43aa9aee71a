import DormouseClient
import EventWorker
import WorkerCommands

/// Carries the chain's events into the log, each exactly once: a stream of the chain is a producer, and its sequence
/// number, counted from 1, the producer's sequence. Where to go on is asked of the server, so the source keeps nothing.
struct Source {
    private struct Stream {
        let handle: Handle
        let key: String
        let client: BlockingClient
        /// The chain's number of the first event that is not in the log.
        var next: UInt64
    }

    private let node: Node
    private let settings: MarketSettings
    private let stop: StopSignal

    init(_ settings: MarketSettings, until stop: StopSignal) throws {
        self.node = try Node(
            settings.node, milliseconds: settings.nodeMilliseconds, until: stop)
        self.settings = settings
        self.stop = stop
    }

    /// - Parameters:
    ///   - pause: milliseconds between looking for new events.
    ///   - isOnce: ends when everything that the node has is in the log.
    ///   - skipsPruned: goes on with what is left when the node has pruned what comes next.
    func run(pause: Int, isOnce: Bool, skipsPruned: Bool) throws {
        var streams = try self.settings.handles.map { try self.open($0) }
        while !self.stop.isRaised {
            var isAtEnd = true
            for index in streams.indices {
                let count = try self.carry(&streams[index], skipsPruned: skipsPruned)
                // A full page: there is more. The other streams have their turn first.
                if count == Node.pageMax { isAtEnd = false }
            }
            guard isAtEnd else { continue }
            if isOnce || self.stop.wait(milliseconds: Int64(pause)) { return }
        }
    }

    private func open(_ handle: Handle) throws -> Stream {
        guard let key = MarketEvent.keys[handle.field] else {
            let fields = MarketEvent.keys.keys.sorted().joined(separator: ", ")
            throw UsageError("'\(handle.field)' is no stream of the market; there are \(fields)")
        }
        let client = try BlockingClient(
            self.settings.broker,
            options: [
                "exchange": self.settings.exchange, "producer": handle.producer,
                "client": "market source",
            ])
        let next = try client.producer(handle.producer, exchange: self.settings.exchange).sequence
        Program.log("market: \(handle.field) goes on with event \(next)")
        return Stream(handle: handle, key: key, client: client, next: next)
    }

    /// One page; returns how many events it had.
    private func carry(_ stream: inout Stream, skipsPruned: Bool) throws -> Int {
        let page: [Node.NodeEvent]
        do {
            guard let events = try self.node.events(stream.handle, start: stream.next) else {
                return 0
            }
            page = events
        } catch let pruned as Node.Pruned {
            guard skipsPruned,
                let oldest = try self.node.oldest(stream.handle, from: stream.next)
            else { throw pruned }
            Program.log(
                "market: \(stream.handle.field): events \(stream.next) to \(oldest - 1) are pruned and will be missing"
            )
            try self.skip(&stream, to: oldest)
            return Node.pageMax
        }
        guard let first = page.first else { return 0 }
        for (index, event) in page.enumerated()
        where event.sequence != stream.next + UInt64(index) {
            throw UsageError(
                "the node left out events of \(stream.handle.field) behind \(stream.next + UInt64(index)): "
                    + "it went on with \(event.sequence)")
        }
        try stream.client.publish(
            page.map { event in
                Event(
                    key: stream.key, payload: event.json,
                    id: Array("\(stream.handle.field):\(event.sequence)".utf8),
                    contentType: "application/json")
            })
        stream.next = first.sequence + UInt64(page.count)
        return page.count
    }

    /// A producer's sequence may jump forward; its client has to be told.
    private func skip(_ stream: inout Stream, to next: UInt64) throws {
        let client = try BlockingClient(
            self.settings.broker,
            options: [
                "exchange": self.settings.exchange, "producer": stream.handle.producer,
                "sequence": String(next + 1), "client": "market source",
            ])
        stream = Stream(handle: stream.handle, key: stream.key, client: client, next: next)
    }
}
