/// Lines of the log that strangers can cause: so many at once, and so many in a second. What does not
/// fit is counted, and the next line says how many there were.
package struct LogAllowance {
    /// An operator who connects by mistake sees each of his attempts.
    private static let linesMax = 100
    /// One who floods us fills no disk.
    private static let millisecondsPerLine = 20

    private var lines = Self.linesMax
    private var refilled = Instant(rawValue: 0)
    private var skipped = 0

    package init() {}

    /// nil: say nothing. Else how many were not said since the last.
    package mutating func take(now: Instant) -> Int? {
        let due = now.milliseconds(since: self.refilled) / Self.millisecondsPerLine
        if due > 0 {
            self.lines = min(Self.linesMax, self.lines + min(due, Self.linesMax))
            self.refilled = now
        }
        guard self.lines > 0 else {
            self.skipped += 1
            return nil
        }
        self.lines -= 1
        defer { self.skipped = 0 }
        return self.skipped
    }
}
