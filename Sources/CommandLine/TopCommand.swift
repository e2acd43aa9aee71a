import DormouseClient

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// `dormouse top`: the server and its subscriptions, live.
enum TopCommand {
    static let description = CommandDescription(
        name: "top", summary: "a live screen of the server and its subscriptions; q ends it",
        usage: ["top [OPTION...]"], operands: 0...0,
        options: [
            CommandOption("every", "DURATION", "how often it looks; default 1s"),
            CommandOption("exchange", "NAME", of: .exchange, "only this one; default all"), .json,
            .utc,
        ],
        examples: [
            "dormouse top --exchange orders",
            "dormouse top --json --every 5s | jq .published_per_second",
        ],
        notes: """
            Those that are furthest behind stand first. LAG and OLDEST are of what is not confirmed, IN
            FLIGHT of what was sent and is not confirmed, DONE/S are positions confirmed a second. With
            --json every look is a line; the rates of the first are null.
            """,
        run: Self.run)

    private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let period = try invocation.duration("every") ?? 1000
        guard period >= 100 else { throw .usage("--every is shorter than 100ms") }
        let output = Output()
        if invocation.has("json") { return try Self.write(output, every: period, invocation) }
        guard output.isTerminal, isatty(STDIN_FILENO) == 1 else {
            throw .usage(
                "top needs a terminal; use --json, or 'dormouse subscriptions list --watch'")
        }
        let connection = try Connection(invocation, reconnects: true)
        let interrupts = try Interrupts()
        let keys = Keys()
        defer { keys.restore() }
        try output.write(lines: Array("\(Screen.enter)".utf8))
        defer { Self.leave(output) }
        var before: TopLook?
        while true {
            let look = try TopLook(connection, now: OS.now)
            let lines = look.lines(after: before, Show(invocation, output))
            try output.write(lines: Screen.frame(Screen.fitted(lines, Screen.size)))
            try output.flush()
            before = look
            if let exit = Self.wait(interrupts, milliseconds: period) { return exit }
        }
    }

    /// A line for each look, until a signal comes or nobody reads on.
    private static func write(
        _ output: Output, every period: UInt64, _ invocation: Invocation
    ) throws(CommandFailure) -> ExitCode {
        let connection = try Connection(invocation, reconnects: true)
        let interrupts = try Interrupts()
        var before: TopLook?
        while true {
            let look = try TopLook(connection, now: OS.now)
            try output.write(look.json(after: before))
            try output.flush()
            before = look
            if let exit = Watch.wait(interrupts, period) { return exit }
        }
    }

    private static func leave(_ output: Output) {
        do throws(CommandFailure) {
            try output.write(lines: Array("\(Screen.leave)".utf8))
            try output.flush()
        } catch {
            // The terminal is gone, and with it what was to be restored.
        }
    }

    /// Until the time is over; the exit code when q was typed or a signal came.
    private static func wait(_ interrupts: Interrupts, milliseconds: UInt64) -> ExitCode? {
        var watched = [
            pollfd(fd: interrupts.descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0),
        ]
        _ = poll(&watched, 2, Int32(clamping: milliseconds))
        if let exit = interrupts.take() { return exit }
        guard watched[1].revents != 0 else { return nil }
        var byte: UInt8 = 0
        let count = withUnsafeMutableBytes(of: &byte) { OS.read(STDIN_FILENO, $0) }
        return count <= 0 || byte == UInt8(ascii: "q") ? .success : nil
    }
}

/// Keys one by one and unseen, while it lasts.
private struct Keys {
    private var before = termios()

    init() {
        tcgetattr(STDIN_FILENO, &self.before)
        var raw = self.before
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
        tcsetattr(STDIN_FILENO, TCSANOW, &raw)
    }

    func restore() {
        var before = self.before
        tcsetattr(STDIN_FILENO, TCSANOW, &before)
    }
}

/// What one look found.
struct TopLook {
    let server: ServerInfo
    let subscribers: [SubscriberInfo]
    let now: UInt64

    init(_ server: ServerInfo, _ subscribers: [SubscriberInfo], now: UInt64) {
        self.server = server
        self.subscribers = subscribers
        self.now = now
    }

    init(_ connection: Connection, now: UInt64) throws(CommandFailure) {
        let exchanges = try connection.exchanges()
        let (server, subscribers) = try connection.ask("cannot look") {
            client throws(DormouseError) -> (ServerInfo, [SubscriberInfo]) in
            var subscribers: [SubscriberInfo] = []
            for exchange in exchanges { subscribers += try client.subscribers(exchange: exchange) }
            return (try client.server(), subscribers)
        }
        self.init(server, subscribers, now: now)
    }

    /// A second; nil when nobody knows yet.
    private func rate(_ count: UInt64, _ earlier: UInt64?, _ before: TopLook?) -> UInt64? {
        guard let before, let earlier, self.now > before.now, count >= earlier else { return nil }
        let seconds = Double(self.now - before.now) / 1_000_000
        return UInt64((Double(count - earlier) / seconds).rounded())
    }

    /// What was sent and is not confirmed.
    private static func inFlight(_ subscriber: SubscriberInfo) -> UInt64 {
        subscriber.sent > subscriber.position ? subscriber.sent - subscriber.position : 0
    }

    func json(after before: TopLook?) -> String {
        func rate(_ count: UInt64, _ earlier: UInt64?) -> String {
            self.rate(count, earlier, before).map(String.init) ?? "null"
        }
        let earlier = before?.acknowledged ?? [:]
        let subscribers = self.subscribers.sorted(by: Self.isWorse).map { subscriber in
            "{\"name\":\(JSONText.quoted(subscriber.name)),"
                + "\"exchange\":\(JSONText.quoted(subscriber.exchange)),"
                + "\"state\":\"\(SubscriptionsCommand.state(subscriber.state))\","
                + "\"lag\":\(SubscriptionsCommand.lag(subscriber)),"
                + "\"in_flight\":\(Self.inFlight(subscriber)),\"done_per_second\":"
                + rate(subscriber.acknowledged, earlier[Self.title(subscriber)]) + "}"
        }
        return "{\"time\":\"\(TimeText.rfc3339(self.now))\","
            + "\"connections\":\(self.server.connections),"
            + "\"store_available\":\(self.server.isStoreAvailable),"
            + "\"published\":\(self.server.published),\"published_per_second\":"
            + rate(self.server.published, before?.server.published)
            + ",\"delivered\":\(self.server.delivered),\"delivered_per_second\":"
            + rate(self.server.delivered, before?.server.delivered)
            + ",\"subscriptions\":[\(subscribers.joined(separator: ","))]}"
    }

    private static func title(_ subscriber: SubscriberInfo) -> String {
        "\(subscriber.exchange)/\(subscriber.name)"
    }

    private var acknowledged: [String: UInt64] {
        Dictionary(
            self.subscribers.map { (Self.title($0), $0.acknowledged) }, uniquingKeysWith: { $1 })
    }

    func lines(after before: TopLook?, _ show: Show) -> [String] {
        func rate(_ count: UInt64, _ earlier: UInt64?) -> String {
            self.rate(count, earlier, before).map(Text.grouped) ?? "-"
        }
        let store =
            self.server.isStoreAvailable
            ? "store available"
            : show.coloured("store away: " + Text.printable(self.server.storeReason), .red)
        var lines = [
            "\(Text.printable(self.server.server))  up \(show.ago(self.server.startedAt))  "
                + "\(Text.count(UInt64(self.server.connections), "connection"))  \(store)  "
                + show.time(self.now),
            "published \(Text.grouped(self.server.published)) "
                + "(\(rate(self.server.published, before?.server.published))/s)  delivered "
                + "\(Text.grouped(self.server.delivered)) "
                + "(\(rate(self.server.delivered, before?.server.delivered))/s)",
            "",
        ]
        let earlier = before?.acknowledged ?? [:]
        var table = Table([
            ("NAME", .left), ("EXCHANGE", .left), ("STATE", .left), ("LAG", .right),
            ("OLDEST", .right), ("IN FLIGHT", .right), ("DONE/S", .right), ("PEER", .left),
        ])
        for subscriber in self.subscribers.sorted(by: Self.isWorse) {
            let oldest = subscriber.oldestWaitingAt
            table.add(
                [
                    Text.printable(subscriber.name), Text.printable(subscriber.exchange),
                    SubscriptionsCommand.state(subscriber.state),
                    Text.grouped(SubscriptionsCommand.lag(subscriber)),
                    oldest == 0 ? "-" : show.ago(oldest),
                    Text.grouped(Self.inFlight(subscriber)),
                    rate(subscriber.acknowledged, earlier[Self.title(subscriber)]),
                    Text.printable(subscriber.peer),
                ], colours: SubscriptionsCommand.colour(subscriber.state).map { [2: $0] } ?? [:])
        }
        lines += table.lines(show)
        return lines
    }

    /// Further behind; then by name.
    private static func isWorse(_ left: SubscriberInfo, _ right: SubscriberInfo) -> Bool {
        let lags = (SubscriptionsCommand.lag(left), SubscriptionsCommand.lag(right))
        return lags.0 == lags.1 ? left.name < right.name : lags.0 > lags.1
    }
}
