import EventWorker
import Foundation
import WorkerCommands

/// Imports the collections and tokens of an account. Each page is one transaction with the place where the next one
/// begins, so it can be ended at any instant and goes on there.
struct Gather {
    private let account: String
    private let collection: String?
    private let node: Node
    private let database: Database
    private let stop: StopSignal

    init(
        _ settings: MarketSettings, _ database: Database, collection: String?,
        until stop: StopSignal
    ) throws {
        self.account = try settings.requireAccount()
        self.collection = collection
        self.node = try Node(
            settings.node, milliseconds: settings.nodeMilliseconds, until: stop)
        self.database = database
        self.stop = stop
    }

    private struct Created: Decodable {
        struct Collection: Decodable {
            let creator: String
            let collectionName: String
            let uri: String
            let description: String
            let maximum: Amount
        }

        struct Token: Decodable {
            struct ID: Decodable {
                let creator: String
                let collection: String
                let name: String
            }

            let id: ID
            let description: String
            let uri: String
        }
    }

    private struct Envelope<Content: Decodable>: Decodable { let data: Content }

    func run() throws {
        try self.pages("create_collection_events", what: "collections") { database, json in
            let content = try JSONDecoder.ofChain.decode(
                Envelope<Created.Collection>.self, from: Data(json)
            ).data
            guard self.wants(content.collectionName) else { return }
            try database.execute(
                """
                INSERT INTO collection (id, creator, name, description, uri, maximum)
                VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET
                    (description, uri, maximum) = (excluded.description, excluded.uri, excluded.maximum)
                """,
                [
                    .text("\(content.creator)::\(content.collectionName)"),
                    .text(content.creator), .text(content.collectionName),
                    .text(content.description), .text(content.uri), .text(content.maximum.digits),
                ])
        }
        try self.pages("create_token_data_events", what: "tokens") { database, json in
            let content = try JSONDecoder.ofChain.decode(
                Envelope<Created.Token>.self, from: Data(json)
            ).data
            guard self.wants(content.id.collection) else { return }
            let collection = "\(content.id.creator)::\(content.id.collection)"
            try database.execute(
                "INSERT INTO collection (id, creator, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                [.text(collection), .text(content.id.creator), .text(content.id.collection)])
            try database.execute(
                """
                INSERT INTO token (id, collection_id, creator, name, property_version, owner, uri, description)
                VALUES ($1, $2, $3, $4, 0, $3, $5, $6) ON CONFLICT (id) DO UPDATE SET
                    (uri, description) = (excluded.uri, excluded.description)
                """,
                [
                    .text("\(collection)::\(content.id.name)::0"), .text(collection),
                    .text(content.id.creator), .text(content.id.name), .text(content.uri),
                    .text(content.description),
                ])
        }
    }

    private func wants(_ collection: String) -> Bool {
        self.collection.map { $0 == collection } ?? true
    }

    private func pages(
        _ field: String, what: String, _ save: (Database, [UInt8]) throws -> Void
    ) throws {
        let handle = Handle(
            account: self.account, type: "0x3::token::Collections", field: field)
        // What was left out for one collection is not there for another one.
        let name = self.collection.map { "\(what) of \($0)" } ?? what
        var next = try self.place(name)
        let count = try self.node.count(handle)
        while let page = try self.node.events(handle, start: next) {
            guard let last = page.last else { break }
            try self.database.transaction { database in
                for event in page { try save(database, event.json) }
                try database.execute(
                    """
                    INSERT INTO gathered VALUES ($1, $2, $3)
                    ON CONFLICT (account, what) DO UPDATE SET next = excluded.next
                    """,
                    [.text(self.account), .text(name), .text(String(last.sequence + 1))])
            }
            next = last.sequence + 1
            self.show(what, next, of: max(count ?? next, next))
            if page.count < Node.pageMax { break }
        }
        if self.stop.isRaised { throw UsageError("stopped; the same command goes on from here") }
        Program.say("\(next) \(what) looked at\n")
    }

    private func place(_ name: String) throws -> UInt64 {
        let rows = try self.database.execute(
            "SELECT next FROM gathered WHERE account = $1 AND what = $2",
            [.text(self.account), .text(name)])
        return rows.count == 0 ? 0 : UInt64(rows.text(0, 0) ?? "") ?? 0
    }

    private func show(_ what: String, _ done: UInt64, of count: UInt64) {
        Program.progress(what, Int(clamping: done), of: Int(clamping: count))
    }
}
