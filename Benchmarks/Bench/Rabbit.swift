import Core
import Foundation

/// Frames of RabbitMQ's stream protocol: length, key, version, then what the key says.
struct RabbitAnswers: Answers {
    var answered = 0
    var delivered = 0
    var reply: [UInt8] = []
    /// Keys of responses that came, and what PeerProperties said.
    var responses: Set<UInt16> = []
    var properties = ""
    var frameBytesMax: UInt32 = 0

    mutating func take(_ bytes: UnsafeRawBufferPointer) throws(Failure) -> Int {
        var offset = 0
        while bytes.count - offset >= 8 {
            let length = Int(bytes.bigEndian(offset, as: UInt32.self)) + 4
            if bytes.count - offset < length { break }
            try self.frame(
                UnsafeRawBufferPointer(rebasing: bytes[(offset + 4)..<(offset + length)]))
            offset += length
        }
        return offset
    }

    private mutating func frame(_ frame: UnsafeRawBufferPointer) throws(Failure) {
        let key = frame.bigEndian(0, as: UInt16.self)
        switch key {
        case 3:
            // A confirm: publisher, how many, their numbers.
            self.answered += Int(frame.bigEndian(5, as: UInt32.self))
        case 8:
            // A delivery: subscription, then a chunk with its number of records. A chunk costs a credit.
            self.delivered += Int(frame.bigEndian(9, as: UInt32.self))
            self.reply += [0, 0, 0, 7, 0, 9, 0, 1, frame[4], 0, 1]
        case 4, 0x10, 0x16: throw Failure(.internal, "RabbitMQ sent the frame \(key)")
        case 0x14:
            self.frameBytesMax = frame.bigEndian(4, as: UInt32.self)
            self.responses.insert(key)
        case 0x17: break
        case 0x8009: throw Failure(.internal, "RabbitMQ refused a credit")
        default:
            self.responses.insert(key & 0x7fff)
            let code = frame.bigEndian(8, as: UInt16.self)
            // 2 is the answer to deleting a stream that is not there.
            guard code == 1 || (code == 2 && key == 0x800e) else {
                throw Failure(.internal, "RabbitMQ answered \(key & 0x7fff) with \(code)")
            }
            if key == 0x8011 { self.properties = frame.text }
        }
    }
}

/// RabbitMQ with its stream plugin, spoken to in the stream protocol.
final class Rabbit: System {
    let name = "RabbitMQ stream"
    let settings: String
    private let port: UInt16

    init(port: UInt16) throws(Failure) {
        self.port = port
        let (_, answers) = try Self.connect(port)
        let version = answers.properties.components(after: "\0\u{7}version", upto: "\0\u{8}")
            .drop { !$0.isNumber }.prefix { $0.isNumber || $0 == "." }
        self.settings =
            "RabbitMQ \(version), stream plugin with defaults: not flushed before the answer"
    }

    static func start(_ options: Options, port: UInt16) throws(Failure) -> Child {
        let folder = "\(options.folder)/rabbitmq"
        do {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true)
        } catch {
            throw Failure(.internal, "cannot make \(folder)", underlying: "\(error)")
        }
        try write("\(folder)/enabled_plugins", "[rabbitmq_stream].\n")
        try write(
            "\(folder)/rabbitmq.conf",
            "listeners.tcp.default = 127.0.0.1:\(port + 1)\nstream.listeners.tcp.default = 127.0.0.1:\(port)\n"
        )
        try write("\(options.folder)/epmd-port", "\(port + 3)")
        return try Child(
            "rabbitmq", options.rabbitmq, [], folder: options.folder,
            environment: [
                "HOME": folder, "RABBITMQ_NODENAME": "dormouse-bench@localhost",
                "RABBITMQ_DIST_PORT": "\(port + 2)", "ERL_EPMD_PORT": "\(port + 3)",
                "ERL_EPMD_ADDRESS": "127.0.0.1", "RABBITMQ_MNESIA_BASE": "\(folder)/data",
                "RABBITMQ_LOG_BASE": "\(folder)/log", "RABBITMQ_LOGS": "-",
                "RABBITMQ_ENABLED_PLUGINS_FILE": "\(folder)/enabled_plugins",
                "RABBITMQ_CONFIG_FILE": "\(folder)/rabbitmq.conf",
                "RABBITMQ_CONF_ENV_FILE": "\(folder)/none",
                "RABBITMQ_PID_FILE": "\(folder)/rabbitmq.pid",
            ])
    }

    func run(_ job: Job) throws(Failure) -> Double? {
        switch job {
        case .publish(let load): return try self.publish(load)
        case .replay(let events): return try self.replay(events)
        case .filteredReplay, .fanOut: return nil
        }
    }

    private func publish(_ load: Load) throws(Failure) -> Double {
        let (link, first) = try Self.connect(self.port)
        var answers = first
        try Self.request(link, &answers, 0x0e, Self.string("bench"))
        try Self.request(link, &answers, 0x0d, Self.string("bench") + [0, 0, 0, 0])
        try Self.request(link, &answers, 0x01, [1] + Self.string("") + Self.string("bench"))
        // A message is an AMQP 1.0 data section: a header of five bytes, then the payload.
        let head: [UInt8] = [0x00, 0x53, 0x75, 0xa0, UInt8(load.payloadBytes)]
        let entryBytes = 12 + head.count + load.payloadBytes
        let frames = (0..<16).map { _ in
            var body: [UInt8] = [0, 2, 0, 1, 1]
            body.appendBigEndian(UInt32(load.batch))
            for _ in 0..<load.batch {
                body.appendBigEndian(UInt64(0))
                body.appendBigEndian(UInt32(head.count + load.payloadBytes))
                body += head + randomBytes(load.payloadBytes)
            }
            return Self.framed(body)
        }
        return try pump(link, &answers, load, answersPerRequest: load.batch) { request, bytes in
            let start = bytes.count
            bytes += frames[request % frames.count]
            for entry in 0..<load.batch {
                bytes.storeBigEndian(
                    UInt64(request * load.batch + entry), at: start + 13 + entry * entryBytes)
            }
        } * Double(load.batch)
    }

    private func replay(_ events: Int) throws(Failure) -> Double {
        let (link, first) = try Self.connect(self.port)
        var answers = first
        let begin = seconds()
        // From the first offset on, with ten chunks of credit; without properties.
        try Self.request(
            link, &answers, 0x07, [1] + Self.string("bench") + [0, 1, 0, 10, 0, 0, 0, 0])
        try drain(link, &answers, events: events)
        return Double(events) / (seconds() - begin)
    }

    private static func connect(_ port: UInt16) throws(Failure) -> (Link, RabbitAnswers) {
        let link = try Link(port: port, bufferBytes: 1 << 20)
        var answers = RabbitAnswers()
        try Self.request(link, &answers, 0x11, [0, 0, 0, 0])
        try Self.request(link, &answers, 0x12, [])
        let login = Array("\0guest\0guest".utf8)
        try Self.request(
            link, &answers, 0x13, Self.string("PLAIN") + [0, 0, 0, UInt8(login.count)] + login)
        while !answers.responses.contains(0x14) { try link.read(&answers) }
        // Accept the frame size, ask for no heartbeats.
        var tune: [UInt8] = [0, 0x14, 0, 1]
        tune.appendBigEndian(answers.frameBytesMax)
        tune += [0, 0, 0, 0]
        try link.write(Self.framed(tune))
        try Self.request(link, &answers, 0x15, Self.string("/"))
        return (link, answers)
    }

    private static func request(
        _ link: Link, _ answers: inout RabbitAnswers, _ key: UInt16, _ body: [UInt8]
    ) throws(Failure) {
        answers.responses.remove(key)
        var bytes: [UInt8] = []
        bytes.appendBigEndian(key)
        bytes += [0, 1, 0, 0, 0, 1]
        try link.write(Self.framed(bytes + body))
        while !answers.responses.contains(key) { try link.read(&answers) }
    }

    private static func framed(_ body: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendBigEndian(UInt32(body.count))
        return bytes + body
    }

    private static func string(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendBigEndian(UInt16(text.utf8.count))
        return bytes + Array(text.utf8)
    }
}
