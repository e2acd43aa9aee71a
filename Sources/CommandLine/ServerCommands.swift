import Core
import DormouseClient

/// `dormouse exchanges`.
enum ExchangesCommand {
    static let all = [Self.list, Self.create]

    private static let list = CommandDescription(
        name: "exchanges list", otherNames: ["exchanges"], summary: "list the exchanges",
        usage: ["exchanges list [--json | --names]"], operands: 0...0,
        options: [.json, .names, Watch.option],
        examples: ["dormouse exchanges list", "dormouse exchanges list --json | jq .head"],
        run: { invocation throws(CommandFailure) in
            try Watch.run(invocation) { connection, show throws(CommandFailure) in
                let exchanges = try connection.ask("cannot list exchanges") {
                    client throws(DormouseError) in try client.exchanges()
                }
                if invocation.has("names") { return exchanges.map(\.name) }
                return invocation.has("json")
                    ? exchanges.map(Self.json) : Self.table(exchanges).lines(show)
            }
        })

    private static let create = CommandDescription(
        name: "exchanges create", summary: "make an exchange",
        usage: ["exchanges create NAME [--json]"], operands: 1...1, options: [.json],
        examples: [
            "dormouse exchanges create orders", "dormouse exchanges create test --json",
        ],
        notes: "Ends with 73 when there is one of this name.",
        run: { invocation throws(CommandFailure) in
            let text = invocation.operands[0]
            let name = try attempt { () throws(Failure) in try Name(text, what: "exchange") }
            let client = try Connection(invocation).client
            let created = try asking("cannot create '\(name)'") { () throws(DormouseError) in
                try client.createExchange(name.text)
                return try client.exchanges().first { $0.name == name.text }
            }
            let output = Output()
            try output.write(
                invocation.has("json")
                    ? created.map(Self.json) ?? "null" : "created the exchange '\(name)'")
            try output.flush()
            return .success
        })

    private static func table(_ exchanges: [ExchangeInfo]) -> Table {
        var table = Table([
            ("NAME", .left), ("FIRST", .right), ("HEAD", .right), ("RECEIVERS", .right),
            ("SUBSCRIBERS", .right), ("SIZE", .right),
        ])
        for exchange in exchanges {
            table.add([
                Text.printable(exchange.name), String(exchange.first), String(exchange.head),
                String(exchange.receivers), String(exchange.subscribers),
                Text.size(exchange.bytes),
            ])
        }
        return table
    }

    private static func json(_ exchange: ExchangeInfo) -> String {
        "{\"name\":\(JSONText.quoted(exchange.name)),\"first\":\(exchange.first),"
            + "\"head\":\(exchange.head),\"bytes\":\(exchange.bytes),\"epoch\":\(exchange.epoch),"
            + "\"receivers\":\(exchange.receivers),\"subscribers\":\(exchange.subscribers)}"
    }
}

/// `dormouse server`.
enum ServerCommand {
    static let description = CommandDescription(
        name: "server", summary: "show the server: version, uptime, connections, store",
        usage: ["server [--json]"], operands: 0...0, options: [.json, .utc, Watch.option],
        examples: ["dormouse server", "dormouse server --json | jq .store_available"],
        notes: "Ends with 69 when the server cannot reach its Postgres.", run: Self.run)

    private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        var isAvailable = true
        let exit = try Watch.run(invocation) { connection, show throws(CommandFailure) in
            let server = try connection.ask("cannot ask the server") {
                client throws(DormouseError) in try client.server()
            }
            isAvailable = server.isStoreAvailable
            return invocation.has("json") ? [Self.json(server)] : Self.lines(server, show)
        }
        return exit == .success && !isAvailable ? .unavailable : exit
    }

    private static func lines(_ server: ServerInfo, _ show: Show) -> [String] {
        let store =
            server.isStoreAvailable
            ? "available" : "not available: " + Text.printable(server.storeReason)
        return [
            "server       " + Text.printable(server.server),
            "started      " + show.since(server.startedAt),
            "incarnation  " + Text.hexadecimal(server.incarnation),
            "store        " + store,
            "connections  " + Text.grouped(UInt64(server.connections)),
            "published    " + Text.count(server.published, "event") + " since the start",
            "delivered    " + Text.count(server.delivered, "event") + " since the start",
        ]
    }

    private static func json(_ server: ServerInfo) -> String {
        "{\"server\":\(JSONText.quoted(server.server)),"
            + "\"started_at\":\"\(TimeText.rfc3339(server.startedAt))\","
            + "\"incarnation\":\"\(Text.hexadecimal(server.incarnation))\","
            + "\"connections\":\(server.connections),\"published\":\(server.published),"
            + "\"delivered\":\(server.delivered),\"store_available\":\(server.isStoreAvailable),"
            + "\"store_reason\":\(JSONText.quoted(server.storeReason))}"
    }
}
