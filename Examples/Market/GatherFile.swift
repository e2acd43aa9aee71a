import DormouseClient
import EventWorker
import Foundation
import WorkerCommands

/// Imports collections and their tokens from a file, as events like those that a node tells of.
struct GatherFile {
    private struct Collection: Decodable {
        struct Token: Decodable {
            let name: String
            let description: String?
            let uri: String?
        }

        let creator: String
        let name: String
        let description: String?
        let uri: String?
        let maximum: Amount?
        let tokens: [Token]?
    }

    private struct Entry {
        let key: String
        let json: Data
    }

    /// A request may have a megabyte.
    private static let batchBytesMax = 512 * 1024

    private let entries: [Entry]
    private let line: LogLine

    /// Reads all of it: a file with a mistake is not imported at all.
    init(
        _ path: String, _ settings: MarketSettings, collection: String?, until stop: StopSignal
    ) throws {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw UsageError("the file '\(path)' cannot be read")
        }
        let collections: [Collection]
        do {
            collections = try JSONDecoder().decode([Collection].self, from: data)
        } catch let error as DecodingError {
            throw UsageError("\(path) is no list of collections: \(Self.reason(error))")
        }
        self.entries = try collections.filter { collection == nil || $0.name == collection }
            .flatMap(Self.entries)
        self.line = LogLine(settings, until: stop)
    }

    func run() throws {
        // What is the same has the same producer, and is in the log once, however often it is read.
        let all = self.entries.reduce(into: Data()) { $0 += $1.json }
        let producer = "gather:file:\(String(decoding: all, as: UTF8.self).fingerprint)"
        guard var done = try self.line.sequence(of: producer) else { throw Stopped() }
        while done < UInt64(self.entries.count) {
            var batch = PublishBatch()
            for entry in self.entries[Int(done)...] {
                if batch.byteCount > Self.batchBytesMax { break }
                batch.append(
                    key: Array(entry.key.utf8), payload: Array(entry.json),
                    contentType: Array("application/json".utf8))
            }
            let count = UInt64(batch.count)
            guard try self.line.publish(batch, as: producer, sequence: done + 1) else {
                throw Stopped()
            }
            done += count
            Program.progress("events", Int(done), of: self.entries.count)
        }
        let tokens = self.entries.count { $0.key == "market.gather.token" }
        Program.say("\(self.entries.count - tokens) collections, \(tokens) tokens\n")
    }

    private static func entries(_ collection: Collection) throws -> [Entry] {
        let (creator, name) = (collection.creator, collection.name)
        let first = try Self.entry(
            "market.gather.collection",
            [
                "creator": creator, "collection_name": name, "uri": collection.uri ?? "",
                "description": collection.description ?? "",
                "maximum": collection.maximum?.digits ?? "0",
            ])
        let tokens = try (collection.tokens ?? []).map { token in
            try Self.entry(
                "market.gather.token",
                [
                    "id": ["creator": creator, "collection": name, "name": token.name],
                    "description": token.description ?? "", "uri": token.uri ?? "",
                ])
        }
        return [first] + tokens
    }

    private static func entry(_ key: String, _ data: [String: Any]) throws -> Entry {
        Entry(
            key: key,
            json: try JSONSerialization.data(
                withJSONObject: ["data": data], options: [.sortedKeys, .withoutEscapingSlashes]))
    }

    private static func reason(_ error: DecodingError) -> String {
        let (context, more): (DecodingError.Context, String) =
            switch error {
            case .keyNotFound(let key, let context): (context, "'\(key.stringValue)' is missing")
            case .typeMismatch(_, let context), .valueNotFound(_, let context),
                .dataCorrupted(let context):
                (context, context.debugDescription)
            @unknown default: (.init(codingPath: [], debugDescription: ""), "it is no JSON")
            }
        let place = context.codingPath.map { $0.intValue.map { "\($0 + 1)." } ?? $0.stringValue }
        return (place + [more]).joined(separator: " ")
    }
}

extension String {
    /// For names of producers: texts have any length and characters. FNV-1a, 64 bits.
    var fingerprint: String {
        let hash = self.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) {
            ($0 ^ UInt64($1)) &* 0x100_0000_01b3
        }
        return String(hash, radix: 16)
    }
}
