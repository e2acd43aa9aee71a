/// Pauses that grow with each failure, with jitter so that many do not come back at once.
package struct BackOff: Hashable, Sendable {
    package static let millisecondsMin = 100
    /// Half a minute without an event after a long trouble is borne by everybody.
    package static let millisecondsMax = 15_000

    package private(set) var failures = 0

    package init() {}

    /// How long to wait now; `random` is in 0 ..< 1.
    package mutating func failed(random: Double) -> Int {
        let ceiling = min(Self.millisecondsMax, Self.millisecondsMin << min(self.failures, 10))
        self.failures += 1
        return ceiling / 2 + Int(Double(ceiling / 2) * random)
    }

    package mutating func succeeded() { self.failures = 0 }
}
