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
