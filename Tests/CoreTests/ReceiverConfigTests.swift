import Testing

@testable import Core

@Suite struct ReceiverConfigTests {
    private static func rich() throws -> ReceiverConfig {
        try ReceiverConfig(
            patterns: [try KeyPattern("b.#"), try KeyPattern("a")],
            headers: [
                try HeaderMatch(name: bytes("h"), kind: .prefix, value: bytes("v")),
                try HeaderMatch(name: bytes("g"), kind: .exists, value: []),
            ])
    }

    @Test func canonicalBytesAreRead() throws {
        let rich = try Self.rich()
        #expect(try ReceiverConfig(canonicalBytes: rich.canonicalBytes) == rich)
        let everything = ReceiverConfig.everything
        #expect(everything.canonicalBytes == [1, 0, 0, 0, 0])
        #expect(try ReceiverConfig(canonicalBytes: everything.canonicalBytes) == everything)
    }

    @Test func canonicalBytesStayTheSame() throws {
        let expected: [UInt8] =
            [1, 0, 2, 0, 1] + bytes("a") + [0, 3] + bytes("b.#") + [0, 2]
            + [0, 1] + bytes("g") + [2, 0, 0] + [0, 1] + bytes("h") + [1, 0, 1] + bytes("v")
        #expect(try Self.rich().canonicalBytes == expected)
    }

    @Test func orderAndRepetitionDoNotMatter() throws {
        let patterns = [try KeyPattern("b.#"), try KeyPattern("a"), try KeyPattern("b.#")]
        let rich = try Self.rich()
        let other = try ReceiverConfig(
            patterns: patterns, headers: rich.headers.reversed() + rich.headers)
        #expect(other == rich && other.canonicalBytes == rich.canonicalBytes)
        #expect(other.patterns.map(\.text) == ["a", "b.#"])
    }

    @Test func aValueThatIsNotLookedAtDoesNotMatter() throws {
        for kind in [MatchKind.exists, .absent] {
            let one = try HeaderMatch(name: bytes("h"), kind: kind, value: bytes("v"))
            #expect(one == (try HeaderMatch(name: bytes("h"), kind: kind, value: [])))
        }
    }

    @Test func everyTruncationIsDamage() throws {
        let whole = try Self.rich().canonicalBytes
        for count in 0..<whole.count {
            let problem = failure {
                _ = try ReceiverConfig(canonicalBytes: Array(whole.prefix(count)))
            }
            #expect(problem?.code == .internal, "\(count) bytes")
        }
    }

    @Test func everythingElseIsDamage() throws {
        let whole = try Self.rich().canonicalBytes
        let damaged: [[UInt8]] = [
            whole + [0], [2] + whole.dropFirst(),
            [1, 0, 1, 0, 0, 0, 0],  // an empty pattern
            [1, 0, 1, 0, 1, 0xFF, 0, 0],  // a pattern that is not text
            [1, 0, 2, 0, 1, 0x62, 0, 1, 0x61, 0, 0],  // not sorted
            [1, 0, 2, 0, 1, 0x61, 0, 1, 0x61, 0, 0],  // twice
            [1, 0, 0, 0, 1, 0, 0, 0, 0, 0],  // a header match without a name
            [1, 0, 0, 0, 1, 0, 1, 0x68, 9, 0, 0],  // an unknown kind
            [1, 0, 0, 0, 1, 0, 1, 0x68, 2, 0, 1, 0x76],  // a value that `exists` has not
            [1, 0xFF, 0xFF], [1, 0, 1, 0xFF, 0xFF, 0x61],
        ]
        for bytes in damaged {
            let problem = failure { _ = try ReceiverConfig(canonicalBytes: bytes) }
            #expect(problem?.code == .internal, "\(bytes)")
        }
    }

    @Test func anyByteMayBeAnyOther() throws {
        let whole = try Self.rich().canonicalBytes
        for index in whole.indices {
            for value in UInt8.min...UInt8.max {
                var bytes = whole
                bytes[index] = value
                let problem = failure {
                    let config = try ReceiverConfig(canonicalBytes: bytes)
                    #expect(config.canonicalBytes == bytes)
                }
                #expect(problem == nil || problem?.code == .internal)
            }
        }
    }

    @Test func patternsTogetherHaveALimitOfWords() throws {
        let words = { (count: Int) in Array(repeating: "*", count: count).joined(separator: ".") }
        let four = try ["a", "b", "c", "d"].map { try KeyPattern("\($0)." + words(127)) }
        #expect(try ReceiverConfig(patterns: four, headers: []).patterns.count == 4)
        let more = four + [try KeyPattern("one")]
        #expect(throws: Failure.self) { try ReceiverConfig(patterns: more, headers: []) }
        // Several # in a row are one.
        let many = try KeyPattern(Array(repeating: "#", count: 128).joined(separator: "."))
        #expect(throws: Never.self) {
            try ReceiverConfig(patterns: Array(four[..<3]) + [many], headers: [])
        }
    }

    @Test func theLimitsHold() throws {
        let patterns = try (0...Limits.patternsMax).map { try KeyPattern("k\($0)") }
        let headers = try (0...Limits.headerMatchesMax).map {
            try HeaderMatch(name: bytes("h\($0)"), kind: .exists, value: [])
        }
        let most = try ReceiverConfig(
            patterns: patterns.dropLast(), headers: headers.dropLast())
        #expect(try ReceiverConfig(canonicalBytes: most.canonicalBytes) == most)
        for (some, others) in [(patterns, []), ([], headers)] {
            let problem = failure { _ = try ReceiverConfig(patterns: some, headers: others) }
            #expect(problem?.code == .invalidArgument)
        }
        let long = [UInt8](repeating: 0x61, count: Limits.headerMatchValueBytesMax + 1)
        for (name, value) in [([], []), (Array(long.prefix(256)), []), (bytes("h"), long)] {
            let problem = failure {
                _ = try HeaderMatch(name: name, kind: .equals, value: value)
            }
            #expect(problem?.code == .invalidArgument)
        }
    }
}
