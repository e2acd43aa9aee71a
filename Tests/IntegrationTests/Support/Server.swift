import Core
import Foundation
import PlainClient

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A dormoused that a test started.
final class Server {
    let child: Child
    /// What its output is kept in.
    private let folder: String

    /// The folder of Package.swift.
    static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

    /// DORMOUSE_BIN_DIR, or where `swift build` puts programs: the release build when there is one.
    static let binaries: String = {
        if let given = ProcessInfo.processInfo.environment["DORMOUSE_BIN_DIR"] { return given }
        let candidates = ["release", "debug"].map { "\(Server.repository)/.build/\($0)" }
        return candidates.first {
            FileManager.default.isExecutableFile(atPath: "\($0)/dormoused")
        } ?? candidates[0]
    }()

    /// Starts it with these flags, and with so many descriptors at the most, and does not wait. `--listen` is added when nothing is said of
    /// where to listen.
    init(starting flags: [String], openFiles: Int? = nil) throws {
        self.folder = try Folder.make()
        var flags = flags
        if !flags.contains("--unix"), !flags.contains("--listen") {
            flags += ["--listen", "127.0.0.1:0"]
        }
        let limit = openFiles.map { ["/usr/bin/prlimit", "--nofile=\($0):\($0)"] } ?? []
        self.child = try Child(
            limit + ["\(Self.binaries)/dormoused"] + flags, in: self.folder, label: "dormoused")
    }

    /// Starts it and waits until it listens.
    convenience init(_ flags: [String]) throws {
        try self.init(starting: flags)
        do {
            try self.waitUntilReady()
        } catch {
            self.destroy()
            throw error
        }
    }

    convenience init(on database: Database, _ flags: [String] = []) throws {
        try self.init(["--database", database.conninfo] + flags)
    }

    /// Ends it if it still runs, and removes its output.
    func destroy() {
        self.child.destroy()
        Folder.remove(self.folder)
    }

    // MARK: What it says

    func waitUntilReady(seconds: Double = patience) throws {
        do {
            try eventually("the server listens", seconds: seconds) {
                guard self.child.isRunning else { throw Problem("the server ended") }
                return self.child.output.contains("\ntry:  ")
                    || self.child.output.hasPrefix("try:  ")
                    || self.child.output.contains("listening on unix:")
            }
        } catch {
            throw Problem(
                "\(error): \(self.child.output.suffix(500))\(self.child.errors.suffix(2000))")
        }
    }

    /// Waits until its log holds this.
    func waitForLog(_ text: String, seconds: Double = patience) throws {
        try eventually("the server's log says '\(text)'", seconds: seconds) {
            self.child.errors.contains(text)
        }
    }

    /// Where it listens.
    func address() throws -> Address { try Address(self.uri()) }

    func uri() throws -> String {
        for line in self.child.output.split(separator: "\n") {
            guard let range = line.range(of: "listening on ") else { continue }
            let place = String(line[range.upperBound...])
            return place.hasPrefix("unix:") ? place : "dormouse://\(place)"
        }
        throw Problem("the server did not say where it listens: \(self.child.output)")
    }

    // MARK: How it is

    /// Resident bytes, now or at most so far.
    func memory(peak: Bool = false) throws -> Int {
        let lines = Folder.text("/proc/\(self.child.process)/status").split(separator: "\n")
        guard let line = lines.first(where: { $0.hasPrefix(peak ? "VmHWM:" : "VmRSS:") }),
            let kilobytes = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
        else { throw Problem("the server's memory is not known") }
        return kilobytes * 1024
    }

    // MARK: Ending it

    func killAtOnce() throws {
        self.child.signal(SIGKILL)
        let end = try self.child.wait()
        guard end == .signal(SIGKILL) else { throw Problem("the server had ended by \(end)") }
    }

    /// SIGTERM, and its exit code.
    func stop(seconds: Double = patience) throws -> Child.End {
        self.child.signal(SIGTERM)
        return try self.child.wait(seconds: seconds)
    }
}

/// A server of its own for a test, on a fresh database of the shared Postgres.
func withServer(
    _ flags: [String] = [], _ body: (Server, Database) throws -> Void
) throws {
    let database = try Cluster.shared().makeDatabase()
    let server = try Server(on: database, flags)
    defer { server.destroy() }
    try body(server, database)
}

/// A server that is killed, and started again where it was.
final class FragileServer {
    let database: Database
    let uri: String
    private let flags: [String]
    private var server: Server?

    init() throws {
        self.database = try Cluster.shared().makeDatabase()
        let place = "127.0.0.1:\(try RabbitMQ.freePorts(1))"
        self.uri = "dormouse://\(place)"
        self.flags = ["--database", self.database.conninfo, "--listen", place]
        try self.start()
    }

    deinit { self.server?.destroy() }

    func start() throws { self.server = try Server(self.flags) }

    func kill() throws {
        try self.server?.killAtOnce()
        self.server?.destroy()
        self.server = nil
    }
}

/// A server for the many tests that only talk to it: each uses an exchange of its own.
enum SharedServer {
    private struct Running: @unchecked Sendable {
        // Only tests use it, which run one at a time.
        let server: Server
        let database: Database
    }

    private static let running = Locked<Running?>(nil)
    private static let counter = Locked(0)

    private static func get() throws -> Running {
        try Self.running.withLock { running in
            if let running, running.server.child.isRunning { return running }
            let database = try Cluster.shared().makeDatabase()
            let made = Running(server: try Server(on: database), database: database)
            if running == nil { atexit { SharedServer.running.current?.server.destroy() } }
            running = made
            return made
        }
    }

    static func server() throws -> Server { try Self.get().server }
    static func database() throws -> Database { try Self.get().database }

    /// A connection and the name of a fresh exchange.
    static func connect() throws -> TestClient {
        let client = try TestClient(Self.server().address())
        let number = Self.counter.withLock { number in
            number += 1
            return number
        }
        client.exchange = "exchange-\(number)"
        try client.createExchange(client.exchange)
        return client
    }

    /// A connection and an exchange of this name, for tests that compare what is shown.
    static func connect(exchange: String) throws -> TestClient {
        let client = try TestClient(Self.server().address())
        client.exchange = exchange
        try client.createExchange(exchange)
        return client
    }

    /// Another connection that uses the same exchange.
    static func connect(like other: TestClient) throws -> TestClient {
        let client = try TestClient(Self.server().address())
        client.exchange = other.exchange
        return client
    }
}
