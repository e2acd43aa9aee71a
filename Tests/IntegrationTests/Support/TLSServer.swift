import Foundation
import TestCertificates

/// A dormoused with a plain and a TLS port on loopback, and the files that its TLS is made of, which a
/// test may replace.
final class TLSServer {
    let server: Server
    let authority: Authority
    private let folder: String

    /// `clients`: clients must show a certificate of the authority, and none of its list of revoked ones.
    init(
        own: Certificate? = nil, clients: Bool = false, _ flags: [String] = []
    ) throws {
        self.authority = try Authority.shared.get()
        self.folder = try Folder.make()
        try self.authority.writeRevoked()
        var all = [
            "--listen", "127.0.0.1:0", "--listen", "tls:127.0.0.1:0", "--tls-certificate",
            "\(self.folder)/server.pem", "--tls-key", "\(self.folder)/server.key",
        ]
        if clients {
            all += ["--tls-client-ca", self.authority.path, "--tls-crl", "\(self.folder)/crl.pem"]
        }
        let database = try Cluster.shared().makeDatabase()
        try Self.copy(self.authority.revokedPath, "\(self.folder)/crl.pem")
        try Self.install(own ?? Self.certificate(self.authority), in: self.folder)
        self.server = try Server(on: database, all + flags)
    }

    static func certificate(_ authority: Authority) throws -> Certificate {
        try authority.issue(
            "server-\(UInt32.random(in: 0...UInt32.max))",
            names: ["DNS:localhost", "IP:127.0.0.1"], usage: .server)
    }

    func destroy() {
        self.server.destroy()
        Folder.remove(self.folder)
    }

    // MARK: Its files

    /// Puts another certificate into the place of the server's.
    func install(_ certificate: Certificate) throws {
        try Self.install(certificate, in: self.folder)
    }

    func installNonsense() throws {
        try Data("nonsense".utf8).write(to: URL(fileURLWithPath: "\(self.folder)/server.pem"))
    }

    func installRevoked(isExpired: Bool = false) throws {
        try self.authority.writeRevoked(isExpired: isExpired)
        try Self.copy(self.authority.revokedPath, "\(self.folder)/crl.pem")
    }

    /// SIGHUP; returns when the log says how that went for the `count`th time.
    func reload(_ text: String = "read the TLS files again", count: Int = 1) throws {
        self.server.child.signal(SIGHUP)
        try eventually("the log says '\(text)' \(count) times") {
            self.server.child.errors.ranges(of: text).count >= count
        }
    }

    private static func install(_ certificate: Certificate, in folder: String) throws {
        try Self.copy(certificate.path, "\(folder)/server.pem")
        try Self.copy(certificate.keyPath, "\(folder)/server.key")
    }

    private static func copy(_ source: String, _ target: String) throws {
        try Data(contentsOf: URL(fileURLWithPath: source))
            .write(to: URL(fileURLWithPath: target), options: .atomic)
    }

    // MARK: Reaching it

    func port() throws -> Int {
        let mark = "listening on tls:127.0.0.1:"
        for line in self.server.child.output.split(separator: "\n") {
            if let range = line.range(of: mark), let port = Int(line[range.upperBound...]) {
                return port
            }
        }
        throw Problem("the server did not say where it listens: \(self.server.child.output)")
    }

    /// For the client library.
    func uri(_ certificate: Certificate? = nil, host: String = "localhost") throws -> String {
        let own = certificate.map { "&cert_file=\($0.path)&key_file=\($0.keyPath)" } ?? ""
        return
            "dormouses://\(host):\(try self.port())/main?ca_file=\(self.authority.path)&reconnect=no\(own)"
    }

    /// OpenSSL's own client; its input ends at once, or is `input`.
    func openssl(_ flags: [String], input: String = "") throws -> String {
        let outcome = try Command.run(
            [
                "/usr/bin/openssl", "s_client", "-connect", "127.0.0.1:\(try self.port())",
                "-CAfile", self.authority.path,
            ] + flags, input: input)
        return outcome.output + outcome.errors
    }
}
