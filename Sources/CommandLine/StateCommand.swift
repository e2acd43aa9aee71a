import DormouseClient

/// `dormouse state`.
enum StateCommand {
    static let description = CommandDescription(
        name: "state", summary: "print the whole state: receivers and their consumers' positions",
        usage: ["state [--exchange NAME]"], operands: 0...0,
        options: [
            CommandOption("exchange", "NAME", of: .exchange, "only this one; default all"),
            CommandOption("json", "the same: the state is JSON"),
        ],
        examples: [
            "dormouse state", "dormouse state | jq '.[].consumers'",
        ],
        run: Self.run)

    private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let connection = try Connection(invocation)
        let exchanges = try connection.exchanges()
        let state = try connection.ask("cannot list the state") { client throws(DormouseError) in
            var state = StateText()
            for exchange in exchanges {
                for receiver in try client.receivers(exchange: exchange) {
                    state.add(receiver.filter, exchange: exchange)
                }
                for subscriber in try client.subscribers(exchange: exchange) {
                    state.add(subscriber, exchange: exchange)
                }
            }
            return state
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

    mutating func add(_ filter: Filter, exchange: String) {
        let title = Self.config(filter, exchange: exchange)
        self.consumers[title, default: [:]] = self.consumers[title] ?? [:]
    }

    mutating func add(_ subscriber: SubscriberInfo, exchange: String) {
        let title = Self.config(subscriber.filter, exchange: exchange)
        let name = JSONText.quoted(subscriber.name)
        self.consumers[title, default: [:]][name] = subscriber.position
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
    static func config(_ filter: Filter, exchange: String) -> String {
        let title = JSONText.quoted(exchange.isEmpty ? "main" : exchange)
        let patterns = filter.patterns.map { JSONText.quoted($0) }.joined(separator: ", ")
        let headers = filter.headers.map(Self.header).joined(separator: ", ")
        return "{\"exchange\": \(title), \"patterns\": [\(patterns)], \"headers\": [\(headers)]}"
    }

    private static func header(_ match: HeaderMatch) -> String {
        let (name, condition) =
            switch match {
            case .equals(let name, let value): (name, "\"equals\": " + JSONText.quoted(value))
            case .prefix(let name, let value): (name, "\"prefix\": " + JSONText.quoted(value))
            case .exists(let name): (name, "\"exists\": true")
            case .absent(let name): (name, "\"exists\": false")
            }
        return "{\"name\": \(JSONText.quoted(name)), \(condition)}"
    }
}
