import Testing

@testable import Core

@Suite struct KeyPatternTests {
    /// The same rule, as it is told: `#` is nothing, or a word and `#` again.
    private static func naive(_ pattern: ArraySlice<Substring>, _ key: ArraySlice<Substring>)
        -> Bool
    {
        guard let word = pattern.first else { return key.isEmpty }
        if word == "#" {
            return naive(pattern.dropFirst(), key)
                || (!key.isEmpty && naive(pattern, key.dropFirst()))
        }
        guard let first = key.first, word == "*" || word == first else { return false }
        return naive(pattern.dropFirst(), key.dropFirst())
    }

    private static func matches(_ pattern: String, _ key: String) throws -> Bool {
        let pattern = try KeyPattern(pattern)
        return bytes(key).withUnsafeBytes { pattern.matches($0) }
    }

    @Test(arguments: [
        ("a", "a", true), ("a", "b", false), ("a", "a.b", false), ("a.b", "a", false),
        ("a", "ab", false), ("ab", "a", false), ("A", "a", false),
        ("*", "a", true), ("*", "a.b", false), ("*.*", "a.b", true), ("*.b", "b", false),
        ("a.*.c", "a.b.c", true), ("a.*.c", "a.c", false), ("a.*.c", "a.b.b.c", false),
        ("#", "a", true), ("#", "a.b.c", true), ("a.#", "a", true), ("a.#", "a.b.c", true),
        ("a.#", "b", false), ("a.#", "ab", false), ("#.c", "c", true), ("#.c", "a.b.c", true),
        ("#.c", "a.c.b", false), ("a.#.c", "a.c", true), ("a.#.c", "a.b.b.c", true),
        ("a.#.c", "a", false), ("#.#", "a", true), ("#.*", "a", true), ("*.#", "a.b", true),
        ("#.*.*", "a", false), ("#.b.#", "a.b.c", true), ("#.b.#", "a.c", false),
        ("#.a.b", "a.a.b", true), ("#.a.#.b", "a.b.a.c.b", true), ("*.#.*", "a", false),
        ("#.a.*.b", "a.a.x.b", true), ("#.a.*.b", "a.a.b", true), ("#.a.*.b", "a.b", false),
    ])
    func topicRules(pattern: String, key: String, expected: Bool) throws {
        #expect(try Self.matches(pattern, key) == expected)
    }

    @Test func itAgreesWithTheNaiveMatcher() throws {
        for seed in seeds(3_000) {
            var random = SeededGenerator(seed: seed)
            let words = ["#", "*", "a", "b", "ab"]
            let pattern = (0..<Int.random(in: 1...6, using: &random)).map { _ in
                words[Int.random(in: 0..<words.count, using: &random)]
            }.joined(separator: ".")
            let key = (0..<Int.random(in: 1...7, using: &random)).map { _ in
                words[Int.random(in: 2..<words.count, using: &random)]
            }.joined(separator: ".")
            let expected = Self.naive(
                pattern.split(separator: ".")[...], key.split(separator: ".")[...])
            if try Self.matches(pattern, key) != expected {
                report("\(pattern) and \(key): expected \(expected)", seed: seed)
            }
        }
    }

    @Test(arguments: [
        "", ".", "a.", ".a", "a..b", "a*", "**", "a.#b", "a b", "ä", "a.b:c",
        String(repeating: "a", count: 256),
    ])
    func wrongPatternsAreRefused(pattern: String) {
        #expect(failure { _ = try KeyPattern(pattern) }?.code == .invalidArgument)
    }

    @Test func bytesThatAreNotTextAreRefused() throws {
        #expect(failure { _ = try KeyPattern(bytes: [0xFF]) }?.code == .invalidArgument)
        #expect(try KeyPattern(bytes: bytes("a.#")) == KeyPattern("a.#"))
    }

    @Test func theLongestPatternIsAllowed() throws {
        let longest = Array(repeating: "#", count: 128).joined(separator: ".")
        #expect(longest.utf8.count == EventKey.bytesMax)
        let key = Array(repeating: "a", count: 128).joined(separator: ".")
        #expect(try Self.matches(longest, key))
    }

    @Test func onlyTheLoneHashMatchesEverything() throws {
        #expect(try KeyPattern("#").matchesEverything)
        #expect(try KeyPattern("#.#").matchesEverything)
        #expect(try !KeyPattern("#.*").matchesEverything)
        #expect(try !KeyPattern("a").matchesEverything)
    }
}
