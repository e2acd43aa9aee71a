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
