import Core
import Foundation
import PlainClient
import TestCertificates
import Testing
import Wire

extension Integration {
    /// What the server refuses to show to other machines, and what it warns of.
    @Suite(.serialized)
    struct ExposureTests {
        private static func tls(_ certificate: Certificate) -> [String] {
            ["--tls-certificate", certificate.path, "--tls-key", certificate.keyPath]
        }

        /// How the program ends, and what it says.
        private func outcome(_ flags: [String]) throws -> Command.Outcome {
            try Command.run(["\(Server.binaries)/dormoused"] + flags)
        }

        @Test func otherMachinesNeedTLSAndPrincipals() throws {
            let database = try Cluster.shared().makeDatabase()
            let certificate = try TLSServer.certificate(Authority.shared.get())
            let base = ["--database", database.conninfo]
            let encrypted = base + Self.tls(certificate)
            for place in ["0.0.0.0:0", "[::]:0"] {
                let plain = try self.outcome(base + ["--listen", place])
                #expect(plain.end == .exit(64))
                #expect(plain.errors.contains("\(place) is reachable from elsewhere, without TLS"))
                #expect(plain.errors.contains("listen on tls:\(place)"))
                let open = try self.outcome(encrypted + ["--listen", "tls:\(place)"])
                #expect(open.end == .exit(64))
                #expect(open.errors.contains("there are no principals"), "\(open.errors)")
                #expect(open.errors.contains("principals add NAME administer --everywhere"))
                #expect(!open.output.contains("listening on"))
            }
            // Told so, it starts, and anybody may do anything.
            let insecure = try Server(on: database, ["--listen", "0.0.0.0:0", "--insecure"])
            defer { insecure.destroy() }
            let port = try insecure.address().description.split(separator: ":").last ?? ""
            let client = try TestClient(Address("127.0.0.1:\(port)"))
            #expect(client.client.welcome.principal.text == "anonymous")
            #expect(try insecure.stop() == .exit(0))
        }

        /// The way that the error tells: on this machine first, then with principals.
        @Test func withAPrincipalItListensForOtherMachines() throws {
            try withGuarded { guarded in
                _ = try guarded.add("shop")
                #expect(try guarded.server.stop() == .exit(0))
                let certificate = try TLSServer.certificate(Authority.shared.get())
                let server = try Server(
                    on: guarded.database,
                    ["--listen", "tls:0.0.0.0:0"] + Self.tls(certificate))
                defer { server.destroy() }
                #expect(server.child.output.contains("listening on tls:0.0.0.0:"))
                #expect(try server.stop() == .exit(0))
                // Principals do not make up for TLS.
                let plain = try self.outcome([
                    "--database", guarded.database.conninfo, "--listen", "0.0.0.0:0",
                ])
                #expect(plain.end == .exit(64))
            }
        }

        /// systemd opens them, and may open them to everybody.
        @Test func passedSocketsAreLookedAtLikeOthers() throws {
            let manager = try ServiceManager()
            defer { manager.destroy() }
            let database = try Cluster.shared().makeDatabase()
            let certificate = try TLSServer.certificate(Authority.shared.get())
            let open = try Sockets.listen(tcp: "0.0.0.0")
            defer { close(open.descriptor) }
            let child = try manager.start(
                ["DORMOUSE_DATABASE": database.conninfo, "LISTEN_FDNAMES": "tls"],
                flags: Self.tls(certificate), sockets: [open.descriptor])
            #expect(try child.wait() == .exit(64))
            #expect(child.errors.contains("there are no principals"), "\(child.errors)")
        }

        /// A server that nobody touches for a year is looked at, too.
        @Test func aCertificateIsLookedAtAgainAndAgain() throws {
            let authority = try Authority.shared.get()
            let certificate = try authority.issue(
                "server-\(UInt32.random(in: 0...UInt32.max))", names: ["DNS:localhost"],
                usage: .server, validity: .ending)
            let server = try TLSServer(own: certificate, ["--certificate-ms", "100"])
            defer { server.destroy() }
            try eventually("it is warned of for the third time") {
                server.server.child.errors.ranges(of: "our TLS certificate ends soon").count >= 3
            }
            #expect(!server.server.child.errors.contains("read the TLS files again"))
        }

        /// It has an end, and then nobody with a certificate comes in.
        @Test func aListOfRevokedCertificatesThatHasEndedIsWarnedOf() throws {
            let server = try TLSServer(clients: true)
            defer { server.destroy() }
            #expect(!server.server.child.errors.contains("list of revoked"))
            try server.installRevoked(isExpired: true)
            try server.reload()
            try server.server.waitForLog(
                "the list of revoked certificates has expired: clients with certificates are refused"
            )
            // The authority is everybody's.
            try server.installRevoked()
        }

        @Test func aCertificateThatEndsIsWarnedOf() throws {
            let authority = try Authority.shared.get()
            func issue(_ validity: Authority.Validity) throws -> Certificate {
                try authority.issue(
                    "server-\(UInt32.random(in: 0...UInt32.max))", names: ["DNS:localhost"],
                    usage: .server, validity: validity)
            }
            let server = try TLSServer(own: issue(.ending))
            defer { server.destroy() }
            try server.server.waitForLog("our TLS certificate ends soon")
            #expect(server.server.child.errors.contains("hours=11"))
            try server.install(issue(.expired))
            try server.reload(count: 1)
            try server.server.waitForLog("our TLS certificate has expired")
            try server.install(issue(.days(2)))
            try server.reload(count: 2)
            // Whatever it has to say of it is said by now.
            try server.reload(count: 3)
            let parts = server.server.child.errors.components(
                separatedBy: "read the TLS files again")
            #expect(parts.count == 4 && !parts[2].contains("our TLS certificate"))
        }
    }
}
