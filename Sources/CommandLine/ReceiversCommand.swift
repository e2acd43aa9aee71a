import DormouseClient

/// `dormouse receivers list`.
enum ReceiversCommand {
    static let description = CommandDescription(
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
}
