import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// Where a consumer starts.
    @Suite(.serialized)
    struct StartTests {
        private func filled() throws -> TestClient {
            let client = try SharedServer.connect()
            try client.publish("a", "1", "2", "3")
            return client
        }

        private func request(
            _ client: TestClient, _ name: String, _ start: Start, _ value: UInt64 = 0
        ) -> SubscribeRequest {
            var request = client.subscribeRequest(name)
            request.start = start
            request.startValue = value
            return request
        }

        @Test func nextFirstLastAndPositionStartWhereTheySay() throws {
            let client = try self.filled()
            let starts: [(Start, UInt64, UInt64)] = [
                (.next, 0, 3), (.first, 0, 0), (.last, 0, 2), (.position, 1, 0), (.position, 0, 0),
                (.position, 3, 2), (.position, 4, 3),
            ]
            for (index, (start, value, expected)) in starts.enumerated() {
                let request = self.request(client, "name-\(index)", start, value)
                let (stream, after) = try client.subscribe(request)
                #expect(after == expected, "\(start) \(value)")
                if expected < 3 {
                    let first = try client.delivery(on: stream).events.first
                    #expect(first?.position.rawValue == expected + 1)
                }
            }
            let beyond = self.request(client, "beyond", .position, 5)
            let stream = try client.client.sendRequest(.subscribe(beyond))
            #expect(try client.end(of: stream).code == .outOfRange)
            let far = self.request(client, "far", .position, .max)
            let other = try client.client.sendRequest(.subscribe(far))
            #expect(try client.end(of: other).code == .outOfRange)
        }

        @Test func anEmptyLogStartsAtItsBeginning() throws {
            let client = try SharedServer.connect()
            for start in [Start.next, .first, .last, .time] {
                let name = "name-\(start)"
                #expect(try client.subscribe(self.request(client, name, start)).start == 0)
            }
        }

        @Test func timeFindsTheFirstEventFromThenOn() throws {
            let client = try SharedServer.connect()
            for number in 1...3 { try client.publish("a", "\(number)") }
            let all = try client.subscribe("all", from: .first)
            let events = try client.events(3, on: all)
            let second = events[1].publishedAt.rawValue
            let expected = UInt64(
                events.firstIndex { $0.publishedAt.rawValue >= second } ?? events.count)
            let found = try client.subscribe(self.request(client, "at", .time, second))
            #expect(found.start == expected)
            let past = try client.subscribe(self.request(client, "past", .time, 1))
            #expect(past.start == 0)
            let future = try client.subscribe(self.request(client, "future", .time, second * 2))
            #expect(future.start == 3)
            let never = try client.subscribe(self.request(client, "never", .time, .max))
            #expect(never.start == 3)
        }

        @Test func aKnownNameContinuesUnlessItIsRepositioned() throws {
            let client = try self.filled()
            let stream = try client.subscribe("name", from: .first)
            _ = try client.events(3, on: stream)
            try client.acknowledge(2, on: stream)
            #expect(try client.subscribe(self.request(client, "name", .first)).start == 2)
            var back = self.request(client, "name", .position, 2)
            back.reposition = true
            let (again, start) = try client.subscribe(back)
            #expect(start == 1)
            let delivery = try client.delivery(on: again)
            #expect(delivery.events.map(\.text) == ["2", "3"])
            #expect(delivery.header.redelivered)
            #expect(try client.subscription("name").position == 1)
        }

        @Test func aWorkerThatKnowsMoreThanTheLogIsTold() throws {
            let client = try self.filled()
            var request = self.request(client, "worker", .position, 4)
            request.reposition = true
            request.lastSeen = 3
            request.lastIncarnation = client.client.welcome.incarnation
            #expect(try client.subscribe(request).start == 3)

            request.lastSeen = 4
            let beyond = try client.client.sendRequest(.subscribe(request))
            let lost = try client.end(of: beyond)
            #expect(lost.code == .positionLost)
            #expect(lost.firstPosition == Position(1))
            #expect(lost.incarnation == client.client.welcome.incarnation)

            request.lastSeen = 1
            request.lastIncarnation = [1, 2, 3]
            let other = try client.client.sendRequest(.subscribe(request))
            #expect(try client.end(of: other).code == .positionLost)
        }

        @Test func aPositionThatSomebodyDeletedIsToldAndNeverSkipped() throws {
            try withServer(["--merge-ms", "0"]) { server, database in
                let client = try TestClient(server.address())
                let stream = try client.subscribe("name")
                for number in 1...3 { try client.publish("a", "\(number)") }
                _ = try client.events(3, on: stream)
                #expect(try server.stop() == .exit(0))
                try database.query("DELETE FROM dormouse.chunk WHERE position <= 2")

                let second = try Server(on: database)
                defer { second.destroy() }
                let other = try TestClient(second.address())
                let again = try other.client.sendRequest(
                    .subscribe(other.subscribeRequest("name")))
                let lost = try other.end(of: again)
                #expect(lost.code == .positionLost)
                #expect(lost.firstPosition == Position(3))
                let first = try other.subscribe("fresh", from: .first)
                #expect(try other.payloads(1, on: first) == ["3"])
                var move = other.subscribeRequest("name")
                move.start = .first
                move.reposition = true
                #expect(try other.subscribe(move).start == 2)
            }
        }
    }
}
