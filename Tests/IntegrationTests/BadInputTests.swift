import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// What no client sends: a clear status, and nobody else notices.
    @Suite(.serialized)
    struct BadInputTests {
        private func connect(greeted: Bool = true) throws -> RawConnection {
            let connection = try RawConnection(SharedServer.server().address())
            if greeted { try connection.sayHello() }
            return connection
        }

        private func expectAlive() throws {
            let client = try SharedServer.connect()
            #expect(try client.publish("alive", "").firstPosition == 1)
        }

        @Test(arguments: [
            Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8),
            [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03],
            Array("hello, is there anybody?\r\n".utf8),
            [UInt8](repeating: 0, count: 64),
            [0xD0, 0x44, 0x4F, 0x52, 0x4D, 0x0D, 0x0A, 0x02],
            [0xD0, 0x44, 0x4F, 0x52, 0x4D, 0x0A, 0x01, 0x00],
        ])
        func aStrangersPrefaceIsAnsweredByAGoAway(bytes: [UInt8]) throws {
            let connection = try self.connect(greeted: false)
            try connection.send(bytes)
            let failure = try connection.farewell()
            #expect(failure.code == .invalidArgument)
            #expect(failure.message.contains("preface"))
            try self.expectAlive()
        }

        @Test func theLogSaysWhoTheStrangerSeemsToBe() throws {
            let http = try self.connect(greeted: false)
            try http.send(Array("POST /x HTTP/1.1\r\n".utf8))
            _ = try http.farewell()
            try SharedServer.server().waitForLog("an HTTP request")
            let tls = try self.connect(greeted: false)
            try tls.send([0x16, 0x03, 0x01, 0, 0])
            _ = try tls.farewell()
            try SharedServer.server().waitForLog("a TLS hello")
        }

        @Test func theFirstRequestMustBeHello() throws {
            let connection = try self.connect(greeted: false)
            try connection.send(Preface.bytes)
            try connection.send(.server(ServerRequest()), stream: 1)
            #expect(try connection.farewell().code == .failedPrecondition)
        }

        @Test func helloIsSaidOnce() throws {
            let connection = try self.connect()
            try connection.send(.hello(HelloRequest()), stream: 2)
            let answer = try connection.next()
            #expect(answer.header.stream.rawValue == 2)
            #expect(answer.failure.code == .failedPrecondition)
            try connection.send(.server(ServerRequest()), stream: 2)
            #expect(try connection.next().header.code == 0)
        }

        @Test func framesHaveALimitBeforeAndAfterTheHello() throws {
            let early = try self.connect(greeted: false)
            try early.send(Preface.bytes)
            try early.send(1, code: 1, stream: 1, length: UInt32(Limits.helloFrameBytesMax + 1))
            #expect(try early.farewell().code == .frameTooLarge)
            let late = try self.connect()
            try late.send(1, code: 10, stream: 2, length: UInt32(Limits().frameBytesMax + 1))
            #expect(try late.farewell().code == .frameTooLarge)
            let huge = try self.connect()
            try huge.send(1, code: 10, stream: 2, length: .max)
            #expect(try huge.farewell().code == .frameTooLarge)
            try self.expectAlive()
        }

        @Test func aGarbledPayloadIsRefusedAndTheConnectionGoesOn() throws {
            let connection = try self.connect()
            for method in Wire.Method.allCases where method != .hello {
                try connection.send(
                    1, code: method.rawValue, stream: 2, payload: [0x0A, 0xFF, 0xFF, 0xFF, 0x7F])
                let answer = try connection.next()
                #expect(answer.header.type == (method == .subscribe ? .end : .response))
                #expect(answer.failure.code == .invalidArgument, "\(method)")
            }
            try connection.send(.server(ServerRequest()), stream: 2)
            #expect(try connection.next().header.code == 0)
        }

        @Test func aGarbledHelloEndsTheConnection() throws {
            let connection = try self.connect(greeted: false)
            try connection.send(Preface.bytes)
            try connection.send(1, code: 1, stream: 1, payload: [0x0A, 0xFF, 0xFF])
            #expect(try connection.farewell().code == .invalidArgument)
        }

        @Test func anUnknownMethodIsRefusedAndTheConnectionGoesOn() throws {
            let connection = try self.connect()
            for code: UInt16 in [0, 2, 46, 255, .max] {
                try connection.send(1, code: code, stream: 2)
                #expect(try connection.next().failure.code == .unimplemented)
            }
            try connection.send(.server(ServerRequest()), stream: 2)
            #expect(try connection.next().header.code == 0)
        }

        @Test func unknownFrameTypesMayBeIgnoredOnlyWithBit7() throws {
            let connection = try self.connect()
            for type: UInt8 in [0x80, 0x81, 0xFF] {
                try connection.send(type, flags: 0xFF, code: 7, stream: 9, payload: [1, 2, 3])
            }
            try connection.send(.server(ServerRequest()), stream: 2)
            #expect(try connection.next().header.code == 0)
            for type: UInt8 in [0, 9, 0x7F] {
                let other = try self.connect()
                try other.send(type)
                #expect(try other.farewell().code == .unimplemented)
            }
        }

        @Test func framesThatOnlyServersSendEndTheConnection() throws {
            for type: UInt8 in [2, 3, 4, 8] {
                let connection = try self.connect()
                try connection.send(type, stream: 1)
                #expect(try connection.farewell().code == .invalidArgument)
            }
        }

        @Test func streamZeroAndStreamsInUseEndTheConnection() throws {
            let zero = try self.connect()
            try zero.send(.server(ServerRequest()), stream: 0)
            #expect(try zero.farewell().code == .invalidArgument)
            let twice = try self.connect()
            try twice.send(.fetch(FetchRequest(waitMilliseconds: 60_000)), stream: 7)
            try twice.send(.fetch(FetchRequest(waitMilliseconds: 60_000)), stream: 7)
            #expect(try twice.farewell().code == .invalidArgument)
            try self.expectAlive()
        }

        @Test func pingsAreEchoedUpToEightBytes() throws {
            let connection = try self.connect()
            for payload in [[], [1], [1, 2, 3, 4, 5, 6, 7, 8]] as [[UInt8]] {
                try connection.send(6, payload: payload)
                let pong = try connection.next()
                #expect(pong.header.type == .pong)
                #expect(pong.payload == payload)
            }
            try connection.send(7, payload: [1, 2, 3])
            try connection.send(6, payload: [UInt8](repeating: 0, count: 9))
            #expect(try connection.farewell().code == .invalidArgument)
        }

        @Test func cancelOfWhatIsNotThereChangesNothing() throws {
            let connection = try self.connect()
            for stream: UInt32 in [0, 1, 99, .max] { try connection.send(5, stream: stream) }
            try connection.send(.server(ServerRequest()), stream: 2)
            #expect(try connection.next().header.stream.rawValue == 2)
        }

        @Test func bytesMayComeOneByOne() throws {
            let connection = try self.connect(greeted: false)
            var bytes = Preface.bytes
            FrameEncoder.append(
                .hello(HelloRequest(client: [65])), stream: StreamID(rawValue: 1), to: &bytes)
            for byte in bytes { try connection.send([byte]) }
            #expect(try connection.next().header.code == 0)
        }

        @Test func whoDoesNotSayHelloInTimeIsClosed() throws {
            try withServer(["--hello-ms", "1000"]) { server, _ in
                let silent = try RawConnection(server.address())
                let half = try RawConnection(server.address())
                try half.send(Array(Preface.bytes.prefix(4)))
                let preface = try RawConnection(server.address())
                try preface.send(Preface.bytes)
                let begun = try RawConnection(server.address())
                try begun.send(Preface.bytes + [0, 0, 0, 9, 1])
                for connection in [silent, half, preface, begun] {
                    while try connection.nextOrEnd() != nil {}
                }
                _ = try TestClient(server.address()).serverReply()
            }
        }

        @Test func aSilentPeerIsClosedAfterItsHeartbeats() throws {
            try withServer(["--heartbeat-ms", "1000"]) { server, _ in
                let silent = try RawConnection(server.address())
                try silent.sayHello()
                let request = SubscribeRequest(name: Array("silent".utf8))
                try silent.send(.subscribe(request), stream: 2)
                #expect(try silent.next().header.type == .data)
                // This one answers PINGs while it waits, for longer than the silent one may live.
                let alive = try TestClient(server.address())
                #expect(alive.client.welcome.heartbeatMilliseconds == 1_000)
                try eventually("the silent one is sent away") {
                    _ = try alive.client.nextFrame(timeoutMilliseconds: 100)
                    return try TestClient(server.address()).subscription("silent").state
                        == .sleeping
                }
                let entry = try alive.subscription("silent")
                #expect(entry.reason.text.contains("connection closed"))
                while try silent.nextOrEnd() != nil {}
            }
        }

        @Test func tooManyConnectionsAndSubscriptionsAreRefused() throws {
            try withServer(["--connections", "3", "--streams", "2"]) { server, _ in
                let client = try TestClient(server.address())
                try client.subscribe("one")
                try client.subscribe("two")
                let third = try client.client.sendRequest(
                    .subscribe(client.subscribeRequest("three")))
                #expect(try client.end(of: third).code == .resourceExhausted)
                let others = try (1...2).map { _ in try TestClient(server.address()) }
                #expect(throws: Failure.self) { try TestClient(server.address()) }
                others[0].close()
                try eventually("there is room for another connection") {
                    do {
                        _ = try TestClient(server.address()).serverReply()
                        return true
                    } catch is Failure {
                        return false
                    }
                }
            }
        }
    }
}
