import Core
import Wire

/// `dormouse state`.
enum StateCommand {
    static let description = CommandDescription(
        name: "state", summary: "print the whole state: receivers and their consumers' positions",
        usage: ["state [--exchange NAME]"], operands: 0...0,
        options: [CommandOption("exchange", "NAME", "only this one; default all")],
        examples: [
            "dormouse state", "dormouse state | jq '.[].consumers'",
        ],
        run: Self.run)

    private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let connection = try Connection(invocation)
        var exchanges = [connection.exchange]
        if connection.exchange.isEmpty {
            exchanges = try connection.call(
                .exchanges(ExchangesRequest()), doing: "cannot list exchanges"
            ) {
                if case .exchanges(let reply) = $0 { reply.exchanges.map(\.name) } else { nil }
            }
        }
        var state = StateText()
        for exchange in exchanges {
            let request = ListReceiversRequest(exchange: exchange)
            let receivers = try connection.call(
                .listReceivers(request), doing: "cannot list receivers"
            ) {
                if case .listReceivers(let reply) = $0 { reply.receivers } else { nil }
            }
            for receiver in receivers { state.add(receiver.config, exchange: exchange) }
            try SubscriptionsCommand.forEach(connection, exchange: exchange) { subscription in
                state.add(subscription, exchange: exchange)
            }
        }
        let output = Output()
        for line in state.lines { try output.write(line) }
        try output.flush()
        return .success
    }
}

/// The state as JSON, pretty and in an order that depends on its content only.
struct StateText {
    private var consumers: [String: [String: UInt64]] = [:]

    mutating func add(_ config: ReceiverConfigMessage, exchange: [UInt8]) {
        let title = Self.config(config, exchange: exchange)
        self.consumers[title, default: [:]] = self.consumers[title] ?? [:]
    }

    mutating func add(_ subscription: Subscription, exchange: [UInt8]) {
        let title = Self.config(subscription.config, exchange: exchange)
        let name = JSONText.quoted(subscription.name)
        self.consumers[title, default: [:]][name] = subscription.position
    }

    var lines: [String] {
        if self.consumers.isEmpty { return ["[]"] }
        var lines = ["["]
        let receivers = self.consumers.sorted { $0.key < $1.key }
        for (index, receiver) in receivers.enumerated() {
            lines += ["  {", "    \"config\": \(receiver.key),"]
            let positions = receiver.value.sorted { $0.key < $1.key }
            lines.append("    \"consumers\": {" + (positions.isEmpty ? "}" : ""))
            for (index, position) in positions.enumerated() {
                let comma = index + 1 < positions.count ? "," : ""
                lines.append("      \(position.key): \(position.value)\(comma)")
            }
            if !positions.isEmpty { lines.append("    }") }
            lines.append("  }" + (index + 1 < receivers.count ? "," : ""))
        }
        return lines + ["]"]
    }

    /// One line; the same text for the same config.
    static func config(_ config: ReceiverConfigMessage, exchange: [UInt8]) -> String {
        let name = config.exchange.isEmpty ? exchange : config.exchange
        let title = JSONText.quoted(name.isEmpty ? Array("main".utf8) : name)
        let patterns = config.patterns.map { JSONText.quoted($0) }.joined(separator: ", ")
        let headers = config.headers.map(Self.header).joined(separator: ", ")
        return "{\"exchange\": \(title), \"patterns\": [\(patterns)], \"headers\": [\(headers)]}"
    }

    private static func header(_ match: HeaderMatchMessage) -> String {
        let condition =
            switch match.kind {
            case .equals: "\"equals\": " + JSONText.quoted(match.value)
            case .prefix: "\"prefix\": " + JSONText.quoted(match.value)
            case .exists: "\"exists\": true"
            case .absent: "\"exists\": false"
            }
        return "{\"name\": \(JSONText.quoted(match.name)), \(condition)}"
    }
}
