import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// Postgres is away, belongs to somebody else, or does not keep its promises.
    @Suite(.serialized)
    struct StoreTroubleTests {
        @Test func withoutPostgresTheTailIsStillDelivered() throws {
            let cluster = try Cluster()
            defer { cluster.destroy() }
            let database = try cluster.makeDatabase()
            let server = try Server(on: database, ["--publish-wait-ms", "500"])
            defer { server.destroy() }
            let client = try TestClient(server.address())
            let awake = try client.subscribe("awake")
            let sleeper = try TestClient(server.address())
            try sleeper.subscribe("sleeper")
            sleeper.close()
            try client.publish([Event("a", "1"), Event("a", "2")], producer: "p", sequence: 1)
            #expect(try client.payloads(2, on: awake) == ["1", "2"])

            try cluster.stop("immediate")
            let third = try client.publishRequest([Event("a", "3")], producer: "p", sequence: 3)
            let begin = uptime
            #expect(try client.failure(third).code == .unavailable)
            #expect(uptime - begin < 5)
            try eventually("the server says that its store is away") {
                let reply = try client.serverReply()
                return !reply.storeAvailable && !reply.storeReason.isEmpty
            }
            // A known name wakes, gets what is in memory, and may sleep and wake again.
            for _ in 1...2 {
                let other = try TestClient(server.address())
                let stream = try other.subscribe("sleeper")
                #expect(try other.payloads(2, on: stream) == ["1", "2"])
                other.close()
                try eventually("it sleeps") {
                    try client.subscription("sleeper").state == .sleeping
                }
            }
            try client.acknowledge(2, on: awake)
            // A new name cannot be stored, so it is not promised.
            let fresh = try client.client.sendRequest(
                .subscribe(client.subscribeRequest("fresh")))
            #expect(try client.end(of: fresh).code == .unavailable)

            try cluster.start()
            try eventually("publishing works again", seconds: 60) {
                do {
                    _ = try client.call(third)
                    return true
                } catch let failure as Failure where failure.code == .unavailable {
                    return false
                }
            }
            #expect(try client.payloads(1, on: awake) == ["3"])
            #expect(try client.serverReply().storeAvailable)
            try eventually("the position is stored") {
                try database.query(
                    "SELECT position FROM dormouse.subscriptions WHERE name = 'awake'") == "2"
            }
            try client.subscribe("fresh")
            #expect(try LogCheck(database).head == 3)
        }

        @Test func aSecondServerTakesTheExchangesAndTheFirstStopsWriting() throws {
            try withServer { first, database in
                let client = try TestClient(first.address())
                let stream = try client.subscribe("name")
                try client.publish([Event("a", "one:1:")], producer: "one", sequence: 1)
                _ = try client.events(1, on: stream)
                try client.acknowledge(1, on: stream)
                let load = Load()
                let publisher = LoadPublisher(
                    name: "two", address: try first.address(), load: load
                ).start()
                try eventually("events flow") { try client.serverReply().published > 100 }

                let second = try Server(on: database)
                defer { second.destroy() }
                let late = try client.publishRequest(
                    [Event("a", "one:2:")], producer: "one", sequence: 2)
                #expect(try client.failure(late).code == .unavailable)
                #expect(try client.end(of: stream).code == .unavailable)
                try first.waitForLog("another server has taken this exchange")
                #expect(try client.failure(late).code == .unavailable)
                let again = try client.client.sendRequest(
                    .subscribe(client.subscribeRequest("name")))
                #expect(try client.end(of: again).code == .unavailable)
                load.stop()
                let summary = try publisher.join()

                let other = try TestClient(second.address())
                _ = try other.call(late)
                let check = try LogCheck(database)
                try check.expect(summary, of: "two")
                var one = LoadPublisher.Summary()
                one.acknowledged = 2
                try check.expect(one, of: "one")
                let (back, start) = try other.subscribe(other.subscribeRequest("name"))
                #expect(start <= 1)
                #expect(try other.delivery(on: back).events.isEmpty == false)
                // The first one's end does not disturb the second one.
                #expect(try first.stop() == .exit(0))
                #expect(try other.publish("a", "x").firstPosition == check.head + 1)
            }
        }

        @Test func aDatabaseThatMayLoseCommitsIsRefused() throws {
            let database = try Cluster.shared().makeDatabase()
            try database.query(
                """
                DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off',
                    current_database()); END $$
                """)
            let refused = try Server(starting: ["--database", database.conninfo])
            defer { refused.destroy() }
            #expect(try refused.child.wait() == .exit(78))
            #expect(refused.child.errors.contains("synchronous_commit = off"))
            #expect(refused.child.errors.contains("--unsafe-no-fsync"))
            let allowed = try Server(on: database, ["--unsafe-no-fsync"])
            defer { allowed.destroy() }
            #expect(try TestClient(allowed.address()).publish("a", "1").firstPosition == 1)
        }

        @Test func aPostgresWithoutFsyncIsRefused() throws {
            let cluster = try Cluster(settings: "fsync = off")
            defer { cluster.destroy() }
            let database = try cluster.makeDatabase()
            let refused = try Server(starting: ["--database", database.conninfo])
            defer { refused.destroy() }
            #expect(try refused.child.wait() == .exit(78))
            #expect(refused.child.errors.contains("fsync = off"))
        }

        @Test func itWaitsForItsDatabase() throws {
            let cluster = try Cluster()
            defer { cluster.destroy() }
            let database = try cluster.makeDatabase()
            try cluster.stop("fast")
            let server = try Server(starting: ["--database", database.conninfo])
            defer { server.destroy() }
            try eventually("the server says why it waits") { !server.child.errors.isEmpty }
            #expect(server.child.isRunning)
            try cluster.start()
            try server.waitUntilReady()
            #expect(try TestClient(server.address()).publish("a", "1").firstPosition == 1)
        }
    }
}
