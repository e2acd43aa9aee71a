import Testing

@testable import Core

@Suite struct ChunkTests {
    private static let events = [
        Event(key: bytes("a.b"), payload: bytes("one")),
        Event(key: bytes("c"), id: bytes("two"), headers: [Header(name: bytes("h"), value: [9])]),
        Event(key: bytes("d"), payload: [UInt8](repeating: 1, count: 300)),
    ]

    @Test func sealedEventsCarryPositionAndTime() throws {
        let chunk = try chunk(Self.events, first: 41, time: 7)
        var expected = Self.events
        for index in expected.indices {
            expected[index].position = Position(41 + UInt64(index))
            expected[index].publishedAt = Timestamp(rawValue: 7)
        }
        #expect(chunk.events == expected)
        #expect(chunk.first == Position(41) && chunk.last == Position(43) && chunk.count == 3)
        #expect(chunk.bytesCount == chunk.block.count)
    }

    @Test func partsAreFoundWithoutDecoding() throws {
        let chunk = try chunk(Self.events, first: 41, time: 7)
        for (index, event) in Self.events.enumerated() {
            #expect(chunk.withKey(at: index) { Array($0) } == event.key)
            #expect(chunk.headers(at: index) == event.headers)
            #expect(chunk.time(at: index) == Timestamp(rawValue: 7))
            #expect(chunk.position(at: index) == Position(41 + UInt64(index)))
        }
        #expect(chunk.recordRange(0).lowerBound == 0)
        #expect(chunk.recordRange(2).upperBound == chunk.bytesCount)
    }

    @Test(arguments: [0, 90, 100, 200, 16_350, 16_400])
    func theCostIsThatOfAllMessages(payloadBytes: Int) throws {
        let payload = [UInt8](repeating: 1, count: payloadBytes)
        var builder = ChunkBuilder(after: .origin, chunkBytesMax: 100_000)
        for count in [3, 1, 40] {
            let events = (0..<count).map { _ in Event(key: bytes("a"), payload: payload) }
            builder.append(try encoded(events), skipping: 0, at: .zero)
        }
        for made in builder.finish() {
            let read = try Chunk(first: made.first, count: made.count, block: made.block)
            let cost = (0..<made.count).reduce(0) { $0 + made.messageBytes($1) }
            #expect(made.cost == cost && read.cost == cost)
            let portion = Portion(
                of: made, after: made.first.previous, upto: made.last, matches: .all,
                allowance: .init(events: 1_000, cost: 1 << 20, frameBytes: 1 << 20))
            #expect(portion.cost == cost && portion.bytes == made.bytesCount)
        }
    }

    @Test func theIndexAfterAPosition() throws {
        let chunk = try chunk(Self.events, first: 41)
        let indices = [39, 40, 41, 42, 43, 44].map { chunk.index(after: Position($0)) }
        #expect(indices == [0, 0, 1, 2, 3, 3])
    }

    @Test func aStoredChunkIsReadBack() throws {
        var builder = ChunkBuilder(after: Position(9), chunkBytesMax: 1 << 20)
        builder.append(try encoded(Self.events), skipping: 1, at: Timestamp(rawValue: 5))
        builder.append(try encoded(Self.events), skipping: 0, at: Timestamp(rawValue: 8))
        let made = try #require(builder.finish().first)
        let read = try Chunk(first: Position(10), count: 5, block: made.block)
        #expect(read.starts == made.starts && read.last == made.last && made.last == Position(14))
        #expect(read.firstAt == Timestamp(rawValue: 5) && read.lastAt == Timestamp(rawValue: 8))
        #expect(made.firstAt == read.firstAt && made.lastAt == read.lastAt)
    }

    @Test func theBuilderCutsAtTheTargetAndKeepsAnOversizeEventAlone() throws {
        let record = try encoded("a").bytes.count
        var builder = ChunkBuilder(after: .origin, chunkBytesMax: 2 * record)
        builder.append(try encoded("a", "b", "c"), skipping: 0, at: .zero)
        builder.append(try encoded(String(repeating: "x", count: 999), "d"), skipping: 0, at: .zero)
        let chunks = builder.finish()
        #expect(chunks.map(\.count) == [2, 1, 1, 1])
        #expect(chunks.map(\.first.rawValue) == [1, 3, 4, 5])
        #expect(chunks.map(\.last.rawValue) == [2, 3, 4, 5])
        for chunk in chunks {
            #expect(
                failure {
                    _ = try Chunk(first: chunk.first, count: chunk.count, block: chunk.block)
                } == nil)
        }
    }

    @Test(arguments: seeds(50))
    func theDistinctKeysOfAChunk(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let distinct = Int.random(in: 1...2 * Chunk.distinctKeysMax, using: &random)
        var expected: [[UInt8]] = []
        var builder = ChunkBuilder(after: .origin, chunkBytesMax: 1 << 20)
        for _ in 0..<500 {
            let number = Int.random(in: 0..<distinct, using: &random)
            // Some longer than a word of the hash, in runs, and as prefixes of one another.
            let key = String(repeating: "k", count: 1 + number % 20) + ".\(number / 20)"
            let run = Int.random(in: 1...3, using: &random)
            builder.append(
                try encoded(Array(repeating: Event(key: bytes(key)), count: run)), skipping: 0,
                at: .zero)
            if !expected.contains(Array(key.utf8)) { expected.append(Array(key.utf8)) }
        }
        let keys = try #require(builder.finish().first).keys
        let isKept = expected.count <= Chunk.distinctKeysMax
        report(
            keys == (isKept ? expected : nil)
                ? nil : "\(expected.count) keys, \(keys?.count ?? -1) of them found", seed: seed)
    }

    @Test func wrongCountsAndPositionsAreDamage() throws {
        let block = try chunk(Self.events, first: 41).block
        for (first, count) in [(40, 3), (42, 3), (41, 2), (41, 4), (41, 0), (41, -1), (0, 3)] {
            let problem = failure {
                _ = try Chunk(first: Position(UInt64(first)), count: count, block: block)
            }
            #expect(problem?.code == .internal, "\(first) \(count)")
        }
        let empty = ByteBlock(copying: [UInt8]())
        #expect(failure { _ = try Chunk(first: Position(1), count: 0, block: empty) } != nil)
    }

    @Test func positionsBeginAtOne() throws {
        let zero = try encoded([Event(key: bytes("k"))])
        let block = ByteBlock(copying: zero.bytes)
        #expect(failure { _ = try Chunk(first: .origin, count: 1, block: block) } != nil)
    }

    @Test func everyTruncationIsDamage() throws {
        let whole = try chunk(Self.events, first: 41).block.bytes
        for count in 0..<whole.count {
            let block = ByteBlock(copying: Array(whole.prefix(count)))
            #expect(failure { _ = try Chunk(first: Position(41), count: 3, block: block) } != nil)
        }
    }

    @Test func anyByteMayBeAnyOtherAndNothingIsReadOutside() throws {
        let whole = try chunk(Array(Self.events.prefix(2)), first: 41).block.bytes
        var filter = EventFilter(
            try ReceiverConfig(
                patterns: [try KeyPattern("a.*")],
                headers: [try HeaderMatch(name: bytes("h"), kind: .exists, value: [])]))
        for index in whole.indices {
            for value in [0, 1, 0x0A, 0x1A, 0x3A, 0x7A, 0x7F, 0x80, 0xFF] as [UInt8] {
                var bytes = whole
                bytes[index] = value
                let block = ByteBlock(copying: bytes)
                guard let chunk = try? Chunk(first: Position(41), count: 2, block: block) else {
                    continue
                }
                _ = filter.matches(chunk)
                for index in 0..<2 {
                    #expect(chunk.recordRange(index).upperBound <= bytes.count)
                    _ = chunk.headers(at: index)
                }
            }
        }
    }
}
