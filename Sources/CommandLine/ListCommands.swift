import DormouseClient

/// `dormouse receivers list` and `dormouse connections list`.
enum ListCommands {
    static let all = [Self.receivers, Self.connections]

    private static let receivers = CommandDescription(
        name: "receivers list", otherNames: ["receivers"],
        summary: "list the filters that are in use, and how many subscriptions use each",
        usage: ["receivers list [--exchange NAME]"], operands: 0...0,
        options: [
            CommandOption("exchange", "NAME", of: .exchange, "only this one; default all"), .json,
            Watch.option,
        ],
        examples: [
            "dormouse receivers list", "dormouse receivers list --exchange orders --json",
        ],
        notes: """
            A receiver is one filter over an exchange; all subscriptions with the same filter share it.
            ID 0 is one that only subscriptions without a name use.
            """,
        run: { invocation throws(CommandFailure) in
            try Watch.run(invocation) { connection, show throws(CommandFailure) in
                var receivers: [ReceiverInfo] = []
                for exchange in try connection.exchanges() {
                    receivers += try connection.ask("cannot list receivers") {
                        client throws(DormouseError) in try client.receivers(exchange: exchange)
                    }
                }
                var table = Table([
                    ("EXCHANGE", .left), ("ID", .right), ("AWAKE", .right), ("SLEEPING", .right),
                    ("FILTER", .left),
                ])
                for receiver in receivers {
                    table.add([
                        Text.printable(receiver.exchange), String(receiver.id),
                        String(receiver.awake), String(receiver.sleeping),
                        Text.filter(receiver.filter),
                    ])
                }
                return invocation.has("json") ? receivers.map(Self.json) : table.lines(show)
            }
        })

    private static func json(_ receiver: ReceiverInfo) -> String {
        "{\"exchange\":\(JSONText.quoted(receiver.exchange)),\"id\":\(receiver.id),"
            + "\"awake\":\(receiver.awake),\"sleeping\":\(receiver.sleeping),\"config\":"
            + StateText.config(receiver.filter, exchange: receiver.exchange) + "}"
    }

    // MARK: Connections

    /// One consumer's connection, by what its subscriptions say of it.
    private struct Peer: Hashable {
        let peer: String
        let client: String
        let principal: String
    }

    private static let connections = CommandDescription(
        name: "connections list", otherNames: ["connections"],
        summary: "list the connections that consume, and what they consume",
        usage: ["connections list [--exchange NAME]"], operands: 0...0,
        options: [
            CommandOption("exchange", "NAME", of: .exchange, "only this one; default all"), .json,
            Watch.option,
        ],
        examples: ["dormouse connections list", "dormouse connections list --json | jq .peer"],
        notes: """
            Connections that only publish or ask are counted by 'dormouse server', and not listed.
            """,
        run: { invocation throws(CommandFailure) in
            try Watch.run(invocation) { connection, show throws(CommandFailure) in
                var json: [String] = []
                var consumed: [Peer: [String]] = [:]
                for exchange in try connection.exchanges() {
                    let subscribers = try connection.ask("cannot list connections") {
                        client throws(DormouseError) in try client.subscribers(exchange: exchange)
                    }
                    for subscriber in subscribers where !subscriber.peer.isEmpty {
                        let peer = Peer(
                            peer: subscriber.peer, client: subscriber.client,
                            principal: subscriber.principal)
                        consumed[peer, default: []].append("\(exchange)/\(subscriber.name)")
                    }
                }
                var table = Table([
                    ("PEER", .left), ("CLIENT", .left), ("SUBSCRIPTIONS", .left),
                ])
                for (peer, names) in consumed.sorted(by: { $0.key.peer < $1.key.peer }) {
                    let list = names.map { JSONText.quoted($0) }.joined(separator: ",")
                    json.append(
                        "{\"peer\":\(JSONText.quoted(peer.peer)),"
                            + "\"client\":\(JSONText.quoted(peer.client)),"
                            + "\"principal\":\(JSONText.quoted(peer.principal)),"
                            + "\"subscriptions\":[\(list)]}")
                    table.add([
                        Text.printable(peer.peer), Text.printable(peer.client),
                        names.joined(separator: " "),
                    ])
                }
                return invocation.has("json") ? json : table.lines(show)
            }
        })
}
