import DormouseClient

/// Why nothing comes to a subscription, from what the server says of it.
struct Explanation: Hashable {
    /// For programs, in this order: what is worst stands first.
    enum Reason: String {
        case storeAway = "store_away"
        case lost
        case paused
        case asleep
        case noCredit = "no_credit"
        case replaying
        case unconfirmed
        case nothingNew = "nothing_new"
        case nothingMatches = "nothing_matches"
        case waiting
    }

    /// What was found out.
    struct Facts {
        let subscriber: SubscriberInfo
        let server: ServerInfo
        /// The oldest position that is still in the log.
        let first: UInt64
        /// The first event after the confirmed position that the filter lets through; nil: none, or
        /// nobody could look.
        var next: (position: UInt64, publishedAt: UInt64)?
    }

    private(set) var reasons: [Reason] = []
    private(set) var lines: [String] = []

    init(_ facts: Facts, _ show: Show) {
        let name = "'\(facts.subscriber.name)'"
        self.store(facts.server)
        self.retention(facts, name)
        switch facts.subscriber.state {
        case .sleeping: self.asleep(facts, name, show)
        case .paused: self.paused(facts, name, show)
        case .waitingForCredit: self.withoutCredit(facts, name, show)
        case .replaying: self.replaying(facts, name)
        case .live: self.live(facts, name, show)
        }
    }

    private mutating func say(_ reason: Reason, _ line: String) {
        self.reasons.append(reason)
        self.lines.append(line)
    }

    private mutating func store(_ server: ServerInfo) {
        guard !server.isStoreAvailable else { return }
        let why = server.storeReason.isEmpty ? "" : ": " + Text.printable(server.storeReason)
        self.say(
            .storeAway,
            "The server cannot reach its Postgres\(why). Nothing is published, and nothing old is "
                + "sent, until it can.")
    }

    private mutating func retention(_ facts: Facts, _ name: String) {
        let position = facts.subscriber.position
        guard facts.first > position + 1 else { return }
        self.say(
            .lost,
            "Positions \(position + 1) to \(facts.first - 1) are no longer in the log, so \(name) "
                + "has lost what matched there. Its consumer is told POSITION_LOST; go on with: "
                + "dormouse subscriptions seek \(facts.subscriber.name) --to first")
    }

    // MARK: By state

    private mutating func asleep(_ facts: Facts, _ name: String, _ show: Show) {
        let info = facts.subscriber
        let why = info.reason.isEmpty ? "" : ": \(Text.printable(info.reason))"
        self.say(.asleep, "\(name) is asleep since \(show.since(info.since))\(why).")
        self.backlog(facts, show)
        self.lines.append(
            "It wakes up when somebody subscribes: dormouse subscribe \(info.name)")
    }

    private mutating func paused(_ facts: Facts, _ name: String, _ show: Show) {
        let info = facts.subscriber
        // Beyond the year 9999 lies 'until somebody resumes it'.
        let isForEver =
            info.pausedUntil == 0 || info.pausedUntil >= NameCommands.untilResumed
        let end = isForEver ? "somebody resumes it" : show.time(info.pausedUntil)
        let why = info.reason.isEmpty ? "" : ": \(Text.printable(info.reason))"
        self.say(
            .paused, "\(name) is paused until \(end), since \(show.since(info.since))\(why).")
        self.backlog(facts, show)
        self.lines.append("To go on now: dormouse subscriptions resume \(info.name)")
    }

    private mutating func withoutCredit(_ facts: Facts, _ name: String, _ show: Show) {
        let info = facts.subscriber
        self.say(
            .noCredit,
            "The consumer of \(name) at \(Self.consumer(info)) takes no more: it has granted no "
                + "more credit since \(show.since(info.since)). It is slow, or stuck.")
        self.unconfirmed(info, show)
    }

    private mutating func replaying(_ facts: Facts, _ name: String) {
        let info = facts.subscriber
        self.say(
            .replaying,
            "\(name) is being sent old events: it was sent up to position \(info.sent) of "
                + "\(info.head), and has confirmed up to \(info.position).")
    }

    private mutating func live(_ facts: Facts, _ name: String, _ show: Show) {
        let info = facts.subscriber
        self.lines.append("\(name) is awake, at \(Self.consumer(info)).")
        if info.sent > info.position, facts.next != nil {
            self.unconfirmed(info, show)
        } else {
            self.backlog(facts, show)
        }
    }

    // MARK: Parts

    private mutating func unconfirmed(_ info: SubscriberInfo, _ show: Show) {
        guard info.sent > info.position else { return }
        let since =
            info.oldestWaitingAt > 0
            ? "; the oldest of them was published \(show.since(info.oldestWaitingAt))" : ""
        self.say(
            .unconfirmed,
            "It was sent everything up to position \(info.sent) and has confirmed up to "
                + "\(info.position)\(since).")
    }

    private mutating func backlog(_ facts: Facts, _ show: Show) {
        let info = facts.subscriber
        // What is gone is newer, too, and will never come.
        let end = max(info.position, facts.first > 0 ? facts.first - 1 : 0)
        let lag = info.head > end ? info.head - end : 0
        guard lag > 0 else {
            return self.say(
                .nothingNew,
                "It has confirmed everything: position \(info.position) is the newest of "
                    + "'\(info.exchange)'.")
        }
        let newer = Text.count(lag, "event") + (lag == 1 ? " is" : " are")
        if let next = facts.next {
            self.say(
                .waiting,
                "\(newer) newer than what it has confirmed, position \(info.position). The first "
                    + "for it is position \(next.position), published "
                    + "\(show.since(next.publishedAt)).")
        } else if facts.server.isStoreAvailable {
            self.say(
                .nothingMatches,
                "\(newer) newer than what it has confirmed, position \(info.position), but none of "
                    + "them matches its filter: \(Text.filter(info.filter)).")
        }
    }

    private static func consumer(_ info: SubscriberInfo) -> String {
        let who = [info.peer, info.client].filter { !$0.isEmpty }
        return who.isEmpty ? "an unknown place" : Text.printable(who.joined(separator: ", "))
    }

    var json: String {
        let reasons = self.reasons.map { "\"\($0.rawValue)\"" }.joined(separator: ",")
        let lines = self.lines.map { JSONText.quoted($0) }.joined(separator: ",")
        return "\"reasons\":[\(reasons)],\"text\":[\(lines)]"
    }
}

/// `dormouse explain`.
enum ExplainCommand {
    static let description = CommandDescription(
        name: "explain", summary: "say in words why nothing comes to a subscription",
        usage: ["explain NAME [--exchange NAME]"], operands: 1...1,
        operandKinds: [.subscription], options: [.exchange, .json, .utc],
        examples: ["dormouse explain billing", "dormouse explain billing --json | jq .reasons"],
        notes: """
            Looks at the name, its consumer, its filter, the log and the server. With --json, reasons
            are some of store_away, lost, paused, asleep, no_credit, replaying, unconfirmed,
            nothing_new, nothing_matches, waiting.
            """,
        run: { invocation throws(CommandFailure) in
            let target = try Target(invocation)
            let facts = try Self.facts(target)
            let output = Output()
            let explanation = Explanation(facts, Show(invocation, output))
            if invocation.has("json") {
                try output.write(
                    "{\"name\":\(JSONText.quoted(target.title)),\(explanation.json)}")
            } else {
                for line in explanation.lines { try output.write(line) }
            }
            try output.flush()
            return .success
        })

    private static func facts(_ target: Target) throws(CommandFailure) -> Explanation.Facts {
        let info = try target.description("cannot explain")
        let facts = try target.ask("cannot explain") { client throws(DormouseError) in
            let exchange = try client.exchanges().first { $0.name == info.exchange }
            return Explanation.Facts(
                subscriber: info, server: try client.server(), first: exchange?.first ?? 0)
        }
        guard facts.server.isStoreAvailable else { return facts }
        var found = facts
        found.next = try Self.next(target, max(info.position, facts.first &- 1), info)
        return found
    }

    /// Page after page: a filter may let nothing through for long.
    private static func next(
        _ target: Target, _ position: UInt64, _ info: SubscriberInfo
    ) throws(CommandFailure) -> (position: UInt64, publishedAt: UInt64)? {
        var after = position
        while after < info.head {
            var found: (position: UInt64, publishedAt: UInt64)?
            let page = try target.ask("cannot look into the log") { client throws(DormouseError) in
                try client.fetch(
                    info.filter, after: after, exchange: info.exchange, events: 1
                ) { event in
                    found = (event.position, event.publishedAt)
                    return false
                }
            }
            if let found { return found }
            guard page.upto > after else { return nil }
            after = page.upto
        }
        return nil
    }
}
