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

    /// With a certificate for localhost it is reached by TLS only, which socat takes off. With `damaging`, clients get the second
    /// text wherever the broker gives the first one, of the same length.
    init(certificate: Certificate? = nil, damaging: (String, String)? = nil) throws {
        guard let tools = Self.tools else { throw Problem("there is no broker") }
        self.environment = ["LD_PRELOAD": "\(tools)/librdkafka.so.1"]
        self.folder = try Folder.make()
        let port = try RabbitMQ.freePorts(2)
        let isDirect = certificate == nil && damaging == nil
        let host = certificate == nil ? "127.0.0.1" : "localhost"
        self.address = "\(host):\(isDirect ? port : port + 1)"
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
        if let damaging {
            // What comes back passes through perl, whose reads are as large as the broker's answers are.
            let filter =
                "perl -e 'while (sysread(STDIN, $b, 1 << 20)) { $b =~ s/\(damaging.0)/\(damaging.1)/g; syswrite(STDOUT, $b) }'"
            let script = "\(self.folder)/damage.sh"
            try "#!/bin/sh\nexec socat - TCP:127.0.0.1:\(port) | \(filter)\n".write(
                toFile: script, atomically: true, encoding: .utf8)
            children.append(
                try Child(
                    [
                        "/usr/bin/socat", "TCP-LISTEN:\(port + 1),bind=127.0.0.1,reuseaddr,fork",
                        "EXEC:/bin/sh \(script)",
                    ], in: self.folder, label: "socat"))
        }
        self.children = children
        for listening in port...(isDirect ? port : port + 1) {
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
