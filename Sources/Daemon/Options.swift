import Core

/// What the command line and the environment say.
struct Options: Equatable {
    var data: String
    var database: String?
    var listen: [String] = []
    var unix: [String] = []
    var unsafeNoFsync = false
    var insecure = false
    var tls = TLSOptions()
    var logLevel = "info"
    var limits = Limits()
    var metrics: String?

    /// Where to listen when nobody says, and no socket was passed.
    static let usualAddress = "127.0.0.1:3673"

    init(data: String) {
        self.data = data
    }
}

/// What the program is to do.
enum Invocation: Equatable {
    case run(Options)
    case help
    case version
}

/// One flag: how it is written, what it does, how it is explained.
struct Flag: Sendable {
    enum Action: Sendable {
        /// Takes no value.
        case set(@Sendable (inout Options) -> Void)
        /// Takes a value; returns what is wrong with it.
        case take(value: String, @Sendable (inout Options, String) -> String?)
    }

    let name: String
    let help: String
    let action: Action
    /// Given several times, or in the environment several values with commas.
    let isRepeated: Bool

    init(_ name: String, _ help: String, isRepeated: Bool = false, _ action: Action) {
        self.name = name
        self.help = help
        self.isRepeated = isRepeated
        self.action = action
    }

    /// `--frame-bytes` is `DORMOUSE_FRAME_BYTES`.
    var variable: String {
        "DORMOUSE_" + self.name.uppercased().replacing("-", with: "_")
    }
}

extension Flag {
    static let all: [Flag] = general + tls + limits

    private static let general: [Flag] = [
        Flag(
            "data", "folder of the private Postgres, which is used when no --database is given",
            .take(value: "DIR") { options, value in
                options.data = value
                return value.isEmpty ? "expected a folder" : nil
            }),
        Flag(
            "database",
            "use this Postgres (15 or later) instead of a private one; better in the environment than "
                + "in the argument list when it holds a password",
            .take(value: "URI") { options, value in
                options.database = value
                return value.isEmpty ? "expected a libpq URI or keywords" : nil
            }),
        Flag(
            "listen",
            "listen here, with TLS when tls: comes before; may be given several times "
                + "(default \(Options.usualAddress), or the sockets that systemd passes)",
            isRepeated: true,
            .take(value: "[tls:]HOST:PORT") { options, value in
                options.listen.append(value)
                return value.contains(":") ? nil : "expected HOST:PORT or tls:HOST:PORT"
            }),
        Flag(
            "unix", "listen on this unix socket; may be given several times", isRepeated: true,
            .take(value: "PATH") { options, value in
                options.unix.append(value)
                return value.isEmpty ? "expected a path" : nil
            }),
        Flag(
            "insecure", "listen without TLS on addresses other than loopback",
            .set { $0.insecure = true }),
        Flag(
            "unsafe-no-fsync",
            "run on a Postgres that does not flush its commits: a power failure may lose what was "
                + "acknowledged",
            .set { $0.unsafeNoFsync = true }),
        Flag(
            "metrics",
            "serve /metrics for Prometheus, /healthz and /readyz here, on a loopback address; not served unless asked for",
            .take(value: "HOST:PORT") { options, value in
                options.metrics = value
                return value.contains(":") ? nil : "expected HOST:PORT"
            }),
        Flag(
            "log-level", "error, warning, info or debug (default info)",
            .take(value: "LEVEL") { options, value in
                options.logLevel = value
                return ["error", "warning", "info", "debug"].contains(value)
                    ? nil : "expected error, warning, info or debug"
            }),
    ]

    private static func limit(
        _ name: String, _ path: any WritableKeyPath<Limits, Int> & Sendable, _ help: String,
        from least: Int = 1
    ) -> Flag {
        let standard = Limits()[keyPath: path]
        return Flag(
            name, "\(help) (default \(standard))",
            .take(value: "N") { options, value in
                guard let number = Int(value), number >= least, number <= Int(Int32.max) * 64 else {
                    return "expected a number from \(least) on"
                }
                options.limits[keyPath: path] = number
                return nil
            })
    }

    private static let limits: [Flag] = [
        limit("frame-bytes", \.frameBytesMax, "largest frame, and so largest event"),
        limit("connections", \.connectionsMax, "connections at once"),
        limit(
            "connections-per-principal", \.connectionsPerPrincipalMax,
            "connections of one principal at once"),
        limit("newcomers", \.newcomersMax, "connections at once that have not said hello"),
        limit(
            "newcomers-per-address", \.newcomersPerOriginMax,
            "the same from one IPv4 address, IPv6 /64, or user of a unix socket"),
        limit("hello-ms", \.helloMillisecondsMax, "time from connect to hello"),
        limit("heartbeat-ms", \.heartbeatMilliseconds, "silence before a PING"),
        limit("write-ms", \.writeMillisecondsMax, "time a connection may take no bytes"),
        limit("outbound-bytes", \.outboundBytesMax, "bytes waiting in one connection's way out"),
        limit(
            "outbound-total-bytes", \.outboundTotalBytesMax, "the same of all connections together"),
        limit("requests", \.requestsMax, "unanswered requests of one connection"),
        limit("publish-bytes", \.publishBytesMax, "uncommitted bytes of one connection"),
        limit("pending-bytes", \.pendingBytesMax, "uncommitted bytes of each exchange"),
        limit("publish-wait-ms", \.publishWaitMilliseconds, "time a publish waits for the store"),
        limit("streams", \.streamsMax, "subscriptions of one connection"),
        limit("chunk-bytes", \.chunkBytesMax, "target size of a stored chunk", from: 1_024),
        limit("append-bytes", \.appendBytesMax, "bytes of one append statement", from: 1_024),
        limit("appends-in-flight", \.appendsInFlightMax, "append statements under way"),
        limit(
            "gather-bytes", \.gatherBytes, "bytes that gather while an append is under way", from: 0
        ),
        limit("producers", \.producersMax, "producers of one exchange"),
        limit("tail-bytes", \.tailBytes, "newest events kept in memory", from: 0),
        limit("replay-bytes", \.replayBytes, "pages of the log kept in memory"),
        limit("page-bytes", \.pageBytesMax, "a page of the log", from: 1_024),
        limit("replay-readers", \.replayReaders, "connections that read the log"),
        limit(
            "replays-per-principal", \.replaysPerPrincipalMax,
            "pages of the log read at once for one principal"),
        limit("exchanges", \.exchangesMax, "exchanges"),
        limit("receivers", \.receiversMax, "receivers of one exchange"),
        limit("subscribers", \.subscribersMax, "subscribers of one exchange"),
        limit("list-page", \.listPageMax, "entries of one page of a listing"),
        limit("fetch-wait-ms", \.fetchWaitMillisecondsMax, "time a fetch may wait"),
        limit(
            "turn-work", \.turnWorkMax,
            "filtering and sending before others have their turn, in compared words", from: 1_000),
        limit("bookmark-ms", \.bookmarkMilliseconds, "time between bookmarks"),
        limit("save-ms", \.saveMilliseconds, "time that changed positions are gathered"),
        limit(
            "saves", \.savesPerSecondMax,
            "positions of awake subscribers saved in a second; more of them wait longer"),
        limit("drain-ms", \.drainMillisecondsMax, "time from SIGTERM to exit"),
        limit("retry-min-ms", \.retryMillisecondsMin, "first pause before asking the store again"),
        limit(
            "retry-max-ms", \.retryMillisecondsMax, "longest pause before asking the store again"),
        limit(
            "database-ms", \.databaseMilliseconds,
            "time that a database statement may take before its connection is given up"),
        limit(
            "ownership-ms", \.ownershipMilliseconds,
            "time between looking whether the exchanges are still ours"),
        limit(
            "takeover-ms", \.takeoverMilliseconds,
            "time without a sign of life of the server that took our exchanges before this one ends, "
                + "to be started anew"),
        limit(
            "merge-ms", \.mergeMilliseconds, "time between merges of small chunks, 0 = never",
            from: 0),
        limit(
            "outbox-ms", \.outboxMilliseconds, "time between looks into an empty outbox, 0 = never",
            from: 0),
        limit("outbox-rows", \.outboxRowsMax, "rows of the outbox that are moved at once"),
        limit(
            "metrics-subscriptions", \.metricsSubscriptionsMax,
            "subscriptions on the metrics page, those that are behind most", from: 0),
        limit(
            "certificate-ms", \.certificateMilliseconds,
            "time between looks at our TLS certificate, of whose end the log warns"),
        creditLimit(
            "credit-events", \.creditEventsDefault, "credit in events of who asks for none"),
        creditLimit("credit-bytes", \.creditBytesDefault, "credit in bytes of who asks for none"),
    ]

    private static func creditLimit(
        _ name: String, _ path: any WritableKeyPath<Limits, UInt32> & Sendable, _ help: String
    ) -> Flag {
        let standard = Limits()[keyPath: path]
        return Flag(
            name, "\(help) (default \(standard))",
            .take(value: "N") { options, value in
                guard let number = UInt32(value), number >= 1 else {
                    return "expected a number from 1 on"
                }
                options.limits[keyPath: path] = number
                return nil
            })
    }
}

extension Invocation {
    /// Reads the environment, then the arguments, which win. Throws `invalidArgument` with what to
    /// do about it.
    init(arguments: [String], environment: [String: String]) throws(Failure) {
        if arguments.contains("--help") || arguments.contains("-h") {
            self = .help
            return
        }
        if arguments.contains("--version") {
            self = .version
            return
        }
        var options = Options(data: Self.standardData(environment))
        for flag in Flag.all {
            guard let value = environment[flag.variable], !value.isEmpty else { continue }
            try Self.apply(flag, environment: value, &options)
        }
        try Self.apply(arguments, &options)
        if let problem = options.tls.problem { throw Failure(.invalidArgument, problem) }
        if let problem = options.limits.problem { throw Failure(.invalidArgument, problem) }
        self = .run(options)
    }

    private static func apply(_ arguments: [String], _ options: inout Options) throws(Failure) {
        var given: Set<String> = []
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            let parts = argument.split(
                separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard argument.hasPrefix("--"),
                let flag = Flag.all.first(where: { "--\($0.name)" == parts[0] })
            else {
                // Not what may be a password, or an address with one in it.
                let name = argument.prefix { !"=:@ ".contains($0) }
                throw Failure(
                    .invalidArgument,
                    "unknown argument '\(name)\(name.count < argument.count ? "…" : "")'; "
                        + "'dormoused --help' lists all")
            }
            // What the command line says of a flag that may be repeated replaces what the
            // environment said.
            if flag.isRepeated, given.insert(flag.name).inserted {
                if flag.name == "listen" { options.listen = [] }
                if flag.name == "unix" { options.unix = [] }
            }
            switch flag.action {
            case .set(let change):
                guard parts.count == 1 else {
                    throw Failure(.invalidArgument, "--\(flag.name) takes no value")
                }
                change(&options)
            case .take(let what, let change):
                guard let value = parts.count == 2 ? String(parts[1]) : rest.popFirst() else {
                    throw Failure(.invalidArgument, "--\(flag.name) needs a value: \(what)")
                }
                if let problem = change(&options, value) {
                    throw Failure(.invalidArgument, "--\(flag.name) is '\(value)'; \(problem)")
                }
            }
        }
    }

    private static func apply(
        _ flag: Flag, environment value: String, _ options: inout Options
    ) throws(Failure) {
        switch flag.action {
        case .set(let change):
            guard ["0", "1"].contains(value) else {
                throw Failure(.invalidArgument, "\(flag.variable) is '\(value)'; expected 1 or 0")
            }
            if value == "1" { change(&options) }
        case .take(_, let change):
            for part in flag.isRepeated ? value.split(separator: ",").map(String.init) : [value] {
                if let problem = change(&options, part) {
                    throw Failure(.invalidArgument, "\(flag.variable) is '\(value)'; \(problem)")
                }
            }
        }
    }

    /// Where a private Postgres lives when nobody says: as a service, where services keep their
    /// state; else with the user's.
    private static func standardData(_ environment: [String: String]) -> String {
        if let state = environment["STATE_DIRECTORY"], !state.isEmpty { return state }
        guard let home = environment["HOME"], home != "/root", home != "/" else {
            return "/var/lib/dormouse"
        }
        return (environment["XDG_STATE_HOME"] ?? "\(home)/.local/state") + "/dormouse"
    }

    static var helpText: String {
        var lines = [
            "dormoused: named, replayable event subscriptions, stored in Postgres", "",
            "usage: dormoused [--data DIR | --database URI] [--listen [tls:]HOST:PORT]… [--unix PATH]… [LIMIT]…",
            "",
            "Every flag may also be given in the environment: --tail-bytes as DORMOUSE_TAIL_BYTES. Values of",
            "flags that may be repeated are separated by commas there. The command line wins.", "",
        ]
        for flag in Flag.all {
            let value: String
            switch flag.action {
            case .set: value = ""
            case .take(let what, _): value = " \(what)"
            }
            let name = "  --\(flag.name)\(value)"
            let gap =
                name.count <= 26
                ? String(repeating: " ", count: 28 - name.count)
                : "\n" + String(repeating: " ", count: 28)
            lines.append(name + gap + flag.help)
        }
        lines += [
            "  --help                    this text", "  --version                 the version", "",
            "examples:",
            "  dormoused --data /var/lib/dormouse",
            "  DORMOUSE_DATABASE=postgres://dormouse@db/events dormoused --unix /run/dormouse/dormouse.sock",
        ]
        return lines.joined(separator: "\n")
    }
}
