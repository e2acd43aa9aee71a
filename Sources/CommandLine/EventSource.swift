import Core

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// The events that a publish is given: one, or one for each line of standard input.
struct EventSource {
    private enum Kind {
        case one(payload: String?)
        case lines
        case jsonLines
        case messages
    }

    private let kind: Kind
    /// What the options say; a JSON line replaces parts of it.
    private let template: Event
    private let input: Int32

    var hasLines: Bool {
        switch self.kind {
        case .one: false
        case .lines, .jsonLines, .messages: true
        }
    }

    /// What a line of the input is called.
    var unit: String {
        switch self.kind {
        case .messages: "event"
        case .one, .lines, .jsonLines: "line"
        }
    }

    init(importing format: FileFormat, from input: Int32) {
        self.kind =
            switch format {
            case .ndjson: .jsonLines
            case .protobuf: .messages
            }
        self.template = Event(key: [])
        self.input = input
    }

    /// Throws `usage` for options that do not go together.
    init(_ invocation: Invocation) throws(CommandFailure) {
        var template = Event(key: Array((invocation.operands.first ?? "").utf8))
        template.id = Array((invocation.value("id") ?? "").utf8)
        template.contentType = Array((invocation.value("content-type") ?? "").utf8)
        for text in invocation.values("header") {
            guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
                throw .usage("--header is '\(text)'; expected NAME=VALUE")
            }
            template.headers.append(
                Header(
                    name: Array(text[..<equals].utf8),
                    value: Array(text[text.index(after: equals)...].utf8)))
        }
        if invocation.has("sequence"), !invocation.has("producer") {
            throw .usage("--sequence numbers the events of a producer; give --producer too")
        }
        self.kind = try Self.kind(invocation)
        self.template = template
        self.input = STDIN_FILENO
    }

    private static func kind(_ invocation: Invocation) throws(CommandFailure) -> Kind {
        let operands = invocation.operands
        if invocation.has("json-lines") {
            guard operands.isEmpty, !invocation.has("lines"), !invocation.has("id") else {
                throw .usage("with --json-lines, key, payload and id stand in the lines")
            }
            return .jsonLines
        }
        guard let key = operands.first else {
            throw .usage("publish needs a KEY; usage: dormouse publish KEY [PAYLOAD | - | @FILE]")
        }
        if let problem = Array(key.utf8).withUnsafeBytes({ EventKey.problem(in: $0) }) {
            throw CommandFailure(problem)
        }
        if invocation.has("lines") {
            guard operands.count == 1, !invocation.has("id") else {
                throw .usage("with --lines, each line is a payload; give no PAYLOAD and no --id")
            }
            return .lines
        }
        return .one(payload: operands.count > 1 ? operands[1] : nil)
    }

    /// Adds all events to the publisher.
    func forEach(
        bytesMax: Int, with publisher: inout Publisher, _ progress: inout Progress
    ) throws(CommandFailure) {
        guard case .one(let operand) = self.kind else {
            return try self.addLines(to: &publisher, &progress)
        }
        var event = self.template
        switch operand {
        case nil: break
        case "-"?: event.payload = try LineReader.all(of: nil, bytesMax: bytesMax)
        case let text? where text.hasPrefix("@"):
            event.payload = try LineReader.all(of: String(text.dropFirst()), bytesMax: bytesMax)
        case let text?: event.payload = Array(text.utf8)
        }
        let bytes = try attempt("cannot publish") { () throws(Failure) in
            try publisher.check(event)
        }
        try publisher.add(event, bytes: bytes, line: 1)
        try publisher.finish()
    }

    private func addLines(
        to publisher: inout Publisher, _ progress: inout Progress
    ) throws(CommandFailure) {
        var reader = LineReader(
            descriptor: self.input, framing: self.unit == "event" ? .lengths : .lines)
        var number: UInt64 = 0
        while true {
            while let line = try reader.next() {
                number += 1
                guard let event = try self.event(line, number: number) else { continue }
                let bytes: Int
                do throws(Failure) {
                    bytes = try publisher.check(event)
                } catch {
                    throw self.badLine(number, error.message)
                }
                try publisher.add(event, bytes: bytes, line: number)
            }
            progress.update(reader.taken, events: publisher.outcome.answered)
            if reader.isAtEnd { break }
            if !reader.isReadable {
                try publisher.flush()
                try publisher.receive(untilReadable: reader.descriptor)
            }
            try reader.fill()
        }
        try publisher.finish()
    }

    /// The event of a line; nil for an empty JSON line.
    func event(_ line: [UInt8], number: UInt64) throws(CommandFailure) -> Event? {
        var event = self.template
        switch self.kind {
        case .one, .lines:
            event.payload = line
            return event
        case .messages:
            guard let event = ProtobufEvents.event(line) else {
                throw self.badLine(number, "it is no message dormouse.v1.Event")
            }
            return event
        case .jsonLines: break
        }
        do throws(JSONProblem) {
            guard let parsed = try EventLine.event(line) else { return nil }
            event.key = parsed.key
            event.payload = parsed.payload
            event.id = parsed.id
            if !parsed.contentType.isEmpty { event.contentType = parsed.contentType }
            event.headers += parsed.headers
            return event
        } catch {
            throw self.badLine(number, "\(error.text), at byte \(error.offset + 1)")
        }
    }

    private func badLine(_ number: UInt64, _ problem: String) -> CommandFailure {
        let before =
            number == 1
            ? "nothing was published"
            : "the \(self.unit)s before it are published, this one and what "
                + "follows are not"
        return CommandFailure(
            .data,
            "\(self.unit) \(number) of the input: \(problem) (\(before)); correct it, and go on there"
        )
    }
}
