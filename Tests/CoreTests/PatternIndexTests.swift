import Testing

@testable import Core

@Suite struct PatternIndexTests {
    private final class Member {
        let patterns: [KeyPattern]
        init(_ patterns: [KeyPattern]) { self.patterns = patterns }
    }

    private static func matches(_ index: PatternIndex<Member>, _ key: String) -> Set<
        ObjectIdentifier
    > {
        var found: Set<ObjectIdentifier> = []
        Array(key.utf8).withUnsafeBytes { index.match($0) { found.insert(ObjectIdentifier($0)) } }
        return found
    }

    private static func random(_ words: [String], _ most: Int, _ random: inout SeededGenerator)
        -> String
    {
        (0..<Int.random(in: 1...most, using: &random)).map { _ in
            words[Int.random(in: 0..<words.count, using: &random)]
        }.joined(separator: ".")
    }

    /// Members come and go; what is found is always what their patterns say one by one.
    @Test func itFindsWhatEachPatternByItselfWould() throws {
        for seed in seeds(500) {
            var random = SeededGenerator(seed: seed)
            let index = PatternIndex<Member>()
            var members: [Member] = []
            for _ in 0..<60 {
                if !members.isEmpty, random.chance(40) {
                    let gone = members.remove(at: Int.random(in: 0..<members.count, using: &random))
                    for pattern in gone.patterns { index.remove(gone, pattern) }
                } else {
                    let member = Member(
                        try (0..<Int.random(in: 1...3, using: &random)).map { _ in
                            try KeyPattern(Self.random(["#", "*", "a", "b", "ab"], 6, &random))
                        })
                    members.append(member)
                    for pattern in member.patterns { index.insert(member, pattern) }
                }
                let key = Self.random(["a", "b", "ab"], 7, &random)
                let expected = members.filter { member in
                    member.patterns.contains { pattern in
                        Array(key.utf8).withUnsafeBytes { pattern.matches($0) }
                    }
                }
                if Self.matches(index, key) != Set(expected.map { ObjectIdentifier($0) }) {
                    report("\(key) among \(members.map(\.patterns))", seed: seed)
                }
            }
        }
    }

    @Test func whatDoesNotMatchCostsNothing() throws {
        let index = PatternIndex<Member>()
        let members = try (0..<1_000).map { Member([try KeyPattern("order.created.n\($0)")]) }
        for member in members { index.insert(member, member.patterns[0]) }
        let before = index.work
        #expect(Self.matches(index, "payment.created.n1").isEmpty)
        #expect(index.work - before == 1)
        #expect(Self.matches(index, "order.created.n1") == [ObjectIdentifier(members[1])])
        #expect(index.work - before == 1 + 4)
    }

    /// Each of its words could stand for any of the key's.
    @Test func noPatternTakesExponentialTime() throws {
        let index = PatternIndex<Member>()
        let member = Member([
            try KeyPattern(Array(repeating: "#.a", count: 60).joined(separator: "."))
        ])
        index.insert(member, member.patterns[0])
        let key = Array(repeating: "a", count: 127).joined(separator: ".")
        #expect(Self.matches(index, key).count == 1)
        #expect(index.work <= 128 * 121)
    }
}
