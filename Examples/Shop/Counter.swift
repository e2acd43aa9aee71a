import DormouseClient
import EventWorker

/// Takes what happens in the shop: into the log, straight into the tables, or both at once.
struct Counter {
    /// Events are told in blocks of so many, and of so many bytes: a request of the protocol may have a megabyte.
    private static let blockMax = 1_000
    private static let blockBytesMax = 512 * 1024

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
        if let way = self.way {
            for block in try self.blocks(events) { try way.send(block) }
        }
        try self.database?.transaction { database in
            for event in events {
                try ShopTables.save(event, position: nil, database)
                try self.outbox?.sendWithin([try event.event])
            }
        }
    }

    private func blocks(_ events: [ShopEvent]) throws -> [[Event]] {
        var blocks: [[Event]] = []
        var block: [Event] = []
        var bytes = 0
        for event in try events.map({ try $0.event }) {
            bytes += event.payload.count
            if block.count == Self.blockMax || bytes > Self.blockBytesMax, !block.isEmpty {
                blocks.append(block)
                (block, bytes) = ([], event.payload.count)
            }
            block.append(event)
        }
        return block.isEmpty ? blocks : blocks + [block]
    }
}
