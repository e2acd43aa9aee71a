/// How often clients of one origin failed to show who they are: some are answered, after a pause; too many are closed
/// without a word, so that they keep no connections. Nothing of this concerns clients that do show it.
package struct FailedAuthentications: Sendable {
    private struct Bucket {
        /// What was taken from it, in milliseconds that it takes to be full again.
        var debt = 0
        var at: Instant
    }

    /// Answered at once, of one origin: a fleet that starts with an old token is told what is wrong.
    package static let burst = 20
    /// And one more after each of these.
    private static let millisecondsEach = 500
    /// As many origins are told apart, about 100 bytes each; all others share one bucket.
    package static let originsMax = 1_024

    private var buckets: [Newcomers.Origin: Bucket] = [:]
    private var others = Bucket(at: Instant(rawValue: 0))

    package init() {}

    /// A client did not show who it is. false: enough were answered for now.
    package mutating func isAnswered(_ origin: Newcomers.Origin, at now: Instant) -> Bool {
        if self.buckets[origin] == nil, self.buckets.count >= Self.originsMax {
            self.buckets = self.buckets.filter { Self.debt($0.value, at: now) > 0 }
            guard self.buckets.count < Self.originsMax else {
                return Self.take(&self.others, at: now)
            }
        }
        return Self.take(&self.buckets[origin, default: Bucket(at: now)], at: now)
    }

    package var origins: Int { self.buckets.count }

    private static func debt(_ bucket: Bucket, at now: Instant) -> Int {
        max(0, bucket.debt - now.milliseconds(since: bucket.at))
    }

    private static func take(_ bucket: inout Bucket, at now: Instant) -> Bool {
        bucket.debt = self.debt(bucket, at: now)
        bucket.at = now
        guard bucket.debt + self.millisecondsEach <= self.burst * self.millisecondsEach else {
            return false
        }
        bucket.debt += self.millisecondsEach
        return true
    }
}
