import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    @Suite(.serialized)
    struct SubscribeTests {
        @Test func aNewerConsumerOfTheNameTakesOver() throws {
            let old = try SharedServer.connect()
            let oldStream = try old.subscribe("name")
            try old.publish("a", "1")
            _ = try old.events(1, on: oldStream)

            let new = try SharedServer.connect(like: old)
            let (stream, start) = try new.subscribe(new.subscribeRequest("name"))
            #expect(start == 0)
            #expect(try old.end(of: oldStream).code == .takenOver)
            let delivery = try new.delivery(on: stream)
            #expect(delivery.events.map(\.text) == ["1"])
            #expect(delivery.header.redelivered)
            // The old one's acknowledgement does not count any more.
            let late = AcknowledgeRequest(stream: oldStream.rawValue, upto: 1)
            #expect(try old.failure(.acknowledge(late)).code == .notFound)
            #expect(try new.subscription("name").position == 0)
            // Nor does the end of its connection.
            old.close()
            try new.publish("a", "2")
            #expect(try new.payloads(1, on: stream) == ["2"])
        }

        @Test func acknowledgementsAreCumulativeAndNeverBeyondWhatWasSent() throws {
            let client = try SharedServer.connect()
            let stream = try client.subscribe("name")
            try client.publish("a", "1", "2", "3")
            _ = try client.events(3, on: stream)
            let beyond = AcknowledgeRequest(stream: stream.rawValue, upto: 4)
            #expect(try client.failure(.acknowledge(beyond)).code == .outOfRange)
            let far = AcknowledgeRequest(stream: stream.rawValue, upto: .max)
            #expect(try client.failure(.acknowledge(far)).code == .outOfRange)
            #expect(try client.acknowledge(2, on: stream) == 2)
            #expect(try client.acknowledge(2, on: stream) == 2)
            #expect(try client.acknowledge(1, on: stream) == 2)
            #expect(try client.acknowledge(3, on: stream) == 3)
            let entry = try client.subscription("name")
            #expect(entry.delivered == 3)
            #expect(entry.acknowledged == 3)
            let other = AcknowledgeRequest(stream: 9_999, upto: 1)
            #expect(try client.failure(.acknowledge(other)).code == .notFound)
        }

        @Test func onlyCreditLetsEventsThrough() throws {
            let client = try SharedServer.connect()
            var request = client.subscribeRequest("name")
            request.creditEvents = 2
            let stream = try client.subscribe(request).stream
            try client.publish("a", "1", "2", "3", "4", "5")
            #expect(try client.payloads(2, on: stream) == ["1", "2"])
            try client.acknowledge(2, on: stream)
            try client.expectNothing(on: stream)
            #expect(try client.subscription("name").state == .waitingForCredit)
            try client.grant(events: 1, bytes: 0, on: stream)
            #expect(try client.payloads(1, on: stream) == ["3"])
            try client.expectNothing(on: stream)
            try client.grant(events: .max, bytes: .max, on: stream)
            try client.grant(events: .max, bytes: .max, on: stream)
            #expect(try client.payloads(2, on: stream) == ["4", "5"])
        }

        @Test func bytesOfCreditMayBeOverdrawnByOneEvent() throws {
            let client = try SharedServer.connect()
            var request = client.subscribeRequest("name")
            request.creditBytes = 10
            let stream = try client.subscribe(request).stream
            try client.publish("a", String(repeating: "x", count: 100), "2")
            let events = try client.events(1, on: stream)
            #expect(events[0].payload.count == 100)
            try client.expectNothing(on: stream)
            // What it cost must be granted before the next one comes.
            let debt = UInt32(events[0].creditBytes - 10)
            try client.grant(events: 0, bytes: debt, on: stream)
            try client.expectNothing(on: stream)
            try client.grant(events: 0, bytes: 1, on: stream)
            #expect(try client.payloads(1, on: stream) == ["2"])
        }

        @Test func onSendMovesThePositionByItself() throws {
            let client = try SharedServer.connect()
            var request = client.subscribeRequest("name")
            request.acknowledgement = .onSend
            let stream = try client.subscribe(request).stream
            try client.publish("a", "1", "2")
            _ = try client.events(2, on: stream)
            try eventually("the socket has taken it") {
                try client.subscription("name").position == 2
            }
            try eventually("the position is stored") {
                try SharedServer.database().query(
                    """
                    SELECT position FROM dormouse.subscriptions
                    WHERE exchange = '\(client.exchange)'
                    """) == "2"
            }
        }

        @Test func aMissedAcknowledgementPutsToSleep() throws {
            let client = try SharedServer.connect()
            var request = client.subscribeRequest("name")
            request.acknowledgeWithinMilliseconds = 200
            let stream = try client.subscribe(request).stream
            try client.publish("a", "1")
            _ = try client.events(1, on: stream)
            #expect(try client.end(of: stream).code == .tooSlow)
            let entry = try client.subscription("name")
            #expect(entry.state == .sleeping)
            #expect(entry.reason.text == "its consumer did not acknowledge in time")
            #expect(entry.position == 0)
        }

        @Test func asTimelyAcknowledgementKeepsAwake() throws {
            let client = try SharedServer.connect()
            var request = client.subscribeRequest("name")
            request.acknowledgeWithinMilliseconds = 2_000
            let stream = try client.subscribe(request).stream
            for number in 1...10 {
                try client.publish("a", "\(number)")
                _ = try client.events(1, on: stream)
                try client.acknowledge(UInt64(number), on: stream)
            }
            #expect(try client.subscription("name").state == .live)
        }

        @Test func aSubscriberWithoutANameIsForgotten() throws {
            let client = try SharedServer.connect()
            try client.publish("a", "1")
            let (stream, start) = try client.subscribe(client.subscribeRequest("", ["a"]))
            #expect(start == 1)
            try client.publish("a", "2")
            #expect(try client.payloads(1, on: stream) == ["2"])
            try client.acknowledge(2, on: stream)
            #expect(try client.list().subscriptions.isEmpty)
            #expect(try receivers(client).map(\.awake) == [1])
            try client.client.cancel(stream)
            #expect(try client.end(of: stream).code == .cancelled)
            #expect(try receivers(client).isEmpty)
            let rows = try SharedServer.database().number(
                """
                SELECT count(*) FROM dormouse.receiver JOIN dormouse.exchange USING (exchange_id)
                WHERE name = '\(client.exchange)'
                """)
            #expect(rows == 0)
        }

        @Test func anotherConfigIsRefusedUnlessItIsMeant() throws {
            let client = try SharedServer.connect()
            let stream = try client.subscribe("name", "a.*")
            try client.publish("a.1", "1")
            _ = try client.events(1, on: stream)
            try client.acknowledge(1, on: stream)
            var request = client.subscribeRequest("name", ["b.*"])
            let refused = try client.client.sendRequest(.subscribe(request))
            #expect(try client.end(of: refused).code == .failedPrecondition)
            // The refusal changes nothing.
            #expect(try client.subscription("name").state == .live)

            request.replaceConfig = true
            try client.publish([Event("a.2", "2"), Event("b.1", "3")])
            let (again, start) = try client.subscribe(request)
            #expect(start == 1)
            #expect(try client.end(of: stream).code == .takenOver)
            #expect(try client.payloads(1, on: again) == ["3"])
            #expect(
                try client.subscription("name").config.patterns.map(\.text) == ["b.*"])
            try eventually("the receiver that nobody uses is gone") {
                try receivers(client).count == 1
            }
        }

        @Test func theSameConfigInAnotherOrderIsTheSame() throws {
            let client = try SharedServer.connect()
            try client.subscribe("one", "a", "b")
            try client.subscribe("two", "b", "a", "b")
            try client.subscribe("one", "b", "a")
            #expect(try receivers(client).count == 1)
        }

        @Test func badSubscriptionsAreRefusedByAnEnd() throws {
            let client = try SharedServer.connect()
            var bad = [
                client.subscribeRequest("a b"), client.subscribeRequest("ü"),
                client.subscribeRequest(String(repeating: "n", count: 129)),
                client.subscribeRequest("name", [""]), client.subscribeRequest("name", ["a..b"]),
                client.subscribeRequest("name", ["a*"]), client.subscribeRequest("name", ["a.#b"]),
                client.subscribeRequest("name", (0...64).map { "p\($0)" }),
            ]
            var header = client.subscribeRequest("name")
            header.config.headers = [HeaderMatchMessage(name: [])]
            bad.append(header)
            for request in bad {
                let stream = try client.client.sendRequest(.subscribe(request))
                #expect(try client.end(of: stream).code == .invalidArgument)
            }
            var nowhere = client.subscribeRequest("name")
            nowhere.config.exchange = Array("nowhere".utf8)
            let stream = try client.client.sendRequest(.subscribe(nowhere))
            #expect(try client.end(of: stream).code == .notFound)
            #expect(try client.list().subscriptions.isEmpty)
        }

        @Test func whoMatchesNothingIsToldHowFarTheLogIs() throws {
            let client = try SharedServer.connect()
            let stream = try client.subscribe("name", "never")
            try client.publish("a", "1", "2", "3")
            let bookmark = try client.delivery(on: stream)
            #expect(bookmark.events.isEmpty)
            #expect(bookmark.header.after == Position(0))
            #expect(bookmark.header.upto == Position(3))
            #expect(try client.acknowledge(3, on: stream) == 3)
        }

        @Test func cancelPutsToSleepAndTheStreamsNumberIsFreeAgain() throws {
            let client = try SharedServer.connect()
            let stream = try client.subscribe("name")
            try client.client.cancel(stream)
            #expect(try client.end(of: stream).code == .cancelled)
            let entry = try client.subscription("name")
            #expect(entry.state == .sleeping)
            #expect(entry.reason.text == "its consumer cancelled the stream")
            // Of a stream that is not open: nothing happens.
            try client.client.cancel(stream)
            try client.expectNothing(on: stream)
        }

        private func receivers(_ client: TestClient) throws -> [ReceiverInfo] {
            let request = ListReceiversRequest(exchange: Array(client.exchange.utf8))
            guard case .listReceivers(let reply) = try client.call(.listReceivers(request)) else {
                throw Problem("ListReceivers was answered by something else")
            }
            return reply.receivers
        }
    }
}
