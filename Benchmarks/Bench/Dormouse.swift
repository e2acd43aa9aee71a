import Core
import Foundation
import Wire

/// Frames of our protocol: counts answers and deliveries, answers pings.
struct DormouseAnswers: Answers {
    var answered = 0
    var delivered = 0
    var reply: [UInt8] = []
    /// Deliveries of filtered subscriptions are counted event by event, others by their range.
    var isFiltered = false
    /// Each delivery is acknowledged at once.
    var acknowledges = false
    var streamsOpened = 0

    mutating func take(_ bytes: UnsafeRawBufferPointer) throws(Failure) -> Int {
        var offset = 0
        while bytes.count - offset >= FrameHeader.bytesCount {
            let frame = UnsafeRawBufferPointer(rebasing: bytes[offset...])
            let length = Int(frame.bigEndian(0, as: UInt32.self)) + FrameHeader.bytesCount
            if frame.count < length { break }
            offset += length
            let payload = UnsafeRawBufferPointer(rebasing: frame[FrameHeader.bytesCount..<length])
            let code = frame.bigEndian(6, as: UInt16.self)
            switch FrameType(rawValue: frame[4]) {
            case .data: try self.deliver(payload, stream: frame.bigEndian(8, as: UInt32.self))
            case .response where code == 0: self.answered += 1
            case .ping:
                FrameEncoder.append(.pong, to: &self.reply) { $0.append(contentsOf: payload) }
            case .pong: break
            case .response, .end, .goAway, .request, .cancel, nil:
                throw Failure(
                    .internal, "dormoused answered with type \(frame[4]), status \(code)",
                    underlying: payload.text)
            }
        }
        return offset
    }

    private mutating func deliver(_ payload: UnsafeRawBufferPointer, stream: UInt32) throws(Failure)
    {
        if self.isFiltered {
            self.delivered += try Delivery.summary(payload).eventsCount
            return
        }
        // `after` and `upto` come first, each a tag and eight bytes, and are left out when zero.
        var place = 0
        var range: (after: UInt64, upto: UInt64) = (0, 0)
        if payload.count >= 9, payload[0] == 0x09 {
            range.after = UInt64(
                littleEndian: payload.loadUnaligned(fromByteOffset: 1, as: UInt64.self))
            place = 9
        }
        if payload.count >= place + 9, payload[place] == 0x11 {
            range.upto = UInt64(
                littleEndian: payload.loadUnaligned(fromByteOffset: place + 1, as: UInt64.self))
        }
        let count = Int(range.upto - range.after)
        if count == 0 { self.streamsOpened += 1 }
        self.delivered += count
        if count > 0, self.acknowledges {
            FrameEncoder.append(
                .acknowledge(AcknowledgeRequest(stream: stream, upto: range.upto)),
                flags: FrameHeader.noReplyFlag, stream: StreamID(rawValue: 2_000 + stream),
                to: &self.reply)
        }
    }
}

/// A dormoused with a private Postgres in a folder of its own.
final class Dormouse {
    let folder: String
    let port: UInt16
    private let program: String
    private let arguments: [String]
    private(set) var child: Child?
    private(set) var exchange = "main"
    private var exchangesMade = 0

    init(_ options: Options, folder: String, port: UInt16, arguments: [String] = []) {
        self.program = options.server
        self.folder = "\(options.folder)/\(folder)"
        self.port = port
        self.arguments = arguments
    }

    /// Seconds from the start of the program until it listens.
    @discardableResult
    func start() throws(Failure) -> Double {
        try? FileManager.default.createDirectory(
            atPath: self.folder, withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o755])
        let begin = seconds()
        let child = try Child(
            "dormoused", self.program,
            ["--data", "\(self.folder)/data", "--listen", "127.0.0.1:\(self.port)"]
                + self.arguments,
            folder: self.folder)
        self.child = child
        try child.waitForPort(self.port)
        return seconds() - begin
    }

    func stop() {
        self.child?.stop()
        self.child = nil
    }

    /// Ends server and Postgres and starts both: nothing is in their memory then.
    func restart() throws(Failure) {
        self.stop()
        try self.start()
    }

    /// Where its Postgres is, as libpq wants it.
    var conninfo: String {
        let log =
            (try? String(contentsOfFile: "\(self.folder)/dormoused.log", encoding: .utf8)) ?? ""
        let parts = log.components(separatedBy: "psql -h '")
        let socket = parts.count > 1 ? parts[1].prefix { $0 != "'" } : ""
        return "host=\(socket) user=dormouse dbname=dormouse"
    }

    /// The process id of its Postgres.
    var postgres: Int32 {
        let path = "\(self.folder)/data/postgres/postmaster.pid"
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        return Int32(text.split(separator: "\n").first ?? "") ?? 0
    }

    /// What the server and its Postgres have used so far.
    var processorSeconds: (server: Double, postgres: Double) {
        (
            Kernel.processorSeconds(self.child?.id ?? 0, withChildren: false),
            Kernel.processorSeconds(self.postgres)
        )
    }

    /// A connection that has said hello.
    func connect(bufferBytes: Int = 256 << 10) throws(Failure) -> Link {
        let link = try Link(port: self.port, bufferBytes: bufferBytes)
        var bytes = Preface.bytes
        FrameEncoder.append(
            .hello(HelloRequest(client: Array("bench".utf8))), stream: StreamID(rawValue: 1),
            to: &bytes)
        try link.write(bytes)
        var answers = DormouseAnswers()
        while answers.answered == 0 { try link.read(&answers) }
        return link
    }

    /// An exchange that nothing is in.
    func makeExchange(on link: Link) throws(Failure) {
        self.exchangesMade += 1
        self.exchange = "bench\(self.exchangesMade)"
        var bytes: [UInt8] = []
        FrameEncoder.append(
            .createExchange(ExchangeRequest(name: Array(self.exchange.utf8))),
            stream: StreamID(rawValue: 2), to: &bytes)
        try link.write(bytes)
        var answers = DormouseAnswers()
        while answers.answered == 0 { try link.read(&answers) }
    }

    /// A few different requests, so that nothing compresses or caches away. The first event of a
    /// hundred has another key than the rest.
    func frames(_ load: Load, count: Int = 16) throws(Failure) -> [[UInt8]] {
        var frames: [[UInt8]] = []
        var number = 0
        for _ in 0..<(load.batch == 1 ? 100 : count) {
            var events = EncodedEvents()
            for _ in 0..<load.batch {
                let key = number % 100 == 0 ? "bench.rare" : "bench.key\(number % 10)"
                number += 1
                try events.append(
                    Event(key: Array(key.utf8), payload: randomBytes(load.payloadBytes)),
                    eventBytesMax: 1 << 20)
            }
            var frame: [UInt8] = []
            FrameEncoder.append(
                .publish(PublishRequest(exchange: Array(self.exchange.utf8), events: events)),
                stream: StreamID(rawValue: 1), to: &frame)
            frames.append(frame)
        }
        return frames
    }

    /// Publishes into the exchange that is there. Returns events per second.
    func publish(_ load: Load, on link: Link) throws(Failure) -> Double {
        let frames = try self.frames(load)
        var answers = DormouseAnswers()
        return try pump(link, &answers, load) { request, bytes in
            Self.append(frames, request, to: &bytes)
        } * Double(load.batch)
    }

    static func append(_ frames: [[UInt8]], _ request: Int, to bytes: inout [UInt8]) {
        let start = bytes.count
        bytes += frames[request % frames.count]
        bytes.storeBigEndian(UInt32(16 + request), at: start + 8)
    }

    func subscribe(
        _ name: String = "", stream: UInt32 = 3, patterns: [String] = [], start: Start = .first,
        acknowledgement: Acknowledgement = .onSend, to bytes: inout [UInt8]
    ) {
        let config = ReceiverConfigMessage(
            exchange: Array(self.exchange.utf8), patterns: patterns.map { Array($0.utf8) })
        let request = SubscribeRequest(
            name: Array(name.utf8), config: config, start: start, acknowledgement: acknowledgement,
            creditEvents: UInt32(Int32.max), creditBytes: UInt32(Int32.max))
        FrameEncoder.append(.subscribe(request), stream: StreamID(rawValue: stream), to: &bytes)
    }
}

extension Dormouse: System {
    var name: String { "dormouse" }
    var settings: String {
        "with Postgres, synchronous_commit=on; events are in Postgres, flushed, before the answer"
    }

    func run(_ job: Job) throws(Failure) -> Double? {
        let link = try self.connect()
        switch job {
        case .publish(let load):
            try self.makeExchange(on: link)
            return try self.publish(load, on: link)
        case .replay(let events):
            return try self.replay(events, patterns: [], matching: events, on: link)
        case .filteredReplay(let events):
            return try self.replay(
                events, patterns: ["bench.rare"], matching: events / 100, on: link)
        case .fanOut(let load, let subscribers):
            return try self.fanOut(load, subscribers, on: link)
        }
    }

    func replay(_ events: Int, patterns: [String], matching: Int, on link: Link)
        throws(Failure) -> Double
    {
        var answers = DormouseAnswers()
        answers.isFiltered = !patterns.isEmpty
        var bytes: [UInt8] = []
        self.subscribe(patterns: patterns, to: &bytes)
        let begin = seconds()
        try link.write(bytes)
        try drain(link, &answers, events: matching)
        return Double(events) / (seconds() - begin)
    }

    private func fanOut(_ load: Load, _ count: Int, on publisher: Link) throws(Failure) -> Double {
        try self.makeExchange(on: publisher)
        var links: [Link] = []
        var answers: [DormouseAnswers] = []
        for index in 0..<count {
            let link = try self.connect()
            var bytes: [UInt8] = []
            self.subscribe("fan\(index)", start: .next, to: &bytes)
            try link.write(bytes)
            var answer = DormouseAnswers()
            while answer.streamsOpened == 0 { try link.read(&answer) }
            links.append(link)
            answers.append(answer)
        }
        let frames = try self.frames(load)
        return try Bench.fanOut(publisher, links, &answers, load) { request, bytes in
            Self.append(frames, request, to: &bytes)
        }
    }
}
