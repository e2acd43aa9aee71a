import Core
import Foundation

/// Redis' answers: lines, and texts whose length is in the line before.
struct RedisAnswers: Answers {
    var answered = 0
    var delivered = 0
    var reply: [UInt8] = []
    /// The newest entry's id.
    var last = "-"
    /// Texts that are still to come in an answer of entries, each entry an id, a field and a value.
    private var texts = 0
    private(set) var newest = ""

    mutating func take(_ bytes: UnsafeRawBufferPointer) throws(Failure) -> Int {
        var offset = 0
        while let end = Self.lineEnd(bytes, offset) {
            switch bytes[offset] {
            case UInt8(ascii: "-"):
                throw Failure(
                    .internal,
                    "Redis says \(UnsafeRawBufferPointer(rebasing: bytes[offset..<end]).text)")
            case UInt8(ascii: "$"):
                let size = Self.number(bytes, offset + 1, end)
                guard bytes.count >= end + 2 + size + 2 else { return offset }
                self.string(UnsafeRawBufferPointer(rebasing: bytes[(end + 2)..<(end + 2 + size)]))
                offset = end + 2 + size + 2
                continue
            case UInt8(ascii: "*"):
                // The outer array is the answer; within it an entry has two parts.
                if self.texts == 0 {
                    self.texts = 3 * Self.number(bytes, offset + 1, end)
                    if self.texts == 0 { self.answered += 1 }
                }
            default: self.answered += 1
            }
            offset = end + 2
        }
        return offset
    }

    private mutating func string(_ bytes: UnsafeRawBufferPointer) {
        guard self.texts > 0 else {
            self.answered += 1
            if bytes.count > 30 { self.newest = bytes.text }
            return
        }
        if self.texts % 3 == 0 {
            self.delivered += 1
            if self.texts == 3 { self.last = bytes.text }
        }
        self.texts -= 1
        if self.texts == 0 { self.answered += 1 }
    }

    private static func lineEnd(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> Int? {
        var end = offset
        while end + 1 < bytes.count {
            if bytes[end] == 13 { return end }
            end += 1
        }
        return nil
    }

    private static func number(_ bytes: UnsafeRawBufferPointer, _ from: Int, _ end: Int) -> Int {
        bytes[from..<end].reduce(0) { $0 * 10 + Int($1) - 48 }
    }
}

/// A Redis stream with an append-only file; flushing is switched between jobs.
final class Redis: System {
    let name: String
    let settings: String
    private let flush: String
    private let port: UInt16

    init(isFlushed: Bool, port: UInt16) throws(Failure) {
        self.port = port
        self.flush = isFlushed ? "always" : "everysec"
        self.name = isFlushed ? "Redis, fsync" : "Redis"
        let link = try Link(port: port)
        var answers = RedisAnswers()
        try Self.command(link, &answers, ["INFO", "server"])
        let version = answers.newest.components(after: "redis_version:", upto: "\r")
        self.settings =
            "Redis \(version), appendonly yes, appendfsync \(self.flush): flushed "
            + (isFlushed ? "before the answer" : "every second, not before the answer")
    }

    static func start(_ options: Options, port: UInt16) throws(Failure) -> Child {
        let folder = "\(options.folder)/redis"
        do {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true)
        } catch {
            throw Failure(.internal, "cannot make \(folder)", underlying: "\(error)")
        }
        return try Child(
            "redis", options.redis,
            [
                "--bind", "127.0.0.1", "--port", "\(port)", "--dir", folder, "--appendonly", "yes",
                "--save", "",
            ],
            folder: options.folder)
    }

    func run(_ job: Job) throws(Failure) -> Double? {
        let link = try Link(port: self.port, bufferBytes: 1 << 20)
        var answers = RedisAnswers()
        switch job {
        case .publish(let load):
            try Self.command(link, &answers, ["CONFIG", "SET", "appendfsync", self.flush])
            try Self.command(link, &answers, ["DEL", "bench"])
            let frames = (0..<16).map { _ in
                var bytes: [UInt8] = []
                for _ in 0..<load.batch {
                    bytes += Array(
                        "*5\r\n$4\r\nXADD\r\n$5\r\nbench\r\n$1\r\n*\r\n$1\r\nd\r\n$\(load.payloadBytes)\r\n"
                            .utf8)
                    bytes += randomBytes(load.payloadBytes) + [13, 10]
                }
                return bytes
            }
            return try pump(link, &answers, load, answersPerRequest: load.batch) { request, bytes in
                bytes += frames[request % frames.count]
            } * Double(load.batch)
        case .replay(let events):
            if self.flush == "always" { return nil }
            let begin = seconds()
            while answers.delivered < events {
                let from = answers.last == "-" ? "-" : "(" + answers.last
                try Self.command(link, &answers, ["XRANGE", "bench", from, "+", "COUNT", "1000"])
            }
            return Double(events) / (seconds() - begin)
        case .filteredReplay, .fanOut: return nil
        }
    }

    private static func command(_ link: Link, _ answers: inout RedisAnswers, _ words: [String])
        throws(Failure)
    {
        let before = answers.answered
        let text = words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
        try link.write(Array("*\(words.count)\r\n\(text)".utf8))
        while answers.answered == before { try link.read(&answers) }
    }
}
