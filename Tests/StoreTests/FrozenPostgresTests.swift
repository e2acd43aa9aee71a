import Core
import Glibc
import StoreConformance
import Testing

@testable import Store

/// A server that neither answers nor breaks its connections: its processes are stopped.
@Suite(.serialized) struct FrozenPostgresTests {
    private func settings() async throws -> ConnectionSettings {
        try await TestCluster.database(statementMilliseconds: 400)
    }

    @Test func aStatementIsGivenUp() async throws {
        let settings = try await self.settings()
        let connection = try PostgresConnection(settings)
        let process = connection.serverProcess
        kill(process, SIGSTOP)
        defer { kill(process, SIGCONT) }
        for _ in 1...2 {
            do throws(Failure) {
                try connection.execute("SELECT 1")
                Issue.record("a stopped process has answered")
            } catch {
                #expect(error.code == .unavailable)
            }
        }
        #expect(connection.isBroken)
    }

    /// More than the socket takes, to somebody who does not read.
    @Test func aStatementThatCannotEvenBeSentIsGivenUp() async throws {
        let settings = try await self.settings()
        let connection = try PostgresConnection(settings)
        let process = connection.serverProcess
        kill(process, SIGSTOP)
        defer { kill(process, SIGCONT) }
        let text = String(repeating: "x", count: 8 << 20)
        do throws(Failure) {
            try connection.execute("SELECT length('\(text)')")
            Issue.record("a stopped process has answered")
        } catch {
            #expect(error.code == .unavailable)
        }
    }

    @Test func largeStatementsAndResultsPass() async throws {
        let connection = try PostgresConnection(
            try await TestCluster.database(statementMilliseconds: 60_000))
        let text = String(repeating: "x", count: 8 << 20)
        #expect(try connection.execute("SELECT '\(text)'").text(0, 0) == text)
        #expect(try connection.execute("SELECT 1; SELECT 2").text(0, 0) == "2")
        #expect(throws: Failure.self) { try connection.execute("SELECT 1; SELECT 1/0; SELECT 3") }
        #expect(try connection.execute("SELECT 4").text(0, 0) == "4")
    }

    /// The server ends a slow statement itself, and the connection goes on.
    @Test func aSlowStatementIsEndedByTheServer() async throws {
        let connection = try PostgresConnection(try await self.settings())
        do throws(Failure) {
            try connection.execute("SELECT pg_sleep(60)")
            Issue.record("it was not ended")
        } catch {
            #expect(error.underlying.contains("57014"))
        }
        #expect(try connection.execute("SELECT 4").text(0, 0) == "4")
    }

    @Test func readsAndStateGoOnOverNewConnections() async throws {
        let settings = try await self.settings()
        let store = try await TestCluster.store(settings)
        let main = try #require(
            try await store.state.takeExchanges(as: OwnerID(rawValue: 1)).first)
        _ = try await store.log.read(main.id, after: .origin, bytesMax: 1)
        let processes = try self.freeze(settings)
        defer { for process in processes { kill(process, SIGCONT) } }
        await #expect(throws: Failure.self) { _ = try await store.state.incarnation() }
        _ = try await store.state.incarnation()
        var failures = 0
        for _ in 0...Limits().replayReaders {
            do throws(Failure) {
                _ = try await store.log.read(main.id, after: .origin, bytesMax: 1)
            } catch {
                #expect(error.code == .unavailable)
                failures += 1
            }
        }
        #expect(failures == 1)
        await store.close()
    }

    /// The outcome of an append to a frozen server is unknown. What the server does with it when it
    /// wakes up does not matter any more.
    @Test func anAppendIsGivenUpAndHasNoEffectLater() async throws {
        let settings = try await self.settings()
        let store = try await TestCluster.store(settings)
        let owner = OwnerID(rawValue: 1)
        let main = try #require(try await store.state.takeExchanges(as: owner).first)
        let first = [try Conformance.chunk(1, count: 1)]
        #expect(await store.log.append(Conformance.append(main, after: 0, first)) == .committed)
        let processes = try self.freeze(settings)
        defer { for process in processes { kill(process, SIGCONT) } }
        let second = Conformance.append(main, after: 1, [try Conformance.chunk(2, count: 2)])
        guard case .unknown(let failure) = await store.log.append(second) else {
            Issue.record("a stopped process has answered")
            return
        }
        #expect(failure.code == .unavailable)
        let ownership = try #require(
            try await store.log.retakeOwnership(of: main.id, as: owner))
        #expect(ownership.head == Position(1))
        for process in processes { kill(process, SIGCONT) }
        // Until the writer's has read what it was sent and seen that nobody is there any more.
        let connection = try PostgresConnection(settings)
        let list = processes.map(String.init).joined(separator: ",")
        let left = """
            SELECT count(*) FROM pg_stat_activity
            WHERE pid IN (\(list)) AND query LIKE '%WITH moved%'
            """
        while try connection.execute(left).text(0, 0) != "0" { await Task.yield() }
        let third = [try Conformance.chunk(2, count: 1)]
        #expect(
            await store.log.append(
                Conformance.append(main, after: 1, third, epoch: ownership.epoch)) == .committed)
        await store.close()
    }

    /// Stops all backends of the database, and returns them.
    private func freeze(_ settings: ConnectionSettings) throws -> [pid_t] {
        let rows = try PostgresConnection(settings).execute(
            """
            SELECT pid FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
            """)
        let processes = (0..<rows.rowsCount).compactMap { pid_t(rows.text($0, 0)) }
        for process in processes { kill(process, SIGSTOP) }
        return processes
    }
}
