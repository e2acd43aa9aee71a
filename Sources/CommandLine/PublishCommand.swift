import Core
import DormouseClient

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// `dormouse publish`.
enum PublishCommand {
    static let description = CommandDescription(
        name: "publish", summary: "publish one event, or one for each line of the input",
        usage: [
            "publish KEY [PAYLOAD | - | @FILE]", "publish KEY --lines < INPUT",
            "publish --json-lines < INPUT",
        ],
        operands: 0...2, operandKinds: [.anything, .file],
        options: [
            CommandOption("lines", "one event for each line of standard input"),
            CommandOption("json-lines", "one JSON object for each line of standard input"),
            .exchange,
            CommandOption("id", "ID", "your own id of the event, at most 64 bytes"),
            CommandOption("content-type", "TYPE", "such as application/json"),
            CommandOption(
                "header", "NAME=VALUE", repeats: true, "a header of each event; may be repeated"),
            CommandOption(
                "producer", "NAME", "number the events, so that a repetition is recognised"),
            CommandOption(
                "sequence", "N",
                "with --producer: number of the first event; default: the next unused"),
            .json, .noProgress,
        ],
        examples: [
            "dormouse publish orders.1042.paid '{\"total\":12}' --content-type application/json",
            "scripts/git-events.sh | dormouse publish --json-lines",
        ],
        notes: """
            PAYLOAD may be - for standard input, or @FILE. The answer comes after the commit.

            A JSON line has key, and if wanted payload (a string stands for its bytes, any other
            value for its own text, as application/json) or payload_base64, id, content_type, and
            headers {"name": "value"}. The first bad line ends the command; the lines before it are
            published.

            With --producer P --sequence N, line i has number N + i - 1. When anything fails, run
            the same again: what is in the log already is counted and not stored twice.
            """,
        run: Self.run)

    private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let source = try EventSource(invocation)
        return try Self.publish(
            source, invocation,
            sequence: try invocation.number("sequence", in: 1...UInt64(Int64.max)) ?? 0,
            Progress(
                invocation, "publishing",
                of: source.hasLines ? ImportCommand.size(of: STDIN_FILENO) : nil))
    }

    /// Publishes all of the source and says what that came to. With a producer and sequence 0, the
    /// next unused one is taken.
    static func publish(
        _ source: EventSource, _ invocation: Invocation, sequence: UInt64, _ progress: Progress
    ) throws(CommandFailure) -> ExitCode {
        let producer = invocation.value("producer") ?? ""
        var sequence = sequence
        var options = Publisher.options
        if !producer.isEmpty { options["producer"] = producer }
        if sequence > 0 { options["sequence"] = String(sequence) }
        // Without a producer nobody can tell what is stored of what was under way: nothing may be
        // sent after it.
        let connection = try Connection(
            invocation, options: options, reconnects: !producer.isEmpty)
        if !producer.isEmpty, sequence == 0 {
            sequence = try Self.nextSequence(of: producer, connection)
        }
        var publisher = Publisher(client: connection.client)
        var progress = progress
        let failure = Self.publish(source, with: &publisher, &progress)
        progress.end()
        if failure == nil || publisher.outcome.lastLine > 0 {
            _ = try Output.say(
                invocation.has("json")
                    ? Self.json(publisher.outcome, sequence: sequence)
                    : Self.summary(publisher.outcome))
        }
        if let failure { throw connection.advised(failure) }
        return .success
    }

    private static func nextSequence(
        of producer: String, _ connection: Connection
    ) throws(CommandFailure) -> UInt64 {
        let last = try connection.ask("cannot ask for the sequence") {
            client throws(DormouseError) in
            try client.producer(producer, exchange: connection.exchange).sequence
        }
        guard last < UInt64(Int64.max) else {
            throw CommandFailure(.data, "the producer has used its last sequence; use another name")
        }
        return last + 1
    }

    /// Publishes everything; what went wrong, with `publisher.outcome` complete all the same.
    private static func publish(
        _ source: EventSource, with publisher: inout Publisher, _ progress: inout Progress
    ) -> CommandFailure? {
        var failure: CommandFailure?
        do throws(CommandFailure) {
            try source.forEach(
                bytesMax: publisher.client.eventBytesMax, with: &publisher, &progress)
        } catch {
            failure = error
        }
        do throws(CommandFailure) {
            // What was read before a bad line is published; after a refusal nothing more is sent.
            if failure?.exit == .data { try publisher.finish() } else { try publisher.settle() }
        } catch {
            failure = failure ?? error
        }
        if let code = failure?.code, source.hasLines {
            if publisher.outcome.lastLine > 0 {
                failure?.note(
                    "the \(source.unit)s up to \(publisher.outcome.lastLine) are published")
            }
            if code == .invalidArgument { failure?.exit = .data }
        }
        return failure
    }

    // MARK: Output

    static func summary(_ outcome: Publisher.Outcome) -> String {
        var text = "published \(Text.count(outcome.published, "event"))"
        if outcome.firstPosition > 0 {
            text +=
                outcome.firstPosition == outcome.lastPosition
                ? " at position \(outcome.firstPosition)"
                : ", positions \(outcome.firstPosition) to \(outcome.lastPosition)"
        }
        if outcome.duplicates > 0 {
            let were = outcome.duplicates == 1 ? "was" : "were"
            text += "; \(Text.grouped(outcome.duplicates)) \(were) in the log already"
        }
        return text
    }

    /// `sequence` is the first event's; 0: there is no producer.
    private static func json(_ outcome: Publisher.Outcome, sequence: UInt64) -> String {
        var text = "{\"published\":\(outcome.published),\"duplicates\":\(outcome.duplicates)"
        text += ",\"first_position\":\(outcome.firstPosition)"
        text += ",\"last_position\":\(outcome.lastPosition)"
        if sequence > 0 { text += ",\"next_sequence\":\(sequence + outcome.answered)" }
        return text + "}"
    }
}
