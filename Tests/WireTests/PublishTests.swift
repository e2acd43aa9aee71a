import Core
import Testing
import Wire

@Suite struct PublishTests {
    @Test func eventsFromValuesAndEncodedEventsAreTheSameBytes() throws {
        let request = try Samples.publishRequest
        var head = request
        head.events = EncodedEvents()
        let encodedEvents = encoded { request.encode(into: &$0) }
        #expect(encoded { head.encode(with: Samples.events, into: &$0) } == encodedEvents)
    }

    @Test func theServersRecordsAreThoseOfTheLog() throws {
        let request = try Samples.publishRequest
        let payload = encoded { request.encode(into: &$0) }
        guard case .publish(let decoded) = try decodeRequest(.publish, payload) else {
            Issue.record("not a publish")
            return
        }
        #expect(decoded.events.bytes == request.events.bytes)
        #expect(decoded.events.starts == request.events.starts)
        #expect(decoded.events.bytes.first == EventRecord.tag)
        #expect(decoded.events.count == 3)
    }

    @Test func positionAndTimeInARequestAreIgnored() throws {
        let event: [UInt8] =
            [0x22, 21, 0x09, 9, 9, 9, 9, 9, 9, 9, 9, 0x11, 8, 8, 8, 8, 8, 8, 8, 8]
            + [0x1A, 1, 0x6B]
        var events = EncodedEvents()
        try events.append(Event(key: bytes("k")), eventBytesMax: eventBytesMax)
        #expect(
            try decodeRequest(.publish, event) == .publish(PublishRequest(events: events)))
    }

    /// However a client encodes an event, the log has it in one way.
    @Test(
        arguments: [
            // Key and payload: as short as can be, in another order, twice, with an empty field between.
            [0x1A, 1, 0x6B, 0x22, 1, 7], [0x22, 1, 7, 0x1A, 1, 0x6B],
            [0x1A, 1, 0x61, 0x1A, 1, 0x6B, 0x22, 1, 7], [0x1A, 1, 0x6B, 0x2A, 0, 0x22, 1, 7],
            // Lengths and tags that are longer than necessary.
            [0x1A, 0x81, 0, 0x6B, 0x22, 1, 7], [0x9A, 0, 1, 0x6B, 0x22, 1, 7],
            // Fields that this version does not know: a number, and bytes.
            [0x1A, 1, 0x6B, 0x22, 1, 7, 0x48, 5], [0x1A, 1, 0x6B, 0x22, 1, 7, 0x4A, 1, 0],
        ] as [[UInt8]])
    func everyEncodingOfAnEventBecomesTheSameRecord(event: [UInt8]) throws {
        var events = EncodedEvents()
        try events.append(Event(key: bytes("k"), payload: [7]), eventBytesMax: eventBytesMax)
        #expect(
            try decodeRequest(.publish, [0x22, UInt8(event.count)] + event)
                == .publish(PublishRequest(events: events)))
    }

    @Test func aHeaderWhoseValueComesFirstIsWrittenAnew() throws {
        var events = EncodedEvents()
        let header = Header(name: bytes("n"), value: bytes("v"))
        try events.append(
            Event(key: bytes("k"), headers: [header]), eventBytesMax: eventBytesMax)
        let event: [UInt8] = [0x1A, 1, 0x6B, 0x3A, 6, 0x12, 1, 0x76, 0x0A, 1, 0x6E]
        #expect(
            try decodeRequest(.publish, [0x22, UInt8(event.count)] + event)
                == .publish(PublishRequest(events: events)))
    }

    @Test func anEventThatBreaksARuleRefusesTheWholeRequest() throws {
        let tooManyHeaders = [Header](
            repeating: Header(name: [1], value: []), count: Limits.eventHeadersMax + 1)
        let bad = [
            Event(key: []), Event(key: bytes("a..b")), Event(key: .init(repeating: 97, count: 256)),
            Event(key: bytes("k"), id: .init(repeating: 1, count: 65)),
            Event(key: bytes("k"), contentType: .init(repeating: 1, count: 256)),
            Event(key: bytes("k"), headers: tooManyHeaders),
            Event(key: bytes("k"), headers: [Header(name: [], value: [1])]),
            Event(key: bytes("k"), payload: .init(repeating: 1, count: eventBytesMax)),
        ]
        for event in bad {
            let good = Event(key: bytes("good"))
            let payload = encoded {
                PublishRequest(producer: bytes("p"), sequence: 7)
                    .encode(with: [good, event, good], into: &$0)
            }
            guard case .publish(let publish) = try decodeRequest(.publish, payload) else {
                Issue.record("not a publish")
                return
            }
            #expect(publish.failure?.code == .invalidArgument)
            // Whose request it was is known all the same: the producer must be held there.
            #expect(publish.producer == bytes("p") && publish.sequence == 7)
        }
    }

    @Test func aFullFrameOfOrdinaryEventsFitsTheBudget() throws {
        let event = Event(key: bytes("order.created"), payload: .init(repeating: 5, count: 20))
        let payload = encoded {
            PublishRequest().encode(
                with: repeatElement(event, count: (1 << 20) / 39), into: &$0)
        }
        #expect(payload.count > 1 << 19 && payload.count <= 1 << 20)
        guard case .publish(let decoded) = try decodeRequest(.publish, payload) else {
            Issue.record("not a publish")
            return
        }
        #expect(decoded.events.count == (1 << 20) / 39)
    }

    @Test func aThousandSmallEventsFitTheBudget() throws {
        let event = Event(key: bytes("order.ok"), payload: bytes("01042042"))
        let payload = encoded {
            PublishRequest().encode(with: repeatElement(event, count: 1000), into: &$0)
        }
        guard case .publish(let decoded) = try decodeRequest(.publish, payload) else {
            Issue.record("not a publish")
            return
        }
        #expect(decoded.events.count == 1000)
    }
}
