import Core
import DormouseClient

/// `dormouse exchanges`.
enum ExchangesCommand {
    static let description = CommandDescription(
        name: "exchanges", summary: "list the exchanges, or create one",
        usage: ["exchanges", "exchanges create NAME"], operands: 0...2, options: [.json],
        examples: ["dormouse exchanges", "dormouse exchanges create orders"],
        run: Self.run)

    private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let output = Output()
        if !invocation.operands.isEmpty {
            try Self.create(invocation, output)
        } else {
            let client = try Connection(invocation).client
            let exchanges = try asking("cannot list exchanges") { () throws(DormouseError) in
                try client.exchanges()
            }
            if invocation.has("json") {
                for exchange in exchanges { try output.write(Self.json(exchange)) }
            } else {
                for line in Self.table(exchanges).lines { try output.write(line) }
            }
        }
        try output.flush()
        return .success
    }

    private static func create(
        _ invocation: Invocation, _ output: Output
    ) throws(CommandFailure) {
        guard invocation.operands.count == 2, invocation.operands[0] == "create" else {
            throw .usage("usage: dormouse exchanges, or dormouse exchanges create NAME")
        }
        let text = invocation.operands[1]
        let name = try attempt { () throws(Failure) in try Name(text, what: "exchange") }
        let client = try Connection(invocation).client
        let created = try asking("cannot create '\(name)'") { () throws(DormouseError) in
            try client.createExchange(name.text)
            return try client.exchanges().first { $0.name == name.text }
        }
        try output.write(
            invocation.has("json")
                ? created.map(Self.json) ?? "null" : "created the exchange '\(name)'")
    }

    private static func table(_ exchanges: [ExchangeInfo]) -> Table {
        var table = Table([
            ("NAME", .left), ("FIRST", .right), ("HEAD", .right), ("RECEIVERS", .right),
            ("SUBSCRIBERS", .right),
        ])
        for exchange in exchanges {
            table.add([
                Text.printable(exchange.name), String(exchange.first), String(exchange.head),
                String(exchange.receivers), String(exchange.subscribers),
            ])
        }
        return table
    }

    private static func json(_ exchange: ExchangeInfo) -> String {
        "{\"name\":\(JSONText.quoted(exchange.name)),\"first\":\(exchange.first),"
            + "\"head\":\(exchange.head),\"epoch\":\(exchange.epoch),"
            + "\"receivers\":\(exchange.receivers),\"subscribers\":\(exchange.subscribers)}"
    }
}

/// `dormouse server`.
enum ServerCommand {
    static let description = CommandDescription(
        name: "server", summary: "show the server: version, uptime, connections, store",
        usage: ["server [--json]"], operands: 0...0, options: [.json],
        examples: ["dormouse server", "dormouse server --json | jq .store_available"],
        notes: "Ends with 69 when the server cannot reach its Postgres.", run: Self.run)

    private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let client = try Connection(invocation).client
        let server = try asking("cannot ask the server") { () throws(DormouseError) in
            try client.server()
        }
        let output = Output()
        for line in invocation.has("json") ? [Self.json(server)] : Self.lines(server) {
            try output.write(line)
        }
        try output.flush()
        return server.isStoreAvailable ? .success : .unavailable
    }

    private static func lines(_ server: ServerInfo) -> [String] {
        let store =
            server.isStoreAvailable
            ? "available" : "not available: " + Text.printable(server.storeReason)
        return [
            "server       " + Text.printable(server.server),
            "started      " + TimeText.rfc3339(server.startedAt, digits: 0),
            "incarnation  " + Self.hexadecimal(server.incarnation),
            "store        " + store,
            "connections  " + Text.grouped(UInt64(server.connections)),
            "published    " + Text.count(server.published, "event") + " since the start",
            "delivered    " + Text.count(server.delivered, "event") + " since the start",
        ]
    }

    private static func json(_ server: ServerInfo) -> String {
        "{\"server\":\(JSONText.quoted(server.server)),"
            + "\"started_at\":\"\(TimeText.rfc3339(server.startedAt))\","
            + "\"incarnation\":\"\(Self.hexadecimal(server.incarnation))\","
            + "\"connections\":\(server.connections),\"published\":\(server.published),"
            + "\"delivered\":\(server.delivered),\"store_available\":\(server.isStoreAvailable),"
            + "\"store_reason\":\(JSONText.quoted(server.storeReason))}"
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
