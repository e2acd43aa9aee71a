import Testing

@testable import Core

@Suite struct PatternCoverTests {
    private static func answer(_ asked: String, _ granted: [String]) throws -> PatternCover.Answer {
        var work = Limits.coverWorkMax
        return try PatternCover(granted.map { try KeyPattern($0) })
            .covers(KeyPattern(asked), work: &work)
    }

    @Test(arguments: [
        ("order.#", ["order.#"], true), ("order.created", ["order.#"], true),
        ("order", ["order.#"], true), ("order.*.eu", ["order.#"], true),
        ("#", ["order.#"], false), ("*.created", ["order.#"], false),
        ("orders.#", ["order.#"], false), ("order.#", ["order.*"], false),
        ("order.#", ["order"], false), ("order.#", ["order", "order.*"], false),
        ("order.#", ["order", "order.*", "order.*.*.#"], true),
        // A key has one word at least.
        ("#", ["*.#"], true), ("#", ["#.*"], true), ("#", ["*", "*.*.#"], true),
        ("#", ["*", "*.*"], false), ("*", ["#"], true), ("*", ["#.*.#"], true),
        // Words that nobody names are words, too.
        ("*", ["a", "b"], false), ("a.*", ["a.b", "a.c"], false), ("a", ["*"], true),
        ("#.a.#", ["#.a", "#.a.*.#"], true), ("#.a.#", ["a.#", "*.#.a.#"], true),
        ("#.a.#", ["a.#", "#.a"], false), ("a.#.b", ["a.b", "a.*.#.b"], true),
        ("a.#.b", ["a.#"], true), ("a.#.b", ["#.b"], true), ("a.#.b", ["a.*.b", "a.b"], false),
        ("*.*", ["a.#", "*.a", "*.*"], true), ("#", [], false), ("a", [], false),
    ])
    func whatIsWithinWhat(asked: String, granted: [String], expected: Bool) throws {
        #expect(try Self.answer(asked, granted) == (expected ? .covered : .notCovered))
    }

    private static let keys: [[UInt8]] = {
        var all: [[UInt8]] = []
        var longest = [[UInt8]()]
        for _ in 0..<7 {
            longest = longest.flatMap { key in
                // x is a word that no pattern names.
                ["a", "b", "x"].map { key + (key.isEmpty ? [] : bytes(".")) + bytes($0) }
            }
            all += longest
        }
        return all
    }()

    private static func isWithin(_ asked: KeyPattern, _ granted: [KeyPattern]) -> Bool {
        self.keys.allSatisfy { key in
            key.withUnsafeBytes { key in
                !asked.matches(key) || granted.contains { $0.matches(key) }
            }
        }
    }

    private static func pattern(_ random: inout SeededGenerator) throws -> KeyPattern {
        let words = ["#", "#", "*", "a", "b"]
        return try KeyPattern(
            (0..<Int.random(in: 1...4, using: &random)).map { _ in
                words[Int.random(in: 0..<words.count, using: &random)]
            }.joined(separator: "."))
    }

    /// All keys of up to seven words are tried.
    @Test func itAgreesWithTryingAllKeys() throws {
        var covered = 0
        for seed in seeds(1_500) {
            var random = SeededGenerator(seed: seed)
            let asked = try Self.pattern(&random)
            let granted = try (0..<Int.random(in: 1...5, using: &random)).map { _ in
                try Self.pattern(&random)
            }
            var work = Limits.coverWorkMax
            let answer = PatternCover(granted).covers(asked, work: &work)
            let expected = Self.isWithin(asked, granted)
            if expected { covered += 1 }
            if answer != (expected ? .covered : .notCovered) {
                report("\(asked) within \(granted): \(answer)", seed: seed)
            }
        }
        if seeds(2).count > 1 { #expect(covered > 300, "both answers are tried") }
    }

    /// What takes too long is given up.
    @Test func theWorkIsBounded() throws {
        let granted = try ["#.a.*.#.b", "*.#.a.*.b.#", "a.#.b.*.*.#"].map { try KeyPattern($0) }
        let asked = try KeyPattern("*.#.a.#.a.*.#.b.#.b.*.*")
        var work = 60
        #expect(PatternCover(granted).covers(asked, work: &work) == .tooHard)
        #expect(work > -60, "it stops as soon as it has found out")
        work = Limits.coverWorkMax
        #expect(PatternCover(granted).covers(asked, work: &work) != .tooHard)
    }

    /// The hardest that a client and an administrator can make together is given up within the bound.
    @Test func theLongestPatternsStayWithinTheBound() throws {
        let words = ["*", "#", "a", "#", "*", "a", "#"]
        for seed in seeds(20) {
            var random = SeededGenerator(seed: seed)
            func long(_ count: Int) throws -> KeyPattern {
                try KeyPattern(
                    (0..<count).map { _ in words.randomElement(using: &random) ?? "#" }
                        .joined(separator: "."))
            }
            let granted = try (0..<4).map { _ in try long(120) }
            var work = Limits.coverWorkMax
            _ = try PatternCover(granted).covers(long(120), work: &work)
            if work < -Limits.coverWorkMax / 10 { report("it took \(-work) more", seed: seed) }
        }
    }

    /// 64 patterns as people write them are far from the bound.
    @Test func ordinaryPatternsAreCheap() throws {
        let granted = try (0..<64).map { try KeyPattern("shop.area\($0).*.#") }
        let cover = PatternCover(granted)
        var work = Limits.coverWorkMax
        for number in 0..<64 {
            #expect(
                try cover.covers(KeyPattern("shop.area\(number).order.#"), work: &work) == .covered)
        }
        #expect(try cover.covers(KeyPattern("shop.#"), work: &work) == .notCovered)
        #expect(work > Limits.coverWorkMax * 9 / 10)
    }
}
