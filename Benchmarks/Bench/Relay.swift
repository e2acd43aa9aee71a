import Core
import Wire

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// The limit of any server in front of this Postgres on this machine: takes the same bytes from the same generator over the
/// same kind of socket, stores them as `Ceiling` does, and sends them back. It decodes, orders and checks nothing. A
/// process of its own, `dormouse-bench relay PORT CONNINFO`.
struct Relay {
    private static let rowBytes = 140_000
    /// As much as one of two commits holds that are under way in the window of P1.
    private static let commitBytes = 10 * rowBytes
    private static let commitsUnderWay = 2
    /// Rows of one statement of a replay; two of them are under way.
    private static let pageRows = 8

    private let client: Int32
    private let conninfo: String
    private let postgres: Postgres
    private var input = [UInt8](repeating: 0, count: 4 << 20)
    private var filled = 0
    /// Publishes that are not in a commit yet: their bytes, and the streams that want an answer.
    private var gathered: [UInt8] = []
    private var gatheredStreams: [UInt32] = []
    /// Of each commit under way, oldest first.
    private var underWay: [[UInt32]] = []
    private var row: Int
    private var stored: Stored
    private var isPublishing = false

    /// What the newest connection that published has stored: what a replay sends.
    private struct Stored {
        var firstRow = 0
        var events = 0
    }

    /// Of a request of P1.
    private static let eventsPerRequest = 100

    static func main(_ arguments: [String]) throws(Failure) {
        guard arguments.count == 2, let port = UInt16(arguments[0]) else {
            throw Failure(.invalidArgument, "relay needs a port and a conninfo")
        }
        let listener = try Self.listen(port)
        var stored = Stored()
        while true {
            let client = accept(listener, nil, nil)
            guard client >= 0 else { continue }
            defer { close(client) }
            // The client goes away when it is done, which is no failure.
            do throws(Failure) {
                var relay = try Relay(client, arguments[1], stored)
                try relay.serve()
                stored = relay.stored
            } catch { say("relay: \(error.description)") }
        }
    }

    private static func listen(_ port: UInt16) throws(Failure) -> Int32 {
        let listener = Loopback.socket()
        var on: Int32 = 1
        setsockopt(
            listener, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        let code = Loopback.withAddress(port) { bind(listener, $0, $1) }
        #if canImport(Darwin)
            let isListening = code == 0 && Darwin.listen(listener, 16) == 0
        #else
            let isListening = code == 0 && Glibc.listen(listener, 16) == 0
        #endif
        guard isListening else { throw Failure(.unavailable, "cannot listen on port \(port)") }
        return listener
    }

    private init(_ client: Int32, _ conninfo: String, _ stored: Stored) throws(Failure) {
        self.client = client
        self.conninfo = conninfo
        self.stored = stored
        var on: Int32 = 1
        setsockopt(
            client, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        self.postgres = try Postgres(conninfo)
        try self.postgres.execute(
            """
            CREATE TABLE IF NOT EXISTS bench_relay (position bigint PRIMARY KEY, data bytea NOT NULL);
            ALTER TABLE bench_relay ALTER COLUMN data SET STORAGE EXTERNAL
            """)
        let last = try self.postgres.value("SELECT coalesce(max(position), 0) FROM bench_relay")
        self.row = Int(last) ?? 0
        try self.postgres.prepare("put", "INSERT INTO bench_relay VALUES ($1, $2)")
    }

    // MARK: Serving

    private mutating func serve() throws(Failure) {
        while true {
            var entries = [
                pollfd(fd: self.client, events: Int16(POLLIN), revents: 0),
                pollfd(
                    fd: self.underWay.isEmpty ? -1 : self.postgres.descriptor,
                    events: Int16(POLLIN), revents: 0),
            ]
            poll(&entries, 2, -1)
            if entries[1].revents != 0 {
                while !self.underWay.isEmpty, try self.postgres.receiveIfEnded() {
                    try self.answer(self.underWay.removeFirst())
                }
            }
            if entries[0].revents != 0, try !self.read() { return }
            try self.commit()
        }
    }

    /// false: the client is gone.
    private mutating func read() throws(Failure) -> Bool {
        let count = self.input.withUnsafeMutableBytes {
            recv(self.client, $0.baseAddress?.advanced(by: self.filled), $0.count - self.filled, 0)
        }
        guard count > 0 else { return false }
        self.filled += count
        var offset = 0
        while self.filled - offset >= FrameHeader.bytesCount {
            let (length, code, stream) = self.input.withUnsafeBytes {
                (
                    Int($0.bigEndian(offset, as: UInt32.self)),
                    $0.bigEndian(offset + 6, as: UInt16.self),
                    $0.bigEndian(offset + 8, as: UInt32.self)
                )
            }
            let end = offset + FrameHeader.bytesCount + length
            guard end <= self.filled else { break }
            switch Method(rawValue: code) {
            case .publish:
                self.gathered += self.input[(offset + FrameHeader.bytesCount)..<end]
                self.gatheredStreams.append(stream)
                if !self.isPublishing {
                    self.isPublishing = true
                    self.stored = Stored(firstRow: self.row + 1)
                }
                self.stored.events += Self.eventsPerRequest
            case .subscribe: try self.replay(stream)
            default: try self.answer([stream])
            }
            offset = end
        }
        self.filled -= offset
        self.input.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress, offset > 0 else { return }
            memmove(base, base + offset, self.filled)
        }
        return true
    }

    /// What has come, in rows; little waits while something is under way.
    private mutating func commit() throws(Failure) {
        guard !self.gathered.isEmpty, self.underWay.count < Self.commitsUnderWay,
            self.underWay.isEmpty || self.gathered.count >= Self.commitBytes
        else { return }
        var offset = 0
        while offset < self.gathered.count {
            let end = min(offset + Self.rowBytes, self.gathered.count)
            self.row += 1
            try self.postgres.send(
                "put", [[UInt8](bigint: self.row), Array(self.gathered[offset..<end])],
                isLast: end == self.gathered.count)
            offset = end
        }
        self.underWay.append(self.gatheredStreams)
        self.gathered.removeAll(keepingCapacity: true)
        self.gatheredStreams = []
    }

    private func answer(_ streams: [UInt32]) throws(Failure) {
        var bytes: [UInt8] = []
        for stream in streams {
            FrameEncoder.append(
                .publish(PublishReply(firstPosition: 1, lastPosition: 100, duplicates: 0)),
                stream: StreamID(rawValue: stream), to: &bytes)
        }
        try self.write(bytes)
    }

    private func write(_ bytes: [UInt8]) throws(Failure) {
        try Loopback.write(bytes, to: self.client, peer: "the client")
    }

    // MARK: Replay

    /// The rows in order, read on two connections in turn: while one page is sent, the next is read.
    private func replay(_ stream: UInt32) throws(Failure) {
        let readers = [try self.reader(), try self.reader()]
        let rows = self.row - self.stored.firstRow + 1
        var sent = 0
        var asked = 0
        for reader in readers { try self.ask(reader, &asked) }
        for turn in 0... {
            guard sent < rows else { return }
            let reader = readers[turn % 2]
            let pages = try reader.receiveBytes(column: 1)
            try self.ask(reader, &asked)
            for page in pages {
                let range = (self.events(sent, of: rows), self.events(sent + 1, of: rows))
                sent += 1
                var frame: [UInt8] = []
                frame.reserveCapacity(page.count + 64)
                FrameEncoder.append(
                    DeliveryHeader(after: Position(range.0), upto: Position(range.1)),
                    eventsBytes: page.count, stream: StreamID(rawValue: stream), to: &frame)
                frame += page
                try self.write(frame)
            }
        }
    }

    /// How many events the first so many rows hold, if they are spread evenly.
    private func events(_ rows: Int, of all: Int) -> UInt64 {
        UInt64(self.stored.events * rows / max(1, all))
    }

    private func reader() throws(Failure) -> Postgres {
        let reader = try Postgres(self.conninfo)
        try reader.prepare(
            "get",
            "SELECT position, data FROM bench_relay WHERE position >= $1 ORDER BY position LIMIT \(Self.pageRows)"
        )
        return reader
    }

    private func ask(_ reader: Postgres, _ asked: inout Int) throws(Failure) {
        try reader.send("get", [[UInt8](bigint: self.stored.firstRow + asked)])
        asked += Self.pageRows
    }
}

/// The relay as a system that is measured.
final class Behind: System {
    private let server: Dormouse
    private let port: UInt16
    let name = "libpq behind a socket"
    let settings =
        "what any server could reach here: stores what it is sent as libpq does, 140 kB a row, and decodes nothing"

    init(_ server: Dormouse, port: UInt16) {
        self.server = server
        self.port = port
    }

    static func start(_ options: Options, _ server: Dormouse, port: UInt16) throws(Failure) -> Child
    {
        try Child(
            "relay", CommandLine.arguments[0], ["relay", "\(port)", server.conninfo],
            folder: options.folder)
    }

    func run(_ job: Job) throws(Failure) -> Double? {
        switch job {
        case .publish(let load):
            if load.batch == 1 { return nil }
            return try self.server.publish(load, on: try Link(port: self.port))
        case .replay(let events):
            let link = try Link(port: self.port)
            return try self.server.replay(events, patterns: [], matching: events, on: link)
        case .filteredReplay, .fanOut: return nil
        }
    }
}
