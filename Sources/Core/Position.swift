/// The place of an event in its exchange: 1, 2, 3 … without holes. `origin` (0) is the place before
/// the first event, so that "everything after `origin`" is the whole log.
package struct Position: RawRepresentable, Hashable, Comparable, Sendable {
    package let rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    package init(_ rawValue: UInt64) {
        self.rawValue = rawValue
    }

    package static let origin = Position(0)

    /// The last position there can be; a log stops here, positions never wrap. Postgres' bigint
    /// bounds it.
    package static let last = Position(UInt64(Int64.max))

    package static func < (left: Position, right: Position) -> Bool {
        left.rawValue < right.rawValue
    }

    /// The position `count` events further, or nil where that would be beyond `last`.
    package func advanced(by count: Int) -> Position? {
        guard count >= 0 else { return nil }
        let (sum, overflow) = self.rawValue.addingReportingOverflow(UInt64(count))
        guard !overflow, sum <= Position.last.rawValue else { return nil }
        return Position(sum)
    }

    /// The position before this one; `origin` stays where it is.
    package var previous: Position {
        Position(self.rawValue == 0 ? 0 : self.rawValue - 1)
    }

    /// The position after this one; saturates at the largest integer, which no log reaches.
    package var next: Position {
        Position(self.rawValue == .max ? .max : self.rawValue + 1)
    }

    /// How many positions lie in (earlier, self]; 0 when `earlier` is not earlier.
    package func distance(from earlier: Position) -> UInt64 {
        self > earlier ? self.rawValue - earlier.rawValue : 0
    }
}

extension Position: CustomStringConvertible {
    package var description: String { String(self.rawValue) }
}
