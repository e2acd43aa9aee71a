import DormouseClient

/// `dormouse check`: one line and an exit code for monitoring.
enum CheckCommand {
    enum Level: Int, Comparable {
        case ok, warning, critical

        static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }

        var word: String {
            switch self {
            case .ok: "OK"
            case .warning: "WARNING"
            case .critical: "CRITICAL"
            }
        }

        var exit: ExitCode {
            switch self {
            case .ok: .success
            case .warning: .failure
            case .critical: .critical
            }
        }
    }

    /// Beyond these it is a warning, or critical; nil: never.
    struct Thresholds {
        var lagWarning: UInt64?
        var lagCritical: UInt64?
        /// Milliseconds.
        var ageWarning: UInt64?
        var ageCritical: UInt64?

        func level(lag: UInt64, age: UInt64) -> Level {
            if Self.isBeyond(lag, self.lagCritical) || Self.isBeyond(age, self.ageCritical) {
                return .critical
            }
            return Self.isBeyond(lag, self.lagWarning) || Self.isBeyond(age, self.ageWarning)
                ? .warning : .ok
        }

        private static func isBeyond(_ value: UInt64, _ bound: UInt64?) -> Bool {
            bound.map { value > $0 } ?? false
        }
    }

    static let description = CommandDescription(
        name: "check", summary: "one line and an exit code for monitoring",
        usage: ["check [NAME] [OPTION...]"], operands: 0...1, operandKinds: [.subscription],
        options: [
            CommandOption("lag-warn", "N", "warn when more positions than this are unconfirmed"),
            CommandOption("lag-crit", "N", "the same, critical"),
            CommandOption("age-warn", "DURATION", "warn when the oldest of them is older"),
            CommandOption("age-crit", "DURATION", "the same, critical"),
            CommandOption(
                "exchange", "NAME", of: .exchange, "only this one; default all, with NAME main"),
            .json,
        ],
        examples: [
            "dormouse check billing --lag-warn 1000 --age-warn 1m --age-crit 10m",
            "dormouse check --timeout 5s --age-crit 1h",
        ],
        notes: """
            Ends as Nagios and its kin want it: 0 OK, 1 warning, 2 critical (also when the server does
            not answer, its Postgres is away, or NAME is not there), 3 unknown. Without NAME all
            subscriptions are looked at, paused ones too. Lag counts events that a filter would not let
            through; age is that of the oldest event which is not confirmed.
            """,
        run: Self.run)

    private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        do throws(CommandFailure) {
            let result = try Self.result(invocation)
            _ = try Output.say(invocation.has("json") ? result.json : result.line)
            return result.level.exit
        } catch {
            // A plugin's words are what it prints, whatever happened.
            let isUnknown = error.exit == .usage || error.exit == .internal
            let word = isUnknown ? "UNKNOWN" : "CRITICAL"
            let (problem, advice) = error.parts
            let text = Text.printable("\(problem); \(advice)")
            _ = try Output.say(
                invocation.has("json")
                    ? "{\"status\":\"\(word.lowercased())\",\"text\":\(JSONText.quoted(text))}"
                    : "DORMOUSE \(word) - \(text)")
            return isUnknown ? .unknown : .critical
        }
    }

    private static func result(_ invocation: Invocation) throws(CommandFailure) -> CheckResult {
        let thresholds = Thresholds(
            lagWarning: try invocation.number("lag-warn", in: 0...UInt64(Int64.max)),
            lagCritical: try invocation.number("lag-crit", in: 0...UInt64(Int64.max)),
            ageWarning: try invocation.duration("age-warn"),
            ageCritical: try invocation.duration("age-crit"))
        var subscribers: [SubscriberInfo] = []
        let connection: Connection
        if invocation.operands.isEmpty {
            connection = try Connection(invocation)
            for exchange in try connection.exchanges() {
                subscribers += try connection.ask("cannot list subscriptions") {
                    client throws(DormouseError) in try client.subscribers(exchange: exchange)
                }
            }
        } else {
            let target = try Target(invocation)
            connection = target.connection
            subscribers = [try target.description("cannot check")]
        }
        let server = try connection.ask("cannot ask the server") { client throws(DormouseError) in
            try client.server()
        }
        return CheckResult(subscribers, server, thresholds, now: OS.now)
    }
}

/// What a check has found.
struct CheckResult {
    private(set) var level = CheckCommand.Level.ok
    private var problems: [String] = []
    private var lag: UInt64 = 0
    /// Milliseconds.
    private var age: UInt64 = 0
    private let count: Int
    private let thresholds: CheckCommand.Thresholds

    init(
        _ subscribers: [SubscriberInfo], _ server: ServerInfo,
        _ thresholds: CheckCommand.Thresholds, now: UInt64
    ) {
        self.count = subscribers.count
        self.thresholds = thresholds
        if !server.isStoreAvailable {
            self.level = .critical
            let why = server.storeReason.isEmpty ? "" : ": " + Text.printable(server.storeReason)
            self.problems.append("the server cannot reach its Postgres\(why)")
        }
        for subscriber in subscribers {
            let lag = SubscriptionsCommand.lag(subscriber)
            let oldest = subscriber.oldestWaitingAt
            let age = oldest > 0 && now > oldest ? (now - oldest) / 1000 : 0
            self.lag = max(self.lag, lag)
            self.age = max(self.age, age)
            let level = thresholds.level(lag: lag, age: age)
            guard level > .ok else { continue }
            self.level = max(self.level, level)
            self.problems.append(
                "\(subscriber.name) is \(SubscriptionsCommand.state(subscriber.state)), "
                    + "\(Text.grouped(lag)) behind, oldest \(TimeText.roughly(age * 1000))")
        }
    }

    var line: String {
        let text =
            self.problems.isEmpty
            ? "\(Text.count(UInt64(self.count), "subscription")), at most "
                + "\(Text.grouped(self.lag)) behind, oldest \(TimeText.roughly(self.age * 1000))"
            : self.problems.joined(separator: "; ")
        return "DORMOUSE \(self.level.word) - \(text) | \(self.performance)"
    }

    /// Source: nagios-plugins.org, "Guidelines", performance data.
    private var performance: String {
        func bounds(_ warning: UInt64?, _ critical: UInt64?, _ divisor: UInt64) -> String {
            [warning, critical].map { $0.map { ";\($0 / divisor)" } ?? ";" }.joined()
        }
        let lag = bounds(self.thresholds.lagWarning, self.thresholds.lagCritical, 1)
        let age = bounds(self.thresholds.ageWarning, self.thresholds.ageCritical, 1000)
        return "lag=\(self.lag)\(lag);0 age=\(self.age / 1000)s\(age);0"
    }

    var json: String {
        let problems = self.problems.map { JSONText.quoted($0) }.joined(separator: ",")
        return "{\"status\":\"\(self.level.word.lowercased())\",\"subscriptions\":\(self.count),"
            + "\"lag\":\(self.lag),\"age_ms\":\(self.age),\"problems\":[\(problems)]}"
    }
}
