import Core
import Testing

@testable import Store

/// What a server may still change after another one has taken its exchange: nothing.
@Suite struct OwnershipTests {
    private func failure<Value>(
        _ body: () async throws(Failure) -> Value
    ) async -> StatusCode? {
        do throws(Failure) {
            _ = try await body()
            return nil
        } catch {
            return error.code
        }
    }

    /// By its connection, whatever it is doing, and also by one that replaces a broken one.
    @Test func aServerIsAliveForAsLongAsItIsConnected() async throws {
        let settings = try await TestCluster.database()
        let first = try await TestCluster.store(settings)
        let second = try await TestCluster.store(settings)
        let main = try #require(try await first.state.takeExchanges(as: OwnerID(rawValue: 1)).first)
        let owner = OwnerID(rawValue: Int64.max - 7)
        _ = try await second.state.takeExchanges(as: owner)
        let alive = [TakenExchange(id: main.id, isOwnerAlive: true)]
        #expect(try await first.state.exchangesTaken(from: OwnerID(rawValue: 1)) == alive)

        let killer = try PostgresConnection(settings)
        try killer.execute(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
            """)
        #expect(try await second.state.exchangesTaken(from: owner) == [])
        #expect(try await first.state.exchangesTaken(from: OwnerID(rawValue: 1)) == alive)

        await second.close()
        let dead = [TakenExchange(id: main.id, isOwnerAlive: false)]
        // The lock goes when Postgres has noticed the end of the connection.
        while try await first.state.exchangesTaken(from: OwnerID(rawValue: 1)) != dead {
            await Task.yield()
        }
        await first.close()
    }

    @Test func aServerThatLostTheExchangeChangesNothingOfItsSubscribers() async throws {
        let settings = try await TestCluster.database()
        let first = try await TestCluster.store(settings)
        let second = try await TestCluster.store(settings)
        let main = try #require(try await first.state.takeExchanges(as: OwnerID(rawValue: 1)).first)
        let receiver = try await first.state.registerReceiver(.everything, in: main.id)
        let record = SubscriberRecord(
            exchange: main.id, name: try Name("s"), receiver: receiver, position: Position(0),
            epoch: SessionEpoch(rawValue: 1), pause: nil)
        try await first.state.storeSubscriber(record)

        _ = try await second.state.takeExchanges(as: OwnerID(rawValue: 2))
        let config = try ReceiverConfig(patterns: [try KeyPattern("a.#")], headers: [])
        #expect(
            await self.failure { () async throws(Failure) in
                try await first.state.registerReceiver(config, in: main.id)
            } == .unavailable)
        #expect(
            await self.failure { () async throws(Failure) in
                try await first.state.storeSubscriber(record)
            } == .unavailable)
        #expect(
            await self.failure { () async throws(Failure) in
                try await first.state.removeSubscriber(
                    record.name, of: main.id, upto: record.epoch)
            } == .unavailable)
        #expect(
            await self.failure { () async throws(Failure) in
                try await first.state.removeReceiver(receiver, of: main.id)
            } == .unavailable)

        let left = try await second.state.subscribers(of: main.id, after: nil, limit: 10)
        #expect(left == [record])
        #expect(try await second.state.receivers(of: main.id, after: nil, limit: 10).count == 1)
        try await second.state.removeSubscriber(
            record.name, of: main.id, upto: record.epoch)
        #expect(try await second.state.subscribers(of: main.id, after: nil, limit: 10) == [])
        await first.close()
        await second.close()
    }
}
