import DormouseClient
public import EventWorker

/// The commands that every application with workers offers: `worker list`, `parked`, `show`, `retry`, `drop`,
/// `rebuild`.
public struct WorkerCommands {
    /// For the application's help.
    public static let help = """
          worker list                       the workers, where they are, and what waits
          worker parked [--worker NAME]     events that could not be applied
          worker show NAME POSITION         one of them, with its payload
          worker retry [NAME [POSITION]]    give them all their attempts again
          worker drop NAME POSITION         give one up; what waits behind it goes on
          worker rebuild                    apply everything again, into fresh tables, and swap
        """

    /// More than anybody reads, and in memory with their payloads.
    private static let entriesMax = 1_000

    private let members: [Rebuild.Member]
    private let options: WorkerOptions

    /// All workers of the application, which share a schema; at least one.
    public init?(_ members: [Rebuild.Member]) {
        guard let first = members.first else { return nil }
        self.members = members
        self.options = first.options
    }

    /// Runs the command that `words` is, without the word `worker`.
    public func run(
        _ words: [String], worker: String?, asJSON: Bool, until stop: StopSignal
    ) throws {
        switch (words.first ?? "list", words.count) {
        case ("list", 0...1): Program.say(try self.workers().text(asJSON: asJSON))
        case ("parked", 1): Program.say(try self.parked(worker).text(asJSON: asJSON))
        case ("show", 3): try self.show(words[1], try Self.position(words[2]))
        case ("retry", 1...3):
            let position = words.count > 2 ? try Self.position(words[2]) : nil
            let name = words.count > 1 ? words[1] : worker
            let count = try self.aside().retry(
                worker: name, position: position, exchange: position.map { _ in self.exchange })
            Program.say("\(count) event\(count == 1 ? " is" : "s are") tried again\n")
        case ("drop", 3):
            let position = try Self.position(words[2])
            guard
                try self.aside().drop(
                    worker: words[1], position: position, exchange: self.exchange)
            else { throw UsageError("'\(words[1])' has no such event set aside") }
            Program.say("dropped\n")
        case ("rebuild", 1): try self.rebuild(until: stop)
        default: throw UsageError("the commands are:\n\(Self.help)")
        }
    }

    /// A worker's name may have been in use for another one.
    private var exchange: String { self.options.exchange }

    private static func position(_ text: String) throws(UsageError) -> UInt64 {
        guard let position = UInt64(text) else {
            throw UsageError("'\(text)' is not a position")
        }
        return position
    }

    private func database() throws -> Database {
        let database = try Database(self.options.database, schema: self.options.schema)
        try Worker.prepare(database, schema: self.options.schema, self.members.map(\.observer))
        return database
    }

    private func aside() throws -> AsideEvents { AsideEvents(try self.database()) }

    private func workers() throws -> Listing {
        var listing = Listing([
            "worker", "exchange", "position", "epoch", "waiting", "parked", "behind", "outgoing",
        ])
        let rows = try self.database().execute(
            """
            SELECT name, exchange, position, epoch,
                (SELECT count(*) FILTER (WHERE state = 'waiting') FROM worker_aside a WHERE (a.worker, a.exchange) = (w.name, w.exchange)),
                (SELECT count(*) FILTER (WHERE state = 'parked') FROM worker_aside a WHERE (a.worker, a.exchange) = (w.name, w.exchange)),
                (SELECT count(*) FILTER (WHERE state = 'behind') FROM worker_aside a WHERE (a.worker, a.exchange) = (w.name, w.exchange)),
                (SELECT count(*) FROM worker_outgoing o WHERE (o.worker, o.exchange) = (w.name, w.exchange))
            FROM worker w ORDER BY name, exchange
            """)
        for row in 0..<rows.count {
            let numbers = try (2..<8).map { Listing.Cell.integer(try rows.integer(row, $0)) }
            listing.add(
                [.text(rows.text(row, 0) ?? ""), .text(rows.text(row, 1) ?? "")] + numbers)
        }
        return listing
    }

    private func parked(_ worker: String?) throws -> Listing {
        var listing = Listing([
            "worker", "position", "key", "state", "attempts", "since", "reason",
        ])
        let entries = try self.aside().list(worker: worker, most: Self.entriesMax)
        if entries.count == Self.entriesMax {
            Program.log("these are the first \(entries.count); 'worker list' counts all of them")
        }
        for entry in entries {
            listing.add([
                .text(entry.worker), .integer(Int64(clamping: entry.event.position)),
                .text(entry.event.key), .text(entry.state.rawValue),
                .integer(Int64(entry.attempts)), .text(entry.since), .text(entry.reason),
            ])
        }
        return listing
    }

    private func show(_ worker: String, _ position: UInt64) throws {
        let found = try self.aside().entry(
            worker: worker, position: position, exchange: self.exchange)
        guard let entry = found else {
            throw UsageError("'\(worker)' has no such event set aside")
        }
        var lines = [
            ("worker", entry.worker), ("exchange", entry.exchange),
            ("position", String(entry.event.position)), ("key", entry.event.key),
            ("ordering key", entry.orderingKey), ("state", entry.state.rawValue),
            ("attempts", String(entry.attempts)), ("since", entry.since), ("reason", entry.reason),
            ("content type", entry.event.contentType),
        ]
        lines += entry.event.headers.map {
            ("header \($0.name)", String(decoding: $0.value, as: UTF8.self))
        }
        for (name, value) in lines { Program.say("\(name): \(Listing.line(value))\n") }
        let text = entry.event.text.split(
            omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        Program.say("\n\(text.map { Listing.line(String($0)) }.joined(separator: "\n"))\n")
    }

    private func rebuild(until stop: StopSignal) throws {
        guard let rebuild = Rebuild(self.members, until: stop) else { return }
        var last = ContinuousClock.now
        let isComplete = try rebuild.run { worker, position, head in
            guard .now - last > .seconds(1) else { return }
            last = .now
            Program.log("\(worker): \(position) of \(head)")
        }
        guard isComplete else { return Program.log("stopped; nothing has changed") }
        Program.say("rebuilt; workers that run end now and are to be started again\n")
    }
}
