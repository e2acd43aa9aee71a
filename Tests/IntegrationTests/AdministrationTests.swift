import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    @Suite(.serialized)
    struct AdministrationTests {
        @Test func stopEndsTheStreamAndKeepsTheName() throws {
            let client = try SharedServer.connect()
            let stream = try client.subscribe("name")
            try client.publish("a", "1")
            _ = try client.events(1, on: stream)
            try client.acknowledge(1, on: stream)
            let other = try SharedServer.connect(like: client)
            #expect(try other.stop("name") == StopReply(wasAwake: true, position: 1))
            #expect(try client.end(of: stream).code == .stopped)
            #expect(try other.subscription("name").reason.text == "stopped by name")
            #expect(try other.stop("name") == StopReply(wasAwake: false, position: 1))
            let unknown = StopRequest(exchange: Array(client.exchange.utf8), name: Array("x".utf8))
            #expect(try other.failure(.stop(unknown)).code == .notFound)
            #expect(try client.subscribe(client.subscribeRequest("name")).start == 1)
        }

        @Test func seekMovesANameAndEndsItsConsumer() throws {
            let client = try SharedServer.connect()
            try client.publish("a", "1", "2", "3")
            let stream = try client.subscribe("name")
            var request = SeekRequest(
                exchange: Array(client.exchange.utf8), name: Array("name".utf8), start: .first)
            #expect(try seek(client, request) == SeekReply(position: 0, previous: 3))
            #expect(try client.end(of: stream).code == .aborted)
            #expect(try client.subscription("name").reason.text.contains("Seek"))
            request.start = .position
            request.startValue = 3
            #expect(try seek(client, request) == SeekReply(position: 2, previous: 0))
            request.startValue = 5
            #expect(try client.failure(.seek(request)).code == .outOfRange)
            let (again, start) = try client.subscribe(client.subscribeRequest("name"))
            #expect(start == 2)
            #expect(try client.payloads(1, on: again) == ["3"])
            request.name = Array("unknown".utf8)
            #expect(try client.failure(.seek(request)).code == .notFound)
        }

        @Test func aPausedSubscriberGetsNothingUntilItIsResumed() throws {
            let client = try SharedServer.connect()
            let stream = try client.subscribe("name")
            try pause(client, "name", seconds: 3600, reason: "maintenance")
            try client.publish("a", "1")
            try client.expectNothing(on: stream)
            let entry = try client.subscription("name")
            #expect(entry.state == .paused)
            #expect(entry.reason.text == "maintenance")
            #expect(entry.pausedUntil > entry.since + 3_500_000_000)
            // A consumer may come meanwhile.
            let other = try SharedServer.connect(like: client)
            let again = try other.subscribe("name")
            try other.expectNothing(on: again)
            try pause(client, "name", seconds: 0)
            #expect(try other.payloads(1, on: again) == ["1"])
        }

        @Test func aPauseEndsByItself() throws {
            let client = try SharedServer.connect()
            let stream = try client.subscribe("name")
            let until = try pause(client, "name", seconds: 1)
            try client.publish("a", "1")
            let state = try client.subscription("name").state
            // Not on a machine that was busy with something else all that time.
            if Date().timeIntervalSince1970 < until { #expect(state == .paused) }
            #expect(try client.payloads(1, on: stream) == ["1"])
            #expect(Date().timeIntervalSince1970 >= until)
            #expect(try client.subscription("name").pausedUntil == 0)
            try eventually("it is live") { try client.subscription("name").state == .live }
        }

        @Test func aPauseMayLastForEver() throws {
            let client = try SharedServer.connect()
            try client.subscribe("name")
            let request = PauseRequest(
                exchange: Array(client.exchange.utf8), name: Array("name".utf8), until: .max)
            _ = try client.call(.pause(request))
            #expect(try client.subscription("name").state == .paused)
            try pause(client, "name", seconds: 0)
            #expect(try client.subscription("name").state != .paused)
        }

        @Test func badPausesAreRefused() throws {
            let client = try SharedServer.connect()
            try client.subscribe("name")
            var request = PauseRequest(
                exchange: Array(client.exchange.utf8), name: Array("name".utf8), until: 1)
            #expect(try client.failure(.pause(request)).code == .invalidArgument)
            request.until = 0
            request.reason = [0xFF]
            #expect(try client.failure(.pause(request)).code == .invalidArgument)
            request.reason = [UInt8](repeating: 65, count: 257)
            #expect(try client.failure(.pause(request)).code == .invalidArgument)
            request.reason = []
            request.name = Array("unknown".utf8)
            #expect(try client.failure(.pause(request)).code == .notFound)
        }

        @Test func aPauseIsRememberedOverARestart() throws {
            try withServer { server, database in
                let client = try TestClient(server.address())
                try client.subscribe("name")
                try pause(client, "name", seconds: 3600, reason: "migration")
                try server.killAtOnce()
                let second = try Server(on: database)
                defer { second.destroy() }
                let other = try TestClient(second.address())
                let entry = try other.subscription("name")
                #expect(entry.state == .paused)
                #expect(entry.reason.text == "migration")
            }
        }

        @Test func forgetRemovesTheNameWithItsRow() throws {
            let client = try SharedServer.connect()
            let stream = try client.subscribe("name")
            #expect(try forget(client, "name"))
            #expect(try client.end(of: stream).code == .stopped)
            #expect(try !forget(client, "name"))
            #expect(try client.list().subscriptions.isEmpty)
            let rows = try SharedServer.database().number(
                "SELECT count(*) FROM dormouse.subscriptions WHERE exchange = '\(client.exchange)'")
            #expect(rows == 0)
            // Afterwards it is new.
            try client.publish("a", "1")
            #expect(try client.subscribe(client.subscribeRequest("name")).start == 1)
        }

        @Test func listPagesThroughNamesByPrefix() throws {
            let client = try SharedServer.connect()
            let names = (10..<35).map { "left-\($0)" }
            for name in names.shuffled() + ["lef", "right-1"] { try client.subscribe(name) }
            var found: [String] = []
            var token: [UInt8] = []
            var pages = 0
            repeat {
                let page = try client.list(prefix: "left-", pageSize: 10, token: token)
                found += page.subscriptions.map { $0.name.text }
                token = page.nextPageToken
                pages += 1
            } while !token.isEmpty && pages < 10
            #expect(found == names)
            #expect(pages == 3)
            #expect(try client.list().subscriptions.count == 27)
            #expect(try client.list(prefix: "none").subscriptions.isEmpty)
            // Tokens and prefixes are a peer's bytes.
            _ = try client.list(prefix: "", token: [0xFF, 0, 0xC3])
        }

        @Test func listShowsWhoIsConnected() throws {
            let client = try SharedServer.connect()
            try client.subscribe("name", "a.#")
            let entry = try client.subscription("name")
            #expect(entry.client.text == "test")
            #expect(entry.peer.text.hasPrefix("127.0.0.1:"))
            #expect(entry.principal.text == "anonymous")
            #expect(entry.exchange.text == client.exchange)
            #expect(entry.config.patterns.map(\.text) == ["a.#"])
        }

        @Test func exchangesAreSeparateLogs() throws {
            let client = try SharedServer.connect()
            let other = try SharedServer.connect()
            try client.publish("a", "1")
            #expect(try other.publish("a", "other").firstPosition == 1)
            try client.subscribe("name")
            try other.subscribe("name")
            let name = ExchangeRequest(name: Array(client.exchange.utf8))
            #expect(try client.failure(.createExchange(name)).code == .alreadyExists)
            let bad = ExchangeRequest(name: Array("a b".utf8))
            #expect(try client.failure(.createExchange(bad)).code == .invalidArgument)
            guard case .exchanges(let reply) = try client.call(.exchanges(ExchangesRequest()))
            else { throw Problem("Exchanges was answered by something else") }
            let info = reply.exchanges.first { $0.name.text == client.exchange }
            #expect(info?.head == 1)
            #expect(info?.subscribers == 1)
            #expect(info?.receivers == 1)
            #expect(reply.exchanges.contains { $0.name.text == "main" })
        }

        @Test func serverSaysHowItIs() throws {
            let client = try SharedServer.connect()
            try client.publish("a", "1")
            let reply = try client.serverReply()
            #expect(reply.server.text.hasPrefix("dormoused/"))
            #expect(reply.incarnation == client.client.welcome.incarnation)
            #expect(reply.incarnation.count == 16)
            #expect(reply.connections >= 1)
            #expect(reply.published >= 1)
            #expect(reply.storeAvailable)
        }

        // MARK: Helpers

        private func seek(_ client: TestClient, _ request: SeekRequest) throws -> SeekReply {
            guard case .seek(let reply) = try client.call(.seek(request)) else {
                throw Problem("Seek was answered by something else")
            }
            return reply
        }

        /// Seconds since 1970 of its end.
        @discardableResult
        private func pause(
            _ client: TestClient, _ name: String, seconds: Double, reason: String = ""
        ) throws -> Double {
            let until = UInt64((Date().timeIntervalSince1970 + seconds) * 1e6)
            _ = try client.call(
                .pause(
                    PauseRequest(
                        exchange: Array(client.exchange.utf8), name: Array(name.utf8),
                        until: seconds == 0 ? 0 : until, reason: Array(reason.utf8))))
            return Double(until) / 1e6
        }

        private func forget(_ client: TestClient, _ name: String) throws -> Bool {
            let request = ForgetRequest(
                exchange: Array(client.exchange.utf8), name: Array(name.utf8))
            guard case .forget(let reply) = try client.call(.forget(request)) else {
                throw Problem("Forget was answered by something else")
            }
            return reply.existed
        }
    }
}
