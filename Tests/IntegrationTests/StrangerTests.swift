import Core
import DormouseClient
import Foundation
import PlainClient
import Testing
import Wire

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

extension Integration {
    /// Limits that hold before anybody has said who he is. Each is reached while a well-behaved client works, which must
    /// not notice: its connection stays, its events come, and others like it can connect.
    @Suite(.serialized)
    struct StrangerTests {
        /// A well-behaved client: what it publishes comes back to it, in order.
        private struct Bystander {
            let client: TestClient
            let stream: StreamID
            let address: Address
            var count = 0

            init(_ server: Server) throws {
                self.address = try server.address()
                self.client = try TestClient(self.address, name: "bystander")
                var request = self.client.subscribeRequest("bystander")
                request.creditEvents = .max
                request.creditBytes = .max
                self.stream = try self.client.subscribe(request).stream
            }

            mutating func work(_ times: Int = 1) throws {
                for _ in 0..<times {
                    self.count += 1
                    try self.client.publish("calm", "\(self.count)")
                    let came = try self.client.payloads(1, on: self.stream)
                    guard came == ["\(self.count)"] else {
                        throw Problem("\(came) came in place of \(self.count)")
                    }
                }
            }

            /// Another one of its kind.
            func connectAnother() throws {
                let other = try TestClient(self.address)
                _ = try other.serverReply()
                other.close()
            }
        }

        /// So that what it does not read waits in the server, and not in the kernel.
        private func receiveLittle(_ connection: RawConnection) {
            var bytes: Int32 = 4_096
            setsockopt(
                connection.descriptor, SOL_SOCKET, SO_RCVBUF, &bytes,
                socklen_t(MemoryLayout<Int32>.size))
        }

        private func port(_ server: Server) throws -> Int {
            let text = try server.address().description.split(separator: ":").last ?? ""
            return try #require(Int(text))
        }

        @Test(arguments: [false, true])
        func fiveThousandSlowHandshakesHoldNothing(isTLS: Bool) throws {
            try #require(Strangers.allowDescriptors(5_000))
            let tls = try TLSServer(["--hello-ms", "3000"])
            defer { tls.destroy() }
            let server = tls.server
            let port = isTLS ? try tls.port() : try self.port(server)
            var bystander = try Bystander(server)
            try bystander.work(20)
            let idle = try server.memory()
            let strangers = Strangers()
            // The beginning of a hello, then byte by byte, from a hundred addresses.
            let first: [UInt8] = isTLS ? [22, 3, 1, 1, 0] : [0xD0]
            for number in 0..<5_000 {
                try strangers.connect(to: port, from: UInt8(number % 100 + 1), first)
                if number % 250 == 0 { try bystander.work() }
            }
            strangers.drip(isTLS ? 1 : 0x44)
            try bystander.work(5)
            try bystander.connectAnother()
            try eventually("at most 512 are left") { strangers.open <= 512 }
            let memory = try server.memory(peak: true)
            print("5000 slow handshakes: \((memory - idle) >> 20) MiB more, TLS: \(isTLS)")
            #expect(memory - idle < 64 << 20)
            // The deadline is for the whole, not for each byte.
            try eventually("none is left") {
                strangers.drip(isTLS ? 0 : 0x4F)
                return strangers.count == 0
            }
            try bystander.work(5)
            #expect(server.child.isRunning)
        }

        @Test func oneAddressHasItsPartOfTheNewcomersAndItsOldestGoes() throws {
            try withServer(["--newcomers-per-address", "8", "--hello-ms", "60000"]) { server, _ in
                let port = try self.port(server)
                let patient = Strangers()
                try patient.connect(to: port, from: 1)
                let greedy = Strangers()
                for _ in 0..<40 { try greedy.connect(to: port, from: 2) }
                try eventually("eight are left") { greedy.open == 8 }
                #expect(patient.open == 1)
                try server.waitForLog("has not said hello for a newer one")
                _ = try TestClient(server.address()).serverReply()
            }
        }

        @Test func aStormOfConnectionsIsWeathered() throws {
            try #require(Strangers.allowDescriptors(2_000))
            let tls = try TLSServer()
            defer { tls.destroy() }
            let server = tls.server
            var bystander = try Bystander(server)
            let ports = [try self.port(server), try tls.port()]
            let load = Load()
            let storm = Worker("storm") {
                var count = 0
                while !load.isStopped {
                    let wave = Strangers()
                    for number in 0..<200 {
                        // Half never speak; the others speak nonsense.
                        let bytes: [UInt8] = number % 2 == 0 ? [] : [22, 3, 1, 0, 2, 1, 0]
                        try wave.connect(
                            to: ports[number % 4 / 2], from: UInt8(number % 200 + 1), bytes)
                    }
                    count += wave.count
                }
                return count
            }
            for _ in 0..<20 {
                try bystander.work(20)
                try bystander.connectAnother()
                try storm.check()
            }
            let client = try BlockingClient(tls.uri())
            try client.close()
            load.stop()
            print("storm: \(try storm.join()) connections while 400 events went round")
            try bystander.work()
            // What they did is in the log, and has not filled it.
            #expect(server.child.errors.utf8.count < 4 << 20)
        }

        @Test func whenDescriptorsRunOutThoseWhoAreInGoOnAndOthersWait() throws {
            try withServer(["--newcomers-per-address", "200", "--hello-ms", "60000"]) { server, _ in
                var bystander = try Bystander(server)
                // The store has connected by then.
                try bystander.work()
                let open = try FileManager.default.contentsOfDirectory(
                    atPath: "/proc/\(server.child.process)/fd"
                ).count
                try Strangers.setDescriptorLimit(of: server.child.process, open + 20)
                let strangers = Strangers()
                let port = try self.port(server)
                for _ in 0..<60 { try strangers.connect(to: port) }
                try server.waitForLog("cannot accept connections")
                try bystander.work(50)
                // One more waits in the backlog, and is served as soon as there is room.
                let address = try server.address()
                let late = Worker("late") {
                    let client = try TestClient(address)
                    _ = try client.serverReply()
                }
                try bystander.work(50)
                try late.check()
                strangers.closeAll()
                try late.join()
                try server.waitForLog("accepting connections again")
                try bystander.connectAnother()
                try bystander.work()
            }
        }

        @Test func theStoreHasItsDescriptorsHoweverManyConnect() throws {
            let database = try Cluster.shared().makeDatabase()
            let server = try Server(
                starting: [
                    "--database", database.conninfo, "--newcomers-per-address", "200", "--hello-ms",
                    "60000",
                ], openFiles: 120)
            defer { server.destroy() }
            try server.waitUntilReady()
            try server.waitForLog("leaves room for fewer connections")
            var bystander = try Bystander(server)
            try bystander.work()
            let strangers = Strangers()
            let port = try self.port(server)
            for _ in 0..<200 { try strangers.connect(to: port) }
            // Half of the 56 places are for those who have said hello.
            try eventually("28 are left") { strangers.open == 28 }
            try database.query(
                """
                SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()
                """)
            // It connects anew; what was under way may have failed.
            try eventually("the store answers again") {
                do {
                    try bystander.client.publish("again", "1")
                    return true
                } catch is Failure {
                    return false
                }
            }
            try bystander.connectAnother()
            #expect(!server.child.errors.contains("cannot accept connections"))
        }

        @Test func whoAsksBeforeItsHelloAndDoesNotReadIsClosed() throws {
            try withServer(["--hello-ms", "60000"]) { server, _ in
                var bystander = try Bystander(server)
                let idle = try server.memory()
                let flooder = try RawConnection(server.address())
                try flooder.send(Preface.bytes)
                let pings = Array(
                    repeatElement(
                        RawConnection.frame(6, payload: [1, 2, 3, 4, 5, 6, 7, 8]), count: 50_000
                    )
                    .joined())
                // Returns when the server has closed.
                for _ in 0..<200 { try flooder.send(pings) }
                let farewell = try flooder.farewell()
                #expect(farewell.code == .resourceExhausted)
                #expect(try server.memory(peak: true) - idle < 32 << 20)
                try bystander.work()
            }
        }

        @Test func aFloodOfSubscriptionsAndAcknowledgementsDelaysNobodyForLong() throws {
            try withServer { server, database in
                var bystander = try Bystander(server)
                let address = try server.address()
                let load = Load()
                let flood = Worker("flood") {
                    let client = try RawConnection(address)
                    try client.sayHello()
                    var answers = 0
                    var round: UInt32 = 0
                    while !load.isStopped {
                        var bytes: [UInt8] = []
                        for place in 1...200 as ClosedRange<UInt32> {
                            let stream = StreamID(rawValue: 10 + round * 1_000 + place)
                            let subscribe = SubscribeRequest(
                                name: Array("flood-\(place % 20)".utf8))
                            FrameEncoder.append(.subscribe(subscribe), stream: stream, to: &bytes)
                            let acknowledge = AcknowledgeRequest(stream: stream.rawValue, upto: 1)
                            FrameEncoder.append(
                                .acknowledge(acknowledge),
                                stream: StreamID(rawValue: stream.rawValue + 500), to: &bytes)
                            FrameEncoder.append(.cancel, stream: stream, to: &bytes)
                        }
                        try client.send(bytes)
                        round += 1
                        while let frame = try? client.nextOrEnd(seconds: 0.01) {
                            answers += frame.header.type == .goAway ? 0 : 1
                            if frame.header.type == .goAway { return answers }
                        }
                    }
                    return answers
                }
                try bystander.work(100)
                try bystander.connectAnother()
                load.stop()
                let answers = try flood.join()
                print("flood of subscriptions: \(answers) answers while 100 events went round")
                #expect(answers > 0)
                // Changes were gathered: far fewer statements than requests.
                #expect(try database.number("SELECT count(*) FROM dormouse.subscriber") <= 21)
                try bystander.work()
            }
        }

        @Test func aReaderOfOneByteAtATimeIsPutToSleep() throws {
            try withServer(["--write-ms", "1500"]) { server, _ in
                var bystander = try Bystander(server)
                let slow = try RawConnection(server.address())
                self.receiveLittle(slow)
                try slow.sayHello()
                var request = SubscribeRequest(name: Array("slow".utf8))
                request.config = ReceiverConfigMessage(patterns: [Array("big".utf8)])
                request.creditEvents = .max
                request.creditBytes = .max
                try slow.send(.subscribe(request), stream: 2)
                #expect(try slow.next().header.type == .data)
                let payload = String(repeating: "x", count: 100_000)
                for _ in 0..<100 { try bystander.client.publish("big", payload) }
                // Its own subscription takes everything, so it gets these, too.
                _ = try bystander.client.events(100, on: bystander.stream)
                try eventually("the slow reader sleeps", seconds: 60) {
                    var byte: UInt8 = 0
                    _ = recv(slow.descriptor, &byte, 1, Int32(MSG_DONTWAIT))
                    try bystander.work()
                    return try bystander.client.subscription("slow").state == .sleeping
                }
                #expect(
                    try bystander.client.subscription("slow").reason.text.contains("took no bytes"))
            }
        }

        @Test func whatAllTogetherDoNotReadHasABound() throws {
            let flags = [
                "--write-ms", "60000", "--tail-bytes", "1000000", "--outbound-bytes", "4000000",
                "--outbound-total-bytes", "16000000", "--replay-bytes", "4194304",
            ]
            try withServer(flags) { server, _ in
                var bystander = try Bystander(server)
                // Every other event matches, and such small pieces are copied for each reader: what waits is memory of
                // its own.
                let payload = String(repeating: "x", count: 2_000)
                let events = (0..<400).map { Event($0 % 2 == 0 ? "big" : "other", payload) }
                for _ in 0..<40 {
                    try bystander.client.publish(events)
                    _ = try bystander.client.events(400, on: bystander.stream)
                }
                let idle = try server.memory()
                var stuck: [RawConnection] = []
                for number in 1...40 {
                    let reader = try RawConnection(server.address())
                    try reader.sayHello()
                    var request = SubscribeRequest(
                        name: Array("stuck-\(number)".utf8), start: .first)
                    request.creditEvents = .max
                    request.creditBytes = .max
                    try reader.send(.subscribe(request), stream: 2)
                    stuck.append(reader)
                    try bystander.work()
                }
                // Until they are sent nothing more.
                var sent: UInt64 = 0
                try eventually("nobody is sent more", seconds: 60) {
                    try bystander.work(20)
                    let now = try bystander.client.list(prefix: "stuck").subscriptions
                        .reduce(0) { $0 + $1.delivered }
                    defer { sent = now }
                    return now == sent
                }
                // Without the bound they hold 4 MB each.
                let memory = try server.memory(peak: true)
                print("40 stuck readers: \((memory - idle) >> 20) MiB more")
                #expect(memory - idle < 60 << 20)
                for reader in stuck { reader.close() }
                try bystander.work()
            }
        }
    }
}
