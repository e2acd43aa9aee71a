import Testing

@testable import Core

@Suite struct EncodedEventsTests {
    private static let rich = Event(
        key: bytes("a.b"), payload: [0, 1, 0xFF], id: bytes("id"), contentType: bytes("text"),
        headers: [
            Header(name: bytes("h"), value: bytes("v")), Header(name: bytes("e"), value: []),
        ])

    @Test func theBytesOfARecord() throws {
        let expected: [UInt8] =
            [0x7A, 47, 0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0x11, 0, 0, 0, 0, 0, 0, 0, 0]
            + [0x1A, 3] + bytes("a.b") + [0x22, 3, 0, 1, 0xFF] + [0x2A, 2] + bytes("id")
            + [0x32, 4] + bytes("text") + [0x3A, 6, 0x0A, 1] + bytes("h") + [0x12, 1] + bytes("v")
            + [0x3A, 3, 0x0A, 1] + bytes("e")
        let encoded = try encoded([Self.rich])
        #expect(encoded.bytes.count == expected.count)
        #expect(Array(encoded.bytes.dropFirst(2)) == Array(expected.dropFirst(2)))
        #expect(Int(encoded.bytes[1]) == expected.count - 2)
        #expect(encoded.largestMessageBytes == expected.count - 2)
    }

    @Test func emptyFieldsAreLeftOut() throws {
        #expect(try encoded([Event(key: bytes("k"))]).bytes.count == 2 + 18 + 3)
    }

    @Test func everySizeAroundALengthByteIsReadBack() throws {
        var all = EncodedEvents()
        let sizes = Array(90...140) + Array(16_330...16_420)
        for size in sizes {
            try all.append(
                Event(key: bytes("k"), payload: [UInt8](repeating: 7, count: size)),
                eventBytesMax: 1 << 20)
        }
        #expect(all.count == sizes.count && !all.isEmpty)
        var builder = ChunkBuilder(after: .origin, chunkBytesMax: 1 << 20)
        builder.append(all, skipping: 0, at: Timestamp(rawValue: 3))
        let chunks = builder.finish()
        for (chunk, first) in zip(chunks, chunks.map(\.first)) {
            let stored = try Chunk(first: first, count: chunk.count, block: chunk.block)
            #expect(stored.starts == chunk.starts)
        }
        let events = chunks.flatMap(\.events)
        #expect(events.map(\.payload.count) == sizes)
        #expect(events.map(\.position.rawValue) == Array(1...UInt64(sizes.count)))
        for chunk in chunks {
            for index in 0..<chunk.count {
                let size = chunk.events[index].payload.count
                #expect(chunk.messageBytes(index) == 18 + 3 + 1 + Varint.size(size) + size)
            }
        }
    }

    @Test func anEventThatIsWrongLeavesNothingBehind() throws {
        let long = { (count: Int) in [UInt8](repeating: 0x61, count: count) }
        let header = Header(name: bytes("h"), value: [])
        let wrong = [
            Event(key: []), Event(key: bytes("a..b")),
            Event(key: bytes("k"), id: long(65)), Event(key: bytes("k"), contentType: long(256)),
            Event(key: bytes("k"), headers: Array(repeating: header, count: 65)),
            Event(key: bytes("k"), headers: [header, Header(name: [], value: [])]),
            Event(key: bytes("k"), headers: [Header(name: long(256), value: [])]),
            Event(key: bytes("k"), payload: long(1_000)),
        ]
        var all = EncodedEvents()
        try all.append(Self.rich, eventBytesMax: 1_000)
        let before = all
        for event in wrong {
            let problem = failure { try all.append(event, eventBytesMax: 1_000) }
            #expect(problem?.code == .invalidArgument && all == before)
        }
    }

    @Test func theLimitsThemselvesAreAllowed() throws {
        let long = { (count: Int) in [UInt8](repeating: 0x61, count: count) }
        let header = Header(name: long(255), value: [])
        let most = Event(
            key: long(255), id: long(64), contentType: long(255),
            headers: Array(repeating: header, count: 64))
        var all = EncodedEvents()
        all.reserve(bytes: 1_000)
        try all.append(most, eventBytesMax: 1 << 20)
        let size = all.largestMessageBytes
        var exact = EncodedEvents()
        try exact.append(most, eventBytesMax: size)
        #expect(exact == all)
        #expect(failure { try exact.append(most, eventBytesMax: size - 1) } != nil)
    }

    @Test func theOverheadIsWhatItSays() throws {
        let event = Event(
            key: bytes("k"), payload: [UInt8](repeating: 7, count: 1 << 20), id: bytes("i"),
            contentType: bytes("t"))
        var all = EncodedEvents()
        try all.append(event, eventBytesMax: 2 << 20)
        let content = 1 + (1 << 20) + 1 + 1
        #expect(all.bytes.count - content <= EventRecord.overheadBytesMax)
    }
}
