import Core
import Foundation

/// NATS speaks text: lines, and payloads whose length is in the line before.
struct NatsAnswers: Answers {
    var answered = 0
    var delivered = 0
    var reply: [UInt8] = []
    /// What the last request was answered.
    var response = ""
    var pongs = 0
    var info = ""

    mutating func take(_ bytes: UnsafeRawBufferPointer) throws(Failure) -> Int {
        var offset = 0
        while offset < bytes.count {
            var end = offset
            while end < bytes.count, bytes[end] != 10 { end += 1 }
            if end == bytes.count { break }
            let line = UnsafeRawBufferPointer(rebasing: bytes[offset..<end])
            switch line.first {
            case UInt8(ascii: "M"), UInt8(ascii: "H"):
                let size = Self.lastNumber(line)
                guard bytes.count >= end + 1 + size + 2 else { return offset }
                try self.message(
                    line, UnsafeRawBufferPointer(rebasing: bytes[(end + 1)..<(end + 1 + size)]))
                end += size + 2
            case UInt8(ascii: "-"): throw Failure(.internal, "NATS says \(line.text)")
            case UInt8(ascii: "I"): self.info = line.text
            case UInt8(ascii: "P") where line[1] == UInt8(ascii: "I"):
                self.reply += Array("PONG\r\n".utf8)
            case UInt8(ascii: "P"): self.pongs += 1
            default: break
            }
            offset = end + 1
        }
        return offset
    }

    /// The subscription is 1 for answers, 2 for what is delivered and 3 for responses to requests.
    private mutating func message(_ line: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer)
        throws(Failure)
    {
        var place = line.first == UInt8(ascii: "H") ? 5 : 4
        while line[place] != 32 { place += 1 }
        switch line[place + 1] {
        case UInt8(ascii: "1"):
            guard payload.count > 2, payload[2] != UInt8(ascii: "e") else {
                throw Failure(.internal, "JetStream refused an event: \(payload.text)")
            }
            self.answered += 1
        case UInt8(ascii: "2"):
            if line.first == UInt8(ascii: "M") {
                self.delivered += 1
            } else {
                self.control(line.text, payload.text)
            }
        default: self.response = payload.text
        }
    }

    /// Flow control and heartbeats, answered as the official clients do.
    private mutating func control(_ line: String, _ headers: String) {
        let words = line.split(whereSeparator: { $0 == " " || $0 == "\r" })
        var subject = words.count == 6 ? String(words[3]) : ""
        for header in headers.split(separator: "\r\n")
        where header.hasPrefix("Nats-Consumer-Stalled: ") {
            subject = String(header.dropFirst(23))
        }
        if !subject.isEmpty { self.reply += Array("PUB \(subject) 0\r\n\r\n".utf8) }
    }

    private static func lastNumber(_ line: UnsafeRawBufferPointer) -> Int {
        var place = line.count - 1
        var number = 0
        var scale = 1
        while place >= 0 {
            let digit = line[place]
            if digit >= 48, digit <= 57 {
                number += Int(digit - 48) * scale
                scale *= 10
            } else if scale > 1 || digit == 32 {
                break
            }
            place -= 1
        }
        return number
    }
}

/// NATS: a server of its own per setting, since flushing is the server's.
final class Nats: System {
    enum Kind { case core, stream, streamFlushed }

    let name: String
    let settings: String
    private let kind: Kind
    private let port: UInt16

    init(_ kind: Kind, port: UInt16) throws(Failure) {
        self.kind = kind
        self.port = port
        let link = try Link(port: port)
        var answers = NatsAnswers()
        while answers.info.isEmpty { try link.read(&answers) }
        let version = answers.info.components(after: "\"version\":\"", upto: "\"")
        switch kind {
        case .core:
            self.name = "NATS core"
            self.settings = "NATS \(version), stores nothing"
        case .stream:
            self.name = "JetStream"
            self.settings =
                "NATS \(version), file store with defaults: flushed every 2 minutes, not before the answer"
        case .streamFlushed:
            self.name = "JetStream, fsync"
            self.settings =
                "NATS \(version), file store, sync_interval: always: flushed before the answer"
        }
    }

    static func start(_ options: Options, _ kind: Kind, port: UInt16) throws(Failure) -> Child {
        let name = "nats-\(port)"
        let flush = kind == .streamFlushed ? ", sync_interval: always" : ""
        try write(
            "\(options.folder)/\(name).conf",
            "listen: \"127.0.0.1:\(port)\"\njetstream { store_dir: \"\(options.folder)/\(name)\"\(flush) }\n"
        )
        return try Child(
            name, options.nats, ["-c", "\(options.folder)/\(name).conf"], folder: options.folder)
    }

    func run(_ job: Job) throws(Failure) -> Double? {
        switch (self.kind, job) {
        case (.core, .fanOut(let load, let subscribers)): return try self.fanOut(load, subscribers)
        case (.core, _), (.streamFlushed, .fanOut), (.streamFlushed, .replay),
            (.streamFlushed, .filteredReplay):
            return nil
        case (_, .publish(var load)):
            if self.kind == .streamFlushed { load.events = max(load.batch, load.events / 50) }
            // A stream takes 10,000 events at once and refuses more.
            load.window = min(load.window, 8_000)
            let (link, answers) = try self.connect()
            var all = answers
            try self.makeStream(link, &all)
            let frames = self.frames(load, reply: "acks")
            return try pump(link, &all, load, answersPerRequest: load.batch) { request, bytes in
                bytes += frames[request % frames.count]
            } * Double(load.batch)
        case (.stream, .replay(let events)):
            return try self.replay(events, matching: events, "bench.>")
        case (.stream, .filteredReplay(let events)):
            return try self.replay(events, matching: events / 100, "bench.rare")
        case (.stream, .fanOut(let load, let subscribers)):
            return try self.fanOut(load, subscribers)
        }
    }

    private func connect() throws(Failure) -> (Link, NatsAnswers) {
        let link = try Link(port: self.port)
        var answers = NatsAnswers()
        try link.write(
            Array(
                ("CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\n"
                    + "SUB acks 1\r\nPING\r\n").utf8))
        while answers.pongs == 0 { try link.read(&answers) }
        return (link, answers)
    }

    private func request(
        _ link: Link, _ answers: inout NatsAnswers, _ subject: String, _ body: String
    )
        throws(Failure)
    {
        answers.response = ""
        let inbox = "inbox\(UInt64.random(in: 0...UInt64.max))"
        try link.write(
            Array(
                "SUB \(inbox) 3\r\nPUB \(subject) \(inbox) \(body.utf8.count)\r\n\(body)\r\n".utf8))
        while answers.response.isEmpty { try link.read(&answers) }
        try link.write(Array("UNSUB 3\r\n".utf8))
    }

    private func makeStream(_ link: Link, _ answers: inout NatsAnswers) throws(Failure) {
        try self.request(link, &answers, "$JS.API.STREAM.DELETE.bench", "")
        try self.request(
            link, &answers, "$JS.API.STREAM.CREATE.bench",
            "{\"name\":\"bench\",\"subjects\":[\"bench.>\"],\"storage\":\"file\",\"num_replicas\":1}"
        )
        guard !answers.response.contains("\"error\"") else {
            throw Failure(.internal, "JetStream made no stream: \(answers.response)")
        }
    }

    /// Subscribes without acknowledgements, as an ordered consumer does.
    private func consume(
        _ link: Link, _ answers: inout NatsAnswers, _ inbox: String, _ filter: String, from: String
    ) throws(Failure) {
        try link.write(Array("SUB \(inbox) 2\r\n".utf8))
        try self.request(
            link, &answers, "$JS.API.CONSUMER.CREATE.bench",
            "{\"stream_name\":\"bench\",\"config\":{\"deliver_subject\":\"\(inbox)\",\"deliver_policy\":\"\(from)\","
                + "\"ack_policy\":\"none\",\"max_deliver\":1,\"flow_control\":true,\"idle_heartbeat\":5000000000,"
                + "\"mem_storage\":true,\"num_replicas\":1,\"replay_policy\":\"instant\",\"filter_subject\":\"\(filter)\"}}"
        )
        guard !answers.response.contains("\"error\"") else {
            throw Failure(.internal, "JetStream made no consumer: \(answers.response)")
        }
    }

    private func replay(_ events: Int, matching: Int, _ filter: String) throws(Failure) -> Double {
        let (link, answers) = try self.connect()
        var all = answers
        let begin = seconds()
        try self.consume(link, &all, "deliver.replay", filter, from: "all")
        try drain(link, &all, events: matching)
        return Double(events) / (seconds() - begin)
    }

    private func fanOut(_ load: Load, _ count: Int) throws(Failure) -> Double {
        let isCore = self.kind == .core
        let (publisher, first) = try self.connect()
        var published = first
        if !isCore { try self.makeStream(publisher, &published) }
        var links: [Link] = []
        var answers: [NatsAnswers] = []
        for index in 0..<count {
            let (link, answer) = try self.connect()
            var all = answer
            if isCore {
                try link.write(Array("SUB bench.> 2\r\nPING\r\n".utf8))
                while all.pongs == 1 { try link.read(&all) }
            } else {
                try link.write(Array("UNSUB 1\r\n".utf8))
                try self.consume(link, &all, "deliver.\(index)", "bench.>", from: "new")
            }
            links.append(link)
            answers.append(all)
        }
        let frames = self.frames(load, reply: isCore ? "" : "acks")
        return try Bench.fanOut(publisher, links, &answers, load) { request, bytes in
            bytes += frames[request % frames.count]
        }
    }

    private func frames(_ load: Load, reply: String) -> [[UInt8]] {
        var number = 0
        return (0..<(load.batch == 1 ? 100 : 16)).map { _ in
            var bytes: [UInt8] = []
            for _ in 0..<load.batch {
                let subject = number % 100 == 0 ? "bench.rare" : "bench.key\(number % 10)"
                number += 1
                bytes += Array("PUB \(subject) \(reply) \(load.payloadBytes)\r\n".utf8)
                bytes += randomBytes(load.payloadBytes)
                bytes += [13, 10]
            }
            return bytes
        }
    }
}

extension String {
    /// What stands between two texts.
    func components(after begin: String, upto end: String) -> String {
        guard let start = self.range(of: begin) else { return "" }
        let rest = self[start.upperBound...]
        return String(rest[..<(rest.range(of: end)?.lowerBound ?? rest.endIndex)])
    }
}
