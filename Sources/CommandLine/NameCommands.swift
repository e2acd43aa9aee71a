import Core
import DormouseClient

/// Commands about one subscription: stop, seek, pause, resume, forget.
enum NameCommands {
    static let all = [
        ShowCommand.description, Self.stop, Self.seek, Self.pause, Self.resume, Self.forget,
    ]

    private static let stop = CommandDescription(
        name: "subscriptions stop", otherNames: ["stop"],
        summary: "put a subscription to sleep, whoever consumes it",
        usage: ["subscriptions stop NAME"], operands: 1...1, operandKinds: [.subscription],
        options: [.exchange, .json],
        examples: [
            "dormouse subscriptions stop billing",
            "dormouse subscriptions stop billing --exchange orders",
        ],
        notes: "The name and its position stay. Its consumer is told STOPPED.",
        run: { invocation throws(CommandFailure) in
            let target = try Target(invocation)
            let reply = try target.ask("cannot stop") { client throws(DormouseError) in
                try client.stop(target.title, exchange: target.exchange)
            }
            return try target.say(
                (reply.wasAwake ? "stopped '\(target.title)'" : "'\(target.title)' slept already")
                    + " at position \(reply.position)",
                [("was_awake", "\(reply.wasAwake)"), ("position", "\(reply.position)")])
        })

    private static let seek = CommandDescription(
        name: "subscriptions seek", otherNames: ["seek"],
        summary: "move a subscription to another place in the log",
        usage: ["subscriptions seek NAME --to START"], operands: 1...1,
        operandKinds: [.subscription],
        options: [
            CommandOption(
                "to", "START", of: Filters.starts, "first, next, last, a position or @TIME"),
            .exchange, .json,
        ],
        examples: [
            "dormouse subscriptions seek billing --to first",
            "dormouse subscriptions seek billing --to @-1h",
        ],
        notes: """
            The next event sent is the first one at START. A consumer of this name is told ABORTED
            and must subscribe again.
            """,
        run: { invocation throws(CommandFailure) in
            guard let to = invocation.value("to") else {
                throw .usage(
                    "subscriptions seek needs --to: first, next, last, a position or @TIME")
            }
            let start = try Filters.start(to, option: "to")
            let target = try Target(invocation)
            let previous = try target.description("cannot move").position
            let position = try target.ask("cannot move") { client throws(DormouseError) in
                try client.seek(target.title, to: start, exchange: target.exchange)
            }
            return try target.say(
                "moved '\(target.title)' from position \(previous) to \(position)",
                [("previous", "\(previous)"), ("position", "\(position)")])
        })

    private static let pause = CommandDescription(
        name: "subscriptions pause", otherNames: ["pause"],
        summary: "send a subscription nothing for a while",
        usage: ["subscriptions pause NAME [--for DURATION | --until TIME] [--reason TEXT]"],
        operands: 1...1, operandKinds: [.subscription],
        options: [
            CommandOption("for", "DURATION", "such as 1h; default: until it is resumed"),
            CommandOption("until", "TIME", "such as 2026-03-01T12:00:00Z"),
            CommandOption("reason", "TEXT", "shown in listings"), .exchange, .json,
        ],
        examples: [
            "dormouse subscriptions pause billing --for 1h --reason 'database upgrade'",
            "dormouse subscriptions pause billing --until 2026-03-01T12:00:00Z",
        ],
        run: Self.runPause)

    /// The end of year 9999: until somebody resumes it, and a date that others can print.
    static let untilResumed: UInt64 = 253_402_300_799_000_000

    private static func runPause(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        guard !(invocation.has("for") && invocation.has("until")) else {
            throw .usage("give --for or --until, not both")
        }
        let now = OS.now
        var until = Self.untilResumed
        if let milliseconds = try invocation.duration("for") {
            until = min(until, now + milliseconds * 1000)
        } else if let text = invocation.value("until") {
            guard let time = TimeText.time(text, now: now), time > now else {
                throw .usage(
                    "--until is '\(text)'; expected a time in the future such as "
                        + "2026-03-01T12:00:00Z")
            }
            until = time
        }
        let target = try Target(invocation)
        try target.ask("cannot pause") { client throws(DormouseError) in
            try client.pause(
                target.title, until: until, reason: invocation.value("reason") ?? "",
                exchange: target.exchange)
        }
        let end =
            until == Self.untilResumed
            ? "until it is resumed" : "until \(TimeText.rfc3339(until, digits: 0))"
        return try target.say(
            "paused '\(target.title)' \(end)",
            [
                (
                    "until",
                    until == Self.untilResumed ? "null" : "\"\(TimeText.rfc3339(until))\""
                )
            ])
    }

    private static let resume = CommandDescription(
        name: "subscriptions resume", otherNames: ["resume"],
        summary: "end a pause",
        usage: ["subscriptions resume NAME"], operands: 1...1, operandKinds: [.subscription],
        options: [.exchange, .json],
        examples: [
            "dormouse subscriptions resume billing",
            "dormouse subscriptions resume billing --exchange orders",
        ],
        run: { invocation throws(CommandFailure) in
            let target = try Target(invocation)
            try target.ask("cannot resume") { client throws(DormouseError) in
                try client.resume(target.title, exchange: target.exchange)
            }
            return try target.say("resumed '\(target.title)'")
        })

    private static let forget = CommandDescription(
        name: "subscriptions forget", otherNames: ["forget"],
        summary: "remove a subscription and its position for good",
        usage: ["subscriptions forget NAME"], operands: 1...1, operandKinds: [.subscription],
        options: [.yes, .exchange, .json],
        examples: [
            "dormouse subscriptions forget old-report --yes",
            "dormouse subscriptions forget test --exchange orders",
        ],
        notes: "The events stay. A consumer of this name is told STOPPED.",
        run: { invocation throws(CommandFailure) in
            let target = try Target(invocation)
            let info = try target.description("cannot forget")
            try Confirmation.ask(
                invocation,
                "this removes '\(target.title)' and its position \(info.position) for good")
            let existed = try target.ask("cannot forget") { client throws(DormouseError) in
                try client.forget(target.title, exchange: target.exchange)
            }
            guard existed else { throw target.unknown("cannot forget") }
            return try target.say("forgot '\(target.title)'")
        })
}

/// A connection and the name that a command is about.
struct Target {
    let connection: Connection
    let title: String
    private let invocation: Invocation

    init(_ invocation: Invocation) throws(CommandFailure) {
        let operand = invocation.operands.first ?? ""
        self.title = try attempt { () throws(Failure) in
            try Name(operand, what: "subscriber's name").text
        }
        self.invocation = invocation
        self.connection = try Connection(invocation)
    }

    var exchange: String? { self.connection.exchange }

    /// Calls `body`; `doing` is such as "cannot stop".
    @discardableResult
    func ask<Value>(
        _ doing: String, _ body: (BlockingClient) throws(DormouseError) -> Value
    ) throws(CommandFailure) -> Value {
        try self.connection.ask("\(doing) '\(self.title)'", name: self.title, body)
    }

    /// What the server says of it; throws `notFound` when there is none.
    func description(_ doing: String) throws(CommandFailure) -> SubscriberInfo {
        let found = try self.ask(doing) { client throws(DormouseError) in
            try client.subscribers(prefix: self.title, exchange: self.exchange)
        }
        guard let info = found.first(where: { $0.name == self.title }) else {
            throw self.unknown(doing)
        }
        return info
    }

    func unknown(_ doing: String) -> CommandFailure {
        let failure = Failure(
            .notFound, "there is no such subscription; 'dormouse subscriptions list' shows them")
        return self.connection.advised(
            CommandFailure(failure, doing: "\(doing) '\(self.title)'"), name: self.title)
    }

    /// What was done, or the same as JSON.
    func say(
        _ line: String, _ fields: [(name: String, json: String)] = []
    ) throws(CommandFailure) -> ExitCode {
        try Output.say(
            self.invocation, line, [(name: "name", json: JSONText.quoted(self.title))] + fields)
    }
}
