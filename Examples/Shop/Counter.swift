import EventWorker

/// Takes what happens in the shop: into the log, straight into the tables, or both at once.
struct Counter {
    /// Events are told in blocks of so many.
    private static let blockMax = 1_000

    private var way: (any Way)?
    private var database: Database?
    private var outbox: OutboxWay?

    /// Into the log only; a consumer brings them into the tables.
    init(way: any Way) {
        self.way = way
    }

    /// Into the tables. With the outbox also into the log, in the same transaction; no other way can do that.
    init(_ database: Database, through: Through?, _ settings: ShopSettings) throws {
        self.database = database
        if through == .outbox { self.outbox = try OutboxWay(settings, database) }
    }

    /// Returns when they are durable. In a database: all of them, or none.
    func tell(_ events: [ShopEvent]) throws {
        for start in stride(from: 0, to: events.count, by: Self.blockMax) {
            let block = events[start..<min(events.count, start + Self.blockMax)]
            try self.way?.send(try block.map { try $0.event })
        }
        try self.database?.transaction { database in
            for event in events {
                try ShopTables.save(event, position: nil, database)
                try self.outbox?.sendWithin([try event.event])
            }
        }
    }
}
