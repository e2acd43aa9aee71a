import Testing

@testable import Core

@Suite struct KeySpansTests {
    private static func filter(_ pattern: String) throws -> EventFilter {
        EventFilter(try ReceiverConfig(patterns: [try KeyPattern(pattern)], headers: []))
    }

    private static func chunk(_ range: ClosedRange<UInt64>, _ keys: [String]?) -> ChunkKeys {
        ChunkKeys(
            first: Position(range.lowerBound), last: Position(range.upperBound),
            keys: keys?.map { bytes($0) })
    }

    private static func spans(_ after: UInt64, _ chunks: [ChunkKeys]) throws -> KeySpans {
        var spans = KeySpans()
        var filter = try Self.filter("a.*")
        spans.learn(after: Position(after), chunks, &filter)
        return spans
    }

    @Test func whatNobodyLookedAtIsUnknown() throws {
        #expect(KeySpans().next(after: .origin) == .unknown)
        let spans = try Self.spans(10, [Self.chunk(11...20, ["b"])])
        #expect(
            [9, 20, 21].map { spans.next(after: Position($0)) }
                == Array(repeating: .unknown, count: 3))
    }

    @Test func betweenHitsThereIsNothing() throws {
        let spans = try Self.spans(
            4,
            [
                Self.chunk(1...10, ["b", "c"]), Self.chunk(11...20, ["b", "a.x"]),
                Self.chunk(21...30, ["a"]), Self.chunk(31...40, nil), Self.chunk(41...50, ["c"]),
            ])
        let expected: [(UInt64, KeySpans.Next)] = [
            (4, .nothing(upto: Position(10))), (9, .nothing(upto: Position(10))), (10, .something),
            (19, .something), (20, .nothing(upto: Position(30))), (30, .something),
            (39, .something), (40, .nothing(upto: Position(50))),
            (49, .nothing(upto: Position(50))),
            (50, .unknown), (3, .unknown),
        ]
        for (after, next) in expected { #expect(spans.next(after: Position(after)) == next) }
    }

    @Test func aHitAroundTheStartBeginsThere() throws {
        let spans = try Self.spans(4, [Self.chunk(1...10, ["a.x"]), Self.chunk(11...12, ["b"])])
        #expect(spans.next(after: Position(4)) == .something)
        #expect(spans.next(after: Position(9)) == .something)
        #expect(spans.next(after: Position(10)) == .nothing(upto: Position(12)))
    }

    /// The reader must find out, not pass over it.
    @Test func whereChunksAreMissingSomethingFollows() throws {
        for chunks in [[], [Self.chunk(7...9, ["b"])]] {
            let spans = try Self.spans(4, chunks)
            #expect(spans.next(after: Position(4)) == .something)
            #expect(spans.next(after: Position(5)) == .unknown)
        }
        let spans = try Self.spans(4, [Self.chunk(5...6, ["b"]), Self.chunk(8...9, ["b"])])
        #expect(spans.next(after: Position(4)) == .nothing(upto: Position(6)))
        #expect(spans.next(after: Position(6)) == .unknown)
    }

    @Test func withoutPatternsKeysTellNothing() throws {
        #expect(!EventFilter(.everything).judgesKeys)
        var filter = try Self.filter("a")
        #expect(filter.judgesKeys && filter.mayMatch(nil) && !filter.mayMatch([]))
    }
}
