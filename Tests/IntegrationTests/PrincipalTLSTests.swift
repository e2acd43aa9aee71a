import Core
import Foundation
import PlainClient
import TestCertificates
import Testing
import Wire

extension Integration {
    /// Principals over TLS, from end to end: the programs as they are installed, certificates by OpenSSL's own program.
    @Suite(.serialized)
    struct PrincipalTLSTests {
        /// A server with a TLS port that asks for certificates and can do without, and a unix socket for its operator.
        private final class Setting {
            let tls: TLSServer
            let folder: String
            private let unix: String

            init(_ flags: [String] = []) throws {
                self.folder = try Folder.make()
                self.unix = "unix:\(self.folder)/s"
                self.tls = try TLSServer(
                    clients: true,
                    ["--tls-client-optional", "--unix", "\(self.folder)/s"] + flags)
                let child = self.tls.server.child
                try eventually("it listens on both") {
                    child.output.contains("listening on unix:")
                }
            }

            func destroy() {
                self.tls.destroy()
                Folder.remove(self.folder)
            }

            static func command(_ line: String, _ server: String) -> [String] {
                ["\(Server.binaries)/dormouse", "--server", server]
                    + line.split(separator: " ").map(String.init)
            }

            func run(_ line: String, at server: String) throws -> Command.Outcome {
                try Command.run(
                    Self.command(line, server), environment: ["HOME": "/nonexistent"])
            }

            /// As the server's own user.
            func administer(_ line: String) throws {
                let outcome = try self.run(line, at: self.unix)
                guard outcome.end == .exit(0) else { throw Problem(outcome.errors) }
            }

            /// Adds a principal with a token, or gives it a new one; returns its file.
            func token(_ name: String, _ line: String) throws -> String {
                let path = "\(self.folder)/\(name).token"
                try self.administer("\(line) --token-file \(path)")
                return path
            }

            func uri(token: String) throws -> String {
                try self.tls.uri() + "&token_file=\(token)"
            }

            func uri(_ certificate: Certificate) throws -> String { try self.tls.uri(certificate) }

            func client(_ label: String, _ names: String...) throws -> Certificate {
                try self.tls.authority.issue(label, names: names, usage: .client)
            }

            /// A subscriber that waits for more, once it was sent something.
            func subscriber(_ server: String, _ name: String) throws -> Child {
                let child = try Child(
                    Self.command("subscribe \(name) --pattern order.# --from first", server),
                    in: self.folder, label: name, environment: ["HOME": "/nonexistent"])
                try eventually("\(name) was sent an event") {
                    guard child.isRunning else { throw Problem("it ended: \(child.errors)") }
                    return child.output.contains("order.")
                }
                return child
            }
        }

        private func withSetting(
            _ flags: [String] = [], _ body: (Setting) throws -> Void
        ) throws {
            let setting = try Setting(flags)
            defer { setting.destroy() }
            try body(setting)
        }

        private static let billing = "URI:spiffe://test/billing"

        @Test func aTokenAndACertificateAllowWhatWasGrantedAndNothingElse() throws {
            try self.withSetting { setting in
                let shop = try setting.token(
                    "shop", "principals add shop publish --pattern order.#")
                try setting.administer(
                    "principals add billing subscribe --pattern order.# --names bill. --certificate \(Self.billing)"
                )
                let publisher = try setting.uri(token: shop)
                let reader = try setting.uri(setting.client("billing", Self.billing))
                #expect(try setting.run("publish order.a 1", at: publisher).end == .exit(0))
                let read = try setting.run(
                    "subscribe bill.mail --pattern order.# --from first --count 1",
                    at: reader)
                #expect(read.end == .exit(0) && read.output.contains("order.a"))
                // Each is refused what the other may, and what nobody gave it.
                let refused = [
                    ("publish stock.a 1", publisher, "granted there: publish order.# in main"),
                    ("fetch --pattern order.#", publisher, "PERMISSION_DENIED"),
                    ("publish order.a 1", reader, "PERMISSION_DENIED"),
                    ("fetch", reader, "granted there: subscribe to order.# in main"),
                    ("subscribe shop.x --pattern order.# --count 1", reader, "names bill."),
                    ("principals list", reader, "PERMISSION_DENIED"),
                    ("exchanges create other", publisher, "PERMISSION_DENIED"),
                ]
                for (line, server, reason) in refused {
                    let outcome = try setting.run(line, at: server)
                    #expect(outcome.end == .exit(77), "\(line): \(outcome.errors)")
                    #expect(outcome.errors.contains(reason), "\(line): \(outcome.errors)")
                }
            }
        }

        /// The name is compared as a whole, and nothing but names of the right kind.
        @Test func strangersAreToldClearlyAndLate() throws {
            try self.withSetting { setting in
                _ = try setting.token("shop", "principals add shop publish")
                try setting.administer(
                    "principals add billing subscribe --certificate \(Self.billing)")
                let wrong = "\(setting.folder)/wrong"
                try Data("0123456789abcdef.wrong\n".utf8).write(to: URL(fileURLWithPath: wrong))
                let nobodys = "no name of the certificate belongs to a principal"
                let strangers = [
                    (try setting.uri(token: wrong), "the token is not known"),
                    (try setting.tls.uri(), "show a token, a certificate"),
                    (try setting.uri(setting.client("longer", Self.billing + "/x")), nobodys),
                    (try setting.uri(setting.client("shorter", "URI:spiffe://test")), nobodys),
                    (
                        try setting.uri(setting.client("cased", "URI:SPIFFE://test/billing")),
                        nobodys
                    ),
                    (try setting.uri(setting.client("kind", "DNS:billing")), nobodys),
                    // Its subject's own name is the principal's, which says nothing.
                    (try setting.uri(setting.client("shop", "DNS:other.example")), nobodys),
                    // A good certificate does not make a wrong token good.
                    (
                        try setting.uri(setting.client("billing", Self.billing))
                            + "&token_file=\(wrong)", "the token is not known"
                    ),
                ]
                for (server, reason) in strangers {
                    let before = uptime
                    let outcome = try setting.run("server", at: server)
                    #expect(uptime - before >= 0.5)
                    #expect(outcome.end == .exit(77), "\(outcome.errors)")
                    #expect(
                        outcome.errors.contains("UNAUTHENTICATED")
                            && outcome.errors.contains(reason),
                        "\(outcome.errors)")
                }
                // Among several names, one that is known is enough.
                let known = try setting.client("both", "DNS:other.example", Self.billing)
                #expect(try setting.run("server", at: setting.uri(known)).end == .exit(0))
            }
        }

        /// Certificates that are no good do not even reach the question of who it is.
        @Test func aBadCertificateOfAPrincipalIsRefusedInTheHandshake() throws {
            try self.withSetting { setting in
                let authority = setting.tls.authority
                try setting.administer(
                    "principals add billing subscribe --certificate \(Self.billing)")
                let good = try setting.client("billing", Self.billing)
                #expect(try setting.run("server", at: setting.uri(good)).end == .exit(0))
                let revoked = try setting.client("revoked", Self.billing)
                try authority.revoke(revoked)
                try setting.tls.installRevoked()
                try setting.tls.reload()
                let bad = [
                    (revoked, "certificate revoked"),
                    (
                        try authority.issue(
                            "late", names: [Self.billing], usage: .client, validity: .expired),
                        "certificate has expired"
                    ),
                    (
                        try authority.issue("server", names: [Self.billing], usage: .server),
                        "unsuitable certificate purpose"
                    ),
                    (
                        try authority.selfSigned("own", names: [Self.billing]),
                        "self-signed certificate"
                    ),
                ]
                for (certificate, reason) in bad {
                    let outcome = try setting.run("server", at: setting.uri(certificate))
                    #expect(outcome.end == .exit(69), "\(reason): \(outcome.errors)")
                    try setting.tls.server.waitForLog(reason)
                }
                #expect(try setting.run("server", at: setting.uri(good)).end == .exit(0))
            }
        }

        @Test func revokingAndRotatingEndsWhatIsThere() throws {
            try self.withSetting { setting in
                let shop = try setting.token("shop", "principals add shop publish subscribe")
                try setting.administer(
                    "principals add billing subscribe --certificate \(Self.billing)")
                let own = try setting.uri(token: shop)
                #expect(try setting.run("publish order.a 1", at: own).end == .exit(0))
                let byToken = try setting.subscriber(own, "by-token")
                let byCertificate = try setting.subscriber(
                    setting.uri(setting.client("billing", Self.billing)), "by-certificate")
                defer {
                    byToken.destroy()
                    byCertificate.destroy()
                }
                let next = try setting.token("next", "principals rotate shop")
                #expect(try byToken.wait() == .exit(77))
                #expect(byToken.errors.contains("revoked or has ended"), "\(byToken.errors)")
                #expect(byCertificate.isRunning)
                #expect(try setting.run("server", at: own).end == .exit(77))
                #expect(
                    try setting.run("publish order.b 2", at: setting.uri(token: next)).end
                        == .exit(0))
                try eventually("the other one goes on") { byCertificate.output.contains("order.b") }
                try setting.administer("principals revoke billing --yes")
                #expect(try byCertificate.wait() == .exit(77))
                #expect(byCertificate.errors.contains("UNAUTHENTICATED"))
            }
        }

        /// Our library speaks 1.3 only; others may not be able to.
        @Test func aCertificateSaysWhoItIsOverTLS12Too() throws {
            try self.withSetting(["--tls-min", "1.2"]) { setting in
                try setting.administer(
                    "principals add billing subscribe --certificate \(Self.billing)")
                var bytes = Preface.bytes
                let stream = StreamID(rawValue: 1)
                FrameEncoder.append(.hello(HelloRequest()), stream: stream, to: &bytes)
                // What only servers send: it closes, and so OpenSSL's client ends.
                FrameEncoder.append(.response, to: &bytes) { _ in }
                let input = "\(setting.folder)/hello"
                try Data(bytes).write(to: URL(fileURLWithPath: input))
                let certificate = try setting.client("billing", Self.billing)
                func answer(_ own: String) throws -> String {
                    try Command.run(
                        [
                            "/bin/bash", "-c",
                            "openssl s_client -connect 127.0.0.1:\(setting.tls.port()) -tls1_2 -quiet \(own) "
                                + "<'\(input)' | tr -c '[:print:]' '.'",
                        ], seconds: 20
                    ).output
                }
                let own = "-cert \(certificate.path) -key \(certificate.keyPath)"
                #expect(try answer(own).contains("billing"))
                let nobody = try answer("")
                #expect(nobody.contains("this server wants to know who connects"), "\(nobody)")
            }
        }
    }
}
