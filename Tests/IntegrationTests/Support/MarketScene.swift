import DormouseClient
import Foundation
import Testing

/// A node, and an application that asks it.
final class MarketScene {
    let node: Child
    let market: Application
    let url: String
    let account: String
    private let folder: String

    init(
        _ flags: [String], market more: [String] = [], aheadOfNode: String = ""
    ) throws {
        self.folder = try Folder.make()
        let node = try Child(
            ["\(Server.binaries)/market-node"] + flags, in: self.folder, label: "node")
        self.node = node
        try eventually("the node listens") { node.output.contains("account ") }
        let lines = node.output.split(separator: "\n")
        self.url = String(lines[0].dropFirst("listening on ".count))
        self.account = String(lines[1].dropFirst("account ".count))
        self.market = try Application(
            "market",
            [
                "--node", aheadOfNode + self.url, "--account", self.account,
            ] + more)
    }

    deinit {
        self.node.destroy()
        Folder.remove(self.folder)
    }

    /// Keys and payloads of the log.
    func log(_ pattern: String) throws -> [(key: String, fields: [String: Any])] {
        try self.market.log(pattern).map { event in
            let content = try JSONSerialization.jsonObject(with: Data(event.payload))
            return (event.key, content as? [String: Any] ?? [:])
        }
    }

    /// Each stream has these sequence numbers, once and in order.
    func expectStreams(_ tokens: Int) throws {
        let shown = (1...tokens).filter { $0 % 8 == 3 }
        let counts = [
            "market.collection": 1, "market.token": shown.count, "market.gallery": shown.count,
            "market.curation": shown.count * 2,
            "market.exhibit": shown.count { $0 % 16 == 3 } * 3,
            "market.list": tokens + tokens / 4, "market.buy": tokens / 2,
            "market.delist": tokens / 4, "market.offer": tokens / 2,
            "market.accept": tokens / 4, "market.cancel": tokens / 4,
        ]
        let numbers = try self.numbers()
        for (key, count) in counts {
            #expect(numbers[key] == (0..<count).map(String.init), "of \(key)")
        }
    }

    /// Each stream has its sequence numbers up to wherever it is, once and in order.
    func expectWholeStreams() throws {
        for (key, numbers) in try self.numbers() {
            #expect(numbers == numbers.indices.map(String.init), "of \(key)")
        }
    }

    /// Sequence numbers by stream, in the order of the log.
    private func numbers() throws -> [String: [String]] {
        var numbers: [String: [String]] = [:]
        for event in try self.log("market.*") {
            numbers[event.key, default: []].append(
                "\(event.fields["sequence_number"] ?? "")")
        }
        return numbers
    }
}
