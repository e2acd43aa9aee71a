import DormouseClient

/// `dormouse subscriptions show`.
enum ShowCommand {
    static let description = CommandDescription(
        name: "subscriptions show", summary: "show all that is known of one subscription",
        usage: ["subscriptions show NAME [OPTION...]"], operands: 1...1,
        operandKinds: [.subscription], options: [.exchange, .json, .utc],
        examples: [
            "dormouse subscriptions show billing",
            "dormouse subscriptions show billing --json | jq .position",
        ],
        notes: "'dormouse explain NAME' says in words why nothing comes.",
        run: { invocation throws(CommandFailure) in
            let target = try Target(invocation)
            let info = try target.description("cannot show")
            let output = Output()
            if invocation.has("json") {
                try output.write(SubscriptionsCommand.json(info))
            } else {
                for line in Self.lines(info, Show(invocation, output)) { try output.write(line) }
            }
            try output.flush()
            return .success
        })

    static func lines(_ info: SubscriberInfo, _ show: Show) -> [String] {
        let lag = SubscriptionsCommand.lag(info)
        var lines = [
            ("name", info.name), ("exchange", info.exchange),
            ("filter", Text.filter(info.filter)),
            (
                "state",
                show.coloured(
                    SubscriptionsCommand.state(info.state), SubscriptionsCommand.colour(info.state))
                    + " since \(show.since(info.since))"
            ),
        ]
        if !info.reason.isEmpty { lines.append(("reason", Text.printable(info.reason))) }
        if info.state == .paused, info.pausedUntil > 0,
            info.pausedUntil < NameCommands.untilResumed
        {
            lines.append(("paused until", show.time(info.pausedUntil)))
        }
        lines += [
            ("confirmed", "position \(info.position) of \(info.head), \(Text.grouped(lag)) behind"),
            ("sent", "position \(info.sent)"),
        ]
        if info.oldestWaitingAt > 0 {
            lines.append(("waiting", "since \(show.since(info.oldestWaitingAt))"))
        }
        if !info.peer.isEmpty {
            let who = [info.peer, info.client, info.principal].filter { !$0.isEmpty }
            lines.append(("consumer", Text.printable(who.joined(separator: ", "))))
        }
        lines += [
            ("delivered", Text.count(info.delivered, "event") + " since the server started"),
            (
                "acknowledged",
                Text.count(info.acknowledged, "position") + " since the server started"
            ),
        ]
        return lines.map { name, text in
            name + String(repeating: " ", count: 14 - name.count) + text
        }
    }
}
