import Core
import Wire

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
        let connection = try Connection(invocation)
        let config = try Filters.config(invocation, exchange: connection.exchange)
        let output = Output()
        while remaining > 0 {
            let request = FetchRequest(
                config: config, after: after, eventsMax: UInt32(min(remaining, Self.pageEvents)))
            let page = try connection.call(.fetch(request), doing: "cannot fetch") {
                if case .fetch(let delivery) = $0 { delivery } else { nil }
            }
            for event in page.events.prefix(Int(clamping: remaining)) {
                try output.write(
                    invocation.has("json") ? EventText.json(event) : EventText.line(event))
                remaining -= 1
            }
            // A server that does not get on must not keep us here.
            guard page.header.upto.rawValue > after else { break }
            after = page.header.upto.rawValue
            if page.header.upto >= page.header.head { break }
        }
        try output.flush()
        return .success
    }
}
