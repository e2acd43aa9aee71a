import DormouseClient

/// `dormouse trace`: one event, and how far each subscription is with it.
enum TraceCommand {
    /// Ids may repeat; so many events are shown.
    private static let eventsMax = 10

    static let description = CommandDescription(
        name: "trace", summary: "find an event by position or id, and who has got it",
        usage: ["trace POSITION | ID [OPTION...]"], operands: 1...1,
        options: [
            .exchange,
            CommandOption("after", "POSITION", "look for the id after this one; default 0"),
            CommandOption("id", "the operand is an id, also when it is a number"), .json, .utc,
            .noProgress,
        ],
        examples: ["dormouse trace 1042", "dormouse trace order-1042 --exchange orders --json"],
        notes: """
            An id is searched for in the whole log, which takes a second for about a million events;
            the first \(Self.eventsMax) events that have it are shown. Of each subscription it says:
            confirmed, sent (not yet confirmed), waiting, or not for it (the filter does not let it
            through). One that began after the event shows as confirmed.
            """,
        run: Self.run)

    private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let connection = try Connection(invocation)
        let operand = invocation.operands[0]
        let events: [Event]
        if !invocation.has("id"), let position = UInt64(operand), position > 0 {
            events = try Self.event(at: position, connection)
        } else {
            events = try Self.events(
                withID: Array(operand.utf8), connection, invocation)
        }
        guard !events.isEmpty else {
            throw CommandFailure(
                DormouseError(
                    .notFound,
                    "there is no such event; it may have gone from the log, or be in another exchange"
                ), doing: "cannot find '\(operand)'")
        }
        let subscribers = try connection.ask("cannot list subscriptions") {
            client throws(DormouseError) in
            try client.subscribers(exchange: connection.exchange)
        }
        let output = Output()
        let show = Show(invocation, output)
        for event in events {
            let steps = try Self.steps(event, subscribers, connection)
            let lines =
                invocation.has("json")
                ? [Self.json(event, steps)] : Self.lines(event, steps, show)
            for line in lines { try output.write(line) }
        }
        try output.flush()
        return .success
    }

    // MARK: Finding

    private static func event(
        at position: UInt64, _ connection: Connection
    ) throws(CommandFailure) -> [Event] {
        try Self.fetch(.everything, position, connection).map { [$0] } ?? []
    }

    /// The event at this position when the filter lets it through.
    private static func fetch(
        _ filter: Filter, _ position: UInt64, _ connection: Connection
    ) throws(CommandFailure) -> Event? {
        var found: Event?
        _ = try connection.ask("cannot look into the log") { client throws(DormouseError) in
            try client.fetch(
                filter, after: position - 1, exchange: connection.exchange, events: 1
            ) { event in
                if event.position == position { found = event.copy() }
                return false
            }
        }
        return found
    }

    private static func events(
        withID id: [UInt8], _ connection: Connection, _ invocation: Invocation
    ) throws(CommandFailure) -> [Event] {
        let reading = LogReading(
            connection, exchange: connection.exchange, doing: "cannot look into the log")
        let head = try reading.description().head
        let after = try invocation.number("after", in: 0...UInt64(Int64.max)) ?? 0
        var progress = Progress(invocation, "searching", of: head > after ? head - after : nil)
        var found: [Event] = []
        var seen: UInt64 = 0
        try reading.forEach(after: after, last: head) { batch, count, position in
            for index in 0..<count where batch[index].id.elementsEqual(id) {
                if found.count < Self.eventsMax { found.append(batch[index].copy()) }
            }
            seen += UInt64(count)
            progress.update(position - after, events: seen)
            return found.count < Self.eventsMax
        }
        progress.end()
        return found
    }

    // MARK: Who has it

    enum Step: String {
        case confirmed, sent, waiting
        case notForIt = "not for it"
    }

    private static func steps(
        _ event: Event, _ subscribers: [SubscriberInfo], _ connection: Connection
    ) throws(CommandFailure) -> [(info: SubscriberInfo, step: Step)] {
        // The server says what a filter lets through, once for each filter.
        var passes: [Filter: Bool] = [:]
        var steps: [(info: SubscriberInfo, step: Step)] = []
        for subscriber in subscribers {
            let filter = subscriber.filter
            if passes[filter] == nil {
                passes[filter] = try Self.fetch(filter, event.position, connection) != nil
            }
            let step: Step =
                passes[filter] != true
                ? .notForIt
                : event.position <= subscriber.position
                    ? .confirmed : event.position <= subscriber.sent ? .sent : .waiting
            steps.append((subscriber, step))
        }
        return steps
    }

    // MARK: Output

    private static func lines(
        _ event: Event, _ steps: [(info: SubscriberInfo, step: Step)], _ show: Show
    ) -> [String] {
        var lines = [
            ("position", String(event.position)),
            ("published", show.time(event.publishedAt, digits: 3)),
            ("key", Text.printable(event.key)),
        ]
        if !event.id.isEmpty { lines.append(("id", Text.printable(event.id))) }
        if !event.contentType.isEmpty {
            lines.append(("type", Text.printable(event.contentType)))
        }
        for header in event.headers {
            lines.append(
                ("header", Text.printable("\(header.name) = ") + Text.payload(header.value)))
        }
        lines.append(("payload", Text.payload(event.payload)))
        var table = Table([
            ("SUBSCRIPTION", .left), ("EVENT", .left), ("STATE", .left), ("POSITION", .right),
        ])
        for (info, step) in steps {
            table.add(
                [
                    Text.printable(info.name), step.rawValue,
                    SubscriptionsCommand.state(info.state), String(info.position),
                ], colours: SubscriptionsCommand.colour(info.state).map { [2: $0] } ?? [:])
        }
        return lines.map { name, text in
            name + String(repeating: " ", count: 11 - name.count) + text
        } + [""] + table.lines(show)
    }

    private static func json(
        _ event: Event, _ steps: [(info: SubscriberInfo, step: Step)]
    ) -> String {
        var json: [UInt8] = Array("{\"event\":".utf8)
        event.lend { EventText.appendJSON($0, to: &json) }
        let all = steps.map { info, step in
            "{\"name\":\(JSONText.quoted(info.name)),"
                + "\"event\":\"\(step.rawValue.replacing(" ", with: "_"))\","
                + "\"position\":\(info.position)}"
        }
        return String(decoding: json, as: UTF8.self)
            + ",\"subscriptions\":[\(all.joined(separator: ","))]}"
    }
}
