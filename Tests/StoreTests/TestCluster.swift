import Core
import Foundation
import Synchronization
import StoreConformance
import Testing

@testable import Store

/// One private Postgres for the whole test run, and a fresh database in it for each test.
enum TestCluster {
    static let folder = Self.makeFolder("shared")

    private static let address = Task { () throws -> PrivatePostgres.Address in
        atexit { TestCluster.end() }
        let postgres = PrivatePostgres(data: Self.folder) { _ in }
        let address = try await postgres.ensureRunning()
        postgres.close()
        return address
    }

    private static let number = Atomic(0)

    static func makeFolder(_ name: String) -> String {
        "/tmp/dormouse-test-\(getpid())-\(name)"
    }

    /// The address of a new, empty database.
    static func database(
        statementMilliseconds: Int = Limits().databaseMilliseconds
    ) async throws -> ConnectionSettings {
        let address = try await Self.address.value
        let name = "test_\(Self.number.add(1, ordering: .relaxed).newValue)"
        let connection = try PostgresConnection(try ConnectionSettings(address.conninfo))
        try connection.execute("CREATE DATABASE \(name)")
        return try ConnectionSettings(
            address.conninfo + " dbname=\(name)", statementMilliseconds: statementMilliseconds)
    }

    static func store(
        _ settings: ConnectionSettings, appendsInFlightMax: Int = Limits().appendsInFlightMax
    ) async throws -> PostgresStore {
        var limits = Limits()
        limits.appendsInFlightMax = appendsInFlightMax
        let store = PostgresStore(settings, limits: limits) { _ in }
        try await store.start()
        return store
    }

    @Sendable static func make() async throws -> StoreUnderTest {
        let store = try await Self.store(try await Self.database())
        return StoreUnderTest(log: store.log, state: store.state) { await store.close() }
    }

    static func make(appendsInFlightMax: Int) async throws -> StoreUnderTest {
        let store = try await Self.store(
            try await Self.database(), appendsInFlightMax: appendsInFlightMax)
        return StoreUnderTest(log: store.log, state: store.state) { await store.close() }
    }

    /// The postmaster of a cluster below `folder`.
    static func postmaster(_ folder: String) -> pid_t? {
        let path = folder + "/postgres/postmaster.pid"
        guard let bytes = FileManager.default.contents(atPath: path) else { return nil }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").first
            .flatMap { pid_t($0) }
    }

    /// Ends the server below `folder` without ceremony, and removes the folder.
    static func remove(_ folder: String) {
        if let process = Self.postmaster(folder) {
            kill(process, SIGQUIT)
            while kill(process, 0) == 0 { usleep(10_000) }
        }
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// When the test process exits.
    private static func end() {
        Self.remove(Self.folder)
    }
}
