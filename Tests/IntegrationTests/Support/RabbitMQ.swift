import Foundation
import TestCertificates

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
    private let mapperPort: Int
    private var child: Child?
    private var starts = 0

    var uri: String { "amqp://guest@127.0.0.1:\(self.port)" }
    /// By its name: certificates are for names.
    var secureURI: String { "amqps://guest@localhost:\(self.port + 2)" }

    /// A node alone. `certificate` with its authority's: TLS, too.
    convenience init(certificate: Certificate? = nil, authorities: String = "") throws {
        let port = try Self.freePorts(4)
        var lines: [String] = []
        if let certificate {
            lines = [
                "listeners.ssl.default = 127.0.0.1:\(port + 2)",
                "ssl_options.cacertfile = \(authorities)",
                "ssl_options.certfile = \(certificate.path)",
                "ssl_options.keyfile = \(certificate.keyPath)",
            ]
        }
        try self.init(port: port, mapperPort: port + 3, lines)
        try self.start()
    }

    /// Not started yet. Nodes of a cluster share the port mapper, and the cookie.
    init(port: Int, mapperPort: Int, _ lines: [String]) throws {
        self.folder = try Folder.make()
        self.port = port
        self.mapperPort = mapperPort
        let folder = self.folder
        let all = ["listeners.tcp.default = 127.0.0.1:\(self.port)"] + lines
        try (all.joined(separator: "\n") + "\n").write(
            toFile: "\(folder)/rabbitmq.conf", atomically: true, encoding: .utf8)
        try "[].\n".write(
            toFile: "\(folder)/enabled_plugins", atomically: true, encoding: .utf8)
        let cookie = "\(folder)/.erlang.cookie"
        try "dormouse-test".write(toFile: cookie, atomically: true, encoding: .utf8)
        guard chmod(cookie, 0o400) == 0 else { throw Problem("cannot protect \(cookie)") }
        self.environment = [
            "HOME": folder, "RABBITMQ_NODENAME": Self.node(port),
            "RABBITMQ_DIST_PORT": "\(self.port + 1)", "ERL_EPMD_PORT": "\(mapperPort)",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            // Or the mapper does not end as long as it believes that a node lives.
            "ERL_EPMD_RELAXED_COMMAND_CHECK": "1", "RABBITMQ_MNESIA_BASE": "\(folder)/data",
            "RABBITMQ_LOG_BASE": "\(folder)/log", "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": "\(folder)/enabled_plugins",
            "RABBITMQ_CONFIG_FILE": "\(folder)/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": "\(folder)/none",
            "RABBITMQ_PID_FILE": "\(folder)/rabbitmq.pid",
        ]
    }

    static func node(_ port: Int) -> String { "dormouse-test-\(port)@localhost" }

    func start() throws {
        try self.begin()
        try self.waitUntilStarted()
    }

    func begin() throws {
        self.starts += 1
        let child = try Child(
            [Self.program], in: self.folder, label: "rabbitmq-\(self.starts)",
            environment: self.environment)
        self.child = child
    }

    func waitUntilStarted() throws {
        guard let child = self.child else { return }
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

    /// Numbers that came behind larger ones.
    static func late(_ numbers: [Int]) -> [Int] {
        var newest = 0
        return numbers.filter { number in
            defer { newest = max(newest, number) }
            return number < newest
        }
    }

    /// Publishes one message with amqp-tools, or with `-l` each line of the body.
    func publish(
        exchange: String, key: String, body: String, type: String = "text/plain",
        headers: [String] = [], _ more: String...
    ) throws {
        _ = try Command.check(
            [
                "/usr/bin/amqp-publish", "--url=amqp://guest:guest@127.0.0.1:\(self.port)", "-e",
                exchange, "-r", key, "-C", type, "-p",
            ] + more + headers.flatMap { ["-H", $0] }, input: body)
    }

    func destroy() {
        self.killAtOnce()
        _ = try? Command.run(
            ["/usr/bin/env", "epmd", "-port", "\(self.mapperPort)", "-kill"],
            environment: self.environment)
        Folder.remove(self.folder)
    }

    /// The first of so many neighbouring ports that nobody listens on, below those that the system hands out.
    static func freePorts(_ count: Int) throws -> Int {
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
