import Testing

@testable import Core

@Suite struct EventFilterTests {
    private static func config(_ patterns: [String], _ headers: [HeaderMatch] = []) throws
        -> ReceiverConfig
    {
        try ReceiverConfig(patterns: patterns.map { try KeyPattern($0) }, headers: headers)
    }

    private static func match(_ name: String, _ kind: MatchKind, _ value: String = "") throws
        -> HeaderMatch
    {
        try HeaderMatch(name: bytes(name), kind: kind, value: bytes(value))
    }

    @Test func withoutConditionsEverythingPasses() throws {
        let some = try chunk(keys: ["a", "b"])
        for config in [ReceiverConfig.everything, try Self.config(["x", "#"])] {
            var filter = EventFilter(config)
            #expect(filter.matches(some) == .all)
        }
    }

    @Test func anyOfThePatternsIsEnough() throws {
        var filter = EventFilter(try Self.config(["a.*", "b"]))
        #expect(
            filter.matches(try chunk(keys: ["a", "a.x", "b", "b", "c", "a.y"]))
                == .some([1, 2, 3, 5]))
        #expect(filter.matches(try chunk(keys: ["c", "a"])) == .none)
        #expect(filter.matches(try chunk(keys: ["b", "a.z"])) == .all)
        #expect(filter.matches(try chunk(keys: ["a", "a.x"])) == .some([1]))
    }

    @Test func moreKeysThanAreRememberedAreJudgedRight() throws {
        var filter = EventFilter(try Self.config(["*.odd"]))
        for start in [0, 3_000, 6_000, 0] {
            let keys = (start..<start + 3_000).map { "k\($0).\($0 % 2 == 1 ? "odd" : "even")" }
            let expected = (0..<3_000).filter { $0 % 2 == 1 }.map { UInt32($0) }
            #expect(filter.matches(try chunk(keys: keys)) == .some(expected))
        }
    }

    /// A chunk of the tail, whose keys are indexed, and the same from the log, which is looked through;
    /// with few keys, and with more than are indexed.
    @Test(arguments: [1, 2, 60, 64, 65, 70, 1_000])
    func indexedKeysGiveTheSameAsLookingAtEachEvent(variety: Int) throws {
        var random = SeededGenerator(seed: UInt64(variety))
        let patterns = ["a.*", "k1.#", "*.odd", "k2.even", "none"]
        for _ in 0..<20 {
            let keys = (0..<Int.random(in: 1...500, using: &random)).map { _ in
                let number = Int.random(in: 0..<variety, using: &random)
                return "k\(number).\(number % 2 == 1 ? "odd" : "even")"
            }
            let chosen = patterns.filter { _ in random.chance(40) }
            let config = try Self.config(chosen.isEmpty ? ["none"] : chosen)
            let expected = keys.indices.filter { index in
                keys[index].utf8CString.withUnsafeBytes { key in
                    config.patterns.contains {
                        $0.matches(UnsafeRawBufferPointer(rebasing: key.dropLast()))
                    }
                }
            }
            let tail = try chunk(keys: keys)
            #expect((tail.keyIndex == nil) == (Set(keys).count > 64))
            for some in [tail, try Chunk(first: tail.first, count: tail.count, block: tail.block)] {
                var filter = EventFilter(config)
                let matches = filter.matches(some)
                switch matches {
                case .none: #expect(expected.isEmpty)
                case .all: #expect(expected == Array(keys.indices))
                case .some(let indices):
                    #expect(indices.map { Int($0) } == expected)
                    #expect(!expected.isEmpty && expected.count < keys.count)
                }
                filter.forget()
                #expect(filter.matches(some) == matches)
            }
        }
    }

    @Test func anIndexedChunkCostsLessWorkThanItsEvents() throws {
        let keys = (0..<1_600).map { "k\($0 % 4)" }
        let tail = try chunk(keys: keys)
        let log = try Chunk(first: tail.first, count: tail.count, block: tail.block)
        let work = try [tail, log].map { some in
            var filter = EventFilter(try Self.config(["k1"]))
            _ = filter.matches(some)
            return filter.work
        }
        // Four verdicts of one word; and then four keys and a sixteenth of the events, or all.
        #expect(work == [4 + 4 + 100, 4 + 1_600])
    }

    @Test(
        arguments: [
            (.equals, "v", [1]), (.equals, "", [3]), (.prefix, "v", [1, 2]),
            (.prefix, "", [1, 2, 3]),
            (.exists, "", [1, 2, 3]), (.absent, "", [0, 4]),
        ] as [(MatchKind, String, [UInt32])])
    func headersAreMatched(kind: MatchKind, value: String, expected: [UInt32]) throws {
        let some = try chunk([
            Event(key: bytes("a")),
            Event(key: bytes("a"), headers: [Header(name: bytes("h"), value: bytes("v"))]),
            Event(
                key: bytes("a"), payload: bytes("p"), id: bytes("i"), contentType: bytes("t"),
                headers: [
                    Header(name: bytes("g"), value: bytes("w")),
                    Header(name: bytes("h"), value: bytes("vv")),
                ]),
            Event(key: bytes("a"), headers: [Header(name: bytes("h"), value: [])]),
            Event(key: bytes("a"), headers: [Header(name: bytes("hh"), value: bytes("v"))]),
        ])
        var filter = EventFilter(try Self.config([], [try Self.match("h", kind, value)]))
        #expect(filter.matches(some) == .some(expected))
    }

    @Test func allHeadersMustMatchAndOneOfEqualNamesIsEnough() throws {
        let header = { (name: String, value: String) in
            Header(name: bytes(name), value: bytes(value))
        }
        let some = try chunk([
            Event(key: bytes("a"), headers: [header("g", "1"), header("h", "2")]),
            Event(key: bytes("a"), headers: [header("g", "1")]),
            Event(
                key: bytes("a"), headers: [header("h", "1"), header("g", "1"), header("h", "2")]),
            Event(key: bytes("b"), headers: [header("g", "1"), header("h", "2")]),
        ])
        var filter = EventFilter(
            try Self.config(
                ["a"], [try Self.match("g", .equals, "1"), try Self.match("h", .equals, "2")]))
        #expect(filter.matches(some) == .some([0, 2]))
    }
}
