/// Lets the same trouble be told once in a while.
package struct Teller {
    private static let seconds = 30
    private var lastTold: [String: ContinuousClock.Instant] = [:]

    package init() {}

    /// Whether it is time to tell this.
    package mutating func mayTell(_ what: String) -> Bool {
        let now = ContinuousClock.now
        if let last = self.lastTold[what], now - last < .seconds(Self.seconds) { return false }
        // Codes and partitions are few; a broker that finds more words does not fill our memory.
        if self.lastTold.count > 1_000 { self.lastTold = [:] }
        self.lastTold[what] = now
        return true
    }
}
