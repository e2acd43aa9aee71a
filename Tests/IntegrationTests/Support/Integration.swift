import Foundation
import Testing

/// The whole product, from outside: real programs, a real Postgres, real sockets.
///
/// All suites are inside this one, so that one test runs at a time: many of them measure, or make
/// trouble for the machine's only Postgres.
@Suite(.serialized)
enum Integration {}

/// What a test waited for in vain, or what must not have happened.
struct Problem: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// Seconds of a clock that nobody sets.
var uptime: Double { ProcessInfo.processInfo.systemUptime }

/// Seconds that a test waits for what takes a moment. Only a failure lasts so long; a machine whose disk or processors are
/// somebody else's for a while is none.
let patience = 60.0

/// Asks until there is an answer. For what tells nobody when it happens: rows, processes, files.
func eventually<Value>(
    _ what: String, seconds: Double = patience, _ body: () throws -> Value?
) throws -> Value {
    let deadline = uptime + seconds
    while true {
        if let value = try body() { return value }
        guard uptime < deadline else {
            throw Problem("waited \(Int(seconds)) s in vain until \(what)")
        }
        usleep(3_000)
    }
}

/// Asks until it is so.
func eventually(_ what: String, seconds: Double = patience, _ body: () throws -> Bool) throws {
    _ = try eventually(what, seconds: seconds) { try body() ? true : nil }
}

/// Random numbers that can be had again: SplitMix64.
struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64
    let seed: UInt64

    /// A new seed with every run, printed; DORMOUSE_SEED repeats one.
    static func fresh(for test: String) -> SeededNumbers {
        let given = ProcessInfo.processInfo.environment["DORMOUSE_SEED"].flatMap { UInt64($0) }
        let seed = given ?? UInt64.random(in: 1...999_999)
        print("\(test): DORMOUSE_SEED=\(seed)")
        return SeededNumbers(seed: seed)
    }

    init(seed: UInt64) {
        self.seed = seed
        self.state = seed
    }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: self.next()) }
    }
}

/// Folders of this run. They lie under a short path that other users may pass through: Postgres
/// runs as another user when we are root, and its socket's path must be short.
enum Folder {
    private static let counter = Locked(0)

    static func make() throws -> String {
        let number = Self.counter.withLock { number in
            number += 1
            return number
        }
        let path = "/tmp/dormouse-it-\(getpid())-\(number)"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o755])
        return path
    }

    static func remove(_ path: String) {
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            print("cannot remove \(path): \(error)")
        }
    }

    /// A file's text; empty when there is no such file.
    static func text(_ path: String) -> String {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
}
