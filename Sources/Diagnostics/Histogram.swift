/// How often something took how long. For one thread.
package struct Histogram: Hashable, Sendable {
    /// Upper bounds in microseconds: from a commit to an own disk to one that is given up.
    package static let bounds: [UInt64] = [
        500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
        2_500_000, 5_000_000, 15_000_000,
    ]

    /// One for each bound, and one for what took longer than all.
    package private(set) var counts = [UInt64](repeating: 0, count: Histogram.bounds.count + 1)
    /// In microseconds.
    package private(set) var sum: UInt64 = 0

    package init() {}

    package mutating func add(microseconds: UInt64) {
        self.counts[Self.bounds.firstIndex { microseconds <= $0 } ?? Self.bounds.count] += 1
        self.sum &+= microseconds
    }
}
