import Core
import DormouseClient

/// `dormouse outbox`: rows that SQL writers have published and that cannot be events.
enum OutboxCommands {
    static let all = [Self.list, Self.retry, Self.drop]

    private static let list = CommandDescription(
        name: "outbox list", otherNames: ["outbox"],
        summary: "list rows of the outbox that cannot be events, and why",
        usage: ["outbox list [--json]"], operands: 0...0, options: [.json, Watch.option],
        examples: ["dormouse outbox list", "dormouse outbox list --json | jq .reason"],
        notes: """
            SQL writers publish with dormouse.publish. A row that cannot be an event is set aside by the
            server, so that it holds up nobody.
            """,
        run: { invocation throws(CommandFailure) in
            try Watch.run(invocation) { connection, show throws(CommandFailure) in
                let rows = try connection.ask("cannot list the outbox") {
                    client throws(DormouseError) in try client.asideRows()
                }
                var table = Table([
                    ("ROW", .right), ("EXCHANGE", .left), ("KEY", .left), ("SIZE", .right),
                    ("REASON", .left),
                ])
                for row in rows {
                    table.add([
                        String(row.id), Text.printable(row.exchange), Text.printable(row.key),
                        Text.size(row.payloadBytes), Text.printable(row.reason),
                    ])
                }
                return invocation.has("json") ? rows.map(Self.json) : table.lines(show)
            }
        })

    private static let retry = CommandDescription(
        name: "outbox retry", summary: "put rows that were set aside back into the outbox",
        usage: ["outbox retry ROW…", "outbox retry --all"], operands: 0...Int.max,
        options: [Self.everything, .json],
        examples: ["dormouse outbox retry 17 18", "dormouse outbox retry --all"],
        notes: "For when the cause is gone: the exchange was created, or a limit raised.",
        run: { invocation throws(CommandFailure) in
            let ids = try Self.ids(invocation)
            let client = try Connection(invocation).client
            let count = try asking("cannot retry") { () throws(DormouseError) in
                try client.retryOutbox(ids)
            }
            return try Self.say(count, "put back", invocation)
        })

    private static let drop = CommandDescription(
        name: "outbox drop", summary: "delete rows that were set aside",
        usage: ["outbox drop ROW… [--yes]", "outbox drop --all [--yes]"], operands: 0...Int.max,
        options: [Self.everything, .yes, .json],
        examples: ["dormouse outbox drop 17", "dormouse outbox drop --all --yes"],
        notes: "What their writers have published is gone then.",
        run: { invocation throws(CommandFailure) in
            let ids = try Self.ids(invocation)
            try Confirmation.ask(
                invocation,
                ids.map { "this deletes \($0.count) of the rows that were set aside" }
                    ?? "this deletes all rows that were set aside")
            let client = try Connection(invocation).client
            let count = try asking("cannot drop") { () throws(DormouseError) in
                try client.dropOutbox(ids)
            }
            return try Self.say(count, "deleted", invocation)
        })

    private static let everything = CommandOption("all", "all of them")

    /// nil: all of them.
    private static func ids(_ invocation: Invocation) throws(CommandFailure) -> [UInt64]? {
        guard invocation.has("all") != !invocation.operands.isEmpty else {
            throw .usage("name rows as 'outbox list' shows them, or give --all")
        }
        if invocation.has("all") { return nil }
        var ids: [UInt64] = []
        for text in invocation.operands {
            guard let id = UInt64(text), id <= UInt64(Int64.max) else {
                throw .usage("'\(text)' is no row; expected a number, as 'outbox list' shows it")
            }
            ids.append(id)
        }
        return ids
    }

    private static func say(
        _ count: UInt64, _ done: String, _ invocation: Invocation
    ) throws(CommandFailure) -> ExitCode {
        let output = Output()
        try output.write(
            invocation.has("json")
                ? "{\"count\":\(count)}" : "\(done): \(count) \(count == 1 ? "row" : "rows")")
        try output.flush()
        return .success
    }

    private static func json(_ row: DormouseClient.AsideRow) -> String {
        "{\"id\":\(row.id),\"exchange\":\(JSONText.quoted(row.exchange)),\"key\":\(JSONText.quoted(row.key)),"
            + "\"bytes\":\(row.payloadBytes),\"inserted_at\":\(row.insertedAt),"
            + "\"reason\":\(JSONText.quoted(row.reason))}"
    }
}
