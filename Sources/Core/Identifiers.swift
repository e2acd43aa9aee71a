// Integers that mean different things are different types, so that a receiver's number cannot be
// passed as an exchange's.

/// The row of an exchange.
package struct ExchangeID: RawRepresentable, Hashable, Comparable, Sendable {
    package let rawValue: Int64
    package init(rawValue: Int64) { self.rawValue = rawValue }
    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// The row of a receiver; unique within its exchange.
package struct ReceiverID: RawRepresentable, Hashable, Comparable, Sendable {
    package let rawValue: Int64
    package init(rawValue: Int64) { self.rawValue = rawValue }
    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Which ownership of an exchange a write belongs to. Grows with every server that takes the
/// exchange; a write with an older one changes nothing.
package struct OwnerEpoch: RawRepresentable, Hashable, Comparable, Sendable {
    package let rawValue: Int64
    package init(rawValue: Int64) { self.rawValue = rawValue }
    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Which awakening of a subscriber an input belongs to. Grows with every wake and every seek, so
/// that a late stop or a late save of an earlier consumer changes nothing.
package struct SessionEpoch: RawRepresentable, Hashable, Comparable, Sendable {
    package let rawValue: Int64
    package init(rawValue: Int64) { self.rawValue = rawValue }
    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    package var next: SessionEpoch { SessionEpoch(rawValue: self.rawValue &+ 1) }
    package static let last = SessionEpoch(rawValue: .max)
}

/// A connection, for as long as the process lives; never reused.
package struct ConnectionID: RawRepresentable, Hashable, Comparable, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// A request or stream of one connection; chosen by the client, 0 is the connection itself.
package struct StreamID: RawRepresentable, Hashable, Comparable, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    package static let connection = StreamID(rawValue: 0)
}

/// A random number that stands for one run of one server (`exchange.owner`).
package struct OwnerID: RawRepresentable, Hashable, Sendable {
    package let rawValue: Int64
    package init(rawValue: Int64) { self.rawValue = rawValue }
}

/// 16 random bytes made with the schema; another value means that the log was restored from a
/// backup.
package struct Incarnation: Hashable, Sendable, CustomStringConvertible {
    package let bytes: [UInt8]
    package init(bytes: [UInt8]) { self.bytes = bytes }
    /// Hexadecimal.
    package var description: String {
        self.bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
