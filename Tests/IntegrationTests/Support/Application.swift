import DormouseClient
import Foundation

/// An application of `Examples`, with a database and an exchange of its own on the server that tests share.
final class Application {
    let database: Database
    let exchange: String
    private let broker: String
    private let program: String
    private let flags: [String]
    private let folder: String
    private var starts = 0

    /// - Parameters:
    ///   - database: a fresh one unless it is given.
    ///   - server: one of the test's own, whose first exchange is the application's.
    init(
        _ program: String, _ flags: [String] = [], database: Database? = nil,
        server: FragileServer? = nil
    ) throws {
        self.program = program
        self.database = try database ?? Cluster.shared().makeDatabase()
        self.exchange = try server == nil ? SharedServer.connect().exchange : "main"
        self.broker = try server?.uri ?? SharedServer.server().uri()
        self.folder = try Folder.make()
        self.flags =
            [
                "--broker", self.broker, "--exchange", self.exchange,
                "--database", self.database.conninfo,
            ] + flags
    }

    deinit { Folder.remove(self.folder) }

    func command(_ words: String...) -> [String] { self.command(words) }

    private func command(_ words: [String]) -> [String] {
        ["\(Server.binaries)/\(self.program)"] + words + self.flags
    }

    /// Runs it to its end, which must be a good one; returns what it printed.
    @discardableResult
    func run(_ words: String...) throws -> String {
        try Command.check(self.command(words))
    }

    /// Runs it to its end, whatever that is.
    func outcome(_ words: String..., with flags: [String] = []) throws -> Command.Outcome {
        try Command.run(self.command(words) + flags)
    }

    /// Starts it. Whoever does ends it.
    func start(_ words: String...) throws -> Child {
        self.starts += 1
        return try Child(
            self.command(words), in: self.folder, label: "\(self.program)-\(self.starts)")
    }

    /// Everything in its exchange that matches.
    func log(_ pattern: String) throws -> [Event] {
        let client = try BlockingClient(self.broker)
        var events: [Event] = []
        var after: UInt64 = 0
        while true {
            let page = try client.fetch(Filter(pattern), after: after, exchange: self.exchange) {
                events.append($0.copy())
                return true
            }
            guard page.upto > after, page.upto < page.head else { return events }
            after = page.upto
        }
    }

    /// What `list --json` says: for each row its values as text; `null` for none.
    func list(_ words: String...) throws -> [[String: String]] {
        let text = try Command.check(self.command(words + ["list", "--json"]))
        let content = try JSONSerialization.jsonObject(with: Data(text.utf8))
        guard let rows = content as? [[String: Any]] else {
            throw Problem("this is no list of objects: \(text)")
        }
        return rows.map { row in row.mapValues { $0 is NSNull ? "null" : "\($0)" } }
    }
}
