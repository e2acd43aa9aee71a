import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// Every reason that `explain` knows, as it comes to be.
    @Suite(.serialized)
    struct ProgramExplainTests {
        @Test func explanationsAreTrue() throws {
            let client = try SharedServer.connect(exchange: "explained")
            var session = Session(client)
            let sleeper = try client.subscribe("sleeper", "a.#")
            try client.client.cancel(sleeper)
            _ = try client.end(of: sleeper)
            try session.run("dormouse explain sleeper")
            try client.publish("b", "1", "2")
            try session.run("dormouse explain sleeper")
            try client.publish("a.x", "3")
            try session.run("dormouse explain sleeper")
            try session.run("dormouse explain sleeper --json")
            try session.run("dormouse pause sleeper --until 2126-01-01T00:00Z --reason upgrade")
            try session.run("dormouse explain sleeper")
            try session.run("dormouse pause sleeper")
            try session.run("dormouse explain sleeper --json")
            try session.run("dormouse resume sleeper")
            var request = client.subscribeRequest("stuck")
            request.start = .first
            request.creditEvents = 2
            let (stuck, _) = try client.subscribe(request)
            _ = try client.events(2, on: stuck)
            try session.run("dormouse explain stuck")
            let awake = try client.subscribe("awake", "a.#", from: .first)
            _ = try client.events(1, on: awake)
            try session.run("dormouse explain awake")
            try client.acknowledge(3, on: awake)
            try session.run("dormouse explain awake")
            try client.subscribe("other", "c", from: .first)
            try session.run("dormouse explain other")
            try session.run("dormouse explain awaek")
            #expect(try session.isRecorded(as: "explain"))
        }

        /// Why it sleeps, and since when.
        @Test func whyOneSleepsIsTold() throws {
            try withServer { server, database in
                let client = try TestClient(try server.address())
                let stopped = try client.subscribe("stopped")
                let moved = try client.subscribe("moved")
                var late = client.subscribeRequest("late")
                late.start = .first
                late.acknowledgeWithinMilliseconds = 1
                let (lateStream, _) = try client.subscribe(late)
                let gone = try TestClient(try server.address())
                try gone.subscribe("gone")
                gone.close()
                try eventually("its connection is gone") {
                    try client.subscription("gone").state == .sleeping
                }
                try client.publish("a", "1")
                _ = try client.end(of: lateStream)
                var session = Session(["DORMOUSE_URL": try server.uri()])
                try session.run("dormouse stop stopped")
                try session.run("dormouse seek moved --to first")
                _ = try (client.end(of: stopped), client.end(of: moved))
                for name in ["stopped", "moved", "late", "gone"] {
                    try session.run("dormouse explain \(name) | head -n 1")
                }
                #expect(try server.stop() == .exit(0))
                let next = try Server(on: database)
                defer { next.destroy() }
                var later = Session(["DORMOUSE_URL": try next.uri()])
                try later.run("dormouse explain stopped | head -n 1")
                let whole = session.text + later.text
                #expect(try Session.isRecorded(whole, as: "explain-asleep"))
            }
        }

        @Test func oneWhosePositionIsGoneIsTold() throws {
            let database = try Cluster.shared().makeDatabase()
            let before = try Server(on: database, ["--merge-ms", "0"])
            defer { before.destroy() }
            let client = try TestClient(try before.address())
            for number in 1...3 { try client.publish("a", "\(number)") }
            let stream = try client.subscribe("billing", from: .first)
            try client.client.cancel(stream)
            _ = try client.end(of: stream)
            #expect(try before.stop() == .exit(0))
            // As retention does it: whole chunks from the beginning.
            try database.query("DELETE FROM dormouse.chunk WHERE position < 3")
            let server = try Server(on: database)
            defer { server.destroy() }
            var session = Session(["DORMOUSE_URL": try server.uri()])
            for line in [
                "explain billing", "explain billing --json", "subscribe billing --count 1",
                "subscriptions seek billing --to first", "explain billing",
                "subscribe billing --count 1 --json",
            ] { try session.run("dormouse \(line)") }
            #expect(try session.isRecorded(as: "explain-lost"))
        }

        @Test func oneThatReadsOldEventsIsTold() throws {
            let database = try Cluster.shared().makeDatabase()
            let before = try Server(on: database)
            defer { before.destroy() }
            let payload = String(repeating: "x", count: 100_000)
            let publisher = try TestClient(try before.address())
            for _ in 0..<40 { try publisher.publish((0..<9).map { _ in Event("a", payload) }) }
            #expect(try before.stop() == .exit(0))
            // What a new server has in memory is nothing; and this consumer grants all and reads nothing.
            let server = try Server(on: database)
            defer { server.destroy() }
            let slow = try TestClient(try server.address())
            var request = slow.subscribeRequest("slow")
            request.start = .first
            request.creditEvents = 1_000_000
            request.creditBytes = 1 << 30
            _ = try slow.client.sendRequest(.subscribe(request))
            let client = try TestClient(try server.address())
            try eventually("it is sent old events") {
                try client.list().subscriptions.contains { $0.state == .replaying }
            }
            var session = Session(["DORMOUSE_URL": try server.uri()])
            let steady = "sed 's/up to position [0-9]* of/up to position N of/'"
            try session.run("dormouse explain slow | \(steady)")
            try session.run("dormouse explain slow --json | \(steady)")
            #expect(try session.isRecorded(as: "explain-replaying"))
        }

        @Test func aStoreThatIsAwayIsTold() throws {
            let cluster = try Cluster()
            defer { cluster.destroy() }
            let server = try Server(on: cluster.makeDatabase(), ["--publish-wait-ms", "500"])
            defer { server.destroy() }
            let client = try TestClient(try server.address())
            let stream = try client.subscribe("billing")
            try client.publish("a", "1")
            _ = try client.events(1, on: stream)
            try cluster.stop("immediate")
            // Nobody knows before somebody asks.
            #expect(throws: (any Error).self) { try client.publish("a", "2") }
            var session = Session(["DORMOUSE_URL": try server.uri()])
            let steady = "sed -E 's/its Postgres: [^.\"]*(\\.|\")/its Postgres: WHY\\1/'"
            try session.run("dormouse explain billing | \(steady)")
            try session.run("dormouse explain billing --json | \(steady)")
            try session.run("dormouse check | \(steady)")
            try cluster.start()
            try eventually("the store answers again") {
                (try? TestClient(server.address()).publish("a", "3")) != nil
            }
            try client.acknowledge(1, on: stream)
            try session.run("dormouse explain billing | head -n 1")
            #expect(try session.isRecorded(as: "explain-store"))
        }
    }
}
