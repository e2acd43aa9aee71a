import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// Limits hold when everybody comes at once, while rows are still being written.
    @Suite(.serialized)
    struct LimitTests {
        @Test func manyRequestsAtOnceDoNotPassALimit() throws {
            try withServer(["--exchanges", "5", "--subscribers", "7"]) { server, database in
                let client = try TestClient(server.address())
                let creations = try (0..<50).map { number in
                    try client.client.sendRequest(
                        .createExchange(ExchangeRequest(name: Array("e\(number)".utf8))))
                }
                var refused = 0
                for stream in creations {
                    guard case .failure(let failure) = try client.answer(to: stream) else {
                        continue
                    }
                    #expect(failure.code == .resourceExhausted)
                    refused += 1
                }
                // With `main` they are five.
                #expect(refused == 46)
                #expect(try database.number("SELECT count(*) FROM dormouse.exchange") == 5)

                let subscriptions = try (0..<40).map { number in
                    try client.client.sendRequest(
                        .subscribe(client.subscribeRequest("s\(number)")))
                }
                var ended = 0
                for stream in subscriptions {
                    if case .end(_, let failure) = try client.frame(on: stream) {
                        #expect(failure.code == .resourceExhausted)
                        ended += 1
                    }
                }
                #expect(ended == 33)
                #expect(try database.number("SELECT count(*) FROM dormouse.subscriber") == 7)
                client.close()
            }
        }

        @Test func manySubscriptionsAtOnceDoNotPassTheLimitOfStreams() throws {
            try withServer(["--streams", "10"]) { server, _ in
                let client = try TestClient(server.address())
                let streams = try (0..<30).map { number in
                    try client.client.sendRequest(
                        .subscribe(client.subscribeRequest("s\(number)")))
                }
                var ended = 0
                for stream in streams {
                    if case .end(_, let failure) = try client.frame(on: stream) {
                        #expect(failure.code == .resourceExhausted)
                        ended += 1
                    }
                }
                #expect(ended == 20)
                client.close()
            }
        }

        /// Who asks for thousands of large answers and hangs up keeps nobody busy with them.
        @Test func answersThatNobodyIsLeftForAreNotMade() throws {
            try withServer([]) { server, database in
                let bystander = try TestClient(server.address())
                let client = try TestClient(server.address())
                let list = Request.listOutbox(ListOutboxRequest())
                let lock = try TableLock("outbox_aside", of: database)
                defer { lock.destroy() }
                for _ in 0..<5_000 { _ = try client.client.sendRequest(list) }
                // Answered behind them: they are all there.
                _ = try client.serverReply()
                client.close()
                try eventually("it is gone") { try bystander.serverReply().connections == 1 }
                try lock.release()
                // One of theirs would be made for each of ours.
                for _ in 0..<300 { _ = try bystander.call(list) }
                let looks = try eventually("Postgres has counted ours") {
                    let count = try database.number(
                        """
                        SELECT seq_scan + coalesce(idx_scan, 0) FROM pg_stat_user_tables
                        WHERE relname = 'outbox_aside'
                        """)
                    return count >= 300 ? count : nil
                }
                #expect(looks < 400)
            }
        }

        /// Waiting fetches of connections that are gone hold nothing, and waiting ones have a place
        /// among the requests of their connection.
        @Test func waitingFetchesGoWithTheirConnection() throws {
            try withServer([]) { server, _ in
                let fetch = { (client: TestClient) in
                    try client.client.sendRequest(
                        .fetch(
                            FetchRequest(config: client.config(), waitMilliseconds: 60_000)))
                }
                func round() throws {
                    let client = try TestClient(server.address())
                    for _ in 0..<5_000 { _ = try fetch(client) }
                    // Answered behind them: they are all there.
                    _ = try client.serverReply()
                    client.close()
                }
                for _ in 0..<3 { try round() }
                let before = try server.memory()
                for _ in 0..<20 { try round() }
                let grown = try server.memory() - before
                // 100,000 of them take more than 25 MB while they wait.
                #expect(grown < 20 << 20)
                let client = try TestClient(server.address())
                let waiting = try fetch(client)
                try client.publish("a", "1")
                guard case .success(.fetch(let page)) = try client.answer(to: waiting) else {
                    Issue.record("the fetch was not answered by a page")
                    return
                }
                #expect(page.events.count == 1)
                client.close()
            }
        }

        @Test func theNumberOfACancelledWaitIsFreeAgain() throws {
            try withServer([]) { server, _ in
                let connection = try RawConnection(server.address())
                try connection.sayHello()
                let fetch = Request.fetch(
                    FetchRequest(config: ReceiverConfigMessage(), waitMilliseconds: 60_000))
                // Its answer says that the fetch waits by now.
                try connection.send(fetch, stream: 7)
                try connection.send(.listReceivers(ListReceiversRequest()), stream: 9)
                #expect(try connection.next().header.stream.rawValue == 9)
                try connection.send(FrameType.cancel.rawValue, stream: 7)
                let end = try connection.next()
                #expect(end.header.type == .end && end.failure.code == .cancelled)
                var events = EncodedEvents()
                try events.append(Event("a", "1"), eventBytesMax: 1_000)
                try connection.send(
                    .publish(
                        PublishRequest(exchange: [], producer: [], sequence: 0, events: events)),
                    stream: 7)
                let reply = try connection.next()
                #expect(reply.header.type == .response && reply.header.code == 0)
                #expect(reply.header.stream.rawValue == 7)
                connection.close()
            }
        }
    }
}
