import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// A server whose exchanges another one has taken.
    @Suite(.serialized)
    struct DisplacedTests {
        @Test func anIdleServerNoticesThatItWasDisplaced() throws {
            try withServer(["--ownership-ms", "50"]) { first, database in
                let client = try TestClient(first.address())
                let stream = try client.subscribe("name")
                let second = try Server(on: database)
                defer { second.destroy() }
                #expect(try client.end(of: stream).code == .unavailable)
                try first.waitForLog("another server has taken this exchange")
            }
        }

        @Test func nothingIsPromisedOnALostExchange() throws {
            try withServer(["--ownership-ms", "50"]) { first, database in
                let client = try TestClient(first.address())
                try client.publish("a", "1", "2")
                let stream = try client.subscribe("name")
                let second = try Server(on: database)
                defer { second.destroy() }
                #expect(try client.end(of: stream).code == .unavailable)
                let name = Array("name".utf8)
                for request in [
                    Request.seek(SeekRequest(name: name, start: .first)),
                    .pause(PauseRequest(name: name, until: .max / 2)),
                    .stop(StopRequest(name: name)), .forget(ForgetRequest(name: name)),
                    .stop(StopRequest(name: [120])), .forget(ForgetRequest(name: [120])),
                ] {
                    #expect(try client.failure(request).code == .unavailable, "\(request)")
                }
            }
        }

        /// A right that was revoked there would come back with what is remembered here.
        @Test func principalsAreChangedWhereTheExchangesAre() throws {
            try withGuarded(["--ownership-ms", "50"]) { guarded in
                let token = try guarded.add("shop", PrincipalGrant(.publish, "main"))
                let folder = try Folder.make()
                defer { Folder.remove(folder) }
                let second = try Server(on: guarded.database, ["--unix", "\(folder)/s"])
                defer { second.destroy() }
                try guarded.server.waitForLog("another server has taken this exchange")
                let other = try TestClient(second.address())
                let name = Array("shop".utf8)
                guard
                    case .principal = try other.call(
                        .rotatePrincipal(RotatePrincipalRequest(name: name)))
                else { throw Problem("it was not rotated") }
                let grant = GrantPrincipalRequest(
                    name: name, grants: [PrincipalGrant(.subscribe, "main")])
                let failure = try guarded.administrator.failure(.grantPrincipal(grant))
                #expect(failure.code == .unavailable)
                let id = String(decoding: token.prefix { $0 != UInt8(ascii: ".") }, as: UTF8.self)
                #expect(
                    try guarded.database.number(
                        "SELECT count(*) FROM dormouse.credential WHERE credential_id = '\(id)'")
                        == 0)
            }
        }

        /// Its last statement came late: it owns the exchanges and serves nobody.
        @Test func whatADeadServerTookIsTakenBack() throws {
            let flags = ["--ownership-ms", "50", "--takeover-ms", "300"]
            try withServer(flags) { first, database in
                let client = try TestClient(first.address())
                try client.publish([Event("a", "1")], producer: "p", sequence: 1)
                try database.query("UPDATE dormouse.exchange SET epoch = epoch + 1, owner = 4711")
                #expect(try first.child.wait() == .exit(75))
                #expect(first.child.errors.contains("shows no sign of life"))
                let again = try Server(on: database, flags)
                defer { again.destroy() }
                #expect(try TestClient(again.address()).publish("a", "2").firstPosition == 2)
            }
        }

        @Test func aDisplacedServerWaitsWhileTheOtherOneLives() throws {
            let flags = ["--ownership-ms", "20", "--takeover-ms", "1"]
            try withServer(flags) { first, database in
                let second = try Server(on: database, flags)
                defer { second.destroy() }
                try first.waitForLog("another server has taken this exchange")
                // It looks again and again, and each time it is told that the other one lives.
                let statements = """
                    SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()
                    """
                let before = try database.number(statements)
                try eventually("it has looked often") {
                    try database.number(statements) > before + 200
                }
                #expect(first.child.isRunning)
                #expect(second.child.isRunning)
                #expect(try TestClient(second.address()).publish("a", "1").firstPosition == 1)

                try second.killAtOnce()
                #expect(try first.child.wait() == .exit(75))
            }
        }
    }
}
