import Core
import PlainClient
import Testing
import Wire

@testable import CommandLine

struct ListingTests {
    private let config = ReceiverConfigMessage(
        exchange: Array("main".utf8), patterns: [Array("commit.#".utf8)],
        headers: [
            HeaderMatchMessage(name: Array("r".utf8), kind: .prefix, value: Array("eu".utf8))
        ])

    @Test func aRowShowsLagAndWhy() {
        let subscription = Subscription(
            name: Array("reviews".utf8), state: .sleeping, reason: Array("closed\u{1B}".utf8),
            position: 17, head: 42, since: 1_000_000)
        let row = SubscriptionsCommand.row(subscription, now: nil)
        #expect(
            row == [
                "reviews", "sleeping", "17", "42", "25", "1970-01-01T00:00:01Z", "closed?",
            ])
        #expect(SubscriptionsCommand.row(subscription, now: 62_000_000)[5] == "1m 1s")
        #expect(SubscriptionsCommand.row(subscription, now: 5)[5] == "0s")
    }

    @Test func aPositionBeyondTheHeadIsNoLag() {
        let subscription = Subscription(position: .max, head: 1)
        #expect(SubscriptionsCommand.row(subscription, now: nil)[4] == "0")
    }

    @Test func theStateIsStableAndShowsReceiversWithoutConsumers() {
        var state = StateText()
        #expect(state.lines == ["[]"])
        let exchange = Array("main".utf8)
        state.add(self.config, exchange: exchange)
        state.add(ReceiverConfigMessage(), exchange: exchange)
        for (name, position) in [("b", 2), ("a", 1)] {
            state.add(
                Subscription(
                    name: Array(name.utf8), config: self.config, position: UInt64(position)),
                exchange: exchange)
        }
        let expected = """
            [
              {
                "config": {"exchange": "main", "patterns": ["commit.#"], "headers": [{"name": "r", \
            "prefix": "eu"}]},
                "consumers": {
                  "a": 1,
                  "b": 2
                }
              },
              {
                "config": {"exchange": "main", "patterns": [], "headers": []},
                "consumers": {}
              }
            ]
            """
        #expect(state.lines.joined(separator: "\n") == expected)
    }

    @Test func theSummaryOfAPublishCountsAndPlaces() {
        var outcome = Publisher.Outcome(published: 1, firstPosition: 17, lastPosition: 17)
        #expect(PublishCommand.summary(outcome) == "published 1 event at position 17")
        outcome = Publisher.Outcome(
            published: 1234, duplicates: 2, firstPosition: 5, lastPosition: 1238)
        #expect(
            PublishCommand.summary(outcome)
                == "published 1,234 events, positions 5 to 1238; 2 were in the log already")
    }
}

/// Publishing against a server that counts.
@Suite(.timeLimit(.minutes(1)))
struct PublisherTests {
    private func publisher(
        producer: String = "", _ script: @escaping @Sendable (FakeConnection) -> Void
    ) throws -> Publisher {
        let server = try FakeServer { connection in
            connection.welcome()
            script(connection)
        }
        let client = try Client(address: server.address, clientName: "test")
        return Publisher(
            client: client, exchange: [], producer: Array(producer.utf8), sequence: 1)
    }

    private static let event = Event(key: Array("k".utf8))

    @Test func eventsGoOutInBatchesWithContinuousSequences() throws {
        var publisher = try self.publisher(producer: "p") { server in
            var position: UInt64 = 1
            while case (let stream, .publish(let request))? = server.request() {
                let count = UInt64(request.events.count)
                guard request.sequence == position, count <= 1000 else { return }
                server.send(
                    .publish(
                        PublishReply(
                            firstPosition: position, lastPosition: position + count - 1)),
                    on: stream)
                position += count
            }
        }
        for line in 1...20_500 { try publisher.add(Self.event, line: UInt64(line)) }
        try publisher.finish()
        #expect(
            publisher.outcome
                == Publisher.Outcome(
                    published: 20_500, firstPosition: 1, lastPosition: 20_500, lastLine: 20_500))
        #expect(publisher.sequence == 20_501)
    }

    @Test func aRefusalEndsItAndWhatIsStoredIsCounted() throws {
        var publisher = try self.publisher { server in
            guard let (first, _) = server.request() else { return }
            server.send(.publish(PublishReply(firstPosition: 1, lastPosition: 1)), on: first)
            guard let (second, _) = server.request(), let (third, _) = server.request() else {
                return
            }
            server.send(Failure(.resourceExhausted, "full"), as: .response, on: second)
            server.send(.publish(PublishReply(firstPosition: 2, lastPosition: 2)), on: third)
            server.drain()
        }
        for line in 1...3 {
            try publisher.add(Self.event, line: UInt64(line))
            try publisher.flush()
        }
        #expect(throws: Failure(.resourceExhausted, "full")) { try publisher.finish() }
        #expect(publisher.outcome.published == 2)
        #expect(publisher.outcome.lastLine == 1)
    }
}
