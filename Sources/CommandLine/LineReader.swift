import Core

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Lines of a descriptor, each without its end. The caller decides when to read, so that it can do
/// something else while there is nothing.
struct LineReader {
    enum Framing {
        /// Each ends with a line end.
        case lines
        /// Each begins with its length as a varint.
        case lengths
    }

    let descriptor: Int32
    private let framing: Framing
    /// Bytes that were handed out, with what ends or begins them.
    private(set) var taken: UInt64 = 0
    private var bytes: [UInt8] = []
    private var consumed = 0
    /// How far the bytes were searched for a line's end.
    private var searched = 0
    private(set) var isAtEnd = false

    /// A JSON line holds an event of at most 8 MiB, whose bytes may be escaped six to one.
    private static let lineBytesMax = 64 << 20
    private static let readBytes = 64 << 10

    init(descriptor: Int32, framing: Framing = .lines) {
        self.descriptor = descriptor
        self.framing = framing
    }

    /// The next line that is already here; nil: `fill` first, or the end. Throws `data` for an end
    /// inside of what has a length.
    mutating func next() throws(CommandFailure) -> [UInt8]? {
        let before = self.consumed
        defer { self.taken += UInt64(self.consumed - before) }
        switch self.framing {
        case .lines: return self.nextLine()
        case .lengths: return try self.nextMessage()
        }
    }

    private mutating func nextLine() -> [UInt8]? {
        if let end = self.lineEnd() {
            defer {
                self.consumed = end + 1
                self.searched = self.consumed
            }
            return Array(self.bytes[self.consumed..<end])
        }
        self.searched = self.bytes.count
        // A last line without an end counts.
        guard self.isAtEnd, self.consumed < self.bytes.count else { return nil }
        defer { self.consumed = self.bytes.count }
        return Array(self.bytes[self.consumed...])
    }

    private mutating func nextMessage() throws(CommandFailure) -> [UInt8]? {
        let range = self.bytes.withUnsafeBytes { all -> Range<Int>? in
            var offset = self.consumed
            return Varint.readLength(all, at: &offset).map { offset..<offset + $0 }
        }
        if let range {
            self.consumed = range.upperBound
            self.searched = range.upperBound
            return Array(self.bytes[range])
        }
        if self.isAtEnd, self.consumed < self.bytes.count {
            throw CommandFailure(
                .data,
                "the input ends inside of an event, or is no export in protobuf (the events before it "
                    + "are published); export it again, or give its --format")
        }
        return nil
    }

    private func lineEnd() -> Int? {
        self.bytes.withUnsafeBytes { all in
            guard let start = all.baseAddress, self.searched < all.count,
                let found = memchr(start + self.searched, 0x0A, all.count - self.searched)
            else { return nil }
            return UnsafeRawPointer(found) - start
        }
    }

    /// Reads once; waits when there is nothing yet.
    mutating func fill() throws(CommandFailure) {
        if self.consumed > 0 {
            self.bytes.removeFirst(self.consumed)
            self.searched -= self.consumed
            self.consumed = 0
        }
        guard self.bytes.count < Self.lineBytesMax else {
            throw CommandFailure(
                .data, "a line or an event of the input is longer than \(Self.lineBytesMax) bytes")
        }
        let count = try Self.read(self.descriptor, into: &self.bytes)
        if count == 0 { self.isAtEnd = true }
    }

    /// Whether `fill` would return at once.
    var isReadable: Bool { Self.isReadable(self.descriptor) }

    static func isReadable(_ descriptor: Int32) -> Bool {
        var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&watched, 1, 0) != 0
    }

    private static func read(
        _ descriptor: Int32, into bytes: inout [UInt8]
    ) throws(CommandFailure) -> Int {
        let start = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: Self.readBytes))
        var count = -1
        repeat {
            count = bytes.withUnsafeMutableBytes {
                OS.read(descriptor, UnsafeMutableRawBufferPointer(rebasing: $0[start...]))
            }
        } while count < 0 && errno == EINTR
        let error = errno
        bytes.removeLast(Self.readBytes - max(0, count))
        guard count >= 0 else {
            throw CommandFailure(.io, "cannot read the input: \(OS.text(error))")
        }
        return count
    }

    /// A whole file, or standard input for nil; at most `bytesMax` bytes.
    static func all(of path: String?, bytesMax: Int) throws(CommandFailure) -> [UInt8] {
        guard let path else {
            return try Self.all(of: STDIN_FILENO, bytesMax: bytesMax, what: "the payload")
        }
        let descriptor = try Self.open(path)
        defer { close(descriptor) }
        return try Self.all(of: descriptor, bytesMax: bytesMax, what: "the payload")
    }

    static func open(_ path: String) throws(CommandFailure) -> Int32 {
        #if canImport(Darwin)
            let descriptor = Darwin.open(path, O_RDONLY | O_CLOEXEC)
        #else
            let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        #endif
        guard descriptor >= 0 else {
            throw CommandFailure(.noInput, "cannot read '\(path)': \(OS.text(errno))")
        }
        return descriptor
    }

    static func all(
        of descriptor: Int32, bytesMax: Int, what: String
    ) throws(CommandFailure) -> [UInt8] {
        var bytes: [UInt8] = []
        while try Self.read(descriptor, into: &bytes) > 0 {
            guard bytes.count <= bytesMax else {
                throw CommandFailure(
                    .data,
                    "\(what) is larger than \(bytesMax) bytes, the most that the server takes; "
                        + "publish a reference to it, or start the server with a larger "
                        + "--frame-bytes")
            }
        }
        return bytes
    }
}
