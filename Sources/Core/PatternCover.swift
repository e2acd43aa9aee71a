/// Whether every key that a pattern matches is matched by one of some others: whether who was granted
/// those may have this one.
///
/// Both are read as automata over words. The one of the others is made deterministic as far as the search
/// comes: a set of places in their patterns, as bits. The search goes through pairs (place in the asked
/// pattern, set) from word to word, and looks for a pair where the asked pattern is at its end and none of
/// the others is: what led there is a key that was not granted.
///
/// What `*` and `#` of the asked pattern stand for need be tried with one word only, one that the others do
/// not name (there are always more words than they name): whichever of their places goes on with that goes
/// on with every word. And of two sets at the same place the larger one finds nothing that the smaller one
/// does not. What is left to choose is how many words each `#` takes. That may still be much, so the search
/// is bounded; patterns as people write them take a few dozen steps. Where the bound is met, the answer is
/// "no", which is safe.
package struct PatternCover {
    package enum Answer: Hashable, Sendable {
        case covered
        case notCovered
        /// More work than allowed; to be treated like `notCovered`, and to be explained.
        case tooHard
    }

    private typealias Bits = [UInt64]

    /// A place in one of the others: what stands there, or its end.
    private enum Place {
        case word(Int)
        case one
        case any
        case end
    }

    private var places: [Place] = []
    /// Numbers of the words that the others name.
    private var words: [[UInt8]: Int] = [:]
    private var start: Bits = []
    /// Places from which everything is matched, whatever follows: a `#` at the end of its pattern.
    private var final: Bits = []
    private var ends: Bits = []
    private let patterns: [KeyPattern]

    package init(_ patterns: [KeyPattern]) {
        self.patterns = patterns
        var starts: [Int] = []
        for pattern in patterns {
            starts.append(self.places.count)
            for step in pattern.steps {
                switch step {
                case .one: self.places.append(.one)
                case .any: self.places.append(.any)
                case .exactly(let word): self.places.append(.word(self.number(of: word)))
                }
            }
            self.places.append(.end)
        }
        let empty = Bits(repeating: 0, count: (self.places.count + 63) / 64)
        (self.start, self.final, self.ends) = (empty, empty, empty)
        for index in self.places.indices {
            switch self.places[index] {
            case .end: Self.insert(index, &self.ends)
            case .any:
                if case .end = self.places[index + 1] { Self.insert(index, &self.final) }
            case .word, .one: break
            }
        }
        for start in starts { self.enter(start, &self.start) }
    }

    /// `work` is what may be done, in 64-bit words of sets that are looked at (about a nanosecond each); what
    /// was done is taken from it.
    package func covers(_ pattern: KeyPattern, work: inout Int) -> Answer {
        if self.patterns.contains(where: { $0.matchesEverything || $0 == pattern }) {
            return .covered
        }
        guard !self.patterns.isEmpty else { return .notCovered }
        var search = Search(asked: self.steps(of: pattern))
        search.push(0, self.start, isEmpty: true)
        while let pair = search.pop() {
            if search.isEnd(pair.place) {
                // A key has one word at least.
                if !pair.isEmpty, !Self.meets(pair.set, self.ends) { return .notCovered }
                continue
            }
            let next = self.moved(pair.set, by: search.asked[pair.place])
            work -= 4 * next.count + self.places.count / 8 + 1
            guard work > 0 else { return .tooHard }
            // Nothing of what was granted goes on, but every pattern does somehow.
            if Self.isEmpty(next) { return .notCovered }
            if Self.meets(next, self.final) { continue }
            work -= search.reach(after: pair.place, next)
        }
        return .covered
    }

    // MARK: The asked pattern

    /// A word of the asked pattern.
    private enum Asked {
        case word(Int)
        /// One that the others do not name.
        case other
        /// Any number of them.
        case others
    }

    private struct Pair {
        let place: Int
        let set: Bits
        /// No word was read yet.
        let isEmpty: Bool
    }

    private struct Search {
        let asked: [Asked]
        private var waiting: [Pair] = []
        /// By place: sets that were searched. One that holds another finds nothing new.
        private var seen: [[Bits]]

        init(asked: [Asked]) {
            self.asked = asked
            self.seen = Array(repeating: [], count: asked.count + 1)
        }

        func isEnd(_ place: Int) -> Bool { place == self.asked.count }

        mutating func pop() -> Pair? { self.waiting.popLast() }

        /// Adds the pair and, since `#` stands for no word, too, those behind it. Returns what it cost.
        @discardableResult
        mutating func push(_ place: Int, _ set: Bits, isEmpty: Bool) -> Int {
            var place = place
            var cost = 0
            while true {
                if !isEmpty {
                    cost += self.seen[place].count * set.count
                    if self.seen[place].contains(where: { PatternCover.isSubset($0, of: set) }) {
                        return cost
                    }
                    self.seen[place].append(set)
                }
                self.waiting.append(Pair(place: place, set: set, isEmpty: isEmpty))
                guard place < self.asked.count, case .others = self.asked[place] else {
                    return cost
                }
                place += 1
            }
        }

        /// The word at `place` was read.
        mutating func reach(after place: Int, _ set: Bits) -> Int {
            if case .others = self.asked[place] { return self.push(place, set, isEmpty: false) }
            return self.push(place + 1, set, isEmpty: false)
        }
    }

    private func steps(of pattern: KeyPattern) -> [Asked] {
        pattern.steps.map { step in
            switch step {
            case .one: .other
            case .any: .others
            case .exactly(let word): self.words[word].map { .word($0) } ?? .other
            }
        }
    }

    // MARK: The others

    private func moved(_ set: Bits, by asked: Asked) -> Bits {
        var next = Bits(repeating: 0, count: set.count)
        Self.each(set) { index in
            switch self.places[index] {
            case .one: self.enter(index + 1, &next)
            case .any: self.enter(index, &next)
            case .word(let word):
                if case .word(word) = asked { self.enter(index + 1, &next) }
            case .end: break
            }
        }
        return next
    }

    /// Adds the place and, behind a `#`, the next one.
    private func enter(_ place: Int, _ set: inout Bits) {
        var place = place
        Self.insert(place, &set)
        while case .any = self.places[place] {
            place += 1
            Self.insert(place, &set)
        }
    }

    private mutating func number(of word: [UInt8]) -> Int {
        if let known = self.words[word] { return known }
        self.words[word] = self.words.count
        return self.words.count - 1
    }

    // MARK: Sets

    private static func insert(_ index: Int, _ set: inout Bits) {
        set[index / 64] |= 1 << UInt64(index % 64)
    }

    private static func isEmpty(_ set: Bits) -> Bool { set.allSatisfy { $0 == 0 } }

    private static func meets(_ left: Bits, _ right: Bits) -> Bool {
        zip(left, right).contains { $0 & $1 != 0 }
    }

    private static func isSubset(_ left: Bits, of right: Bits) -> Bool {
        zip(left, right).allSatisfy { $0 & ~$1 == 0 }
    }

    private static func each(_ set: Bits, _ body: (Int) -> Void) {
        for (place, bits) in set.enumerated() {
            var rest = bits
            while rest != 0 {
                body(place * 64 + rest.trailingZeroBitCount)
                rest &= rest - 1
            }
        }
    }
}
