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

    fileprivate func append(
        _ event: LentEvent, hasPosition: Bool, to bytes: inout [UInt8]
    ) {
        switch self {
        case .ndjson:
            EventText.appendJSON(event, isExact: true, hasPosition: hasPosition, to: &bytes)
            bytes.append(UInt8(ascii: "\n"))
        case .protobuf:
            ProtobufEvents.append(event, hasPosition: hasPosition, to: &bytes)
        }
    }

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
            .json, .yes, .noProgress,
        ],
        examples: [
            "dormouse export orders.jsonl --exchange orders",
            "dormouse export --pattern 'orders.#' --format protobuf | gzip > orders.pb.gz",
        ],
        notes: """
            Nothing of an event is lost: 'dormouse import' makes the same events of it. In ndjson, what
            is not UTF-8 stands in base64; protobuf is messages dormouse.v1.Event, each behind its
            length as a varint. Without FILE, or with -, the events go to standard output. The file has
            its name only when it is complete; one that exists is replaced with --yes. --json
            is about what is said of it, not about the events.
            """,
        run: Self.run)

    private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let path = invocation.operands.first.flatMap { $0 == "-" ? nil : $0 }
        let format = try FileFormat(invocation, path: path)
        let after = try invocation.number("after", in: 0...UInt64(Int64.max)) ?? 0
        let filter = try Filters.filter(invocation)
        let connection = try Connection(invocation)
        let reading = LogReading(
            connection, exchange: connection.exchange, filter, doing: "cannot export")
        let head = try reading.description().head
        let last = min(
            try invocation.number("to", in: 1...UInt64(Int64.max)) ?? head, head)
        let file = try path.map { path throws(CommandFailure) in
            try NewFile(path, mayReplace: invocation.has("yes"))
        }
        let output = file.map { Output(descriptor: $0.descriptor) } ?? Output()
        var progress = Progress(
            invocation, "exporting", of: last > after ? last - after : nil)
        let hasPosition = !invocation.has("no-positions")
        var written: UInt64 = 0
        try reading.forEach(after: after, last: last) {
            batch, count, position throws(CommandFailure) in
            output.gather { bytes in
                for index in 0..<count {
                    format.append(batch[index], hasPosition: hasPosition, to: &bytes)
                }
            }
            written += UInt64(count)
            try output.flushBlocks { () throws(CommandFailure) in
                try asking("cannot export") { () throws(DormouseError) in
                    try connection.client.process()
                }
            }
            progress.update(position - after, events: written)
            return true
        }
        try output.flush()
        try file?.complete()
        progress.end()
        guard let path else { return .success }
        return try Output.say(
            invocation, "exported \(Text.count(written, "event")) to \(path)",
            [("exported", "\(written)"), ("file", JSONText.quoted(path))])
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
