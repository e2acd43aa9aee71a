import Core
import DormouseClient
import PlainClient
import Testing
import Wire

extension Integration {
    /// Deliveries for clients that ask for `Feature.lz4Deliveries`.
    @Suite(.serialized)
    struct CompressionTests {
        private static let count = 500

        /// Much alike, as events of one kind are.
        private var documents: [Core.Event] {
            (0..<Self.count).map {
                Event(
                    "order.created", #"{"order":\#($0),"customer":"c\#($0 % 7)","currency":"EUR"}"#)
            }
        }

        /// The payload of the first delivery that has events, from the beginning of the exchange on.
        private func delivery(
            _ exchange: String, features: [UInt32], patterns: [String] = []
        ) throws -> [UInt8] {
            let connection = try RawConnection(try SharedServer.server().address())
            defer { connection.close() }
            try connection.send(Preface.bytes)
            try connection.send(Request.hello(HelloRequest(features: features)), stream: 1)
            let welcome = try connection.next()
            let reply = try welcome.payload.withUnsafeBytes {
                try Reply.decode(method: .hello, payload: $0, arena: Arena())
            }
            guard case .hello(let hello) = reply else { throw Problem("no welcome: \(reply)") }
            #expect(hello.features == features.filter { $0 == Feature.lz4Deliveries })
            let config = ReceiverConfigMessage(
                exchange: Array(exchange.utf8), patterns: patterns.map { Array($0.utf8) })
            try connection.send(
                Request.subscribe(SubscribeRequest(config: config, start: .first)), stream: 2)
            while true {
                let frame = try connection.next()
                let delivery = try frame.payload.withUnsafeBytes { try Delivery.decode($0) }
                if !delivery.events.isEmpty { return frame.payload }
            }
        }

        private func payloads(_ delivery: [UInt8]) throws -> [[UInt8]] {
            try delivery.withUnsafeBytes { try Delivery.decode($0) }.events.map(\.payload)
        }

        @Test func whoAsksGetsWholeChunksCompressed() throws {
            let client = try SharedServer.connect()
            let documents = self.documents
            try client.publish(documents)
            let plain = try self.delivery(client.exchange, features: [])
            // Unknown features are passed over.
            let packed = try self.delivery(client.exchange, features: [9, Feature.lz4Deliveries])
            #expect(try self.payloads(plain) == documents.map(\.payload))
            #expect(try self.payloads(packed) == documents.map(\.payload))
            #expect(packed.count < plain.count / 2, "\(packed.count) of \(plain.count) bytes")
            // The second one is sent what was compressed for the first.
            #expect(try self.delivery(client.exchange, features: [Feature.lz4Deliveries]) == packed)
        }

        @Test func whatDoesNotShrinkOrIsAPartGoesPlain() throws {
            let client = try SharedServer.connect()
            var random = SystemRandomNumberGenerator()
            // What is alike in all of them is less than the eighth by which a block has to shrink, whatever the numbers are.
            try client.publish(
                (0..<20).map { _ in
                    Event(key: Array("a".utf8), payload: (0..<600).map { _ in random.next() })
                })
            let plain = try self.delivery(client.exchange, features: [])
            #expect(try self.delivery(client.exchange, features: [Feature.lz4Deliveries]) == plain)

            let other = try SharedServer.connect()
            try other.publish(self.documents + [Event("order.paid", "1")])
            let all = try self.delivery(
                other.exchange, features: [Feature.lz4Deliveries], patterns: ["order.created"])
            #expect(try self.payloads(all) == self.documents.map(\.payload))
            #expect(all.withUnsafeBytes { (try? Delivery.summary($0))?.eventsCount } == Self.count)
        }

        @Test func theClientLibraryTakesThemApart() async throws {
            let name = "theClientLibraryTakesThemApart"
            let uri = try SharedServer.server().uri()
            let client = try await DormouseClient.Client.connect(
                uri, options: ["exchange": name, "compression": "yes"])
            try await client.createExchange(name)
            let texts = (0..<3_000).map { #"{"number":\#($0),"text":"the same in each of them"}"# }
            let events = texts.map { DormouseClient.Event(key: "a.b", $0) }
            // The first half is replayed, the second comes live.
            _ = try await client.publish(Array(events[..<1_500]))
            let subscription = client.subscribe("name", from: .first)
            try await subscription.open()
            _ = try await client.publish(Array(events[1_500...]))
            var received: [String] = []
            for try await delivery in subscription {
                received += delivery.events.map(\.text)
                try await delivery.acknowledge()
                if received.count >= texts.count { break }
            }
            #expect(received == texts)
            try await client.close()
        }
    }
}
