import Core
import Diagnostics
import Foundation
import Net
import Testing

extension NetTests {
    @Suite struct ListenerTests {
        @Test func addressesAreRead() throws {
            #expect(
                try ListenAddress(parsing: "127.0.0.1:7300") == .tcp(host: "127.0.0.1", port: 7300))
            #expect(try ListenAddress(parsing: "[::1]:0") == .tcp(host: "::1", port: 0))
            #expect(try ListenAddress(parsing: "localhost:1") == .tcp(host: "localhost", port: 1))
            #expect(
                try ListenAddress(parsing: "/run/a", unixMode: 0o600)
                    == .unix(path: "/run/a", mode: 0o600))
            #expect(try ListenAddress(parsing: "unix:a").description == "unix:a")
            #expect(try ListenAddress(parsing: "[::1]:5").description == "[::1]:5")
        }

        /// What is not certainly of this machine only is for all.
        @Test(arguments: [
            ("127.0.0.1:1", true), ("127.8.9.10:1", true), ("localhost:1", true), ("[::1]:1", true),
            ("tls:127.0.0.1:1", true), ("unix:a", true), ("127.example.net:1", false),
            ("127.0.0.1.example.net:1", false), ("0.0.0.0:1", false), ("[::]:1", false),
        ])
        func onlyWhatIsOnThisMachineIsLocal(text: String, isLocal: Bool) throws {
            #expect(try ListenAddress(parsing: text).isLocal == isLocal)
        }

        @Test(arguments: [
            "", ":1", "host", "host:", "host:65536", "::1:5", "[]:5", "unix:", "a:-1",
        ])
        func malformedAddressesAreRefused(_ text: String) {
            let failure = #expect(throws: Failure.self) { try ListenAddress(parsing: text) }
            #expect(failure?.code == .invalidArgument)
        }

        @Test func aHostNameAndIPv6AreListenedOn() throws {
            let thread = try LoopThread()
            let byName = try thread.listen("localhost:0") { _ in nil }
            #expect(byName.port != 0)
            let failure = #expect(throws: Failure.self) {
                _ = try thread.listen("no-such-host.invalid:0") { _ in nil }
            }
            #expect(failure?.message.contains("no-such-host.invalid") == true)
            if let six = try? thread.listen("[::1]:0", { _ in nil }) {
                #expect(six.address == "[::1]:\(six.port)")
            }
            try thread.stop()
        }

        @Test func anAddressInUseIsAClearFailure() throws {
            let thread = try LoopThread()
            let first = try thread.listen { _ in nil }
            let failure = #expect(throws: Failure.self) {
                _ = try thread.listen("127.0.0.1:\(first.port)") { _ in nil }
            }
            #expect(failure?.code == .failedPrecondition)
            #expect(failure?.message.contains("127.0.0.1:\(first.port)") == true)
            #expect(failure?.message.contains("in use") == true)
            try thread.on {
                first.stop()
                first.stop()
            }
            let second = try thread.listen("127.0.0.1:\(first.port)") { _ in nil }
            #expect(second.port == first.port)
            try thread.stop()
        }

        @Test func aRefusedConnectionIsClosed() throws {
            let thread = try LoopThread()
            let peers = Mailbox<String>()
            let identities = Mailbox<PeerIdentity>()
            let listener = try thread.listen { connection in
                peers.put(connection.peerDescription)
                identities.put(connection.peerIdentity)
                return nil
            }
            let client = try Client(port: listener.port)
            #expect(try client.receiveAll().isEmpty)
            #expect(try peers.next().hasPrefix("127.0.0.1:"))
            #expect(
                try identities.next() == PeerIdentity(isLocal: true, network: .four(0x7F00_0001)))
            client.close()
            try thread.stop()
        }

        @Test func connectionsOutliveTheirListener() throws {
            let pair = try Pair()
            let listener = pair.listener
            try pair.thread.on { listener.stop() }
            #expect(throws: Client.Problem.self) { try Client(port: listener.port) }
            try pair.client.send([5])
            #expect(try pair.recorder.bytes(1) == [5])
            try pair.end()
        }

        @Test func aUnixSocketHasItsModeAndPeerAndIsRemovedAtTheEnd() throws {
            let path = temporaryPath()
            let thread = try LoopThread()
            let peers = Mailbox<String>()
            let identities = Mailbox<PeerIdentity>()
            let listener = try thread.listen("unix:\(path)") { connection in
                peers.put(connection.peerDescription)
                identities.put(connection.peerIdentity)
                return Echo()
            }
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            #expect(attributes[.posixPermissions] as? Int == 0o660)
            let client = try Client(path: path)
            try client.send(pattern(100_000))
            #expect(try client.receive(100_000) == pattern(100_000))
            #expect(try peers.next() == "unix:uid=\(getuid()),pid=\(getpid())")
            let identity = try identities.next()
            #expect(identity.evidence == .unixUser(uid: getuid(), gid: getgid()))
            #expect(identity.isLocal && !identity.isEncrypted && identity.network == nil)
            client.close()
            try thread.on { listener.stop() }
            #expect(!FileManager.default.fileExists(atPath: path))
            try thread.stop()
        }

        @Test func aStaleSocketFileIsReplacedAndALiveOneIsNot() throws {
            let path = temporaryPath()
            #expect(leaveStaleSocket(path))
            #expect(throws: Client.Problem.self) { try Client(path: path) }
            let thread = try LoopThread()
            let listener = try thread.listen(path) { _ in Echo() }
            let failure = #expect(throws: Failure.self) {
                _ = try thread.listen(path) { _ in nil }
            }
            #expect(failure?.code == .failedPrecondition)
            #expect(failure?.message.contains("another server") == true)
            // The failed one has not removed the file of the live one.
            try Client(path: path).close()
            try thread.on { listener.stop() }
            try thread.stop()
        }

        @Test func aFileThatIsNotASocketIsLeftAlone() throws {
            let path = temporaryPath()
            try Data("mine".utf8).write(to: URL(filePath: path))
            defer { unlink(path) }
            let thread = try LoopThread()
            let failure = #expect(throws: Failure.self) {
                _ = try thread.listen(path) { _ in nil }
            }
            #expect(failure?.message.contains("not a socket") == true)
            #expect(try Data(contentsOf: URL(filePath: path)) == Data("mine".utf8))
            let long = #expect(throws: Failure.self) {
                _ = try thread.listen("/tmp/" + String(repeating: "a", count: 200)) { _ in nil }
            }
            #expect(long?.code == .invalidArgument)
            let nowhere = #expect(throws: Failure.self) {
                _ = try thread.listen("/no/such/folder/socket") { _ in nil }
            }
            #expect(nowhere?.message.contains("no such folder") == true)
            try thread.stop()
        }

        @Test func anotherServersFileAtOurPathIsLeftAlone() throws {
            let path = temporaryPath()
            let thread = try LoopThread()
            let listener = try thread.listen(path) { _ in nil }
            unlink(path)
            #expect(leaveStaleSocket(path))
            defer { unlink(path) }
            try thread.on { listener.stop() }
            #expect(FileManager.default.fileExists(atPath: path))
            try thread.stop()
        }

        /// In a process of its own: it takes the descriptors away.
        @Test func whenDescriptorsRunOutThoseWhoWaitAreServedLater() async {
            await #expect(processExitsWith: .success) {
                let lines = Mailbox<String>()
                let logger = Logger(threshold: .info, format: .journal) { lines.put($0) }
                let thread = try LoopThread()
                let listener = try thread.listen(logger: logger) { _ in Echo() }
                let clients = try (0..<5).map { _ in try Client() }
                let limit = setDescriptorLimit(3)
                for client in clients { try client.connect(port: listener.port) }
                let first = try lines.next()
                try #require(first.hasPrefix("<3>cannot accept connections"))
                try #require(first.contains(listener.address))
                // Some rounds of its retrying, which must neither spin nor repeat the line.
                let used = clock()
                let rounds = Mailbox<Bool>()
                let alarm = try thread.on {
                    let alarm = Alarm(on: thread.loop) { rounds.put(true) }
                    alarm.set(at: thread.loop.now().advanced(byMilliseconds: 350))
                    return alarm
                }
                _ = try rounds.next()
                withExtendedLifetime(alarm) {}
                try #require(lines.all.isEmpty)
                try #require(clock() - used < CLOCKS_PER_SEC / 10)
                setDescriptorLimit(limit)
                for client in clients {
                    try client.send([9])
                    try #require(try client.receive(1) == [9])
                }
                try #require(try lines.next().hasPrefix("<6>accepting connections again"))
                try thread.stop()
            }
        }
    }
}

private func temporaryPath() -> String {
    "/tmp/dormouse-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
}
