import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// Consumers that stop reading.
    @Suite(.serialized)
    struct SlowReaderTests {
        /// Subscribes with endless credit and never reads again.
        private func stuck(
            _ name: String, _ server: Server, _ mode: Acknowledgement = .manual
        ) throws -> RawConnection {
            let connection = try RawConnection(server.address())
            try connection.sayHello()
            var request = SubscribeRequest(name: Array(name.utf8), start: .first)
            request.creditEvents = .max
            request.creditBytes = .max
            request.acknowledgement = mode
            try connection.send(.subscribe(request), stream: 2)
            guard try connection.next().header.type == .data else {
                throw Problem("'\(name)' was not confirmed")
            }
            return connection
        }

        private func publish(megabytes: Int, _ client: TestClient) throws {
            let payload = String(repeating: "x", count: 100_000)
            let request = try client.publishRequest((1...10).map { _ in Event("a", payload) })
            var sent: [StreamID] = []
            for _ in 0..<megabytes {
                sent.append(try client.client.sendRequest(request))
                if sent.count == 4 { _ = try client.answer(to: sent.removeFirst()).get() }
            }
            for stream in sent { _ = try client.answer(to: stream).get() }
        }

        @Test func aReaderThatStopsIsPutToSleepAndLosesNothing() throws {
            try withServer(["--write-ms", "500"]) { server, _ in
                let client = try TestClient(server.address())
                let reader = try self.stuck("slow", server)
                try self.publish(megabytes: 30, client)
                try eventually("it sleeps") {
                    try client.subscription("slow").state == .sleeping
                }
                let entry = try client.subscription("slow")
                #expect(entry.position == 0)
                #expect(entry.reason.text.contains("it took no bytes for 500 ms"))
                try server.waitForLog("closing a connection that takes no bytes")
                reader.close()
                var request = client.subscribeRequest("slow")
                request.creditEvents = 1_000
                request.creditBytes = 1 << 30
                let stream = try client.subscribe(request).stream
                let events = try client.events(300, on: stream)
                #expect(events.map(\.position.rawValue) == Array(1...300))
            }
        }

        @Test func onSendConfirmsOnlyWhatTheSocketTook() throws {
            try withServer(["--write-ms", "500"]) { server, _ in
                let client = try TestClient(server.address())
                let reader = try self.stuck("slow", server, .onSend)
                try self.publish(megabytes: 30, client)
                try eventually("it sleeps") {
                    try client.subscription("slow").state == .sleeping
                }
                let position = try client.subscription("slow").position
                #expect((1..<300).contains(position))
                // All of that is still in the kernel, though the server has closed.
                var received: UInt64 = 0
                while received < position, let frame = try? reader.next(),
                    frame.header.type == .data
                {
                    received = try frame.payload.withUnsafeBytes { try Delivery.decode($0) }
                        .header.upto.rawValue
                }
                #expect(received >= position)
                reader.close()
                // The rest comes again.
                var request = client.subscribeRequest("slow")
                request.creditEvents = 1_000
                request.creditBytes = 1 << 30
                let stream = try client.subscribe(request).stream
                let events = try client.events(300 - Int(position), on: stream)
                #expect(events.map(\.position.rawValue) == Array(position + 1...300))
            }
        }

        @Test func memoryIsBoundedWhateverFlowsPastReadersThatAreStuck() throws {
            let flags = [
                "--write-ms", "60000", "--tail-bytes", "16000000", "--outbound-bytes", "4000000",
                "--replay-bytes", "16000000", "--publish-bytes", "8000000",
                "--pending-bytes", "16000000",
            ]
            try withServer(flags) { server, _ in
                let client = try TestClient(server.address())
                let idle = try server.memory()
                let readers = try (1...5).map { try self.stuck("stuck-\($0)", server) }
                try self.publish(megabytes: 200, client)
                let memory = try server.memory(peak: true)
                print(
                    "200 MB past 5 stuck readers: \(idle >> 20) MiB idle, \(memory >> 20) MiB peak")
                // Tail 16 MB, pages 16 MB, publishes 16 MB as requests, as chunks and on their way
                // to Postgres, what waits for each reader 4 MB.
                #expect(memory - idle < 160 << 20)
                for reader in readers { reader.close() }
                try eventually("all sleep") {
                    try client.list().subscriptions.allSatisfy { $0.state == .sleeping }
                }
                // Nothing was lost for them.
                var request = client.subscribeRequest("stuck-1")
                request.creditEvents = 10_000
                request.creditBytes = 1 << 30
                let stream = try client.subscribe(request).stream
                var count = 0
                while count < 2_000 { count += try client.delivery(on: stream).events.count }
                #expect(count == 2_000)
            }
        }

        @Test func answersThatNobodyReadsAreNotKept() throws {
            try withServer(["--write-ms", "1000", "--outbound-bytes", "2200000"]) { server, _ in
                let client = try TestClient(server.address())
                try client.publish("a", String(repeating: "x", count: 900_000))
                for number in 1...100 {
                    try client.subscribe("\(number)-" + String(repeating: "n", count: 120))
                }
                let idle = try server.memory(peak: true)
                // Asked for in one packet: 450 MB of pages, 12 MB of listings.
                var bytes: [UInt8] = []
                for stream in 2...1_000 as ClosedRange<UInt32> {
                    let request: Request =
                        stream % 2 == 0 ? .fetch(FetchRequest()) : .list(ListRequest())
                    FrameEncoder.append(request, stream: StreamID(rawValue: stream), to: &bytes)
                }
                let careless = try RawConnection(server.address())
                try careless.sayHello()
                try careless.send(bytes)
                try server.waitForLog("takes no bytes")
                let memory = try server.memory(peak: true)
                print("1000 answers that nobody reads: \((memory - idle) >> 20) MiB more")
                #expect(memory - idle < 30 << 20)
                // Who reads gets them all.
                let reader = try RawConnection(server.address())
                try reader.sayHello()
                try reader.send(bytes)
                var answered: Set<UInt32> = []
                while answered.count < 999 {
                    answered.insert(try reader.next().header.stream.rawValue)
                }
                #expect(answered == Set(2...1_000))
            }
        }
    }
}
