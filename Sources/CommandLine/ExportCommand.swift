import DormouseClient

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// How events stand in a file.
enum FileFormat: String, CaseIterable {
    case ndjson, protobuf

    static let option = CommandOption(
        "format", "FORMAT", of: .words(Self.allCases.map(\.rawValue)),
        "ndjson or protobuf; default: protobuf for a FILE.pb, else ndjson")

    /// By --format, else by the file's name.
    init(_ invocation: Invocation, path: String?) throws(CommandFailure) {
        guard let name = invocation.value("format") else {
            self = path?.hasSuffix(".pb") == true ? .protobuf : .ndjson
            return
        }
        guard let format = Self(rawValue: name) else {
            throw .usage("--format is '\(name)'; expected ndjson or protobuf")
        }
        self = format
    }
}

/// `dormouse export`.
enum ExportCommand {
    static let description = CommandDescription(
        name: "export", summary: "write the events of an exchange to a file",
        usage: ["export [FILE] [OPTION...]"], operands: 0...1, operandKinds: [.file],
        options: Filters.options + [
            .exchange, FileFormat.option,
            CommandOption("after", "POSITION", "begin after this one; default 0"),
            CommandOption("to", "POSITION", "end with this one; default the newest there is now"),
            CommandOption("no-positions", "leave out position and time, which an import sets anew"),
            .yes, .noProgress,
        ],
        examples: [
            "dormouse export orders.jsonl --exchange orders",
            "dormouse export --pattern 'orders.#' --format protobuf | gzip > orders.pb.gz",
        ],
        notes: """
            Nothing of an event is lost: 'dormouse import' makes the same events of it. In ndjson, what
            is not UTF-8 stands in base64; protobuf is messages dormouse.v1.Event, each behind its
            length as a varint. Without FILE, or with -, the events go to standard output. The file has
            its name only when it is complete; one that exists is replaced with --yes.
            """,
        run: Self.run)

    private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let path = invocation.operands.first.flatMap { $0 == "-" ? nil : $0 }
        let format = try FileFormat(invocation, path: path)
        let after = try invocation.number("after", in: 0...UInt64(Int64.max)) ?? 0
        let filter = try Filters.filter(invocation)
        let connection = try Connection(invocation)
        let head = try Self.head(connection)
        let last = min(
            try invocation.number("to", in: 1...UInt64(Int64.max)) ?? head, head)
        let file = try path.map { path throws(CommandFailure) in
            try NewFile(path, mayReplace: invocation.has("yes"))
        }
        let output = file.map { Output(descriptor: $0.descriptor) } ?? Output()
        var progress = Progress(
            invocation, "exporting", of: last > after ? last - after : nil)
        let count = try Self.write(
            connection, filter, after: after, last: last, output,
            { event, bytes in
                switch format {
                case .ndjson:
                    EventText.appendJSON(
                        event, isExact: true,
                        hasPosition: !invocation.has("no-positions"), to: &bytes)
                    bytes.append(UInt8(ascii: "\n"))
                case .protobuf:
                    ProtobufEvents.append(
                        event, hasPosition: !invocation.has("no-positions"), to: &bytes)
                }
            }, &progress)
        try output.flush()
        try file?.complete()
        progress.end()
        if let path { return try Output.say("exported \(Text.count(count, "event")) to \(path)") }
        return .success
    }

    private static func head(_ connection: Connection) throws(CommandFailure) -> UInt64 {
        let name = connection.exchange ?? "main"
        let exchanges = try connection.ask("cannot export") { client throws(DormouseError) in
            try client.exchanges()
        }
        guard let exchange = exchanges.first(where: { $0.name == name }) else {
            throw connection.advised(
                CommandFailure(
                    DormouseError(.notFound, "there is no exchange \(name)"),
                    doing: "cannot export"))
        }
        return exchange.head
    }

    /// Everything up to `last`, through a subscription: a server sends many times faster so than it
    /// answers one page after the other.
    private static func write(
        _ connection: Connection, _ filter: Filter, after: UInt64, last: UInt64, _ output: Output,
        _ append: (LentEvent, inout [UInt8]) -> Void, _ progress: inout Progress
    ) throws(CommandFailure) -> UInt64 {
        guard last > after else { return 0 }
        var options = SubscribeOptions(
            filter, from: after == 0 ? .first : .position(after + 1),
            exchange: connection.exchange)
        options.acknowledgeOnSend = true
        let subscription = try connection.ask("cannot export") { client throws(DormouseError) in
            try client.subscribe(options)
        }
        var count: UInt64 = 0
        while subscription.position < last {
            let isTaken = try asking("cannot export") { () throws(DormouseError) -> Bool in
                let taken: Void? = try subscription.next { batch in
                    output.gather { bytes in
                        for index in 0..<batch.count where batch[index].position <= last {
                            append(batch[index], &bytes)
                            count += 1
                        }
                    }
                }
                if taken == nil {
                    try connection.client.wait(milliseconds: connection.timeoutMilliseconds)
                }
                return taken != nil
            }
            guard isTaken else { continue }
            try output.flushBlocks { () throws(CommandFailure) in
                try asking("cannot export") { () throws(DormouseError) in
                    try connection.client.process()
                }
            }
            progress.update(min(subscription.position, last) - after, events: count)
        }
        return count
    }
}

/// A file that gets its name when it is complete.
private struct NewFile {
    let descriptor: Int32
    private let path: String
    private let unfinished: String

    init(_ path: String, mayReplace: Bool) throws(CommandFailure) {
        if !mayReplace, access(path, F_OK) == 0 {
            throw CommandFailure(
                .exists, "there is a file '\(path)'; choose another name, or replace it with --yes")
        }
        self.path = path
        self.unfinished = "\(path).unfinished"
        self.descriptor = open(
            self.unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
        guard self.descriptor >= 0 else {
            throw CommandFailure(
                .io, "cannot write '\(self.unfinished)': \(OS.text(errno))")
        }
    }

    func complete() throws(CommandFailure) {
        guard fsync(self.descriptor) == 0, close(self.descriptor) == 0,
            rename(self.unfinished, self.path) == 0
        else { throw CommandFailure(.io, "cannot write '\(self.path)': \(OS.text(errno))") }
    }
}
