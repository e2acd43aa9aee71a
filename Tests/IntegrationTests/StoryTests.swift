import Core
import Foundation
import Testing
import Wire

extension Integration {
    /// What the product is for, from the first publish to the return of a subscriber.
    @Suite(.serialized)
    struct StoryTests {
        @Test func aSubscriberSleepsWakesAndGetsWhatItMissed() throws {
            let client = try SharedServer.connect()
            let stream = try client.subscribe("billing", "order.*")
            #expect(try client.publish("order.paid", "1").firstPosition == 1)
            try client.publish("stock.counted", "2")
            try client.publish("order.sent", "3", "4")
            #expect(try client.payloads(3, on: stream) == ["1", "3", "4"])
            #expect(try client.acknowledge(4, on: stream) == 4)
            client.close()

            let other = try SharedServer.connect(like: client)
            try eventually("the subscriber sleeps") {
                try other.subscription("billing").state == .sleeping
            }
            #expect(try other.subscription("billing").reason.text.contains("connection closed"))
            try other.publish("order.paid", "5")
            try other.publish("stock.counted", "6")
            try other.publish("order.paid", "7")
            let waiting = try other.subscription("billing")
            #expect(waiting.position == 4)
            #expect(waiting.head == 7)
            #expect(waiting.oldestWaitingAt > 0)

            let (again, start) = try other.subscribe(other.subscribeRequest("billing", ["order.*"]))
            #expect(start == 4)
            #expect(try other.payloads(2, on: again) == ["5", "7"])
            try other.publish("order.paid", "8")
            let live = try other.delivery(on: again)
            #expect(live.events.map(\.text) == ["8"])
            #expect(live.header.after == Position(7))
            #expect(live.header.upto == Position(8))
            #expect(!live.header.redelivered)
            #expect(!live.header.replay)
            #expect(try other.subscription("billing").state == .live)
        }

        @Test func whatWasNotAcknowledgedComesAgainAndIsMarked() throws {
            let client = try SharedServer.connect()
            let stream = try client.subscribe("mail")
            try client.publish("a", "1", "2", "3")
            #expect(try client.events(3, on: stream).map(\.position.rawValue) == [1, 2, 3])
            try client.acknowledge(1, on: stream)
            client.close()

            let other = try SharedServer.connect(like: client)
            try eventually("the subscriber sleeps") {
                try other.subscription("mail").state == .sleeping
            }
            try other.publish("a", "4")
            let (again, start) = try other.subscribe(other.subscribeRequest("mail"))
            #expect(start == 1)
            var redelivered: [String] = []
            var fresh: [String] = []
            while redelivered.count + fresh.count < 3 {
                let delivery = try other.delivery(on: again)
                if delivery.header.redelivered {
                    redelivered += delivery.events.map(\.text)
                } else {
                    fresh += delivery.events.map(\.text)
                }
            }
            #expect(redelivered == ["2", "3"])
            #expect(fresh == ["4"])
        }

        @Test func headersChooseEventsToo() throws {
            let client = try SharedServer.connect()
            var request = client.subscribeRequest("north", ["order.#"])
            request.config.headers = [
                HeaderMatchMessage(
                    name: Array("region".utf8), kind: .prefix, value: Array("no".utf8)),
                HeaderMatchMessage(name: Array("test".utf8), kind: .absent),
            ]
            let stream = try client.subscribe(request).stream
            try client.publish([
                Event("order.paid", "none"),
                Event("order.paid", "north", headers: [("region", "north")]),
                Event("order.paid", "test", headers: [("region", "north"), ("test", "")]),
                Event("stock", "stock", headers: [("region", "north")]),
                Event("order.a.b.c", "norway", headers: [("region", "norway"), ("x", "y")]),
            ])
            #expect(try client.payloads(2, on: stream) == ["north", "norway"])
        }

        @Test func anEventComesAsItWasPublished() throws {
            let client = try SharedServer.connect()
            let stream = try client.subscribe("all")
            var event = Event("a.b", "", headers: [("traceparent", "00-1"), ("twice", "a")])
            event.payload = (0...255).map { UInt8($0) }
            event.id = [0, 255]
            event.contentType = Array("application/octet-stream".utf8)
            event.headers.append(Header(name: Array("twice".utf8), value: [0, 1]))
            event.position = Position(77)
            event.publishedAt = Timestamp(rawValue: 1)
            try client.publish([event])
            let got = try client.events(1, on: stream)[0]
            #expect(got.position == Position(1))
            #expect(abs(Double(got.publishedAt.rawValue) / 1e6 - Date().timeIntervalSince1970) < 60)
            event.position = got.position
            event.publishedAt = got.publishedAt
            #expect(got == event)
        }

        @Test func peopleSeeEventsAndSubscriptionsWithSQL() throws {
            let client = try SharedServer.connect()
            let database = try SharedServer.database()
            let stream = try client.subscribe("sql", "order.*")
            try client.publish([
                Event("order.paid", "{\"sum\": 12}", headers: [("region", "north")]),
                Event("stock", "not json"),
            ])
            _ = try client.events(1, on: stream)
            try client.acknowledge(1, on: stream)
            let events = try database.query(
                """
                SELECT position, key, payload_json->>'sum', headers->>'region',
                    convert_from(payload, 'UTF8')
                FROM dormouse.events WHERE exchange = '\(client.exchange)' ORDER BY position
                """)
            #expect(events == "1|order.paid|12|north|{\"sum\": 12}\n2|stock|||not json")
            try eventually("the position is stored") {
                try database.query(
                    """
                    SELECT name, position, head, lag, config->'patterns'
                    FROM dormouse.subscriptions WHERE exchange = '\(client.exchange)'
                    """) == "sql|1|2|1|[\"order.*\"]"
            }
        }

        @Test func aNameReturnsAfterARestartOfTheServer() throws {
            let folder = try Folder.make()
            defer {
                Postgres.destroy("\(folder)/postgres")
                Folder.remove(folder)
            }
            let first = try Server(["--data", folder])
            defer { first.destroy() }
            #expect(
                first.child.output.contains("psql -h '\(folder)/run' -p 5432 -U dormouse dormouse"))
            let client = try TestClient(first.address())
            let stream = try client.subscribe("worker")
            try client.publish("a", "1", "2")
            #expect(try client.payloads(2, on: stream) == ["1", "2"])
            try client.acknowledge(1, on: stream)
            #expect(try first.stop() == .exit(0))
            #expect(Postgres.postmaster("\(folder)/postgres") == nil)

            let second = try Server(["--data", folder])
            defer { second.destroy() }
            let other = try TestClient(second.address())
            let entry = try other.subscription("worker")
            #expect(entry.state == .sleeping)
            #expect(entry.position == 1)
            let again = try other.subscribe("worker")
            let delivery = try other.delivery(on: again)
            #expect(delivery.events.map(\.text) == ["2"])
            #expect(delivery.header.redelivered)
            #expect(delivery.header.replay)
            #expect(try other.publish("a", "3").firstPosition == 3)
            #expect(try other.payloads(1, on: again) == ["3"])
            #expect(try second.stop() == .exit(0))
        }
    }
}
