import DormouseClient

/// `dormouse admin restored`.
enum RestoredCommand {
    static let description = CommandDescription(
        name: "admin restored",
        summary: "say that the log was restored from a backup, so that clients notice",
        usage: ["admin restored [--yes] [--json]"], operands: 0...0, options: [.yes, .json],
        examples: ["dormouse admin restored", "dormouse admin restored --yes --json"],
        notes: """
            A restored log ends earlier than the one before, and what is published now gets positions
            that clients have seen with other events. This gives the log a new incarnation and ends all
            connections. Clients connect again; one that remembers a position of the old log is told
            POSITION_LOST and where the log begins, instead of being served as if nothing had
            happened. Names go on at their positions of the backup. Nothing is removed.

            Restore into an empty database while the server is down. Then start the server where clients do
            not reach it, such as with only --unix, run this, and start it as usual.
            """,
        run: Self.run)

    private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let connection = try Connection(invocation)
        let doing = "cannot begin a new incarnation"
        let old = try Self.server(connection, doing).incarnation
        try Confirmation.ask(
            invocation,
            "this ends incarnation \(Text.hexadecimal(old)) of the log and all connections; every "
                + "client that remembers a position of it is told POSITION_LOST")
        try connection.ask(doing) { client throws(DormouseError) in
            try client.restored(incarnation: old)
        }
        // That one has ended, as all have.
        let new = try Self.server(try Connection(invocation), doing).incarnation
        return try Output.say(
            invocation,
            "the log has the incarnation \(Text.hexadecimal(new)); it was \(Text.hexadecimal(old))",
            [
                ("incarnation", JSONText.quoted(Text.hexadecimal(new))),
                ("previous", JSONText.quoted(Text.hexadecimal(old))),
            ])
    }

    private static func server(
        _ connection: Connection, _ doing: String
    ) throws(CommandFailure) -> ServerInfo {
        try connection.ask(doing) { client throws(DormouseError) in try client.server() }
    }
}
