import Foundation

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A Kafka cluster of librdkafka's mock brokers, in a process of its own (`Tests/KafkaMock`), or a broker that this process is a client of.
final class Kafka {
    let brokers: String
    private let child: Child
    private let folder: String
    private let input: FileHandle
    private var done = 0

    /// `broker` with librdkafka's settings: what runs already, and not mock brokers.
    init(_ broker: [String] = [], environment: [String: String] = [:]) throws {
        self.folder = try Folder.make()
        let pipe = "\(self.folder)/commands"
        guard mkfifo(pipe, 0o600) == 0 else { throw Problem("cannot make a pipe") }
        // Both ends, so that neither waits for the other to be opened.
        let descriptor = open(pipe, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw Problem("cannot open a pipe") }
        self.input = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        let child = try Child(
            ["\(Server.binaries)/KafkaMock"] + broker, in: self.folder, label: "kafka",
            inputPath: pipe, environment: environment)
        self.child = child
        self.brokers = try eventually("the mock brokers run") {
            child.output.split(separator: "\n").first { $0.hasPrefix("brokers ") }
                .map { String($0.dropFirst(8)) }
        }
    }

    /// Runs a command to its end; returns what it printed.
    @discardableResult
    func run(_ command: String) throws -> [String] {
        let before = self.child.output.count
        try self.input.write(contentsOf: Data("\(command)\n".utf8))
        self.done += 1
        // Longer than what they wait for themselves.
        try eventually("the mock brokers do '\(command)'", seconds: 150) {
            guard self.child.isRunning else { throw Problem("they ended: \(self.child.errors)") }
            return self.child.output.split(separator: "\n").count { $0 == "done" } == self.done
        }
        return self.child.output.dropFirst(before).split(separator: "\n").map(String.init)
            .filter { $0 != "done" }
    }

    func destroy() {
        self.child.destroy()
        Folder.remove(self.folder)
    }
}

extension [ConnectorProcess] {
    /// Waits until `head` is there; none of them may end meanwhile.
    func wait(for head: Int, in database: Database) throws {
        try eventually("everything has come", seconds: 120) {
            for connector in self where !connector.child.isRunning {
                throw Problem("a connector ended: \(connector.child.errors)")
            }
            let now = try? database.number("SELECT head FROM dormouse.exchange WHERE name = 'main'")
            return (now ?? 0) >= head
        }
    }
}

/// A connector that a test started.
final class ConnectorProcess {
    let child: Child
    private let folder: String

    init(_ program: String, _ flags: [String], environment: [String: String] = [:]) throws {
        self.folder = try Folder.make()
        self.child = try Child(
            ["\(Server.binaries)/\(program)"] + flags, in: self.folder, label: program,
            environment: environment)
    }

    func waitForLog(_ text: String, seconds: Double = patience) throws {
        try eventually("the connector's log says '\(text)'", seconds: seconds) {
            guard self.child.isRunning else { throw Problem("it ended: \(self.child.errors)") }
            return self.child.errors.contains(text)
        }
    }

    func kill() {
        self.child.destroy()
    }

    func destroy() {
        self.child.destroy()
        Folder.remove(self.folder)
    }
}
