import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// What is in Postgres is there again after a start.
    @Suite(.serialized)
    struct RestoreTests {
        @Test func aHundredThousandSleepingSubscribersAreRestored() throws {
            let database = try Cluster.shared().makeDatabase()
            let empty = try Server(on: database)
            defer { empty.destroy() }
            let idle = try empty.memory()
            let publisher = try TestClient(empty.address())
            try publisher.publish("a.1", "1", "2", "3")
            #expect(try empty.stop() == .exit(0))

            let count = 100_000
            let config = try ReceiverConfig(patterns: [KeyPattern("a.#")], headers: [])
            let key = config.canonicalBytes.map { String(format: "%02x", $0) }.joined()
            try database.query(
                """
                INSERT INTO dormouse.receiver (exchange_id, receiver_id, config, config_key)
                VALUES (1, 1000, '{}', '\\x\(key)');
                INSERT INTO dormouse.subscriber
                    (exchange_id, name, receiver_id, position, session_epoch)
                SELECT 1, 'subscriber-' || n, 1000, n % 4, 1 FROM generate_series(1, \(count)) n
                """)
            let begin = uptime
            let server = try Server(on: database)
            defer { server.destroy() }
            let seconds = uptime - begin
            let each = (try server.memory() - idle) / count
            print(
                "\(count) sleeping subscribers: ready after \(String(format: "%.2f", seconds)) s, "
                    + "\(each) bytes of memory each")
            #expect(seconds < 15)
            #expect(each < 2_000)

            let client = try TestClient(server.address())
            let (stream, start) = try client.subscribe(
                client.subscribeRequest("subscriber-54321", ["a.#"]))
            #expect(start == 1)
            #expect(try client.payloads(2, on: stream) == ["2", "3"])
            try client.publish("a.2", "4")
            #expect(try client.payloads(1, on: stream) == ["4"])
            #expect(try client.list(prefix: "subscriber-9999").subscriptions.count == 11)
            guard
                case .listReceivers(let reply) = try client.call(
                    .listReceivers(ListReceiversRequest()))
            else { throw Problem("ListReceivers was answered by something else") }
            #expect(reply.receivers.map(\.sleeping) == [UInt32(count - 1)])
            #expect(reply.receivers.map(\.awake) == [1])
        }

        /// Of chunks whose keys do not match, nothing is read: here, nothing could be.
        @Test func aFilteredReplayReadsNoChunkThatCannotMatch() throws {
            let database = try Cluster.shared().makeDatabase()
            let flags = ["--merge-ms", "0"]
            let first = try Server(on: database, flags)
            defer { first.destroy() }
            let publisher = try TestClient(first.address())
            for number in 1...600 {
                let isRare = number == 7 || number == 400 || number == 401
                // Larger than a page: what follows is not read with it.
                try publisher.publish(
                    isRare ? "rare.\(number)" : "often.\(number)",
                    String(repeating: "x", count: 1_100))
            }
            #expect(try first.stop() == .exit(0))
            try database.query(
                """
                UPDATE dormouse.chunk SET data = 'gone'
                WHERE NOT EXISTS (SELECT FROM unnest(keys) AS k (key) WHERE key LIKE 'rare.%')
                """)
            let server = try Server(on: database, flags + ["--page-bytes", "1024"])
            defer { server.destroy() }
            let client = try TestClient(server.address())
            var request = client.subscribeRequest("name", ["rare.*", "none"])
            request.start = .first
            let (stream, _) = try client.subscribe(request)
            let keys = try client.events(3, on: stream).map {
                String(decoding: $0.key, as: UTF8.self)
            }
            #expect(keys == ["rare.7", "rare.400", "rare.401"])
            let everything = try client.subscribe("other", from: .first)
            #expect(throws: Failure.self) { try client.delivery(on: everything) }
        }

        @Test func anExchangeTellsTheSizeOfItsLog() throws {
            let database = try Cluster.shared().makeDatabase()
            let stored = "SELECT sum(octet_length(data)) FROM dormouse.chunk"
            var first = 1
            // Its events are in the tail, or were there before the start.
            for flags in [["--tail-bytes", "0"], [], []] {
                let server = try Server(on: database, flags)
                defer { server.destroy() }
                let client = try TestClient(server.address())
                for text in first..<first + 5 { try client.publish("a", "event \(text)") }
                first += 5
                guard case .exchanges(let reply) = try client.call(.exchanges(ExchangesRequest()))
                else { throw Problem("Exchanges was answered by something else") }
                #expect(Int(reply.exchanges[0].bytes) == (try database.number(stored)))
                #expect(try server.stop() == .exit(0))
            }
        }

        @Test func aThousandOfThemMayWakeOnOneConnection() throws {
            try withServer { server, _ in
                let client = try TestClient(server.address())
                var streams: [StreamID] = []
                for number in 1...1_000 {
                    streams.append(
                        try client.client.sendRequest(
                            .subscribe(client.subscribeRequest("name-\(number)", ["a"]))))
                }
                for stream in streams { _ = try client.delivery(on: stream) }
                try client.publish("a", "everybody")
                for stream in streams {
                    #expect(try client.payloads(1, on: stream) == ["everybody"])
                }
            }
        }

        @Test func chunksAreMergedWhileTheyAreReplayed() throws {
            let flags = ["--merge-ms", "100", "--tail-bytes", "0", "--replay-bytes", "4194304"]
            try withServer(flags) { server, database in
                let load = Load()
                let publisher = LoadPublisher(
                    name: "one", address: try server.address(), load: load, window: 1, batch: 2
                ).start()
                let client = try TestClient(server.address())
                var replays = 0
                var last = 0
                let begin = uptime
                while uptime - begin < 4 || replays < 3 {
                    try publisher.check()
                    let head = Int(try self.head(client))
                    var request = client.subscribeRequest("replay-\(replays)", ["load.one.#"])
                    request.start = .first
                    request.creditEvents = 10_000_000
                    let stream = try client.subscribe(request).stream
                    var expected = 1
                    while expected <= head {
                        for event in try client.delivery(on: stream).events {
                            guard event.text == "one:\(expected):" else {
                                throw Problem("expected \(expected), got \(event.text)")
                            }
                            expected += 1
                        }
                    }
                    try client.client.cancel(stream)
                    _ = try client.end(of: stream)
                    replays += 1
                    last = head
                }
                load.stop()
                let summary = try publisher.join()
                let check = try LogCheck(database)
                try check.expect(summary, of: "one")
                try eventually("small chunks are merged") {
                    try database.number("SELECT count(*) FROM dormouse.chunk") < 50
                }
                try LogCheck(database).expect(summary, of: "one")
                print("\(replays) replays of up to \(last) events while chunks were merged")
            }
        }

        private func head(_ client: TestClient) throws -> UInt64 {
            guard case .exchanges(let reply) = try client.call(.exchanges(ExchangesRequest()))
            else { throw Problem("Exchanges was answered by something else") }
            return reply.exchanges.first?.head ?? 0
        }
    }
}
