import Core
import Foundation
import PlainClient
import Testing
import Wire

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

extension Integration {
    /// The server, or its Postgres, ends at an instant that nobody chose.
    @Suite(.serialized)
    struct KillTests {
        private func withFolder(_ body: (String, [String], Address) throws -> Void) throws {
            let folder = try Folder.make()
            defer {
                Postgres.destroy("\(folder)/postgres")
                Folder.remove(folder)
            }
            let socket = "\(folder)/dormouse.sock"
            try body(
                folder,
                ["--data", folder, "--unix", socket, "--publish-wait-ms", "3000"],
                Address("unix:\(socket)"))
        }

        private func database(_ folder: String) -> Database {
            Database(conninfo: "host='\(folder)/run' port=5432 user=dormouse dbname=dormouse")
        }

        @Test func nothingAnsweredIsLostWhenTheServerIsKilledThirtyTimes() throws {
            var random = SeededNumbers.fresh(for: "kill -9 of the server")
            try self.withFolder { folder, flags, address in
                var server = try Server(flags)
                defer { server.destroy() }
                let postmaster = Postgres.postmaster("\(folder)/postgres")
                let group = LoadGroup(address)
                for _ in 1...30 {
                    usleep(UInt32.random(in: 20_000...500_000, using: &random))
                    try server.killAtOnce()
                    server.destroy()
                    try group.check()
                    if Int.random(in: 0...2, using: &random) == 0 {
                        // This one does not live to see its start.
                        server = try Server(starting: flags)
                        usleep(UInt32.random(in: 1_000...100_000, using: &random))
                        try server.killAtOnce()
                        server.destroy()
                    }
                    server = try Server(flags)
                }
                // The left-over Postgres was taken over each time.
                #expect(Postgres.postmaster("\(folder)/postgres") == postmaster)
                try group.finish(self.database(folder), "kill -9 of the server")
                #expect(try server.stop() == .exit(0))
                #expect(Postgres.postmaster("\(folder)/postgres") == nil)
            }
        }

        @Test func aKilledPrivatePostgresIsStartedAgain() throws {
            try self.withFolder { folder, flags, address in
                let server = try Server(flags)
                defer { server.destroy() }
                let group = LoadGroup(address)
                let client = try TestClient(address)
                for _ in 1...2 {
                    let before = try client.serverReply().published
                    try eventually("events flow") {
                        try client.serverReply().published > before + 100
                    }
                    let old = Postgres.postmaster("\(folder)/postgres")
                    if let old { kill(old, SIGKILL) }
                    try eventually("another Postgres runs", seconds: 60) {
                        try group.check()
                        let new = Postgres.postmaster("\(folder)/postgres")
                        return new != nil && new != old
                    }
                }
                let before = try client.serverReply().published
                try eventually("events flow again", seconds: 60) {
                    try client.serverReply().published > before + 100
                }
                try group.finish(self.database(folder), "kill -9 of Postgres")
                #expect(server.child.isRunning)
            }
        }

        /// Gives a program process numbers of its own, as in a container. The root may be no mount, as in a chroot, and keeps
        /// what it has.
        private static let container = [
            "/usr/bin/unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation",
            "unchanged",
        ]

        static let hasNamespaces: Bool = {
            let made = try? Command.run(Self.container + ["/bin/true"])
            return made?.end == .exit(0)
        }()

        /// The parent of a private Postgres is then the server itself, which must take note of its
        /// end: until then the dead one counts as running, and a new one does not start.
        @Test(.enabled(if: hasNamespaces, "needs process numbers and a /proc of its own"))
        func asProcessOneItStartsItsPostgresAgainToo() throws {
            try self.withFolder { folder, flags, address in
                let container = try Child(
                    Self.container + ["\(Server.binaries)/dormoused"] + flags, in: folder,
                    label: "container")
                defer { container.destroy() }
                try eventually("the server listens") {
                    guard container.isRunning else {
                        throw Problem("it ended: \(container.errors)")
                    }
                    return container.output.contains("listening on unix:")
                }
                let old = try #require(try self.outerPostmaster(folder))
                kill(old, SIGKILL)
                let client = try TestClient(address)
                try eventually("another Postgres runs and takes events", seconds: 60) {
                    do {
                        try client.publish("a", "1")
                        let new = try self.outerPostmaster(folder)
                        return new != nil && new != old
                    } catch let failure as Failure where failure.code == .unavailable {
                        return false
                    }
                }
            }
        }

        /// The postmaster by its number out here.
        private func outerPostmaster(_ folder: String) throws -> pid_t? {
            let found = try Command.run([
                "/usr/bin/pgrep", "-o", "-f", "bin/postgres -D \(folder)/postgres",
            ])
            return pid_t(found.output.trimmingCharacters(in: .whitespacesAndNewlines))
        }

        @Test func nothingAnsweredIsLostWhenPostgresRestartsTenTimes() throws {
            var random = SeededNumbers.fresh(for: "immediate restart of Postgres")
            let cluster = try Cluster()
            defer { cluster.destroy() }
            let database = try cluster.makeDatabase()
            let server = try Server(on: database, ["--publish-wait-ms", "3000"])
            defer { server.destroy() }
            let group = LoadGroup(try server.address())
            let client = try TestClient(server.address())
            for _ in 1...10 {
                let before = try client.serverReply().published
                try eventually("events flow", seconds: 60) {
                    try group.check()
                    return try client.serverReply().published > before + 20
                }
                usleep(UInt32.random(in: 1_000...300_000, using: &random))
                try cluster.stop("immediate")
                if Bool.random(using: &random) {
                    usleep(UInt32.random(in: 1_000...300_000, using: &random))
                }
                try cluster.start()
            }
            try eventually("the store answers", seconds: 60) {
                try client.serverReply().storeAvailable
            }
            try group.finish(database, "immediate restart of Postgres")
            #expect(server.child.isRunning)
        }
    }
}
