import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// A backup is restored, and clients remember more than is left.
    @Suite(.serialized)
    struct ProgramRestoredTests {
        private static let program = "\(Server.binaries)/dormouse"

        /// A consumer that keeps what it has seen, and of which log.
        private struct Memory {
            let lastSeen: UInt64
            let incarnation: [UInt8]
        }

        private func subscribe(
            _ name: String, _ memory: Memory, _ server: Server
        ) throws -> Result<UInt64, Failure> {
            let client = try TestClient(try server.address())
            var request = client.subscribeRequest(name)
            request.start = .first
            request.lastSeen = memory.lastSeen
            request.lastIncarnation = memory.incarnation
            let stream = try client.client.sendRequest(.subscribe(request))
            switch try client.frame(on: stream, seconds: 20) {
            case .data(_, let delivery): return .success(delivery.header.after.rawValue)
            case .end(_, let failure): return .failure(failure)
            case let other: throw Problem("the subscribe was answered by \(other)")
            }
        }

        /// A database with ten events, as it is when its dump with five is restored.
        private func restored(
            _ folder: String, _ flags: [String]
        ) throws -> (server: Server, memory: Memory) {
            let database = try Cluster.shared().makeDatabase()
            let before = try Server(on: database, flags)
            defer { before.destroy() }
            let client = try TestClient(try before.address())
            try client.publish("a", "1", "2", "3", "4", "5")
            let stream = try client.subscribe("billing", from: .first)
            _ = try client.events(5, on: stream)
            try client.acknowledge(3, on: stream)
            try eventually("the position is saved") {
                try database.number("SELECT position FROM dormouse.subscriber") == 3
            }
            let dump = "\(folder)/dump.sql"
            try Command.check([
                "\(Postgres.binaries)/pg_dump", "-d", database.conninfo, "-f", dump,
            ])
            try client.publish("a", "6", "7", "8", "9", "10")
            let memory = Memory(lastSeen: 10, incarnation: try client.serverReply().incarnation)
            #expect(try before.stop() == .exit(0))
            let restored = try Cluster.shared().makeDatabase()
            try Command.check([
                "\(Postgres.binaries)/psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d",
                restored.conninfo, "-f", dump,
            ])
            return (try Server(on: restored, flags), memory)
        }

        @Test func whoeverRemembersTheOldLogIsToldAndNotServed() throws {
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let (server, memory) = try self.restored(folder, [])
            defer { server.destroy() }
            // It ends before what they have seen: so much any server knows.
            guard case .failure(let early) = try self.subscribe("early", memory, server) else {
                throw Problem("a consumer is ahead of the log and was served")
            }
            #expect(early.code == .positionLost)
            #expect(early.message.contains("ends at position 5, before 10"))
            // Once it has grown again, nobody would notice: position 10 is another event now.
            let client = try TestClient(try server.address())
            try client.publish("b", "6", "7", "8", "9", "10", "11")
            #expect(try self.subscribe("unnoticed", memory, server) == .success(0))

            var session = Session(["DORMOUSE_URL": try server.uri()])
            try session.run("dormouse admin restored")
            try session.run("dormouse admin restored --json")
            try session.run("dormouse admin restored --yes")
            try session.run("dormouse admin restored --yes --json")
            try session.run("dormouse subscriptions list --names")
            try session.run("dormouse subscribe billing --count 1 | cut -d ' ' -f 1")
            #expect(try session.isRecorded(as: "restored"))

            guard case .failure(let failure) = try self.subscribe("billing", memory, server) else {
                throw Problem("a consumer of another log was served")
            }
            #expect(failure.code == .positionLost)
            #expect(failure.firstPosition.rawValue == 1)
            #expect(failure.incarnation.count == 16 && failure.incarnation != memory.incarnation)
            #expect(
                failure.message
                    == "the log was restored from a backup after this consumer saw it, and may hold other "
                    + "events at the same positions; subscribe without last_seen to go on where the "
                    + "name is, or begin anew with reposition")
            let now = Memory(lastSeen: 11, incarnation: failure.incarnation)
            #expect(try self.subscribe("billing", now, server) == .success(4))
            #expect(server.child.errors.contains("the log was restored from a backup"))
        }

        @Test func theNewIncarnationIsInTheDatabase() throws {
            try withServer { server, database in
                let client = try TestClient(try server.address())
                let old = try client.serverReply().incarnation
                let environment = ["DORMOUSE_URL": try server.uri()]
                let outcome = try Command.run(
                    [Self.program, "admin", "restored", "--yes", "--json"],
                    environment: environment)
                #expect(outcome.end == .exit(0), "\(outcome.errors)")
                let stored = try database.query(
                    "SELECT replace(incarnation::text, '-', '') FROM dormouse.server")
                let told = old.map { String(format: "%02x", $0) }.joined()
                #expect(
                    outcome.output == "{\"incarnation\":\"\(stored)\",\"previous\":\"\(told)\"}\n")
                // The connection was welcomed with the old one.
                #expect(throws: (any Error).self) { try client.serverReply() }
                // Said for one that has ended already, it is refused.
                let other = try TestClient(try server.address())
                let again = try other.client.sendRequest(
                    .restored(RestoredRequest(incarnation: old)))
                #expect {
                    _ = try other.answer(to: again).get()
                } throws: {
                    ($0 as? Failure)?.code == .failedPrecondition
                }
                #expect(try server.stop() == .exit(0))
            }
        }

        /// A program that subscribes over it all: it connects again, and then has to decide.
        @Test func aSubscriberThatConnectsAgainEndsWithAReason() throws {
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let socket = "\(folder)/dormouse.sock"
            let (server, _) = try self.restored(folder, ["--unix", socket])
            defer { server.destroy() }
            let address = "unix:\(socket)?reconnect_max_ms=100"
            let child = try Child(
                [Self.program, "subscribe", "reader", "--from", "first", "--json"], in: folder,
                label: "reader", environment: ["DORMOUSE_URL": address])
            defer { child.destroy() }
            try eventually("it has read the log") {
                child.output.split(separator: "\n").count == 5
            }
            let outcome = try Command.run(
                [Self.program, "admin", "restored", "--yes"],
                environment: ["DORMOUSE_URL": address])
            #expect(outcome.end == .exit(0), "\(outcome.errors)")
            #expect(try child.wait() == .exit(1))
            let last = try #require(child.errors.split(separator: "\n").last)
            #expect(
                last
                    == "{\"code\":\"POSITION_LOST\",\"exit\":1,\"message\":\"the subscription 'reader' has "
                    + "ended: the log was restored from a backup after this consumer saw it, and may hold "
                    + "other events at the same positions\",\"advice\":\"run it again to go on where the "
                    + "name is, or give --from first --reposition to begin anew\"}")
            let again = try Command.run(
                [Self.program, "publish", "a", "next"], environment: ["DORMOUSE_URL": address])
            #expect(again.output == "published 1 event at position 6\n")
            let next = try Command.run(
                [Self.program, "subscribe", "reader", "--count", "1"],
                environment: ["DORMOUSE_URL": address])
            #expect(next.output.hasPrefix("6  "))
        }
    }
}
