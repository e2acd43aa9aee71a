import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// The server is asked to stop.
    @Suite(.serialized)
    struct StopTests {
        @Test func everybodyIsToldAndPositionsAreStored() throws {
            try withServer(["--save-ms", "60000"]) { server, database in
                let client = try TestClient(server.address())
                let stream = try client.subscribe("name")
                try client.publish("a", "1", "2", "3")
                _ = try client.events(3, on: stream)
                try client.acknowledge(2, on: stream)
                let fetch = try client.client.sendRequest(
                    .fetch(FetchRequest(after: 3, waitMilliseconds: 60_000)))
                server.child.signal(SIGTERM)
                #expect(try client.end(of: stream).code == .draining)
                #expect(try client.goAway().code == .draining)
                // What was asked before is answered.
                guard case .success(.fetch(let page)) = try client.answer(to: fetch) else {
                    throw Problem("the fetch was not answered")
                }
                #expect(page.events.isEmpty)
                client.close()
                #expect(try server.child.wait() == .exit(0))
                let position = try database.number(
                    "SELECT position FROM dormouse.subscriptions WHERE name = 'name'")
                #expect(position == 2)
            }
        }

        /// One position a second is so few that sixty hold up everybody for a minute: except those that
        /// fall asleep, and a server that stops.
        @Test func whoFallsAsleepIsStoredAtOnce() throws {
            try withServer(["--saves", "1", "--save-ms", "2000"]) { server, database in
                let client = try TestClient(server.address())
                let streams = try (0..<60).map { try client.subscribe("name\($0)") }
                try client.publish("a", "1", "2", "3")
                let stored = { (position: Int) in
                    try database.number(
                        "SELECT count(*) FROM dormouse.subscriptions WHERE position = \(position)")
                }
                for stream in streams { _ = try client.events(3, on: stream) }
                // All at once: what is confirmed after the first were stored waits for its turn.
                for stream in streams {
                    let request = AcknowledgeRequest(stream: stream.rawValue, upto: 1)
                    _ = try client.client.sendRequest(
                        .acknowledge(request), flags: FrameHeader.noReplyFlag)
                }
                _ = try client.serverReply()
                try eventually("all are stored") { try stored(1) == 60 }
                for stream in streams { _ = try client.acknowledge(2, on: stream) }
                _ = try client.stop("name7")
                try eventually("the one that sleeps is stored") { try stored(2) == 1 }
                #expect(try stored(1) == 59)
                #expect(
                    try database.number(
                        "SELECT position FROM dormouse.subscriptions WHERE name = 'name7'") == 2)
                client.close()
                #expect(try server.stop() == .exit(0))
                #expect(try stored(2) == 60)
            }
        }

        @Test func aPeerThatDoesNotCloseDoesNotKeepTheServer() throws {
            try withServer(["--drain-ms", "3000"]) { server, _ in
                let silent = try RawConnection(server.address())
                try silent.sayHello()
                try silent.send(.subscribe(SubscribeRequest(name: [65])), stream: 2)
                _ = try silent.next()
                let begin = uptime
                #expect(try server.stop() == .exit(0))
                #expect(uptime - begin < 10)
            }
        }

        @Test func nothingIsLostWhenItStopsUnderLoad() throws {
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let database = try Cluster.shared().makeDatabase()
            let flags = ["--database", database.conninfo, "--unix", "\(folder)/socket"]
            var server = try Server(flags)
            defer { server.destroy() }
            let group = LoadGroup(try Address("unix:\(folder)/socket"))
            for _ in 1...4 {
                let client = try TestClient(Address("unix:\(folder)/socket"))
                let before = try client.serverReply().published
                try eventually("events flow") {
                    try group.check()
                    return try client.serverReply().published > before + 200
                }
                client.close()
                #expect(try server.stop() == .exit(0))
                server.destroy()
                server = try Server(flags)
            }
            try group.finish(database, "SIGTERM")
        }

        @Test func aServerThatWaitsForItsDatabaseStopsAtOnce() throws {
            let server = try Server(starting: ["--database", "host=/nowhere dbname=x"])
            defer { server.destroy() }
            try eventually("the server says why it waits") { !server.child.errors.isEmpty }
            let begin = uptime
            #expect(try server.stop() == .exit(0))
            // A store that hangs is given up after 30 s.
            #expect(uptime - begin < 15)
        }

        @Test func aSecondSignalEndsThePrivatePostgresToo() throws {
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let cluster = "\(folder)/data/postgres"
            defer { Postgres.destroy(cluster) }
            let server = try Server(["--data", "\(folder)/data"])
            defer { server.destroy() }
            try #require(Postgres.postmaster(cluster) != nil)
            // Something that the server waits for.
            let silent = try RawConnection(server.address())
            try silent.sayHello()
            try silent.send(.subscribe(SubscribeRequest(name: [65])), stream: 2)
            _ = try silent.next()
            server.child.signal(SIGTERM)
            try server.waitForLog("stopping")
            server.child.signal(SIGTERM)
            #expect(try server.child.wait() == .exit(75))
            #expect(Postgres.postmaster(cluster) == nil)

            // Nothing is lost by it.
            let again = try Server(["--data", "\(folder)/data"])
            defer { again.destroy() }
            #expect(try TestClient(again.address()).subscription("A").state == .sleeping)
            #expect(try again.stop() == .exit(0))
            #expect(Postgres.postmaster(cluster) == nil)
        }

        @Test func aSecondSignalEndsItAtOnce() throws {
            try withServer { server, _ in
                let silent = try RawConnection(server.address())
                try silent.sayHello()
                // Something that the server would wait for: a connection in the middle of a frame.
                try silent.send([0, 0, 0, 9])
                server.child.signal(SIGTERM)
                server.child.signal(SIGTERM)
                let end = try server.child.wait()
                #expect(end == .exit(75) || end == .exit(0))
            }
        }
    }
}
