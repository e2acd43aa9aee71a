import DormouseClient

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// `dormouse import`.
enum ImportCommand {
    static let description = CommandDescription(
        name: "import", summary: "publish the events of a file that 'export' wrote",
        usage: ["import [FILE] [OPTION...]"], operands: 0...1, operandKinds: [.file],
        options: [
            .exchange, FileFormat.option,
            CommandOption(
                "producer", "NAME",
                "run it again after a failure, and nothing is stored twice"),
            .json, .noProgress,
        ],
        examples: [
            "dormouse import orders.jsonl --exchange test --producer import-1",
            "gunzip < orders.pb.gz | dormouse import --format protobuf --exchange test",
        ],
        notes: """
            Events get the next positions of the exchange and the time of their import. Without FILE,
            or with -, the events come from standard input. With a producer, event i of the file has
            number i: use a new name for each file.
            """,
        run: Self.run)

    private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let path = invocation.operands.first.flatMap { $0 == "-" ? nil : $0 }
        let format = try FileFormat(invocation, path: path)
        let input = try path.map { path throws(CommandFailure) in try LineReader.open(path) }
        let source = EventSource(importing: format, from: input ?? STDIN_FILENO)
        return try PublishCommand.publish(
            source, invocation,
            sequence: invocation.has("producer") ? 1 : 0,
            Progress(invocation, "importing", of: Self.size(of: input ?? STDIN_FILENO)))
    }

    /// nil for what is no file.
    static func size(of descriptor: Int32) -> UInt64? {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            return nil
        }
        return UInt64(max(0, status.st_size))
    }
}
