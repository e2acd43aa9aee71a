import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    @Suite(.serialized)
    struct PublishTests {
        @Test func aRequestsEventsAreConsecutiveAndInOrder() throws {
            let client = try SharedServer.connect()
            let first = try client.publish("a", "1", "2", "3")
            let second = try client.publish("b", "4")
            #expect(first == PublishReply(firstPosition: 1, lastPosition: 3, duplicates: 0))
            #expect(second == PublishReply(firstPosition: 4, lastPosition: 4, duplicates: 0))
        }

        @Test func manyRequestsMayBeUnderWayAndAreAnsweredInOrder() throws {
            let client = try SharedServer.connect()
            var streams: [StreamID] = []
            for number in 1...500 {
                let request = try client.publishRequest([Event("a", "\(number)")])
                streams.append(try client.client.sendRequest(request))
            }
            for (index, stream) in streams.enumerated() {
                let frame = try client.client.nextFrame(timeoutMilliseconds: 20_000)
                guard case .response(stream, .success(.publish(let reply)))? = frame else {
                    throw Problem(
                        "request \(index + 1) was answered by \(String(describing: frame))")
                }
                #expect(reply.firstPosition == UInt64(index + 1))
            }
        }

        @Test func aProducersRepetitionIsNotStoredTwice() throws {
            let client = try SharedServer.connect()
            let events = [Event("a", "1"), Event("a", "2")]
            #expect(try client.producer("p") == ProducerReply(sequence: 0, position: 0))
            #expect(try client.publish(events, producer: "p", sequence: 1).firstPosition == 1)
            let repeated = try client.publish(events, producer: "p", sequence: 1)
            #expect(repeated == PublishReply(firstPosition: 0, lastPosition: 2, duplicates: 2))
            client.close()

            let other = try SharedServer.connect(like: client)
            #expect(try other.producer("p") == ProducerReply(sequence: 2, position: 2))
            let partly = try other.publish(
                [Event("a", "2"), Event("a", "3")], producer: "p", sequence: 2)
            #expect(partly == PublishReply(firstPosition: 3, lastPosition: 3, duplicates: 1))
            // It may jump forward, and another producer has numbers of its own.
            _ = try other.publish([Event("a", "4")], producer: "p", sequence: 100)
            _ = try other.publish([Event("a", "5")], producer: "q", sequence: 1)
            #expect(try other.producer("p") == ProducerReply(sequence: 100, position: 4))
            let stream = try other.subscribe("all", from: .first)
            #expect(try other.payloads(5, on: stream) == ["1", "2", "3", "4", "5"])
        }

        @Test func sequenceZeroAndBadNamesAreRefused() throws {
            let client = try SharedServer.connect()
            let events = [Event("a", "1")]
            let zero = try client.publishRequest(events, producer: "p", sequence: 0)
            #expect(try client.failure(zero).code == .invalidArgument)
            let name = try client.publishRequest(events, producer: "a b", sequence: 1)
            #expect(try client.failure(name).code == .invalidArgument)
            #expect(try client.failure(client.publishRequest([])).code == .invalidArgument)
            client.exchange = "nowhere"
            #expect(try client.failure(client.publishRequest(events)).code == .notFound)
        }

        @Test func badEventsAreRefusedWhole() throws {
            let client = try SharedServer.connect()
            var long = Event("a", "")
            long.id = [UInt8](repeating: 1, count: Limits.eventIDBytesMax + 1)
            var many = Event("a", "")
            many.headers = (0...Limits.eventHeadersMax).map {
                Header(name: Array("h\($0)".utf8), value: [])
            }
            let keys = [
                "", ".", "a.", ".a", "a..b", "a b", "ü", "*", String(repeating: "k", count: 256),
            ]
            for bad in keys.map({ Event($0, "") }) + [long, many] {
                // Encoded past the checks that a careful client makes.
                var payload: [UInt8] = []
                PublishRequest(exchange: Array(client.exchange.utf8)).encode(
                    with: [Event("good", ""), bad], into: &payload)
                let raw = try RawConnection(SharedServer.server().address())
                try raw.sayHello()
                try raw.send(1, code: Wire.Method.publish.rawValue, stream: 2, payload: payload)
                let answer = try raw.next()
                #expect(answer.header.type == .response)
                #expect(answer.failure.code == .invalidArgument, "\(bad.key.text)")
            }
            #expect(try client.publish("good", "").firstPosition == 1)
        }

        @Test func theLargestEventFitsAndOneByteMoreDoesNot() throws {
            let client = try SharedServer.connect()
            let stream = try client.subscribe("large")
            let max = Limits().eventBytesMax
            // The size is that of the message: position and time, a key of one byte, the payload
            // with its tag and a length of three bytes.
            let fits = Event("a", String(repeating: "x", count: max - 18 - 3 - 4))
            #expect(try client.publish([fits]).firstPosition == 1)
            let payload = try client.events(1, on: stream)[0].payload
            #expect(payload == fits.payload)

            var more = fits
            more.payload.append(0)
            let failure = try client.failure(client.publishRequest([more]))
            #expect(failure.code == .invalidArgument)
            #expect(try client.publish("a", "after").firstPosition == 2)
        }

        @Test func noReplyIsSentWhereNoneIsWantedExceptAFailure() throws {
            let client = try SharedServer.connect()
            let stream = try client.subscribe("all")
            let quiet = try client.client.sendRequest(
                client.publishRequest([Event("a", "1")]), flags: FrameHeader.noReplyFlag)
            let failing = try client.client.sendRequest(
                client.publishRequest([]), flags: FrameHeader.noReplyFlag)
            #expect(try client.payloads(1, on: stream) == ["1"])
            guard case .failure(let failure) = try client.answer(to: failing) else {
                throw Problem("the failing request was answered by a success")
            }
            #expect(failure.code == .invalidArgument)
            try client.expectNothing(on: quiet)
            // Their numbers are free again.
            #expect(try client.publish("a", "2").firstPosition == 2)
        }

        @Test func aCancelledPublishIsAnsweredOnceAndStored() throws {
            let client = try SharedServer.connect()
            let stream = try client.subscribe("all")
            let publish = try client.client.sendRequest(client.publishRequest([Event("a", "1")]))
            try client.client.cancel(publish)
            switch try client.answer(to: publish) {
            case .success(.publish(let reply)): #expect(reply.firstPosition == 1)
            case .failure(let failure): #expect(failure.code == .cancelled)
            case .success(let other): throw Problem("answered by \(other)")
            }
            #expect(try client.payloads(1, on: stream) == ["1"])
            try client.expectNothing(on: publish)
        }

        @Test func timesNeverRunBackwards() throws {
            let client = try SharedServer.connect()
            for number in 0..<50 { try client.publish("a", "\(number)") }
            let stream = try client.subscribe("all", from: .first)
            let times = try client.events(50, on: stream).map(\.publishedAt)
            #expect(times == times.sorted())
        }
    }
}
