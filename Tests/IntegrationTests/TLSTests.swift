import Core
import DormouseClient
import Foundation
import PlainClient
import TestCertificates
import Testing
import Wire

extension Integration {
    /// The server's TLS, from outside: with the client library and with OpenSSL's own client.
    @Suite(.serialized)
    struct TLSTests {
        private func withTLS(
            clients: Bool = false, own: Certificate? = nil, _ flags: [String] = [],
            _ body: (TLSServer) throws -> Void
        ) throws {
            let server = try TLSServer(own: own, clients: clients, flags)
            defer { server.destroy() }
            try body(server)
        }

        /// Publishes and reads it back.
        private func exchangeWords(_ uri: String) throws {
            let client = try BlockingClient(uri)
            var batch = PublishBatch()
            batch.append(key: Array("word".utf8), payload: Array("hello".utf8))
            var isStored = false
            let isTaken = try client.publish(batch) { isStored = (try? $0.get()) != nil }
            while client.pendingEvents > 0 { try client.wait(milliseconds: 1000) }
            #expect(isTaken && isStored)
            let subscription = try client.subscribe(SubscribeOptions(from: .last))
            while true {
                if let key = try subscription.next({ $0[0].copy().key }) {
                    #expect(key == "word")
                    break
                }
                try client.wait(milliseconds: 1000)
            }
            try client.close()
        }

        private func failure(_ uri: String) -> String {
            do {
                // What a server thinks of a client's certificate comes after the client's part of the
                // handshake; so an answer is awaited.
                let client = try BlockingClient(uri, timeout: 5_000)
                try client.close()
                return "connected"
            } catch {
                return "\(error)"
            }
        }

        @Test func theClientLibraryAndTheServerSpeakTLS() throws {
            try self.withTLS { server in
                try self.exchangeWords(server.uri())
                #expect(try server.openssl(["-brief"]).contains("Protocol version: TLSv1.3"))
            }
        }

        @Test func aClientIsLetInByItsCertificateOnly() throws {
            try self.withTLS(clients: true) { server in
                let authority = server.authority
                let good = try authority.issue(
                    "good", names: ["URI:spiffe://test/good"], usage: .client)
                try self.exchangeWords(server.uri(good))
                let revoked = try authority.issue("revoked", names: ["DNS:a"], usage: .client)
                try authority.revoke(revoked)
                try server.installRevoked()
                try server.reload()
                let bad: [(Certificate?, String)] = [
                    (nil, "peer did not return a certificate"),
                    (revoked, "certificate revoked"),
                    (
                        try authority.issue(
                            "expired", names: ["DNS:a"], usage: .client, validity: .expired),
                        "certificate has expired"
                    ),
                    (
                        try authority.issue("serving", names: ["DNS:a"], usage: .server),
                        "unsuitable certificate purpose"
                    ),
                    (
                        try authority.issue("unsaid", names: ["DNS:a"], usage: .unsaid),
                        "unsuitable certificate purpose"
                    ),
                    (try authority.selfSigned("self", names: ["DNS:a"]), "self-signed certificate"),
                ]
                for (certificate, reason) in bad {
                    #expect(try self.failure(server.uri(certificate)) != "connected", "\(reason)")
                    try server.server.waitForLog(reason)
                }
                try self.exchangeWords(server.uri(good))
            }
        }

        @Test func aClientWithoutACertificateMayBeLetInButNoneWithABadOne() throws {
            try self.withTLS(clients: true, ["--tls-client-optional"]) { server in
                try self.exchangeWords(server.uri())
                let wrong = try server.authority.issue("wrong", names: ["DNS:a"], usage: .server)
                #expect(try self.failure(server.uri(wrong)) != "connected")
            }
        }

        @Test func aServerWithAnotherNameOrUseOrTimeIsRefusedByTheClient() throws {
            let authority = try Authority.shared.get()
            let cases: [(Certificate, String)] = [
                (
                    try authority.issue("elsewhere", names: ["DNS:elsewhere"], usage: .server),
                    "hostname mismatch"
                ),
                (
                    try authority.issue("not-a-server", names: ["DNS:localhost"], usage: .client),
                    "purpose"
                ),
                (
                    try authority.issue(
                        "old", names: ["DNS:localhost"], usage: .server, validity: .expired),
                    "expired"
                ),
            ]
            for (certificate, reason) in cases {
                try self.withTLS(own: certificate) { server in
                    let failure = try self.failure(server.uri()).lowercased()
                    #expect(failure.contains(reason), "\(failure)")
                }
            }
        }

        @Test func versionsBefore13AreRefused() throws {
            try self.withTLS { server in
                for version in ["-tls1_1", "-tls1_2"] {
                    let text = try server.openssl([version, "-cipher", "ALL:@SECLEVEL=0"])
                    #expect(text.contains("alert protocol version"), "\(text)")
                }
                try server.server.waitForLog("unsupported protocol")
            }
        }

        @Test func version12IsAnOptionWithForwardSecrecyOnly() throws {
            try self.withTLS(["--tls-min", "1.2"]) { server in
                #expect(try server.openssl(["-tls1_3", "-brief"]).contains("TLSv1.3"))
                let text = try server.openssl(["-tls1_2", "-brief"])
                #expect(text.contains("TLSv1.2") && text.contains("ECDHE-ECDSA-AES"))
                #expect(text.contains("GCM") || text.contains("CHACHA20"))
                let old = try server.openssl(["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"])
                #expect(old.contains("alert protocol version"))
                // Neither without an AEAD, nor with a key that is never thrown away.
                for cipher in ["ECDHE-ECDSA-AES256-SHA384", "AES128-GCM-SHA256"] {
                    let text = try server.openssl(["-tls1_2", "-cipher", cipher])
                    #expect(text.contains("handshake failure"), "\(cipher)")
                }
                let again = try server.openssl(["-tls1_2"], input: "R\n")
                #expect(again.contains("no renegotiation"), "\(again)")
                #expect(again.contains("Compression: NONE"))
            }
        }

        @Test func nothingIsResumedAndNothingComesEarly() throws {
            // OpenSSL's client stays until the server closes: tickets come behind the handshake.
            try self.withTLS(["--hello-ms", "500"]) { server in
                let text = try server.openssl(["-tls1_3", "-ign_eof"])
                #expect(!text.contains("New Session Ticket arrived"))
                #expect(text.contains("New, TLSv1.3"))
                #expect(!text.contains("Early data was accepted"))
            }
        }

        @Test func anotherProtocolIsRefusedAndOursIsChosen() throws {
            try self.withTLS { server in
                let refused = try server.openssl(["-alpn", "h2,http/1.1"])
                #expect(refused.contains("no application protocol"))
                let taken = try server.openssl(["-alpn", "h2,dormoused/1"])
                #expect(taken.contains("ALPN protocol: dormoused/1"))
            }
        }

        @Test func whoConnectsToTheWrongKindOfPortIsToldSo() throws {
            try self.withTLS { server in
                let plain = try RawConnection(Address("127.0.0.1:\(server.port())"))
                try plain.send(Preface.bytes)
                let failure = try plain.farewell()
                #expect(failure.code == .invalidArgument)
                #expect(failure.message.contains("this port speaks TLS only"))
                try server.server.waitForLog("it looks like a Dormouse client")
                let http = try RawConnection(Address("127.0.0.1:\(server.port())"))
                try http.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
                _ = try http.farewell()
                try server.server.waitForLog("an HTTP request")
                let address = try server.server.address().description
                let secret = address.replacing("dormouse://", with: "dormouses://")
                #expect(self.failure(secret + "/main?reconnect=no").contains("TLS"))
                try server.server.waitForLog("a TLS hello on a port without TLS")
            }
        }

        @Test func flagsThatDoNotGoTogetherAreRefused() throws {
            let authority = try Authority.shared.get()
            let own = try TLSServer.certificate(authority)
            let both = ["--tls-certificate", own.path, "--tls-key", own.keyPath]
            let cases: [([String], String)] = [
                (["--listen", "tls:127.0.0.1:0"], "asks for --tls-certificate"),
                (["--tls-certificate", own.path], "go together"),
                (both, "nobody would use it"),
                (["--tls-client-ca", authority.path], "--tls-certificate"),
                (both + ["--tls-crl", "x", "--listen", "tls:127.0.0.1:0"], "--tls-client-ca"),
                (["--listen", "0.0.0.0:0"], "listen on tls:0.0.0.0:0"),
                (["--tls-min", "1.1"], "expected 1.3 or 1.2"),
                (
                    [
                        "--tls-certificate", "/nowhere", "--tls-key", own.keyPath, "--listen",
                        "tls:[::1]:0",
                    ],
                    "/nowhere"
                ),
            ]
            for (flags, reason) in cases {
                let outcome = try Command.run(
                    ["\(Server.binaries)/dormoused"] + flags, seconds: 10)
                #expect(outcome.end == .exit(64), "\(flags)")
                #expect(outcome.errors.contains(reason), "\(outcome.errors)")
            }
        }
    }
}
