import DormouseClient
import Testing

extension Integration {
    /// `BlockingClient`: everything on the thread that calls.
    @Suite(.serialized)
    struct BlockingClientTests {
        /// A client of an exchange of its own.
        private func connect(
            _ exchange: String = #function, _ options: [String: String] = [:]
        ) throws -> BlockingClient {
            let name = String(exchange.prefix { $0 != "(" })
            let client = try BlockingClient(
                try SharedServer.server().uri(),
                options: options.merging(["exchange": name]) { $1 }, timeout: 20_000)
            try client.createExchange(name)
            return client
        }

        private func settle(_ client: BlockingClient) throws {
            while client.pendingEvents > 0 { try client.wait(milliseconds: 1000) }
        }

        /// The next so many events, copied.
        private func take(
            _ count: Int, _ subscription: BlockingSubscription, _ client: BlockingClient
        ) throws -> [Event] {
            var events: [Event] = []
            while events.count < count {
                let taken = try subscription.next { batch in
                    (0..<batch.count).map { batch[$0].copy() }
                }
                if let taken { events += taken } else { try client.wait(milliseconds: 1000) }
            }
            return events
        }

        @Test func aBatchIsStoredTogetherAndLentBack() throws {
            let client = try self.connect()
            var batch = PublishBatch()
            batch.append(
                key: Array("a.b".utf8), payload: [1, 2, 3], id: [9],
                contentType: Array("x/y".utf8),
                headers: [(name: Array("h".utf8), value: [7]), (name: Array("h".utf8), value: [])])
            batch.append(key: Array("c".utf8), payload: [])
            #expect(batch.count == 2 && batch.byteCount == 14)
            var answers: [Result<Published, DormouseError>] = []
            #expect(try client.publish(batch) { answers.append($0) })
            #expect(answers.isEmpty, "nothing is called before a later call of the client")
            try self.settle(client)
            let published = try #require(answers.first).get()
            #expect(answers.count == 1 && published.duplicates == 0)
            #expect(published.first == 1 && published.last == 2)
            batch.removeAll()
            #expect(batch.count == 0 && batch.byteCount == 0)
            let subscription = try client.subscribe(SubscribeOptions(from: .first))
            let events = try self.take(2, subscription, client)
            #expect(
                events.map(\.position) == [1, 2] && events.map(\.key) == ["a.b", "c"]
                    && events[0].payload == [1, 2, 3] && events[0].id == [9]
                    && events[0].contentType == "x/y")
            #expect(
                events[0].headers == [.init(name: "h", value: [7]), .init(name: "h", value: [])])
            var keys: [String] = []
            let page = try client.fetch(.everything, after: 0) { event in
                keys.append(String(decoding: event.key, as: UTF8.self))
                return true
            }
            #expect(keys == ["a.b", "c"] && page.upto == 2 && page.head == 2)
        }

        @Test func aFullWindowTakesNothingUntilItIsAnswered() throws {
            let client = try self.connect(#function, ["window_events": "1"])
            var batch = PublishBatch()
            batch.append(key: [0x61], payload: [])
            var answers = 0
            #expect(try client.publish(batch) { _ in answers += 1 })
            #expect(try !client.publish(batch) { _ in answers += 100 })
            try self.settle(client)
            #expect(answers == 1)
            #expect(try client.publish(batch) { _ in answers += 1 })
            try self.settle(client)
            #expect(answers == 2)
        }

        @Test func whatIsNoEventIsRefusedAtOnce() throws {
            let client = try self.connect()
            var batch = PublishBatch()
            batch.append(key: Array("a..b".utf8), payload: [])
            var answers = 0
            #expect {
                try client.publish(batch) { _ in answers += 1 }
            } throws: {
                ($0 as? DormouseError)?.status == .badArgument
            }
            #expect(answers == 0 && client.pendingEvents == 0)
        }

        @Test func aSubscriptionThatIsEndedSleepsWhereItWas() throws {
            let client = try self.connect()
            var batch = PublishBatch()
            for number in 1...3 { batch.append(key: [0x61], payload: [UInt8(number)]) }
            _ = try client.publish(batch) { _ in }
            try self.settle(client)
            let subscription = try client.subscribe(SubscribeOptions(name: "name", from: .first))
            #expect(try self.take(3, subscription, client).map(\.payload) == [[1], [2], [3]])
            try subscription.acknowledge(upto: 2)
            try subscription.end()
            // The answer to `end` came after it.
            let info = try client.subscribers().first
            #expect(info?.position == 2 && info?.state == .sleeping)
            #expect(throws: DormouseError.self) { try subscription.acknowledge(upto: 3) }
            let again = try client.subscribe(SubscribeOptions(name: "name"))
            #expect(try self.take(1, again, client).map(\.payload) == [[3]])
        }

        @Test func aNewerConsumerEndsASubscription() throws {
            let client = try self.connect()
            let other = try BlockingClient(
                try SharedServer.server().uri(),
                options: ["exchange": "aNewerConsumerEndsASubscription"])
            let subscription = try client.subscribe(SubscribeOptions(name: "name"))
            _ = try other.subscribe(SubscribeOptions(name: "name"))
            var status: DormouseError.Status?
            while status == nil {
                do throws(DormouseError) {
                    _ = try subscription.next { _ in }
                    try client.wait(milliseconds: 1000)
                } catch {
                    status = error.status
                }
            }
            #expect(status == .takenOver)
        }

        @Test func whoIsPatientWaitsForTheServer() throws {
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let uri = "unix:\(folder)/dormouse.sock"
            #expect {
                _ = try BlockingClient(uri)
            } throws: {
                ($0 as? DormouseError)?.status == .cannotConnect
            }
            let database = try Cluster.shared().makeDatabase()
            let server = try Server(
                starting: ["--database", database.conninfo, "--unix", "\(folder)/dormouse.sock"])
            defer { server.destroy() }
            let client = try BlockingClient(uri, timeout: 60_000, isPatient: true)
            #expect(client.isConnected && client.connections == 1)
            try client.close()
        }

        @Test func anAddressIsCheckedWithoutConnecting() throws {
            try BlockingClient.check("dormouse://127.0.0.1:1/main?reconnect=no")
            #expect {
                try BlockingClient.check("http://x")
            } throws: {
                ($0 as? DormouseError)?.status == .badArgument
            }
        }
    }
}
