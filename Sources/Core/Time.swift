/// Wall-clock time in microseconds since 1970 UTC, as it is stored and sent.
package struct Timestamp: RawRepresentable, Hashable, Comparable, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    package static let zero = Timestamp(rawValue: 0)
}

/// Monotonic time in microseconds since some start; only differences mean anything.
package struct Instant: RawRepresentable, Hashable, Comparable, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    /// Saturates instead of wrapping: a deadline far in the future stays far in the future.
    package func advanced(byMilliseconds milliseconds: Int) -> Instant {
        let microseconds = UInt64(max(0, milliseconds)).multipliedReportingOverflow(by: 1000)
        guard !microseconds.overflow else { return Instant(rawValue: .max) }
        let sum = self.rawValue.addingReportingOverflow(microseconds.partialValue)
        return Instant(rawValue: sum.overflow ? .max : sum.partialValue)
    }
}

extension Instant {
    /// Microseconds from `earlier` to here; 0 when that is not earlier.
    package func microseconds(since earlier: Instant) -> UInt64 {
        self > earlier ? self.rawValue - earlier.rawValue : 0
    }

    /// Whole milliseconds from `earlier` to here; 0 when that is not earlier.
    package func milliseconds(since earlier: Instant) -> Int {
        self > earlier ? Int(clamping: (self.rawValue - earlier.rawValue) / 1000) : 0
    }
}
