import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    @Suite(.serialized)
    struct FetchTests {
        private func fetch(_ client: TestClient, _ request: FetchRequest) throws -> Delivery {
            guard case .fetch(let delivery) = try client.call(.fetch(request)) else {
                throw Problem("Fetch was answered by something else")
            }
            return delivery
        }

        @Test func aPageHoldsMatchingEventsWithoutASubscription() throws {
            let client = try SharedServer.connect()
            try client.publish([Event("a", "1"), Event("b", "2"), Event("a", "3"), Event("a", "4")])
            var request = FetchRequest(config: client.config(["a"]), eventsMax: 2)
            let page = try self.fetch(client, request)
            #expect(page.events.map(\.text) == ["1", "3"])
            #expect(page.header.after == Position(0))
            #expect(page.header.upto == Position(3))
            #expect(page.header.head == Position(4))
            request.after = page.header.upto.rawValue
            #expect(try self.fetch(client, request).events.map(\.text) == ["4"])
            #expect(try client.list().subscriptions.isEmpty)
        }

        @Test func withoutAWaitAnEmptyPageComesAtOnce() throws {
            let client = try SharedServer.connect()
            let page = try self.fetch(client, FetchRequest(config: client.config()))
            #expect(page.events.isEmpty)
            #expect(page.header.upto == Position(0))
        }

        @Test func aWaitEndsWithTheFirstEvent() throws {
            let client = try SharedServer.connect()
            let request = FetchRequest(config: client.config(["a"]), waitMilliseconds: 60_000)
            let stream = try client.client.sendRequest(.fetch(request))
            try client.expectNothing(on: stream)
            try client.publish("b", "no")
            try client.expectNothing(on: stream)
            try client.publish("a", "yes")
            guard case .success(.fetch(let page)) = try client.answer(to: stream) else {
                throw Problem("the fetch failed")
            }
            #expect(page.events.map(\.text) == ["yes"])
            #expect(page.header.upto == Position(2))
        }

        @Test func aWaitEndsInTime() throws {
            let client = try SharedServer.connect()
            let begin = uptime
            let page = try self.fetch(
                client, FetchRequest(config: client.config(), waitMilliseconds: 300))
            #expect(page.events.isEmpty)
            #expect(uptime - begin >= 0.29)
        }

        @Test func aCancelledWaitIsAnsweredByAnEnd() throws {
            let client = try SharedServer.connect()
            let request = FetchRequest(config: client.config(), waitMilliseconds: 60_000)
            let stream = try client.client.sendRequest(.fetch(request))
            try client.client.cancel(stream)
            #expect(try client.end(of: stream).code == .cancelled)
            try client.publish("a", "1")
            try client.expectNothing(on: stream)
        }

        @Test func badFetchesAreRefused() throws {
            let client = try SharedServer.connect()
            let beyond = FetchRequest(config: client.config(), after: 1)
            #expect(try client.failure(.fetch(beyond)).code == .outOfRange)
            let pattern = FetchRequest(config: client.config(["a..b"]))
            #expect(try client.failure(.fetch(pattern)).code == .invalidArgument)
        }

        @Test func whatIsOlderThanTheTailComesFromTheLog() throws {
            try withServer(["--tail-bytes", "0", "--merge-ms", "0"]) { server, _ in
                let client = try TestClient(server.address())
                for number in 1...20 { try client.publish("a", "\(number)") }
                let page = try self.fetch(client, FetchRequest(config: client.config(), after: 3))
                #expect(page.events.map(\.text) == (4...20).map { "\($0)" })
                #expect(page.header.replay)
            }
        }
    }
}
