import DormouseClient

/// `dormouse fetch`.
enum FetchCommand {
    private static let countDefault: UInt64 = 100
    private static let pageEvents: UInt64 = 1000

    static let description = CommandDescription(
        name: "fetch", summary: "print events of the log, without a subscription",
        usage: ["fetch [--after POSITION] [OPTION...]"], operands: 0...0,
        options: Filters.options + [
            .exchange, CommandOption("after", "POSITION", "begin after this one; default 0"),
            CommandOption("count", "N", "at most N events; default \(Self.countDefault)"), .json,
            .utc, .noProgress,
        ],
        examples: [
            "dormouse fetch --after 100 --count 10",
            "dormouse fetch --pattern 'orders.#' --count 1000000 --json > orders.jsonl",
        ],
        notes: "Ends at the newest event; 'dormouse subscribe' waits for more.", run: Self.run)

    private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        var remaining =
            try invocation.number("count", in: 1...UInt64(Int64.max)) ?? Self.countDefault
        var after = try invocation.number("after", in: 0...UInt64(Int64.max)) ?? 0
        let filter = try Filters.filter(invocation)
        let connection = try Connection(invocation)
        let output = Output()
        let format = EventText.Format(invocation, output)
        let wanted = remaining
        var progress = Progress(invocation, "fetching", of: wanted, besides: output)
        defer { progress.end() }
        while remaining > 0 {
            var lines: [UInt8] = []
            let count = UInt32(min(remaining, Self.pageEvents))
            let page = try connection.ask("cannot fetch") { client throws(DormouseError) in
                try client.fetch(
                    filter, after: after, exchange: connection.exchange, events: count
                ) { event in
                    EventText.append(event, as: format, to: &lines)
                    remaining -= 1
                    return remaining > 0
                }
            }
            try output.write(lines: lines)
            progress.update(wanted - remaining, events: wanted - remaining)
            // A server that does not get on must not keep us here.
            guard page.upto > after else { break }
            after = page.upto
            if page.upto >= page.head { break }
        }
        try output.flush()
        return .success
    }
}
