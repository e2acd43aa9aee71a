import DormouseClient
import Foundation
import Testing

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

extension Integration {
    /// Restarts that nobody notices: the service manager keeps the sockets.
    @Suite(.serialized)
    struct RestartTests {
        private static let restarts = 20

        /// What a subscription was given: positions may come again, but always with the same payload.
        private struct Received: Sendable {
            var payloads: [UInt64: String] = [:]
            var again = 0
        }

        @Test func twentyRestartsUnderLoadRefuseNobodyAndLoseNothing() async throws {
            let database = try Cluster.shared().makeDatabase()
            let manager = try ServiceManager()
            defer { manager.destroy() }
            let environment = ["DORMOUSE_DATABASE": database.conninfo]
            try manager.start(environment)
            try manager.waitUntilReady()
            let load = Load()
            defer { load.stop() }
            let callers = manager.uris.map { uri in
                Worker("caller of \(uri)") { try Self.call(uri, until: load) }
            }
            let client = try await Client.connect(
                manager.uris[0], options: ["producer": "publisher"])
            let received = Locked(Received())
            let subscriber = try await Self.subscribe(to: manager.uris[1], received)
            let publisher = Task { try await Self.publish(client, until: load) }
            nonisolated(unsafe) let shared = manager
            try await Self.besideTheTasks {
                try Self.restart(shared, environment) { received.current.payloads.count }
            }
            load.stop()
            let published = try await publisher.value
            let calls = try await Self.besideTheTasks {
                try eventually("all of \(published) events came", seconds: 60) {
                    received.current.payloads.count >= published
                }
                return try callers.map { try $0.join() }
            }
            subscriber.cancel()
            try await subscriber.value
            try await client.close()
            let result = received.current
            #expect(result.payloads.count == published && published > 0)
            for (index, position) in result.payloads.keys.sorted().enumerated() {
                #expect(result.payloads[position] == "\(index + 1)")
            }
            #expect(calls.allSatisfy { $0 > Self.restarts })
            print(
                "\(Self.restarts) restarts; \(published) events, \(result.again) of them again, "
                    + "\(calls) connections, none refused")
        }

        /// Between two restarts something new must have come.
        private static func restart(
            _ manager: ServiceManager, _ environment: [String: String], _ count: () -> Int
        ) throws {
            for restart in 1...Self.restarts {
                let seen = count()
                try eventually("something came after restart \(restart - 1)", seconds: 60) {
                    count() > seen
                }
                let child = try #require(manager.child)
                child.signal(SIGTERM)
                #expect(try child.wait() == .exit(0), "\(child.errors.suffix(500))")
                try manager.start(environment)
                try manager.waitUntilReady()
            }
        }

        /// On a thread of its own: what waits must not keep the tasks of the clients waiting.
        private static func besideTheTasks<Value: Sendable>(
            _ body: @escaping @Sendable () throws -> Value
        ) async throws -> Value {
            try await withCheckedThrowingContinuation { continuation in
                Thread.detachNewThread { continuation.resume(with: Result(catching: body)) }
            }
        }

        /// Connects all the time. How often.
        private static func call(_ uri: String, until load: Load) throws -> Int {
            var count = 0
            while !load.isStopped {
                let code = Sockets.knock(uri)
                guard code == 0 else {
                    throw Problem(
                        "connection \(count) to \(uri): \(String(cString: strerror(code)))")
                }
                count += 1
                usleep(2_000)
            }
            return count
        }

        /// Returns how many events were stored, each once.
        private static func publish(_ client: Client, until load: Load) async throws -> Int {
            var count = 0
            while !load.isStopped {
                let events = (1...10).map { Event(key: "load", "\(count + $0)") }
                try await client.publish(events)
                count += events.count
            }
            return count
        }

        private static func subscribe(
            to uri: String, _ received: Locked<Received>
        ) async throws -> Task<Void, any Error> {
            let client = try await Client.connect(uri)
            let subscription = client.subscribe("subscriber", from: .first)
            try await subscription.open()
            return Task {
                for try await delivery in subscription {
                    received.withLock { received in
                        for event in delivery.events {
                            let known = received.payloads.updateValue(
                                event.text, forKey: event.position)
                            if known != nil { received.again += 1 }
                        }
                    }
                    try await delivery.acknowledge()
                }
                await subscription.stop()
                try await client.close()
            }
        }
    }
}
