import EventWorker
import WorkerCommands

/// Ended by a signal before it was done.
struct Stopped: Error, CustomStringConvertible {
    let description = "stopped; the same command goes on from here"
}

/// Imports the collections and tokens of an account: as events, so that they are applied like all others and are there again after
/// a rebuild. Each page is published with the place where the next one begins, so it can be ended at any instant and goes on there.
struct Gather {
    private let account: String
    private let collection: String?
    private let node: Node
    private let line: LogLine
    private let stop: StopSignal

    init(_ settings: MarketSettings, collection: String?, until stop: StopSignal) throws {
        self.account = try settings.requireAccount()
        self.collection = collection
        self.node = try Node(
            settings.node, milliseconds: settings.nodeMilliseconds, until: stop)
        self.line = LogLine(settings, until: stop)
        self.stop = stop
    }

    func run() throws {
        try self.pages("create_collection_events", what: "collections") {
            try MarketEvent.content(MarketEvent.Gathered.Collection.self, json: $0.json)
                .collectionName
        }
        try self.pages("create_token_data_events", what: "tokens") {
            try MarketEvent.content(MarketEvent.Gathered.Token.self, json: $0.json).id.collection
        }
    }

    /// - Parameter name: of the collection that an event is about.
    private func pages(
        _ field: String, what: String, _ name: (Node.NodeEvent) throws -> String
    ) throws {
        let handle = Handle(
            account: self.account, type: "0x3::token::Collections", field: field)
        guard var stream = try ChainStream(handle, as: self.producer(what), self.line) else {
            return
        }
        let count = try self.node.count(handle) ?? 0
        // To the empty page: a node may have smaller pages than were asked for.
        while let page = try self.node.events(handle, start: stream.next), !page.isEmpty {
            try stream.publish(page) { event in
                try self.collection.map { try name(event) == $0 } ?? true
            }
            Program.progress(
                what, Int(clamping: stream.next), of: Int(clamping: max(count, stream.next)))
        }
        Program.endProgress()
        if self.stop.isRaised { throw Stopped() }
        Program.say("\(stream.next) \(what) looked at\n")
    }

    /// What is left out for one collection is not left out for another one.
    private func producer(_ what: String) -> String {
        let all = "gather:\(self.account):\(what)"
        return self.collection.map { "\(all):\($0.fingerprint)" } ?? all
    }
}
