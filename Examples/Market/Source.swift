import EventWorker
import WorkerCommands

/// Carries the chain's events into the log.
struct Source {
    private let node: Node
    private let line: LogLine
    private let settings: MarketSettings
    private let stop: StopSignal

    init(_ settings: MarketSettings, until stop: StopSignal) throws {
        self.node = try Node(
            settings.node, milliseconds: settings.nodeMilliseconds, until: stop)
        self.line = LogLine(settings, until: stop)
        self.settings = settings
        self.stop = stop
    }

    /// - Parameters:
    ///   - pause: milliseconds between looking for new events.
    ///   - isOnce: ends when everything that the node has is in the log.
    ///   - skipsPruned: goes on with what is left when the node has pruned what comes next.
    func run(pause: Int, isOnce: Bool, skipsPruned: Bool) throws {
        var streams = try self.settings.handles.compactMap { handle in
            try ChainStream(handle, as: Self.producer(handle), self.line)
        }
        while !self.stop.isRaised {
            var isAtEnd = true
            for index in streams.indices where !self.stop.isRaised {
                let count = try self.carry(&streams[index], skipsPruned: skipsPruned)
                // A full page: there is more. The other streams have their turn first. A node may have smaller pages; the last
                // look has to find nothing, then.
                if count == Node.pageMax || isOnce && count > 0 { isAtEnd = false }
            }
            guard isAtEnd else { continue }
            if isOnce || self.stop.wait(milliseconds: Int64(pause)) { return }
        }
    }

    /// One contract may write to several accounts, and each of them counts from 0.
    private static func producer(_ handle: Handle) -> String {
        let isItsOwn = handle.type.hasPrefix("\(handle.account)::")
        return (isItsOwn ? "" : "\(handle.account):") + "\(handle.type):\(handle.field)"
    }

    /// One page; returns how many events it had.
    private func carry(_ stream: inout ChainStream, skipsPruned: Bool) throws -> Int {
        do {
            guard let page = try self.node.events(stream.handle, start: stream.next) else {
                return 0
            }
            try stream.publish(page)
            return page.count
        } catch is Stopped {
            // No failure: what was not stored comes when it is started again.
            return 0
        } catch let pruned as Node.Pruned {
            guard skipsPruned,
                let oldest = try self.node.oldest(stream.handle, from: stream.next),
                oldest > stream.next
            else { throw pruned }
            Program.log(
                "market: \(stream.handle.field): events \(stream.next) to \(oldest - 1) are pruned and will be missing"
            )
            stream.skip(to: oldest)
            return Node.pageMax
        }
    }
}
