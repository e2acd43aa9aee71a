import DormouseClient
import Foundation
import TestCertificates
import Testing

extension Integration {
    /// TLS files that change while everybody is busy.
    @Suite(.serialized)
    struct RotationTests {
        /// Publishes one after the other until it is stopped; returns how many were stored.
        private func publisher(_ uri: String, _ load: Load) -> Worker<UInt64> {
            Worker("publisher") {
                let client = try BlockingClient(uri, options: ["producer": "rotation"])
                var stored: UInt64 = 0
                while !load.isStopped {
                    var batch = PublishBatch()
                    batch.append(key: Array("turn".utf8), payload: Array("\(stored + 1)".utf8))
                    var answer: Result<Published, DormouseError>?
                    guard try client.publish(batch, whenAnswered: { answer = $0 }) else {
                        throw Problem("one event at a time was too many")
                    }
                    while answer == nil { try client.wait(milliseconds: 1000) }
                    _ = try answer?.get()
                    stored += 1
                }
                guard client.connections == 1 else { throw Problem("its session was ended") }
                try client.close()
                return stored
            }
        }

        /// Takes events until there are as many as `target` says at the end.
        private func subscriber(_ uri: String, _ target: Locked<UInt64?>) -> Worker<Void> {
            Worker("subscriber") {
                let client = try BlockingClient(uri)
                let subscription = try client.subscribe(
                    SubscribeOptions(name: "rotation", from: .first))
                var seen: UInt64 = 0
                while target.current.map({ seen < $0 }) ?? true {
                    let payloads = try subscription.next { batch in
                        (0..<batch.count).map {
                            String(decoding: batch[$0].copy().payload, as: UTF8.self)
                        }
                    }
                    for payload in payloads ?? [] {
                        seen += 1
                        guard payload == "\(seen)" else {
                            throw Problem("\(payload) came after \(seen - 1)")
                        }
                    }
                    if payloads == nil { try client.wait(milliseconds: 50) }
                }
                guard client.connections == 1 else { throw Problem("its session was ended") }
                try client.close()
            }
        }

        /// Connects again and again; each time must succeed.
        private func newcomers(_ uri: String, _ load: Load) -> Worker<Int> {
            Worker("newcomers") {
                var count = 0
                while !load.isStopped {
                    try BlockingClient(uri).close()
                    count += 1
                }
                return count
            }
        }

        @Test func filesChangeUnderLoadAndNobodyIsRefusedAndNothingIsLost() throws {
            let server = try TLSServer(clients: true)
            defer { server.destroy() }
            let own = try server.authority.issue(
                "busy", names: ["URI:spiffe://test/busy"], usage: .client)
            let uri = try server.uri(own)
            let load = Load()
            let target = Locked<UInt64?>(nil)
            let publisher = self.publisher(uri, load)
            let subscriber = self.subscriber(uri, target)
            let newcomers = self.newcomers(uri, load)
            var good = 0
            var bad = 0
            var last = ""
            for round in 1...12 {
                if round % 4 == 0 {
                    try server.installNonsense()
                    bad += 1
                    try server.reload("the TLS files were not read again", count: bad)
                } else {
                    let next = try TLSServer.certificate(server.authority)
                    try server.install(next)
                    try server.installRevoked()
                    good += 1
                    try server.reload(count: good)
                    last = next.path
                }
                try publisher.check()
                try subscriber.check()
                try newcomers.check()
            }
            load.stop()
            let stored = try publisher.join()
            target.withLock { $0 = stored }
            try subscriber.join()
            let connected = try newcomers.join()
            print("rotation: \(stored) events, \(connected) connections, 12 reloads")
            #expect(stored > 0 && connected > 0)
            // New connections see the newest certificate that was good.
            let name = URL(fileURLWithPath: last).deletingPathExtension().lastPathComponent
            #expect(
                try server.openssl(["-cert", own.path, "-key", own.keyPath]).contains(
                    "CN = \(name)"))
        }

        @Test func aRevokedCertificateOpensNoNewSession() throws {
            let server = try TLSServer(clients: true)
            defer { server.destroy() }
            let own = try server.authority.issue("leaver", names: ["DNS:leaver"], usage: .client)
            let client = try BlockingClient(server.uri(own))
            try server.authority.revoke(own)
            try server.installRevoked()
            try server.reload()
            #expect(throws: DormouseError.self) { try BlockingClient(server.uri(own)) }
            // The running session is ended by revoking its principal, not by its certificate.
            try client.createExchange("still-here")
            try client.close()
        }
    }
}
