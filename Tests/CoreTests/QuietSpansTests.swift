import Testing

@testable import Core

@Suite struct QuietSpansTests {
    private static func end(_ spans: QuietSpans, after: UInt64, upto: UInt64) -> UInt64 {
        spans.end(after: Position(after), upto: Position(upto)).rawValue
    }

    @Test func withoutHitsEverythingSinceIsQuiet() {
        let spans = QuietSpans(since: Position(5))
        #expect(Self.end(spans, after: 5, upto: 9) == 9)
        #expect(Self.end(spans, after: 7, upto: 9) == 9)
        #expect(Self.end(spans, after: 9, upto: 9) == 9)
        // Nobody has looked at what is before.
        #expect(Self.end(spans, after: 4, upto: 9) == 4)
    }

    @Test func aHitEndsTheQuiet() throws {
        var spans = QuietSpans(since: .origin)
        spans.hit(try chunk(keys: ["k", "k", "k"], first: 4))
        spans.hit(try chunk(keys: ["k"], first: 10))
        // 4 to 6 and 10 may hold something.
        let ends: [UInt64] = (0...12).map { Self.end(spans, after: $0, upto: 12) }
        #expect(ends == [3, 3, 3, 3, 4, 5, 9, 9, 9, 9, 12, 12, 12])
    }

    @Test func ofManyHitsTheNewestAreRemembered() throws {
        var spans = QuietSpans(since: .origin)
        for number in 1...100 as ClosedRange<UInt64> {
            spans.hit(try chunk(keys: ["k"], first: number * 2))
        }
        #expect(Self.end(spans, after: 200, upto: 300) == 300)
        #expect(Self.end(spans, after: 198, upto: 300) == 199)
        #expect(Self.end(spans, after: 10, upto: 300) == 10)
    }
}
