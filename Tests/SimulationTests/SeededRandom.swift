/// Chance from a seed: xoshiro256**, whose state SplitMix64 fills. The same seed gives the same
/// numbers in every process. Source: Blackman and Vigna, "Scrambled Linear Pseudorandom Number
/// Generators", 2021.
struct SeededRandom {
    private var state: (UInt64, UInt64, UInt64, UInt64)

    init(seed: UInt64) {
        var source = seed
        func next() -> UInt64 {
            source &+= 0x9E37_79B9_7F4A_7C15
            var mixed = source
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
        self.state = (next(), next(), next(), next())
    }

    mutating func next() -> UInt64 {
        let scrambled = Self.rotated(self.state.1 &* 5, by: 7) &* 9
        let shifted = self.state.1 << 17
        self.state.2 ^= self.state.0
        self.state.3 ^= self.state.1
        self.state.1 ^= self.state.2
        self.state.0 ^= self.state.3
        self.state.2 ^= shifted
        self.state.3 = Self.rotated(self.state.3, by: 45)
        return scrambled
    }

    private static func rotated(_ value: UInt64, by bits: UInt64) -> UInt64 {
        (value << bits) | (value >> (64 - bits))
    }
}

/// What a simulation draws its chances from: one generator, shared by everything in it.
///
/// `@unchecked Sendable`: used on the simulation's thread only.
final class Dice: @unchecked Sendable {
    private var random: SeededRandom

    init(seed: UInt64) {
        self.random = SeededRandom(seed: seed)
    }

    /// 0 ..< bound; the bias is far below what a simulation could notice.
    func below(_ bound: Int) -> Int {
        bound <= 1 ? 0 : Int(self.random.next() % UInt64(bound))
    }

    func within(_ range: ClosedRange<Int>) -> Int {
        range.lowerBound + self.below(range.count)
    }

    /// True in `share` of 1,000 cases.
    func chance(_ share: Int) -> Bool {
        self.below(1_000) < share
    }

    /// One of them; `fallback` when there is none.
    func pick<Element>(_ elements: [Element], or fallback: Element) -> Element {
        elements.isEmpty ? fallback : elements[self.below(elements.count)]
    }

    func pick<Element>(_ elements: [Element]) -> Element? {
        elements.isEmpty ? nil : elements[self.below(elements.count)]
    }

    func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(ascii: "a") + UInt8(self.below(26)) }
    }
}
