import DormouseClient

/// `dormouse connections list`.
enum ConnectionsCommand {
    static let description = CommandDescription(
        name: "connections list", otherNames: ["connections"],
        summary: "list all connections: who, since when, how much",
        usage: ["connections list [--json] [--watch[=DURATION]]"], operands: 0...0,
        options: [.json, Watch.option],
        examples: [
            "dormouse connections list", "dormouse connections list --json | jq .peer",
        ],
        notes: """
            The one of this command is among them. PUBLISHED and DELIVERED are events; QUEUED is on its
            way to the client, which has not taken it yet. In a pipe SINCE is a time, on a terminal how
            long ago that was. SUBSCRIPTIONS are those that it consumes, at most the first eight by
            name.
            """,
        run: { invocation throws(CommandFailure) in
            try Watch.run(invocation) { connection, show throws(CommandFailure) in
                let connections = try connection.ask("cannot list connections") {
                    client throws(DormouseError) in try client.serverConnections()
                }
                return invocation.has("json")
                    ? connections.map(Self.json) : Self.table(connections, show).lines(show)
            }
        })

    static func table(_ connections: [ConnectionInfo], _ show: Show) -> Table {
        var table = Table([
            ("ID", .right), ("PEER", .left), ("CLIENT", .left), ("LIBRARY", .left),
            ("PRINCIPAL", .left), ("SINCE", .left), ("PUBLISHED", .right), ("DELIVERED", .right),
            ("QUEUED", .right), ("SUBSCRIPTIONS", .left),
        ])
        for connection in connections {
            table.add([
                String(connection.id), Text.printable(connection.peer),
                Text.printable(connection.client), Text.printable(connection.library),
                Text.printable(connection.principal),
                show.isTerminal
                    ? show.ago(connection.since) : TimeText.rfc3339(connection.since, digits: 0),
                Text.grouped(connection.published), Text.grouped(connection.delivered),
                Text.size(connection.queuedBytes), Self.subscriptions(connection),
            ])
        }
        return table
    }

    private static func subscriptions(_ connection: ConnectionInfo) -> String {
        var words = connection.names.map { name in
            Text.printable(name.hasSuffix("/") ? name + "(no name)" : name)
        }
        let more = connection.subscriptions - connection.names.count
        if more > 0 { words.append("and \(Text.grouped(UInt64(more))) more") }
        return words.joined(separator: " ")
    }

    static func json(_ connection: ConnectionInfo) -> String {
        let names = connection.names.map { JSONText.quoted($0) }.joined(separator: ",")
        let fields = [
            "\"id\":\(connection.id)", "\"peer\":\(JSONText.quoted(connection.peer))",
            "\"client\":\(JSONText.quoted(connection.client))",
            "\"library\":\(JSONText.quoted(connection.library))",
            "\"principal\":\(JSONText.quoted(connection.principal))",
            "\"since\":\"\(TimeText.rfc3339(connection.since))\"",
            "\"published\":\(connection.published)", "\"delivered\":\(connection.delivered)",
            "\"queued_bytes\":\(connection.queuedBytes)", "\"sent_bytes\":\(connection.sentBytes)",
            "\"received_bytes\":\(connection.receivedBytes)",
            "\"subscription_count\":\(connection.subscriptions)", "\"subscriptions\":[\(names)]",
        ]
        return "{" + fields.joined(separator: ",") + "}"
    }
}
