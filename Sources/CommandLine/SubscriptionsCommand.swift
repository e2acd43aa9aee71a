import Core
import Wire

/// `dormouse subscriptions`.
enum SubscriptionsCommand {
    static let description = CommandDescription(
        name: "subscriptions", summary: "list the subscriptions, awake and asleep",
        usage: ["subscriptions [OPTION...]"], operands: 0...0,
        options: [
            .exchange, CommandOption("prefix", "TEXT", "only names that begin so"), .json,
        ],
        examples: [
            "dormouse subscriptions", "dormouse subscriptions --json --prefix billing",
        ],
        notes: """
            POSITION is confirmed: a consumer of this name continues after it. LAG counts all events
            after that, also those that the filter does not let through. In a pipe SINCE is a time,
            on a terminal how long ago that was.
            """,
        run: Self.run)

    private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let connection = try Connection(invocation)
        let prefix = Array((invocation.value("prefix") ?? "").utf8)
        let output = Output()
        if invocation.has("json") {
            try Self.forEach(connection, prefix: prefix) { subscription throws(CommandFailure) in
                try output.write(Self.json(subscription))
            }
        } else {
            var table = Table([
                ("NAME", .left), ("STATE", .left), ("POSITION", .right), ("HEAD", .right),
                ("LAG", .right), ("SINCE", .left), ("REASON/PEER", .left),
            ])
            let now = output.isTerminal ? OS.now : nil
            try Self.forEach(connection, prefix: prefix) { subscription in
                table.add(Self.row(subscription, now: now))
            }
            for line in table.lines { try output.write(line) }
        }
        try output.flush()
        return .success
    }

    /// All pages, by name.
    static func forEach(
        _ connection: Connection, exchange: [UInt8]? = nil, prefix: [UInt8] = [],
        _ body: (Subscription) throws(CommandFailure) -> Void
    ) throws(CommandFailure) {
        var request = ListRequest(
            exchange: exchange ?? connection.exchange, namePrefix: prefix)
        repeat {
            let page = try connection.call(.list(request), doing: "cannot list subscriptions") {
                if case .list(let reply) = $0 { reply } else { nil }
            }
            for subscription in page.subscriptions { try body(subscription) }
            // A server that hands out the same page for ever must not keep us here.
            guard page.nextPageToken != request.pageToken else { return }
            request.pageToken = page.nextPageToken
        } while !request.pageToken.isEmpty
    }

    // MARK: Output

    static func row(_ subscription: Subscription, now: UInt64?) -> [String] {
        let lag =
            subscription.head > subscription.position
            ? subscription.head - subscription.position : 0
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

    static func state(_ state: SubscriberState) -> String {
        switch state {
        case .sleeping: "sleeping"
        case .live: "live"
        case .replaying: "replaying"
        case .waitingForCredit: "waiting"
        case .paused: "paused"
        }
    }

    private static func json(_ subscription: Subscription) -> String {
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
            "\"delivered\":\(subscription.delivered)",
            "\"acknowledged\":\(subscription.acknowledged)",
            "\"reason\":" + JSONText.quoted(subscription.reason),
            "\"peer\":" + JSONText.quoted(subscription.peer),
            "\"client\":" + JSONText.quoted(subscription.client),
            "\"config\":" + StateText.config(subscription.config, exchange: subscription.exchange),
        ]
        return "{" + fields.joined(separator: ",") + "}"
    }

    private static func time(_ microseconds: UInt64) -> String {
        microseconds == 0 ? "null" : "\"\(TimeText.rfc3339(microseconds))\""
    }
}
