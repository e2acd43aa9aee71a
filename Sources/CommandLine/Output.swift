#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Standard output, written in blocks. A reader that has gone ends the command without an error.
final class Output {
    private var bytes: [UInt8] = []
    /// How much of what was flushed last is written.
    private(set) var written = 0
    private let descriptor: Int32
    /// A file takes whatever it is given.
    private let isFile: Bool

    /// So much is gathered before it is written by itself.
    private static let blockBytes = 64 << 10
    /// What a pipe that `poll` calls writable takes without blocking. Source: POSIX, PIPE_BUF.
    private static let pieceBytes = 4096

    init(descriptor: Int32 = STDOUT_FILENO) {
        self.descriptor = descriptor
        var status = stat()
        self.isFile = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    var isTerminal: Bool { isatty(self.descriptor) == 1 }

    func write(_ text: String) throws(CommandFailure) {
        try self.write(Array(text.utf8))
    }

    /// A line; its end is added.
    func write(_ line: [UInt8]) throws(CommandFailure) {
        self.bytes += line
        self.bytes.append(UInt8(ascii: "\n"))
        if self.bytes.count >= Self.blockBytes { try self.flush() }
    }

    func write(_ table: Table, _ show: Show) throws(CommandFailure) {
        for line in table.lines(show) { try self.write(line) }
    }

    /// Several lines with their ends.
    func write(lines: [UInt8]) throws(CommandFailure) {
        self.bytes += lines
        if self.bytes.count >= Self.blockBytes { try self.flush() }
    }

    /// Adds what `body` appends without writing anything yet: the caller flushes, and decides what
    /// happens while that waits.
    func gather(_ body: (inout [UInt8]) -> Void) {
        body(&self.bytes)
    }

    /// Writes everything. While the reader is slow, `whileWaiting` is called every second and after
    /// each signal; what it throws ends the waiting.
    func flush(
        whileWaiting: () throws(CommandFailure) -> Void = {}
    ) throws(CommandFailure) {
        let bytes = self.bytes
        self.bytes.removeAll(keepingCapacity: true)
        self.written = 0
        while self.written < bytes.count {
            guard self.isFile || self.isReady() else {
                try whileWaiting()
                continue
            }
            let end =
                self.isFile ? bytes.count : min(self.written + Self.pieceBytes, bytes.count)
            let count = bytes[self.written..<end].withUnsafeBytes {
                OS.write(self.descriptor, $0)
            }
            if count >= 0 {
                self.written += count
            } else if errno == EPIPE {
                throw .readerGone
            } else if errno != EINTR && errno != EAGAIN {
                throw CommandFailure(.io, "cannot write the output: \(OS.text(errno))")
            }
        }
    }

    /// The same once it is worth it.
    func flushBlocks(
        whileWaiting: () throws(CommandFailure) -> Void
    ) throws(CommandFailure) {
        if self.bytes.count >= Self.blockBytes { try self.flush(whileWaiting: whileWaiting) }
    }

    private func isReady() -> Bool {
        var watched = pollfd(fd: self.descriptor, events: Int16(POLLOUT), revents: 0)
        return poll(&watched, 1, 1000) > 0
    }

    /// One line, and done.
    static func say(_ line: String) throws(CommandFailure) -> ExitCode {
        let output = Output()
        try output.write(line)
        try output.flush()
        return .success
    }

    /// What was done, in words, or with --json as an object.
    static func say(
        _ invocation: Invocation, _ line: String, _ fields: [(name: String, json: String)]
    ) throws(CommandFailure) -> ExitCode {
        guard invocation.has("json") else { return try Self.say(line) }
        return try Self.say(
            "{" + fields.map { "\"\($0.name)\":\($0.json)" }.joined(separator: ",") + "}")
    }

    /// A line on standard error, for people.
    static func tell(_ line: String, endsLine: Bool = true) {
        let bytes = Array((endsLine ? line + "\n" : line).utf8)
        // Where a message about a message that cannot be written would go, nobody can say.
        _ = bytes.withUnsafeBytes { OS.write(STDERR_FILENO, $0) }
    }

    /// Whether a person is likely to read standard error.
    static var isTelling: Bool { isatty(STDERR_FILENO) == 1 }
}

// The system's functions whose names are also names of methods here.
enum OS {
    static func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        guard let start = bytes.baseAddress else { return 0 }
        #if canImport(Darwin)
            return Darwin.write(descriptor, start, bytes.count)
        #else
            return Glibc.write(descriptor, start, bytes.count)
        #endif
    }

    static func read(_ descriptor: Int32, _ bytes: UnsafeMutableRawBufferPointer) -> Int {
        guard let start = bytes.baseAddress else { return 0 }
        #if canImport(Darwin)
            return Darwin.read(descriptor, start, bytes.count)
        #else
            return Glibc.read(descriptor, start, bytes.count)
        #endif
    }

    static func text(_ error: Int32) -> String {
        strerror(error).map { String(cString: $0) } ?? "error \(error)"
    }

    static func environment(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }

    /// Microseconds since 1970 UTC.
    static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(max(0, time.tv_sec)) * 1_000_000 + UInt64(max(0, time.tv_nsec)) / 1000
    }
}
