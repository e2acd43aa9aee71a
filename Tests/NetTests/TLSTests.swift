import Core
import Foundation
import Testing
import TestCertificates

@testable import Net

extension NetTests {
    @Suite struct TLSTests {
        private func authority() throws -> Authority { try Authority.shared.get() }

        private func files(_ authority: Authority, clients: Bool = false) throws -> TLSFiles {
            let own = try authority.issue(
                "server-\(UInt32.random(in: 0...UInt32.max))", names: ["DNS:localhost"],
                usage: .server)
            return TLSFiles(
                certificate: own.path, key: own.keyPath,
                clientAuthorities: clients ? authority.path : nil)
        }

        @Test func everyByteComesThroughWhateverTheSizesAndSplits() throws {
            let authority = try self.authority()
            let thread = try LoopThread()
            let context = try TLSContext(self.files(authority))
            let listener = try thread.listen(tls: context) { _ in Echo() }
            let seed = UInt64.random(in: 0...UInt64.max)
            for size in [1, 511, 4097, 16_384, 16_385, 65_537, 300_000, 3_000_001] {
                let client = try TLSClient(port: listener.port, authority: authority)
                let bytes = pattern(size)
                var generator = SeededGenerator(seed: seed)
                // One thread: OpenSSL's connections are not for two. So not more at a time than what
                // the kernel holds both ways.
                var start = 0
                while start < size {
                    let end =
                        start + Int.random(in: 1...min(size - start, 60_000), using: &generator)
                    try client.send(Array(bytes[start..<end]))
                    #expect(
                        try client.receive(end - start) == Array(bytes[start..<end]),
                        "size \(size), seed \(seed)")
                    start = end
                }
                client.close()
            }
            try thread.stop()
        }

        @Test func aHandshakeMayComeByteByByteAndWhatFollowsItIsNotLost() throws {
            let authority = try self.authority()
            let thread = try LoopThread()
            let recorder = Recorder()
            let context = try TLSContext(self.files(authority, clients: true))
            let listener = try thread.listen(tls: context) { _ in recorder }
            let own = try authority.issue("drip", names: ["DNS:a"], usage: .client)
            try TLSClient.drip(pattern(300), to: listener.port, certificate: own)
            #expect(try recorder.bytes(300) == pattern(300))
            try thread.stop()
        }

        @Test func thePeerIsWhoItsCertificateNames() throws {
            let authority = try self.authority()
            let thread = try LoopThread()
            let identities = Mailbox<PeerIdentity>()
            let context = try TLSContext(self.files(authority, clients: true))
            let listener = try thread.listen(tls: context) { _ in
                Identifying { identities.put($0) }
            }
            let own = try authority.issue(
                "named", names: ["URI:spiffe://test/a", "DNS:a.test", "IP:127.0.0.1", "email:a@b"],
                usage: .client)
            let client = try TLSClient(
                port: listener.port, authority: authority, certificate: own)
            try client.send([1])
            let identity = try identities.next()
            #expect(
                identity.evidence == .certificate(names: ["URI:spiffe://test/a", "DNS:a.test"]))
            #expect(identity.isEncrypted && identity.isLocal)
            client.close()
            try thread.stop()
        }

        @Test func whatASlowReaderHasNotTakenWaitsInBoundsAndIsCounted() throws {
            let authority = try self.authority()
            let recorder = Recorder()
            let connections = Mailbox<Connection>()
            let thread = try LoopThread()
            let context = try TLSContext(self.files(authority))
            let listener = try thread.listen(tls: context) { connection in
                connections.put(connection)
                return recorder
            }
            let client = try TLSClient(
                port: listener.port, authority: authority, receiveBytes: 64 << 10)
            let connection = try connections.next()
            try client.send([7])
            #expect(try recorder.bytes(1) == [7])
            let bytes = pattern(1 << 20)
            let block = ByteBlock(copying: bytes)
            let total = 16 << 20
            try thread.on { for _ in 0..<16 { connection.send(block, 0..<1 << 20) } }
            // Sealed is only what goes next: the rest waits as it is, without a copy.
            let (queued, sealed) = try thread.on {
                (connection.queuedBytes, connection.queue.bytes)
            }
            #expect(queued >= 8 << 20)
            #expect(sealed <= 300 << 10)
            let twice = bytes + bytes
            var received = 0
            while received < total {
                let piece = try client.receiveSome(1 << 20)
                let start = received % (1 << 20)
                #expect(piece == Array(twice[start..<start + piece.count]))
                received += piece.count
                // What was read was taken; what was taken may be under way.
                let taken = try thread.on { connection.takenBytes }
                #expect(taken <= UInt64(total))
            }
            #expect(try recorder.events.next() == .drained)
            #expect(try thread.on { connection.queuedBytes } == 0)
            #expect(try thread.on { connection.takenBytes } == UInt64(total))
            client.close()
            try thread.stop()
        }

        @Test func theLastBytesAndTheFarewellArrive() throws {
            let authority = try self.authority()
            let thread = try LoopThread()
            let context = try TLSContext(self.files(authority))
            let listener = try thread.listen(tls: context) { _ in Farewell() }
            let client = try TLSClient(port: listener.port, authority: authority)
            try client.send([1])
            // `receive` throws where the end was not announced.
            #expect(try client.receive(.max) == pattern(3_000_000))
            client.close()
            try thread.stop()
        }

        /// Whether it sends anything else meanwhile or not, and whether something waits for it or not.
        @Test(arguments: [([], 0), ([7], 0), ([], 16 << 20)])
        func whoAsksForNewKeysAndDoesNotReadIsClosed(bytes: [UInt8], waiting: Int) throws {
            let authority = try self.authority()
            let recorder = Recorder()
            let thread = try LoopThread()
            let context = try TLSContext(self.files(authority))
            let connections = Mailbox<Connection>()
            let listener = try thread.listen(tls: context) { connection in
                connections.put(connection)
                return recorder
            }
            let client = try TLSClient(
                port: listener.port, authority: authority, receiveBytes: 4 << 10)
            if waiting > 0 {
                let connection = try connections.next()
                try thread.on { connection.send([UInt8](repeating: 1, count: waiting)) }
            }
            client.updateKeys(200_000, between: bytes)
            while true {
                guard case .closed(let reason) = try recorder.events.next() else { continue }
                #expect(reason.contains("does not read"))
                break
            }
            client.close()
            try thread.stop()
        }

        @Test func filesThatCannotBeUsedAreNamed() throws {
            let authority = try self.authority()
            let good = try self.files(authority)
            let other = try self.files(authority)
            try authority.write("nonsense", to: "nonsense.pem")
            try authority.openssl([
                "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                "-aes256", "-pass", "pass:x", "-out", "locked.key",
            ])
            let nonsense = "\(authority.folder)/nonsense.pem"
            let cases: [(TLSFiles, String)] = [
                (TLSFiles(certificate: "/nowhere.pem", key: good.key), "/nowhere.pem"),
                (TLSFiles(certificate: nonsense, key: good.key), nonsense),
                (TLSFiles(certificate: good.certificate, key: nonsense), nonsense),
                (TLSFiles(certificate: good.certificate, key: "/nowhere.key"), "/nowhere.key"),
                (
                    TLSFiles(
                        certificate: good.certificate, key: "\(authority.folder)/locked.key"),
                    "locked.key"
                ),
                (TLSFiles(certificate: good.certificate, key: other.key), "key values mismatch"),
                (
                    TLSFiles(
                        certificate: good.certificate, key: good.key, clientAuthorities: nonsense),
                    nonsense
                ),
                (
                    TLSFiles(
                        certificate: good.certificate, key: good.key,
                        clientAuthorities: authority.path, revoked: nonsense), nonsense
                ),
            ]
            for (files, text) in cases {
                let failure = #expect(throws: Failure.self) { try TLSContext(files) }
                #expect(failure?.code == .invalidArgument)
                #expect(failure?.message.contains(text) == true, "\(String(describing: failure))")
            }
        }

        @Test func aCertificateIsSaidToEndBeforeItDoes() throws {
            let day: UInt64 = 86_400_000_000
            typealias Validity = TLSContext.Validity
            func state(_ validity: Validity, _ now: UInt64) -> Validity.State {
                validity.state(at: Timestamp(rawValue: now))
            }
            // Of a year: two weeks before. Of ten days: two days before.
            for (days, notice) in [(365, 14), (10, 2)] as [(UInt64, UInt64)] {
                let start = 1_000 * day
                let end = start + days * day
                let validity = Validity(
                    start: Timestamp(rawValue: start), end: Timestamp(rawValue: end))
                #expect(state(validity, start - 1) == .early)
                #expect(state(validity, start) == .good)
                #expect(state(validity, end - notice * day - 1) == .good)
                #expect(state(validity, end - notice * day) == .ending)
                #expect(state(validity, end - 1) == .ending)
                #expect(state(validity, end) == .ended)
            }
            let validity = try #require(try TLSContext(self.files(self.authority())).validity)
            #expect(validity.end.rawValue - validity.start.rawValue == 2 * day)
        }

        @Test func newConnectionsGetTheNewCertificateAndOldOnesGoOn() throws {
            let authority = try self.authority()
            let thread = try LoopThread()
            let old = try TLSContext(self.files(authority))
            let new = try TLSContext(self.files(authority))
            let source = try thread.on { TLSBox(TLSSource(old)) }
            let listener = try thread.listen(source: source) { _ in Echo() }
            let first = try TLSClient(port: listener.port, authority: authority)
            try thread.on { source.source.context = new }
            let second = try TLSClient(port: listener.port, authority: authority)
            #expect(first.serverName != second.serverName)
            for client in [first, second] {
                try client.send([5])
                #expect(try client.receive(1) == [5])
                client.close()
            }
            try thread.stop()
        }

        @Test func bytesWithoutTLSAreHandedToTheHandlerAndAnsweredAsTheyAre() throws {
            let authority = try self.authority()
            let thread = try LoopThread()
            let context = try TLSContext(self.files(authority))
            let listener = try thread.listen(tls: context) { _ in Explaining() }
            let client = try Client(port: listener.port)
            try client.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
            #expect(try client.receiveAll() == Array("GET ".utf8))
            client.close()
            try thread.stop()
        }

        @Test func aFailedHandshakeIsToldWithItsReason() throws {
            let authority = try self.authority()
            let thread = try LoopThread()
            let reasons = Mailbox<String>()
            let context = try TLSContext(self.files(authority, clients: true))
            let listener = try thread.listen(tls: context) { _ in
                Explaining { reasons.put($0) }
            }
            let wrong = try authority.issue("wrong", names: ["DNS:a"], usage: .server)
            let client = try TLSClient(
                port: listener.port, authority: authority, certificate: wrong)
            #expect(throws: TLSClient.Problem.self) { try client.receiveSome() }
            #expect(try reasons.next().contains("unsuitable certificate purpose"))
            client.close()
            let garbage = try Client(port: listener.port)
            try garbage.send([22, 3, 1, 0, 5, 1, 2, 3, 4, 5])
            _ = try garbage.receiveAll()
            #expect(try !reasons.next().isEmpty)
            garbage.close()
            try thread.stop()
        }
    }
}

/// `@unchecked Sendable`: used on the loop's thread only.
private final class TLSBox: @unchecked Sendable {
    let source: TLSSource
    init(_ source: TLSSource) { self.source = source }
}

extension LoopThread {
    fileprivate func listen(
        tls context: TLSContext,
        _ accepted: @escaping @Sendable (Connection) -> (any ConnectionHandler)?
    ) throws -> Listener {
        try self.listen(source: TLSBox(TLSSource(context)), accepted)
    }

    fileprivate func listen(
        source: TLSBox, _ accepted: @escaping @Sendable (Connection) -> (any ConnectionHandler)?
    ) throws -> Listener {
        try self.on {
            try Listener(
                on: self.loop, at: .tls(host: "127.0.0.1", port: 0), logger: quiet,
                tls: source.source, handler: Accepting(accepted))
        }
    }
}

private final class Identifying: ConnectionHandler {
    private let body: @Sendable (PeerIdentity) -> Void
    init(_ body: @escaping @Sendable (PeerIdentity) -> Void) { self.body = body }
    func received(_ bytes: UnsafeRawBufferPointer, on connection: Connection) {
        self.body(connection.peerIdentity)
    }
    func drained(_ connection: Connection) {}
    func closed(_ connection: Connection, reason: String) {}
}

/// Sends much, and closes.
private final class Farewell: ConnectionHandler {
    func received(_ bytes: UnsafeRawBufferPointer, on connection: Connection) {
        connection.send(pattern(3_000_000))
        connection.closeAfterFlush()
    }
    func drained(_ connection: Connection) {}
    func closed(_ connection: Connection, reason: String) {}
}

/// Answers the first four bytes of whoever does not speak TLS.
private final class Explaining: ConnectionHandler {
    private let failed: @Sendable (String) -> Void
    init(_ failed: @escaping @Sendable (String) -> Void = { _ in }) { self.failed = failed }
    func received(_ bytes: UnsafeRawBufferPointer, on connection: Connection) {}
    func drained(_ connection: Connection) {}
    func closed(_ connection: Connection, reason: String) {}
    func handshakeFailed(_ reason: String, on connection: Connection) { self.failed(reason) }
    func spokeWithoutTLS(_ bytes: UnsafeRawBufferPointer, on connection: Connection) {
        connection.send(copying: UnsafeRawBufferPointer(rebasing: bytes.prefix(4)))
    }
}
