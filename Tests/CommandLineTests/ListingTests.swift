import Core
import DormouseClient
import PlainClient
import Testing
import Wire

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

@testable import CommandLine

struct ListingTests {
    private let filter = Filter("commit.#", headers: [.prefix("r", Array("eu".utf8))])

    private func subscriber(
        _ name: String = "", reason: String = "", position: UInt64, head: UInt64 = 0,
        since: UInt64 = 0
    ) -> SubscriberInfo {
        SubscriberInfo(
            name: name, exchange: "main", filter: self.filter, state: .sleeping, reason: reason,
            position: position, head: head, since: since)
    }

    @Test func aRowShowsLagAndWhy() {
        let subscription = self.subscriber(
            "reviews", reason: "closed\u{1B}", position: 17, head: 42, since: 1_000_000)
        let row = SubscriptionsCommand.row(subscription, now: nil)
        #expect(
            row == [
                "reviews", "sleeping", "17", "42", "25", "1970-01-01T00:00:01Z", "closed?",
            ])
        #expect(SubscriptionsCommand.row(subscription, now: 62_000_000)[5] == "1m 1s")
        #expect(SubscriptionsCommand.row(subscription, now: 5)[5] == "0s")
    }

    @Test func aPositionBeyondTheHeadIsNoLag() {
        let subscription = self.subscriber(position: .max, head: 1)
        #expect(SubscriptionsCommand.row(subscription, now: nil)[4] == "0")
    }

    @Test func theStateIsStableAndShowsReceiversWithoutConsumers() {
        var state = StateText()
        #expect(state.lines == ["[]"])
        state.add(self.filter, exchange: "main")
        state.add(.everything, exchange: "main")
        for (name, position) in [("b", 2), ("a", 1)] {
            state.add(self.subscriber(name, position: UInt64(position)), exchange: "main")
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
        _ options: [String: String] = [:],
        _ script: @escaping @Sendable (FakeConnection) -> Void
    ) throws -> Publisher {
        let server = try FakeServer { connection in
            connection.welcome()
            script(connection)
        }
        let client = try BlockingClient(
            server.address.description, defaults: ["reconnect": "no"], options: options)
        return Publisher(client: client)
    }

    private static let event = Core.Event(key: Array("k".utf8))

    private func add(_ lines: ClosedRange<UInt64>, to publisher: inout Publisher) throws {
        for line in lines {
            let bytes = try publisher.check(Self.event)
            try publisher.add(Self.event, bytes: bytes, line: line)
        }
    }

    @Test func eventsGoOutInBatchesWithContinuousSequences() throws {
        var publisher = try self.publisher(["producer": "p", "sequence": "1"]) { server in
            guard case (let asked, .producer)? = server.request() else { return }
            server.send(.producer(ProducerReply(sequence: 0, position: 0)), on: asked)
            var position: UInt64 = 1
            while case (let stream, .publish(let request))? = server.request() {
                let count = UInt64(request.events.count)
                guard request.sequence == position else { return }
                server.send(
                    .publish(
                        PublishReply(
                            firstPosition: position, lastPosition: position + count - 1)),
                    on: stream)
                position += count
            }
        }
        try self.add(1...20_500, to: &publisher)
        try publisher.finish()
        #expect(
            publisher.outcome
                == Publisher.Outcome(
                    published: 20_500, firstPosition: 1, lastPosition: 20_500, lastLine: 20_500,
                    answered: 20_500))
    }

    @Test func aRefusalEndsItAndWhatIsStoredIsCounted() throws {
        var publisher = try self.publisher { server in
            guard let (first, _) = server.request() else { return }
            server.send(.publish(PublishReply(firstPosition: 1, lastPosition: 1)), on: first)
            guard let (second, _) = server.request() else { return }
            server.send(Failure(.resourceExhausted, "full"), as: .response, on: second)
            server.drain()
        }
        for line: UInt64 in 1...2 {
            try self.add(line...line, to: &publisher)
            try publisher.flush()
            while publisher.outcome.answered < line { try publisher.client.wait() }
        }
        #expect(throws: CommandFailure.self) {
            try self.add(3...3, to: &publisher)
            try publisher.flush()
        }
        do {
            try publisher.settle()
        } catch {
            #expect(error.message == "cannot publish: full")
            #expect(error.code == .resourceExhausted)
        }
        #expect(publisher.outcome.published == 1)
        #expect(publisher.outcome.lastLine == 1)
        #expect(publisher.outcome.answered == 2)
    }

    @Test func whatIsStoredBehindARefusalDoesNotCountAsUpToThere() throws {
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
        try self.add(1...1, to: &publisher)
        try publisher.flush()
        while publisher.outcome.answered < 1 { try publisher.client.wait() }
        for line: UInt64 in 2...3 {
            try self.add(line...line, to: &publisher)
            try publisher.flush()
        }
        #expect(throws: CommandFailure.self) { try publisher.settle() }
        #expect(publisher.outcome.published == 2)
        #expect(publisher.outcome.lastLine == 1)
    }

    @Test func aServerThatGoesAwayLeavesItUnknownWhatIsStored() throws {
        var publisher = try self.publisher { server in _ = server.request() }
        try self.add(1...1, to: &publisher)
        do {
            try publisher.finish()
            Issue.record("it must fail")
        } catch {
            #expect(error.exit == .unavailable)
            #expect(error.message.contains("it may be stored or not"))
        }
        #expect(publisher.outcome.lastLine == 0)
    }
}

/// The subscriber against a server that does not answer.
@Suite(.timeLimit(.minutes(1)), .serialized)
struct SubscriberTests {
    @Test func ctrlCEndsItAlsoBeforeTheServerHasAnswered() throws {
        let server = try FakeServer { connection in
            connection.welcome()
            guard case .subscribe? = connection.request()?.request else { return }
            // The terminal's Ctrl-C; the handler was installed before anything was sent.
            kill(getpid(), SIGINT)
            connection.drain()
        }
        let client = try BlockingClient(server.address.description, timeout: 60_000)
        let invocation = try Invocation(["name"], of: SubscribeCommand.description)
        let subscriber = try Subscriber(title: "'name'", count: nil, invocation, client: client)
        #expect(throws: CommandFailure(.interrupted, "")) {
            try subscriber.run(SubscribeOptions(name: "name"))
        }
    }

    @Test func aServerThatNeverAnswersIsGivenUp() throws {
        let server = try FakeServer { connection in
            connection.welcome()
            connection.drain()
        }
        let client = try BlockingClient(server.address.description, timeout: 200)
        let invocation = try Invocation(["name"], of: SubscribeCommand.description)
        let subscriber = try Subscriber(title: "'name'", count: nil, invocation, client: client)
        #expect {
            try subscriber.run(SubscribeOptions(name: "name"))
        } throws: {
            ($0 as? CommandFailure)?.line
                == "dormouse: cannot subscribe 'name': the server did not answer within 200 ms; run it "
                + "again, with a longer --timeout where the server has much to do [DEADLINE_EXCEEDED]"
        }
    }
}
