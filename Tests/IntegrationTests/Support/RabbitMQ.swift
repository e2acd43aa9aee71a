import Foundation

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A RabbitMQ node that belongs to the tests: Debian's program with a node name, ports and folders of its own.
final class RabbitMQ {
    static let program = "/usr/lib/rabbitmq/bin/rabbitmq-server"
    static let isInstalled = FileManager.default.isExecutableFile(atPath: program)

    let port: Int
    private let folder: String
    private let environment: [String: String]
    private var child: Child?
    private var starts = 0

    var uri: String { "amqp://guest@127.0.0.1:\(self.port)" }

    init() throws {
        self.folder = try Folder.make()
        self.port = try Self.freePorts(3)
        let folder = self.folder
        try "listeners.tcp.default = 127.0.0.1:\(self.port)\n".write(
            toFile: "\(folder)/rabbitmq.conf", atomically: true, encoding: .utf8)
        try "[].\n".write(
            toFile: "\(folder)/enabled_plugins", atomically: true, encoding: .utf8)
        self.environment = [
            "HOME": folder, "RABBITMQ_NODENAME": "dormouse-test-\(self.port)@localhost",
            "RABBITMQ_DIST_PORT": "\(self.port + 1)", "ERL_EPMD_PORT": "\(self.port + 2)",
            "ERL_EPMD_ADDRESS": "127.0.0.1", "RABBITMQ_MNESIA_BASE": "\(folder)/data",
            "RABBITMQ_LOG_BASE": "\(folder)/log", "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": "\(folder)/enabled_plugins",
            "RABBITMQ_CONFIG_FILE": "\(folder)/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": "\(folder)/none",
            "RABBITMQ_PID_FILE": "\(folder)/rabbitmq.pid",
        ]
        try self.start()
    }

    func start() throws {
        self.starts += 1
        let child = try Child(
            [Self.program], in: self.folder, label: "rabbitmq-\(self.starts)",
            environment: self.environment)
        self.child = child
        try eventually("RabbitMQ listens", seconds: 120) {
            guard child.isRunning else {
                throw Problem(
                    "RabbitMQ ended: \(child.output.suffix(2000))\(child.errors.suffix(500))")
            }
            return child.output.contains("Server startup complete")
        }
    }

    /// kill -9; what is in its folder stays.
    func killAtOnce() {
        guard let child = self.child else { return }
        // The whole group: the virtual machine may be a child of the script.
        kill(-child.process, SIGKILL)
        child.destroy()
    }

    /// Runs rabbitmqctl against this node.
    @discardableResult
    func control(_ arguments: String...) throws -> String {
        let outcome = try Command.run(
            ["/usr/lib/rabbitmq/bin/rabbitmqctl", "-q"] + arguments,
            environment: self.environment, seconds: 120)
        guard outcome.end == .exit(0) else {
            throw Problem("rabbitmqctl \(arguments) failed: \(outcome.errors)\(outcome.output)")
        }
        return outcome.output
    }

    /// Publishes one message with amqp-tools.
    func publish(exchange: String, key: String, body: String, type: String = "text/plain") throws {
        _ = try Command.check(
            [
                "/usr/bin/amqp-publish", "--url=amqp://guest:guest@127.0.0.1:\(self.port)", "-e",
                exchange, "-r", key, "-C", type, "-p",
            ], input: body)
    }

    func destroy() {
        self.killAtOnce()
        _ = try? Command.run(
            ["/usr/bin/env", "epmd", "-port", "\(self.port + 2)", "-kill"],
            environment: self.environment)
        Folder.remove(self.folder)
    }

    /// The first of so many neighbouring ports that nobody listens on, below those that the system hands out.
    private static func freePorts(_ count: Int) throws -> Int {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<100 {
            let first = Int.random(in: 20_000..<32_000, using: &random)
            if (first..<first + count).allSatisfy(Self.isFree) { return first }
        }
        throw Problem("there are no free ports")
    }

    private static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
