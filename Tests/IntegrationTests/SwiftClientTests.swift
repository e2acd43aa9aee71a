import DormouseClient
import Testing

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

extension Integration {
    /// `DormouseClient`, and the C library below it, against the real server.
    @Suite(.serialized)
    struct SwiftClientTests {
        /// A client of an exchange of its own.
        private func connect(
            _ exchange: String = #function, _ options: [String: String] = [:]
        ) async throws -> Client {
            let name = String(exchange.prefix { $0 != "(" })
            var options = options
            options["exchange"] = name
            let uri = try SharedServer.server().uri()
            let client = try await Client.connect(uri, options: options)
            let known = try await client.exchanges().map(\.name)
            if !known.contains(name) { try await client.createExchange(name) }
            return client
        }

        /// The payloads of the next events.
        private func take(_ count: Int, _ subscription: Subscription) async throws -> [String] {
            var texts: [String] = []
            for try await delivery in subscription {
                texts += delivery.events.map(\.text)
                if texts.count >= count { break }
            }
            return texts
        }

        @Test func whatIsPublishedArrives() async throws {
            let client = try await self.connect()
            let subscription = client.subscribe("name", Filter("order.*"))
            try await subscription.open()
            let event = Event(
                key: "order.created", payload: [0, 1, 2], id: [9], contentType: "application/x",
                headers: [.init("region", "eu")])
            let published = try await client.publish([event, Event(key: "other", "x")])
            #expect(published.first == 1 && published.last == 2 && published.duplicates == 0)
            for try await delivery in subscription {
                let received = try #require(delivery.events.first)
                #expect(received.position == 1 && received.publishedAt > 0)
                #expect(received.key == event.key && received.payload == event.payload)
                #expect(received.id == event.id && received.contentType == event.contentType)
                #expect(received.headers == event.headers)
                #expect(delivery.events.count == 1 && !delivery.isRedelivered)
                try await delivery.acknowledge()
                break
            }
            await subscription.stop()
            try await client.close()
        }

        @Test func whatWasNotAcknowledgedComesAgain() async throws {
            let client = try await self.connect()
            let first = client.subscribe("name", from: .first)
            try await first.open()
            for number in 1...5 { try await client.publish(Event(key: "a", "\(number)")) }
            var seen: [String] = []
            for try await delivery in first {
                seen += delivery.events.map(\.text)
                if seen.count >= 2 {
                    try await first.acknowledge(upto: 2)
                    break
                }
            }
            await first.stop()
            let second = client.subscribe("name")
            #expect(try await self.take(3, second) == ["3", "4", "5"])
            await second.stop()
            let info = try #require(try await client.subscribers().first)
            #expect(info.name == "name" && info.position == 2 && info.state == .sleeping)
            try await client.close()
        }

        @Test func cancellingTheTaskPutsToSleep() async throws {
            let client = try await self.connect()
            let subscription = client.subscribe("name")
            try await subscription.open()
            let task = Task {
                var count = 0
                for try await delivery in subscription { count += delivery.events.count }
                return count
            }
            try await client.publish(Event(key: "a", "1"))
            task.cancel()
            let count = try await task.value
            #expect(count <= 1)
            try await self.eventually { try await client.subscribers().first?.state == .sleeping }
            try await client.close()
        }

        @Test func aStopEndsTheLoopWithItsStatus() async throws {
            let client = try await self.connect()
            let subscription = client.subscribe("name")
            try await subscription.open()
            let other = try await self.connect()
            let stopped = try await other.stop("name")
            #expect(stopped.wasAwake)
            await #expect(throws: DormouseError.self) {
                _ = try await self.take(1, subscription)
            }
            do {
                _ = try await self.take(1, subscription)
            } catch let error as DormouseError {
                #expect(error.status == .stopped)
                #expect(!error.message.isEmpty)
            }
            try await other.close()
            try await client.close()
        }

        @Test func aBatchOfManyTasksIsStoredOnceEach() async throws {
            let client = try await self.connect(#function, ["producer": "tasks"])
            try await withThrowingTaskGroup(of: Published.self) { group in
                for number in 0..<2_000 {
                    group.addTask { try await client.publish(Event(key: "a", "\(number)")) }
                }
                var positions: Set<UInt64> = []
                for try await published in group { positions.insert(published.first) }
                #expect(positions == Set(1...2_000))
            }
            #expect(try await client.producer("tasks").sequence == 2_000)
            try await client.close()
        }

        @Test func administration() async throws {
            let client = try await self.connect()
            for number in 1...4 { try await client.publish(Event(key: "k.\(number)", "\(number)")) }
            let subscription = client.subscribe("one", Filter("k.#", headers: [.absent("x")]))
            try await subscription.open()
            #expect(try await client.receivers().map(\.filter.patterns) == [["k.#"]])
            #expect(try await client.receivers().map(\.filter.headers) == [[.absent("x")]])
            #expect(try await client.exchanges().map(\.name).contains("administration"))
            #expect(try await client.server().isStoreAvailable)
            #expect(await client.serverName.hasPrefix("dormoused/"))
            #expect(await client.incarnation.count == 16)
            try await client.pause("one", reason: "lunch")
            #expect(try await client.subscribers().map(\.reason) == ["lunch"])
            try await client.resume("one")
            #expect(try await client.seek("one", to: .first) == 0)
            let page = try await client.fetch(Filter("k.2", "k.4"), after: 0)
            #expect(page.events.map(\.text) == ["2", "4"] && page.head == 4)
            #expect(try await client.fetch(after: 4, wait: 150).events.isEmpty)
            #expect(try await client.forget("one"))
            #expect(try await client.forget("one") == false)
            await #expect(throws: DormouseError.self) { try await client.resume("one") }
            try await client.close()
        }

        @Test func whoCannotBeReachedIsNamed() async throws {
            do {
                _ = try await Client.connect("dormouse://127.0.0.1:1/main", timeout: 300)
                Issue.record("nobody listens on port 1")
            } catch {
                #expect(error.status == .timeout || error.status == .cannotConnect)
                #expect(error.message.contains("127.0.0.1"))
            }
            await #expect(throws: DormouseError.self) {
                _ = try await Client.connect("http://127.0.0.1")
            }
        }

        /// The server is killed and comes back; the loop and the publisher notice nothing.
        @Test func theStreamGoesOnAfterTheServerWasKilled() async throws {
            let folder = try Folder.make()
            defer {
                Postgres.destroy("\(folder)/postgres")
                Folder.remove(folder)
            }
            let flags = ["--data", folder, "--unix", "\(folder)/dormouse.sock"]
            var server = try Server(flags)
            defer { server.destroy() }
            let uri = "unix:\(folder)/dormouse.sock?producer=p&reconnect_max_ms=200"
            let client = try await Client.connect(uri)
            let subscription = client.subscribe("name", from: .first)
            try await subscription.open()
            let reader = Task { () async throws -> [String] in
                var texts: [String] = []
                for try await delivery in subscription {
                    texts += delivery.events.map(\.text)
                    try await delivery.acknowledge()
                    if texts.count >= 3_000 { break }
                }
                return texts
            }
            let writer = Task {
                for number in 1...3_000 { try await client.publish(Event(key: "a", "\(number)")) }
            }
            for _ in 1...3 {
                try await Task.sleep(for: .milliseconds(100))
                try server.killAtOnce()
                server.destroy()
                server = try Server(flags)
            }
            try await writer.value
            #expect(try await reader.value == (1...3_000).map { "\($0)" })
            #expect(await client.connections > 1)
            await subscription.stop()
            try await client.close()
            #expect(try server.stop() == .exit(0))
        }

        private func eventually(_ condition: () async throws -> Bool) async throws {
            let deadline = ContinuousClock.now + .seconds(20)
            while try await !condition() {
                guard ContinuousClock.now < deadline else {
                    Issue.record("it did not happen within 20 s")
                    return
                }
                try await Task.sleep(for: .milliseconds(10))
            }
        }
    }
}
