import Foundation
import TestCertificates

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Tansu, a broker that speaks Kafka's protocol and has nothing of librdkafka in it (`scripts/kafka-broker.sh`). It keeps all in memory.
final class KafkaBroker {
    /// nil where PyPI cannot be reached.
    private static let tools: String? = {
        let root = URL(fileURLWithPath: UnitFile.folder).deletingLastPathComponent().path
        let path = try? Command.check(["\(root)/scripts/kafka-broker.sh"], seconds: 300)
        return path?.trimmingCharacters(in: .whitespacesAndNewlines)
    }()
    static var isInstalled: Bool { Self.tools != nil }

    /// For programs that talk to it.
    let environment: [String: String]
    let address: String
    private let children: [Child]
    private let folder: String

    /// With a certificate for localhost it is reached by TLS only, which socat takes off.
    init(certificate: Certificate? = nil) throws {
        guard let tools = Self.tools else { throw Problem("there is no broker") }
        self.environment = ["LD_PRELOAD": "\(tools)/librdkafka.so.1"]
        self.folder = try Folder.make()
        let port = try RabbitMQ.freePorts(2)
        self.address =
            certificate == nil ? "127.0.0.1:\(port)" : "localhost:\(port + 1)"
        let broker = try Child(
            [
                "\(tools)/tansu", "broker", "--listener-url", "tcp://127.0.0.1:\(port)",
                "--advertised-listener-url", "tcp://\(self.address)", "--storage-engine",
                "memory://dormouse/",
            ], in: self.folder, label: "tansu")
        var children = [broker]
        if let certificate {
            children.append(
                try Child(
                    [
                        "/usr/bin/socat",
                        "OPENSSL-LISTEN:\(port + 1),bind=127.0.0.1,reuseaddr,fork,verify=0,"
                            + "cert=\(certificate.path),key=\(certificate.keyPath)",
                        "TCP:127.0.0.1:\(port)",
                    ], in: self.folder, label: "socat"))
        }
        self.children = children
        for listening in port...(certificate == nil ? port : port + 1) {
            try eventually("the broker listens") {
                guard children.allSatisfy(\.isRunning) else {
                    throw Problem("it ended: \(children.map(\.errors))")
                }
                guard let descriptor = try? Sockets.connect(port: UInt16(listening)) else {
                    return false
                }
                close(descriptor)
                return true
            }
        }
    }

    func destroy() {
        for child in self.children {
            // socat has a process for each connection.
            kill(-child.process, SIGKILL)
            child.destroy()
        }
        Folder.remove(self.folder)
    }
}
