import Core
import PlainClient
import Testing
import Wire

/// The client against servers that do as they should, and as they should not.
@Suite(.timeLimit(.minutes(1)))
struct ClientTests {
    private func client(
        timeoutMilliseconds: Int = 10_000, _ script: @escaping @Sendable (FakeConnection) -> Void
    ) throws -> Client {
        let server = try FakeServer(script)
        return try Client(
            address: server.address, clientName: "test", timeoutMilliseconds: timeoutMilliseconds)
    }

    private func failure(of body: () throws -> Void) -> Failure? {
        do {
            try body()
            return nil
        } catch {
            return error as? Failure
        }
    }

    private func refusal(
        timeoutMilliseconds: Int = 10_000, _ script: @escaping @Sendable (FakeConnection) -> Void
    ) -> Failure? {
        self.failure {
            _ = try self.client(timeoutMilliseconds: timeoutMilliseconds, script)
        }
    }

    @Test func aWelcomeOpensTheConnection() throws {
        let client = try self.client { $0.welcome(frameBytesMax: 65_536) }
        #expect(client.welcome.server == Array("fake".utf8))
        #expect(client.eventBytesMax == 64_512)
        client.close()
        #expect(client.descriptor < 0)
    }

    @Test func aRefusedHelloIsThrownWithItsCode() {
        let failure = self.refusal { server in
            guard let stream = server.hello() else { return }
            server.send(
                Failure(.permissionDenied, "not you"), as: .response, on: stream)
        }
        #expect(failure == Failure(.permissionDenied, "not you"))
    }

    @Test func aGoAwayInsteadOfAWelcomeSaysWhy() {
        let failure = self.refusal { server in
            _ = server.hello()
            server.send(Failure(.draining, "going down"), as: .goAway)
        }
        #expect(failure == Failure(.draining, "going down"))
    }

    @Test func somethingThatIsNoDormouseServerIsCalledThat() {
        let failure = self.refusal { server in
            _ = server.hello()
            server.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        }
        #expect(failure?.code == .internal)
        #expect(failure?.message.contains("does not follow the protocol") == true)
    }

    @Test func aLyingLengthIsRefusedBeforeItsBytesCome() {
        let failure = self.refusal { server in
            _ = server.hello()
            server.send([0xFF, 0xFF, 0xFF, 0xFF, 2, 0, 0, 0, 0, 0, 0, 1])
            server.drain()
        }
        #expect(failure?.code == .internal)
        #expect(failure?.message.contains("4294967295") == true)
    }

    @Test func aServerThatClosesAtOnceIsUnavailable() {
        #expect(self.refusal { _ in }?.code == .unavailable)
    }

    @Test func aServerThatNeverAnswersRunsIntoTheTimeout() {
        let failure = self.refusal(timeoutMilliseconds: 30) { $0.drain() }
        #expect(failure?.code == .deadlineExceeded)
    }

    @Test func nobodyListeningIsUnavailable() throws {
        let failure = self.failure {
            _ = try Client(
                address: Address("unix:/nonexistent/dormouse.sock"), clientName: "test")
        }
        #expect(failure?.code == .unavailable)
        #expect(failure?.message.contains("No such file") == true)
    }

    @Test func aReplyOfGarbageIsAFailureAndFinal() throws {
        let client = try self.client { server in
            server.welcome()
            guard let (stream, _) = server.request() else { return }
            var bytes: [UInt8] = []
            FrameEncoder.append(.response, stream: stream, to: &bytes) {
                $0 += [0xFF, 0xFF, 0xFF]
            }
            server.send(bytes)
            server.drain()
        }
        let first = self.failure { _ = try client.call(.server(ServerRequest())) }
        #expect(first?.code == .internal)
        #expect(self.failure { _ = try client.call(.server(ServerRequest())) } == first)
    }

    @Test func anAnswerToNothingIsAFailure() throws {
        let client = try self.client { server in
            server.welcome()
            server.send(.grant(GrantReply()), on: StreamID(rawValue: 99))
            server.drain()
        }
        #expect(self.failure { _ = try client.nextFrame() }?.code == .internal)
    }

    @Test func framesOfOtherStreamsAreKeptInOrderDuringACall() throws {
        let client = try self.client { server in
            server.welcome()
            guard let (stream, _) = server.request() else { return }
            server.deliver(3, 3, on: stream)
            guard let (call, _) = server.request() else { return }
            server.deliver(3, 5, on: stream)
            server.send(Failure(.stopped, "enough"), as: .end, on: stream)
            server.send(.grant(GrantReply()), on: call)
            server.drain()
        }
        let stream = try client.sendRequest(.subscribe(SubscribeRequest()))
        #expect(try client.call(.grant(GrantRequest())) == .grant(GrantReply()))
        let first = DeliveryHeader(after: Position(3), upto: Position(3))
        let second = DeliveryHeader(after: Position(3), upto: Position(5))
        #expect(try client.nextFrame() == .data(stream, Delivery(header: first)))
        #expect(try client.nextFrame() == .data(stream, Delivery(header: second)))
        #expect(try client.nextFrame() == .end(stream, Failure(.stopped, "enough")))
        #expect(try client.nextFrame(timeoutMilliseconds: 0) == nil)
    }

    @Test(arguments: [(5, 6), (4, 3), (0, 9)])
    func aHoleOrARepetitionBetweenDeliveriesIsAFailure(after: UInt64, upto: UInt64) throws {
        let client = try self.client { server in
            server.welcome()
            guard let (stream, _) = server.request() else { return }
            server.deliver(2, 4, on: stream)
            server.deliver(after, upto, on: stream)
            server.drain()
        }
        _ = try client.sendRequest(.subscribe(SubscribeRequest()))
        _ = try client.nextFrame()
        let failure = self.failure { _ = try client.nextFrame() }
        #expect(failure?.code == .internal)
        #expect(failure?.message.contains("events may be missing") == true)
    }

    @Test func anEventOutsideItsRangeIsAFailure() throws {
        let client = try self.client { server in
            server.welcome()
            guard let (stream, _) = server.request() else { return }
            let header = DeliveryHeader(after: Position(2), upto: Position(4))
            let event = Event(position: Position(5), key: Array("k".utf8))
            server.deliver(Delivery(header: header, events: [event]), on: stream)
            server.drain()
        }
        _ = try client.sendRequest(.subscribe(SubscribeRequest()))
        #expect(self.failure { _ = try client.nextFrame() }?.code == .internal)
    }

    @Test func countingSkipsTheEventsAndStillChecksTheRanges() throws {
        let client = try self.client { server in
            server.welcome()
            guard let (stream, _) = server.request() else { return }
            let header = DeliveryHeader(after: Position(2), upto: Position(3))
            let event = Event(position: Position(3), key: Array("k".utf8))
            server.deliver(Delivery(header: header, events: [event]), on: stream)
            server.deliver(4, 4, on: stream)
            server.drain()
        }
        client.decodesEvents = false
        _ = try client.sendRequest(.subscribe(SubscribeRequest()))
        guard case .summary(_, let summary)? = try client.nextFrame() else {
            Issue.record("expected a summary")
            return
        }
        #expect(summary.eventsCount == 1)
        #expect(self.failure { _ = try client.nextFrame() }?.code == .internal)
    }

    @Test func aPingIsAnsweredWithItsPayload() throws {
        let client = try self.client { server in
            server.welcome()
            guard let (stream, _) = server.request() else { return }
            var ping: [UInt8] = []
            FrameEncoder.append(.ping, to: &ping) { $0 += [1, 2, 3] }
            server.send(ping)
            guard let (header, payload) = server.frame(), header.type == .pong,
                payload == [1, 2, 3]
            else { return }
            server.send(.grant(GrantReply()), on: stream)
            server.drain()
        }
        #expect(try client.call(.grant(GrantRequest())) == .grant(GrantReply()))
    }

    @Test func aServerThatFallsSilentIsGivenUpAfterAPing() throws {
        let client = try self.client { server in
            server.welcome(heartbeatMilliseconds: 10)
            server.drain()
        }
        let failure = self.failure { _ = try client.nextFrame() }
        #expect(failure?.code == .unavailable)
        #expect(failure?.message.contains("has said nothing") == true)
    }

    @Test func aRequestLargerThanAFrameIsNotSent() throws {
        let client = try self.client { server in
            server.welcome(frameBytesMax: 16_384)
            server.drain()
        }
        let request = Request.producer(
            ProducerRequest(producer: [UInt8](repeating: 65, count: 20_000)))
        #expect(self.failure { _ = try client.call(request) }?.code == .frameTooLarge)
        #expect(try client.nextFrame(timeoutMilliseconds: 0) == nil)
    }

    @Test func aLateAnswerToATimedOutCallIsDropped() throws {
        let client = try self.client { server in
            server.welcome()
            guard let (first, _) = server.request(), let (second, _) = server.request() else {
                return
            }
            server.send(.grant(GrantReply()), on: first)
            server.send(.pause(PauseReply()), on: second)
            server.drain()
        }
        client.timeoutMilliseconds = 1
        let failure = self.failure { _ = try client.call(.grant(GrantRequest())) }
        #expect(failure?.code == .deadlineExceeded)
        client.timeoutMilliseconds = 10_000
        #expect(try client.call(.pause(PauseRequest())) == .pause(PauseReply()))
    }

    @Test func creditIsCountedAsTheLogKeepsAnEvent() throws {
        let events = [
            Event(key: Array("k".utf8)),
            Event(
                key: Array("order.paid".utf8), payload: [UInt8](repeating: 1, count: 300),
                id: [1, 2], contentType: [3],
                headers: [Header(name: [1], value: []), Header(name: [1, 2], value: [7])]),
        ]
        for event in events {
            var encoded = EncodedEvents()
            try encoded.append(event, eventBytesMax: 1 << 20)
            #expect(encoded.largestMessageBytes == event.creditBytes)
        }
    }
}
