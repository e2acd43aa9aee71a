import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// Postgres, or the network on the way to it, says nothing any more, and no connection breaks.
    @Suite(.serialized)
    struct FrozenPostgresTests {
        private func withServer(
            _ flags: [String], _ body: (Server, Cluster, Database) throws -> Void
        ) throws {
            let cluster = try Cluster()
            defer { cluster.destroy() }
            let database = try cluster.makeDatabase()
            let server = try Server(on: database, flags)
            defer { server.destroy() }
            try body(server, cluster, database)
        }

        @Test func everythingIsAnsweredInTimeAndNothingIsLost() throws {
            let flags = ["--database-ms", "500", "--publish-wait-ms", "800", "--tail-bytes", "0"]
            try self.withServer(flags) { server, cluster, database in
                let client = try TestClient(server.address())
                let load = Load()
                let publisher = LoadPublisher(
                    name: "load", address: try server.address(), load: load
                ).start()
                try eventually("events flow") { try client.serverReply().published > 100 }

                try cluster.freeze()
                let begin = uptime
                let late = try client.publishRequest(
                    [Event("a", "one:1:")], producer: "one", sequence: 1)
                #expect(try client.failure(late).code == .unavailable)
                let fresh = try client.client.sendRequest(
                    .subscribe(client.subscribeRequest("fresh")))
                #expect(try client.end(of: fresh).code == .unavailable)
                let page = try client.client.sendRequest(.fetch(FetchRequest(after: 0)))
                guard case .failure(let failure) = try client.answer(to: page) else {
                    throw Problem("a frozen Postgres has answered")
                }
                #expect(failure.code == .unavailable)
                // A statement each, and attempts to connect, which have five seconds.
                #expect(uptime - begin < 19)
                try server.waitForLog("the store does not answer")

                cluster.thaw()
                try eventually("publishing works again", seconds: 60) {
                    do {
                        _ = try client.call(late)
                        return true
                    } catch let failure as Failure where failure.code == .unavailable {
                        return false
                    }
                }
                let before = try client.serverReply().published
                try eventually("events flow again") {
                    try publisher.check()
                    return try client.serverReply().published > before + 100
                }
                load.stop()
                let summary = try publisher.join()
                let check = try LogCheck(database)
                try check.expect(summary, of: "load")
                var one = LoadPublisher.Summary()
                one.acknowledged = 1
                try check.expect(one, of: "one")
            }
        }

        /// As behind a firewall that has forgotten the old connections: new ones work.
        @Test func newConnectionsReplaceThoseThatSayNothing() throws {
            try self.withServer(["--database-ms", "500"]) { server, cluster, database in
                let client = try TestClient(server.address())
                try client.publish([Event("a", "one:1:")], producer: "one", sequence: 1)
                try cluster.freeze(backends: true)
                // Within the time that a publish waits, and while the old ones are still frozen.
                try client.publish([Event("a", "one:2:")], producer: "one", sequence: 2)
                try eventually("a new name is stored") {
                    let stream = try client.client.sendRequest(
                        .subscribe(client.subscribeRequest("fresh")))
                    if case .data = try client.frame(on: stream) { return true }
                    return false
                }
                cluster.thaw()
                try client.publish([Event("a", "one:3:")], producer: "one", sequence: 3)
                var one = LoadPublisher.Summary()
                one.acknowledged = 3
                let check = try LogCheck(database)
                #expect(check.head == 3)
                try check.expect(one, of: "one")
            }
        }
    }
}
