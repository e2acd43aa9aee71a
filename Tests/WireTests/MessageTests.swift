import Core
import Testing
import Wire

@Suite struct MessageTests {
    @Test func everyRequestWithAllFieldsComesBack() throws {
        let requests = try Samples.requests
        #expect(requests.map(\.method) == Wire.Method.allCases)
        let arena = Arena()
        for request in requests {
            let payload = encoded { request.encode(into: &$0) }
            #expect(try decodeRequest(request.method, payload, arena: arena) == request)
        }
    }

    @Test func everyReplyWithAllFieldsComesBack() throws {
        let methods = Set(Samples.replies.map(\.0)).union([.subscribe])
        #expect(methods == Set(Wire.Method.allCases))
        let arena = Arena()
        for (method, reply) in Samples.replies {
            let payload = encoded { reply.encode(into: &$0) }
            #expect(try decodeReply(method, payload, arena: arena) == reply)
        }
    }

    @Test func aMessageOfDefaultsHasNoBytesAndComesBack() throws {
        #expect(Samples.defaultRequests.map(\.method) == Wire.Method.allCases)
        for request in Samples.defaultRequests {
            #expect(encoded { request.encode(into: &$0) }.isEmpty)
            #expect(try decodeRequest(request.method, []) == request)
        }
        for (method, reply) in Samples.defaultReplies {
            #expect(encoded { reply.encode(into: &$0) }.isEmpty)
            #expect(try decodeReply(method, []) == reply)
        }
    }

    @Test func theLargestNumbersComeBack() throws {
        let subscribe = Request.subscribe(
            SubscribeRequest(
                startValue: .max, creditEvents: .max, creditBytes: .max,
                acknowledgeWithinMilliseconds: .max, lastSeen: .max))
        let payload = encoded { subscribe.encode(into: &$0) }
        #expect(try decodeRequest(.subscribe, payload) == subscribe)
        let reply = Reply.publish(
            PublishReply(firstPosition: .max, lastPosition: .max, duplicates: .max))
        #expect(try decodeReply(.publish, encoded { reply.encode(into: &$0) }) == reply)
    }

    @Test func anUnknownEnumValueIsRefused() {
        let payloads: [(Wire.Method, [UInt8])] = [
            (.subscribe, [0x18, 5]),
            (.subscribe, [0x38, 2]),
            (.subscribe, [0x18, 0x80, 0x02]),
            (.subscribe, [0x18, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]),
            (.seek, [0x18, 0xFF, 0xFF, 0xFF, 0xFF, 0x07]),
            // config { headers { kind: 4 } }
            (.subscribe, [0x12, 4, 0x1A, 2, 0x10, 4]),
            (.fetch, [0x0A, 4, 0x1A, 2, 0x10, 4]),
        ]
        for (method, payload) in payloads {
            let failure = #expect(throws: Failure.self) { try decodeRequest(method, payload) }
            #expect(failure?.code == .invalidArgument)
        }
        #expect(throws: Failure.self) { try decodeReply(.list, [0x0A, 2, 0x20, 5]) }
    }

    @Test func aTruncatedMessageIsRefused() throws {
        for request in try Samples.requests {
            let payload = encoded { request.encode(into: &$0) }
            guard !payload.isEmpty else { continue }
            let failure = #expect(throws: Failure.self) {
                try decodeRequest(request.method, payload.dropLast())
            }
            #expect(failure?.code == .invalidArgument)
        }
    }

    @Test func unknownFieldsAreIgnored() throws {
        let payload = encoded { Request.subscribe(Samples.subscribe).encode(into: &$0) }
        // Field 200 as a varint, field 201 as bytes.
        let extra: [UInt8] = [0xC0, 0x0C, 0x07, 0xCA, 0x0C, 0x02, 0x01, 0x02]
        #expect(try decodeRequest(.subscribe, payload + extra) == .subscribe(Samples.subscribe))
        let delivery = encoded { Samples.delivery.encode(into: &$0) }
        #expect(try decodeReply(.fetch, delivery + extra) == .fetch(Samples.delivery))
    }

    @Test func numbersThatAreNotPackedAreReadToo() throws {
        #expect(
            try decodeRequest(.hello, [0x28, 1, 0x28, 0x96, 1])
                == .hello(HelloRequest(features: [1, 150])))
    }

    @Test func aSubscribeHasNoResponse() {
        #expect(throws: Failure.self) { try decodeReply(.subscribe, []) }
    }

    @Test func anArenaIsUsedAgainAndAgain() throws {
        let arena = Arena()
        let requests = try Samples.requests
        for _ in 0..<100 {
            for request in requests {
                let payload = encoded { request.encode(into: &$0) }
                #expect(try decodeRequest(request.method, payload, arena: arena) == request)
                _ = try? decodeRequest(request.method, [0xFF], arena: arena)
            }
        }
    }

    @Test func aCheckedConfigIsWhatWasSent() throws {
        let config = try Samples.config.checked()
        #expect(config.patterns.map(\.text) == ["order.*.paid", "refund.#"])
        #expect(config.headers.count == 2)
        #expect(try ReceiverConfigMessage(exchange: bytes("orders"), config).checked() == config)
        #expect(try ReceiverConfigMessage().checked() == .everything)
    }

    @Test func aConfigWithTooManyOrMalformedPartsIsRefused() {
        let many = [[UInt8]](repeating: bytes("a"), count: Limits.patternsMax + 1)
        let bad: [ReceiverConfigMessage] = [
            ReceiverConfigMessage(patterns: many),
            ReceiverConfigMessage(patterns: [bytes("a..b")]),
            ReceiverConfigMessage(patterns: [[0xFF]]),
            ReceiverConfigMessage(headers: [HeaderMatchMessage(name: [])]),
            ReceiverConfigMessage(
                headers: .init(repeating: HeaderMatchMessage(name: [1]), count: 17)),
        ]
        for message in bad {
            let failure = #expect(throws: Failure.self) { try message.checked() }
            #expect(failure?.code == .invalidArgument)
        }
    }
}
