import Channels
import Core
import Foundation
import StoreConformance
import Testing

@testable import Store

/// Each test has a cluster of its own, since it ends or kills the server.
@Suite(.serialized) struct PrivatePostgresTests {
    @Test func aKilledServerIsStartedAgain() async throws {
        try await self.with("killed") { folder, postgres, address in
            let store = try await TestCluster.store(try ConnectionSettings(address.conninfo))
            let owner = OwnerID(rawValue: 3)
            let main = try #require(try await store.state.takeExchanges(as: owner).first)
            let chunk = try Conformance.chunk(1, count: 4)
            #expect(
                await store.log.append(Conformance.append(main, after: 0, [chunk])) == .committed)
            let killed = try #require(TestCluster.postmaster(folder))
            kill(killed, SIGKILL)
            #expect(try await postgres.ensureRunning() == address)
            #expect(TestCluster.postmaster(folder) != killed)
            // The connections find out and are made anew; an append must not be repeated blindly.
            let bytes = try await Conformance.everything(store.log, main.id)
            #expect(bytes == chunk.block.bytes)
            let retaken = try #require(
                try await store.log.retakeOwnership(of: main.id, as: owner))
            #expect(retaken.head == Position(4))
            await store.close()
        }
    }

    @Test func aRunningServerIsAdopted() async throws {
        try await self.with("adopted") { folder, postgres, address in
            let running = TestCluster.postmaster(folder)
            let second = PrivatePostgres(data: folder) { _ in }
            #expect(try await second.ensureRunning() == address)
            #expect(TestCluster.postmaster(folder) == running)
            try await second.stop()
            try await second.stop()
            #expect(TestCluster.postmaster(folder) == nil)
            #expect(try await postgres.ensureRunning() == address)
            second.close()
        }
    }

    @Test func itKeepsTheMemoryOfLargeChunks() async throws {
        try await self.with("memory") { folder, _, _ in
            let process = try #require(TestCluster.postmaster(folder))
            let file = URL(fileURLWithPath: "/proc/\(process)/environ")
            let variables = String(decoding: try Data(contentsOf: file), as: UTF8.self)
                .split(separator: "\0")
            #expect(variables.contains("MALLOC_MMAP_THRESHOLD_=8388608"))
            #expect(variables.contains("MALLOC_TRIM_THRESHOLD_=33554432"))
        }
    }

    @Test func anInterruptedInitdbIsDoneAgain() async throws {
        let folder = TestCluster.makeFolder("interrupted")
        let unfinished = folder + "/postgres.new/base"
        try FileManager.default.createDirectory(
            atPath: unfinished, withIntermediateDirectories: true)
        try FileManager.default.setAttributes([.posixPermissions: 0o711], ofItemAtPath: folder)
        try await self.with("interrupted") { _, _, address in
            #expect(!FileManager.default.fileExists(atPath: unfinished))
            _ = try PostgresConnection(try ConnectionSettings(address.conninfo))
        }
    }

    @Test func aServerThatMayLoseDataIsRefused() async throws {
        try await self.with("fsync") { folder, postgres, address in
            for (setting, value) in [
                ("fsync", "off"), ("full_page_writes", "off"), ("synchronous_commit", "off"),
            ] {
                let admin = try PostgresConnection(
                    try ConnectionSettings(address.conninfo, unsafeNoFsync: true))
                try admin.execute("ALTER SYSTEM SET \(setting) = \(value)")
                try admin.execute("SELECT pg_reload_conf()")
                try await self.waitFor(setting, value, address)
                let store = PostgresStore(
                    try ConnectionSettings(address.conninfo), limits: Limits()
                ) { _ in }
                do throws(Failure) {
                    try await store.start()
                    Issue.record("started with \(setting) = \(value)")
                } catch {
                    #expect(error.code == .failedPrecondition)
                    #expect(error.message.contains("\(setting) = \(value)"))
                }
                await store.close()
                try admin.execute("ALTER SYSTEM RESET ALL")
                try admin.execute("SELECT pg_reload_conf()")
                try await self.waitFor(setting, "on", address)
            }
        }
    }

    @Test func aLongPathStillHasAShortSocket() async throws {
        let name = "long/" + String(repeating: "x", count: 100)
        try await self.with(name) { folder, _, address in
            #expect(!address.conninfo.contains(folder))
            let connection = try PostgresConnection(try ConnectionSettings(address.conninfo))
            let row = try connection.execute("SHOW unix_socket_directories")
            try FileManager.default.removeItem(atPath: row.text(0, 0))
        }
        try FileManager.default.removeItem(atPath: TestCluster.makeFolder("long"))
    }

    /// Only root has this case; others cannot make such a folder.
    @Test(.enabled(if: geteuid() == 0))
    func aFolderThatPostgresCannotReachIsReplaced() async throws {
        let folder = TestCluster.makeFolder("closed")
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700])
        let lines = Lock<[String]>([])
        let postgres = PrivatePostgres(data: folder) { line in lines.withLock { $0.append(line) } }
        let address = try await postgres.ensureRunning()
        #expect(address.dataFolder.hasPrefix("/var/lib/dormouse/"))
        #expect(lines.withLock { $0 }.contains { $0.contains(address.dataFolder) })
        #expect(try await postgres.ensureRunning() == address)
        try await postgres.stop()
        postgres.close()
        TestCluster.remove(address.dataFolder)
        TestCluster.remove(folder)
    }

    /// Each is one that libpq repeats, or reads a part of the password as a host or a port.
    @Test(arguments: [
        "postgresql://u:SECRET@[broken", "postgresql://u:%zzSECRET@h/db",
        "host=/tmp password=a SECRET", "SECRET", "postgres://u:SECRET/x@h/db",
        "postgres://u:a@SECRET@h/db", "host=a,b port=1,SECRET",
    ])
    func theDatabaseAddressIsNeverRepeated(text: String) {
        do throws(Failure) {
            _ = try ConnectionSettings(text)
            Issue.record("a broken address was taken")
        } catch {
            #expect(error.code == .invalidArgument)
            #expect(!error.description.contains("SECRET"))
        }
    }

    @Test func severalHostsAndPortsAreTaken() throws {
        for text in [
            "postgres://u:p%40@a:1,b:65535,[::1]/db", "host=/run/x port=5432", "host=a,b port=,",
            "dbname=x",
        ] { _ = try ConnectionSettings(text) }
    }

    private func with(
        _ name: String,
        _ body: (String, PrivatePostgres, PrivatePostgres.Address) async throws -> Void
    ) async throws {
        let folder = TestCluster.makeFolder(name)
        let postgres = PrivatePostgres(data: folder) { _ in }
        do {
            let address = try await postgres.ensureRunning()
            try await body(folder, postgres, address)
        } catch {
            TestCluster.remove(folder)
            postgres.close()
            throw error
        }
        TestCluster.remove(folder)
        postgres.close()
    }

    /// The server takes a reload up when it gets to it; each look is a round trip.
    private func waitFor(
        _ setting: String, _ value: String, _ address: PrivatePostgres.Address
    ) async throws {
        for _ in 0..<2_000 {
            let connection = try PostgresConnection(
                try ConnectionSettings(address.conninfo, unsafeNoFsync: true))
            if try connection.execute("SHOW \(setting)").text(0, 0) == value { return }
        }
        Issue.record("\(setting) is not \(value) after a reload")
    }
}
