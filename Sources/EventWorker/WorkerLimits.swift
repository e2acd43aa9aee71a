/// The bounds of a worker.
public struct WorkerLimits: Hashable, Sendable {
    /// How often an event is tried before it is parked. A process that ends while it applies an event
    /// has tried it, too.
    public var attemptsMax = 5
    /// Events that are set aside, waiting and parked together. With more than that something is wrong
    /// with all of them: the worker stops taking events until there is room. 10 000 events of 10 KB are
    /// 100 MB, which every database has.
    public var asideMax = 10_000
    /// Between two attempts at an event.
    public var retry = BackOff(first: 50, most: 5_000)
    /// After trouble with the database or the server, until it is tried again.
    public var rest = BackOff(first: 50, most: 5_000)
    /// A worker that is full looks this often whether a command has made room.
    public var lookMilliseconds: Int64 = 1_000
    /// How long one statement may take, 4 at least. A database that is frozen says nothing; after this the connection
    /// is given up. The database itself ends a wait for a lock after half of it, which is tried again, and a statement after three
    /// quarters of it, which is a failed attempt when it is the observer's.
    public var statementMilliseconds: Int64 = 30_000
    /// Positions without matching events that are passed before that is written down, too: a commit
    /// every so often costs nothing, and never would read them all again after a restart.
    public var unmatchedMax: UInt64 = 10_000

    /// The defaults.
    public init() {}

    /// With values that a worker can live with: none but what is tried once, and no sum that is too large.
    var sound: WorkerLimits {
        var limits = self
        limits.attemptsMax = max(1, self.attemptsMax)
        limits.asideMax = max(1, self.asideMax)
        limits.retry.most = min(self.retry.most, Self.millisecondsMax)
        limits.rest.most = min(self.rest.most, Self.millisecondsMax)
        limits.lookMilliseconds = min(max(1, self.lookMilliseconds), Self.millisecondsMax)
        limits.statementMilliseconds = min(
            max(4, self.statementMilliseconds), Self.millisecondsMax)
        limits.unmatchedMax = max(1, self.unmatchedMax)
        return limits
    }

    /// A day: whoever says more means for ever, and comes back after it.
    private static let millisecondsMax: Int64 = 86_400_000
}

/// Pauses that grow: each up to twice as long as the one before, by chance, so that many workers that failed
/// together do not come back together. Source: "full jitter" of M. Brooker, "Exponential Backoff And
/// Jitter", with at least half of the pause kept.
public struct BackOff: Hashable, Sendable {
    /// Milliseconds of the first pause.
    public var first: Int64
    /// Milliseconds of the longest pause.
    public var most: Int64

    /// Both in milliseconds.
    public init(first: Int64, most: Int64) {
        self.first = first
        self.most = most
    }

    /// The pause after so many failures, at least 1. `luck` is a random number in 0..<1.
    public func milliseconds(after failures: Int, luck: Double) -> Int64 {
        let doublings = min(max(failures, 1) - 1, 20)
        let (grown, isOver) = self.first.multipliedReportingOverflow(by: 1 << doublings)
        let pause = isOver ? self.most : min(grown, self.most)
        return max(1, pause / 2 + Int64(luck * Double(pause - pause / 2)))
    }
}
