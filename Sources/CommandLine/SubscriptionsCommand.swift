import DormouseClient

/// `dormouse subscriptions`.
enum SubscriptionsCommand {
    static let description = CommandDescription(
        name: "subscriptions list", otherNames: ["subscriptions"],
        summary: "list the subscriptions, awake and asleep",
        usage: ["subscriptions list [OPTION...]"], operands: 0...0,
        options: [
            .exchange, CommandOption("prefix", "TEXT", "only names that begin so"), .json, .names,
            Watch.option,
        ],
        examples: [
            "dormouse subscriptions list",
            "dormouse subscriptions list --json --prefix billing",
        ],
        notes: """
            POSITION is confirmed: a consumer of this name continues after it. LAG counts all events
            after that, also those that the filter does not let through. In a pipe SINCE is a time,
            on a terminal how long ago that was.
            """,
        run: Self.run)

    private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        try Watch.run(invocation) { connection, show throws(CommandFailure) in
            let subscriptions = try connection.ask("cannot list subscriptions") {
                client throws(DormouseError) in
                try client.subscribers(
                    prefix: invocation.value("prefix") ?? "", exchange: connection.exchange)
            }
            if invocation.has("names") { return subscriptions.map(\.name) }
            if invocation.has("json") { return subscriptions.map(Self.json) }
            var table = Table([
                ("NAME", .left), ("STATE", .left), ("POSITION", .right), ("HEAD", .right),
                ("LAG", .right), ("SINCE", .left), ("REASON/PEER", .left),
            ])
            for subscription in subscriptions {
                table.add(
                    Self.row(subscription, now: show.isTerminal ? show.now : nil),
                    colours: Self.colour(subscription.state).map { [1: $0] } ?? [:])
            }
            return table.lines(show)
        }
    }

    // MARK: Output

    static func row(_ subscription: SubscriberInfo, now: UInt64?) -> [String] {
        let lag = Self.lag(subscription)
        let since =
            subscription.since == 0
            ? "-"
            : now.map { TimeText.roughly($0 > subscription.since ? $0 - subscription.since : 0) }
                ?? TimeText.rfc3339(subscription.since, digits: 0)
        let peer = [subscription.reason, subscription.peer, subscription.client]
            .filter { !$0.isEmpty }.map { Text.printable($0) }.joined(separator: ", ")
        return [
            Text.printable(subscription.name), Self.state(subscription.state),
            String(subscription.position), String(subscription.head), String(lag), since, peer,
        ]
    }

    static func state(_ state: SubscriberInfo.State) -> String {
        switch state {
        case .sleeping: "sleeping"
        case .live: "live"
        case .replaying: "replaying"
        case .waitingForCredit: "waiting"
        case .paused: "paused"
        }
    }

    static func lag(_ subscription: SubscriberInfo) -> UInt64 {
        subscription.head > subscription.position
            ? subscription.head - subscription.position : 0
    }

    static func colour(_ state: SubscriberInfo.State) -> Show.Colour? {
        switch state {
        case .live, .replaying: .green
        case .sleeping: .faint
        case .waitingForCredit, .paused: .yellow
        }
    }

    static func json(_ subscription: SubscriberInfo) -> String {
        var fields = [
            "\"exchange\":" + JSONText.quoted(subscription.exchange),
            "\"name\":" + JSONText.quoted(subscription.name),
            "\"state\":\"\(Self.state(subscription.state))\"",
            "\"position\":\(subscription.position)", "\"sent\":\(subscription.sent)",
            "\"head\":\(subscription.head)",
        ]
        fields.append("\"since\":" + Self.time(subscription.since))
        fields.append("\"oldest_waiting_at\":" + Self.time(subscription.oldestWaitingAt))
        fields += [
            "\"paused_until\":"
                + Self.time(
                    subscription.pausedUntil < NameCommands.untilResumed
                        ? subscription.pausedUntil : 0),
            "\"delivered\":\(subscription.delivered)",
            "\"acknowledged\":\(subscription.acknowledged)",
            "\"reason\":" + JSONText.quoted(subscription.reason),
            "\"peer\":" + JSONText.quoted(subscription.peer),
            "\"client\":" + JSONText.quoted(subscription.client),
            "\"config\":" + StateText.config(subscription.filter, exchange: subscription.exchange),
        ]
        return "{" + fields.joined(separator: ",") + "}"
    }

    private static func time(_ microseconds: UInt64) -> String {
        microseconds == 0 ? "null" : "\"\(TimeText.rfc3339(microseconds))\""
    }
}
