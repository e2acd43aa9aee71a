#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A bar on standard error for whoever waits, at most ten times a second. Not shown in pipes, nor with
/// --no-progress.
struct Progress {
    private let what: String
    /// nil: nobody knows how much there is.
    private let total: UInt64?
    private let isShown: Bool
    private let started = ContinuousClock.now
    private var drawn: ContinuousClock.Instant?

    private static let pause = Duration.milliseconds(100)
    private static let width = 20

    /// `output` is where the events go: on a terminal they are progress enough.
    init(
        _ invocation: Invocation, _ what: String, of total: UInt64?, besides output: Output? = nil
    ) {
        self.what = what
        self.total = total
        self.isShown =
            Output.isTelling && !invocation.has("no-progress") && output?.isTerminal != true
    }

    /// `done` of the total, and how many events that were.
    mutating func update(_ done: UInt64, events: UInt64) {
        guard self.isShown else { return }
        let now = ContinuousClock.now
        if let drawn = self.drawn, now - drawn < Self.pause { return }
        self.drawn = now
        let seconds = (now - self.started) / .seconds(1)
        // A line that wraps could not be taken back.
        let bar = Screen.cut(
            "\(self.what) \(Self.bar(done, of: self.total, events: events, seconds))",
            Screen.size(of: STDERR_FILENO).columns - 1)
        Output.tell("\r\(bar)\u{1B}[K", endsLine: false)
    }

    /// The bar goes away: what was done is said elsewhere.
    func end() {
        if self.drawn != nil { Output.tell("\r\u{1B}[K", endsLine: false) }
    }

    /// `[#####---------------] 25 %  1,000 events  500/s  6s left`
    static func bar(
        _ done: UInt64, of total: UInt64?, events: UInt64, _ seconds: Double
    ) -> String {
        let rate = seconds > 0 ? UInt64(Double(events) / seconds) : 0
        let counts = "\(Text.count(events, "event"))  \(Text.grouped(rate))/s"
        guard let total, total > 0 else { return counts }
        let share = min(1, Double(done) / Double(total))
        let full = Int(share * Double(Self.width))
        let bar =
            String(repeating: "#", count: full)
            + String(repeating: "-", count: Self.width - full)
        var text = "[\(bar)] \(Int(share * 100)) %  \(counts)"
        if share > 0, seconds > 0 {
            let left = UInt64(seconds * (1 - share) / share * 1_000_000)
            text += "  \(TimeText.roughly(left)) left"
        }
        return text
    }
}

extension CommandOption {
    static let noProgress = CommandOption("no-progress", "no bar, also not on a terminal")
}
