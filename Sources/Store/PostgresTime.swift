import Core

/// Postgres' binary timestamptz: microseconds since 2000-01-01 UTC.
enum PostgresTime {
    private static let epochMicroseconds: Int64 = 946_684_800_000_000
    /// The last timestamptz there is (year 294276); later times are stored as this one.
    private static let last: Int64 = 9_223_371_331_199_999_999

    static func encode(_ time: Timestamp) -> Int64 {
        let unix = Int64(clamping: time.rawValue)
        return min(unix - Self.epochMicroseconds, Self.last)
    }

    static func decode(_ value: Int64) -> Timestamp {
        let (unix, overflow) = value.addingReportingOverflow(Self.epochMicroseconds)
        return Timestamp(rawValue: overflow ? UInt64(Int64.max) : UInt64(max(0, unix)))
    }
}
