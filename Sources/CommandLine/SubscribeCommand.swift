import Core
import DormouseClient

/// `dormouse subscribe`.
enum SubscribeCommand {
    static let description = CommandDescription(
        name: "subscribe", summary: "print events as they come, from where this name stopped",
        usage: ["subscribe NAME [OPTION...]", "subscribe --ephemeral [OPTION...]"],
        operands: 0...1, operandKinds: [.subscription],
        options: Filters.options + [
            .exchange,
            CommandOption(
                "from", "START", of: Filters.starts,
                "where a new name begins: first, next (default), last, a position or @TIME"),
            CommandOption("reposition", "apply --from to a name that exists, too"),
            CommandOption("replace-config", "give an existing name these patterns and headers"),
            CommandOption("count", "N", "leave after N events"),
            CommandOption("ephemeral", "no NAME: forgotten at the end"),
            CommandOption("json", "one JSON object for each line"), .utc, .noProgress,
        ],
        examples: [
            "dormouse subscribe billing --pattern 'orders.*.paid' --from first --count 10",
            "dormouse subscribe --ephemeral --from @-1h --json | jq .key",
        ],
        notes: """
            An event is acknowledged once its line is written, so after a break the name continues
            with the first event that was not. Ctrl-C and SIGTERM acknowledge what is written and
            end with 130 and 143. When the reader of a pipe goes away, what it was not given is not
            acknowledged, and the command ends with 0. When the connection is lost, it connects again
            and goes on; with an address that ends in ?reconnect=no it ends with 69. Into a file or a
            pipe, old events are shown as a bar on the terminal.
            """,
        run: Self.run)

    private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let count = try invocation.number("count", in: 1...UInt64(Int64.max))
        let isEphemeral = invocation.has("ephemeral")
        guard isEphemeral == invocation.operands.isEmpty else {
            throw .usage(
                isEphemeral
                    ? "--ephemeral is a subscription without a NAME; leave one of the two out"
                    : "subscribe needs a NAME, or --ephemeral")
        }
        let name = invocation.operands.first ?? ""
        if !isEphemeral {
            _ = try attempt { () throws(Failure) in try Name(name, what: "subscriber's name") }
        }
        if invocation.has("reposition"), !invocation.has("from") {
            throw .usage("--reposition says that --from holds in any case; give --from too")
        }
        let start = try Filters.start(invocation.value("from") ?? "next", option: "from")
        var options = SubscribeOptions(
            name: isEphemeral ? nil : name, try Filters.filter(invocation), from: start)
        options.reposition = invocation.has("reposition")
        options.replaceConfig = invocation.has("replace-config")
        let connection = try Connection(invocation, reconnects: true)
        options.exchange = connection.exchange
        let title = isEphemeral ? "without a name" : "'\(name)'"
        let subscriber = try Subscriber(
            title: title, count: count, invocation, client: connection.client)
        do throws(CommandFailure) {
            return try subscriber.run(options)
        } catch {
            throw connection.advised(error)
        }
    }
}
