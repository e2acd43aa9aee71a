import DormouseClient
import EventWorker
import Foundation
import WorkerCommands

/// The market: what happens to tokens on a chain, in tables that can be asked.
@main
enum Market {
    private static let help = """
        usage: market COMMAND [FLAG...]

          source [--interval S] [--once] [--skip-pruned]   carry the node's events into the log, each exactly once
          work [NAME]                                      apply them to the tables: all workers, or one of
                                                           \(MarketWorker.allCases.map(\.rawValue).joined(separator: ", "))
          gather [--collection NAME]                       carry collections and tokens of --account into the log; goes on
                                                           where it was; the creation worker applies them
          gather --file FILE [--collection NAME]           the same from a file: JSON, [{"creator", "name", "description",
                                                           "uri", "maximum", "tokens": [{"name", "description", "uri"}]}]
          \(MarketLists.allCases.map(\.rawValue).joined(separator: "|")) list [--json]
        \(WorkerCommands.help)

        Everywhere, or in market.conf (`name = value`), or in the file that --config names:
          --broker URI          the Dormouse server (dormouse://127.0.0.1:3673)
          --exchange NAME       (main)
          --database CONNINFO   the market's own database (dbname=market)
          --schema NAME         where its tables are (market)
          --node URL            the full node (http://127.0.0.1:8080); several with commas: the next one when one fails
          --node-timeout S      how long an answer of the node may take (30)
          --account ADDRESS     whose events
          --groups NAMES        which of them (\(MarketSettings.Group.allCases.map(\.rawValue).joined(separator: ",")))
        \(MarketSettings.Group.allCases.map { "  --\($0.rawValue)-handle TYPE (ACCOUNT::\($0.type))" }.joined(separator: "\n"))

        """

    static func main() {
        Program.run("market") {
            let arguments = try Arguments(
                Array(CommandLine.arguments.dropFirst()),
                flags: MarketSettings.flags.union([
                    "--interval", "--collection", "--file", "--worker",
                ]),
                switches: ["--json", "--once", "--skip-pruned", "--help"])
            if arguments.has("--help") || arguments.words.isEmpty { return Program.say(Self.help) }
            try Session(
                arguments: arguments, settings: try MarketSettings(arguments),
                stop: try Program.stopSignal()
            ).run()
        }
    }

    /// One run of the program.
    private struct Session {
        let arguments: Arguments
        let settings: MarketSettings
        let stop: StopSignal

        func run() throws {
            let words = self.arguments.words
            if words[0] != "worker" { try self.arguments.expectNoMore(than: 2) }
            switch (words[0], words.count > 1 ? words[1] : "") {
            case ("source", ""): try self.source()
            case ("work", let name): try self.work(name)
            case ("gather", ""): try self.gather()
            case ("worker", _):
                let members = MarketWorker.allCases.map { (self.options($0), $0.observer) }
                try WorkerCommands(members)?.run(
                    Array(words.dropFirst()), worker: self.arguments.value("--worker"),
                    asJSON: self.arguments.has("--json"), until: self.stop)
            case (let name, "list"):
                guard let list = MarketLists(rawValue: name) else { fallthrough }
                let listing = try list.listing(try self.database())
                Program.say(listing.text(asJSON: self.arguments.has("--json")))
            default: throw UsageError("there is no such command; market --help lists what there is")
            }
        }

        private func database() throws -> Database {
            let database = try Database(self.settings.database, schema: self.settings.schema)
            try Worker.prepare(database, schema: self.settings.schema, [ListWorker()])
            return database
        }

        private func gather() throws {
            let collection = self.arguments.value("--collection")
            if let path = self.arguments.value("--file") {
                return try GatherFile(
                    path, self.settings, collection: collection, until: self.stop
                ).run()
            }
            try Gather(self.settings, collection: collection, until: self.stop).run()
        }

        private func source() throws {
            _ = try self.settings.requireAccount()
            try Source(self.settings, until: self.stop).run(
                pause: try self.arguments.milliseconds("--interval", default: 1_000),
                isOnce: self.arguments.has("--once"),
                skipsPruned: self.arguments.has("--skip-pruned"))
        }

        // MARK: Workers

        private func options(_ worker: MarketWorker) -> WorkerOptions {
            var options = WorkerOptions(
                name: worker.rawValue, exchange: self.settings.exchange, filter: worker.filter,
                server: self.settings.broker, database: self.settings.database,
                schema: self.settings.schema)
            options.log = { Program.log("market \(worker.rawValue): \($0)") }
            return options
        }

        private func work(_ name: String) throws {
            if let worker = MarketWorker(rawValue: name) {
                return try Worker(self.options(worker), worker.observer, until: self.stop).run()
            }
            guard name.isEmpty else { throw UsageError("there is no worker '\(name)'") }
            // Each on a thread of its own, as if they were programs of their own. The first that fails ends all.
            let all = MarketWorker.allCases.map { ($0, self.options($0)) }
            let stop = self.stop
            let threads = all.map { worker, options in
                WorkerThread(until: stop) {
                    try Worker(options, worker.observer, until: stop).run()
                }
            }
            for thread in threads { try thread.join() }
        }
    }
}
