package import Core

/// How the server is, in one line.
package struct EngineSummary: Hashable, Sendable {
    package var connections = 0
    package var awake = 0
    package var subscriptions = 0
    package var exchanges = 0
    /// Of all exchanges together: the sum of their heads.
    package var events: UInt64 = 0
    /// The most that an awake subscription is behind its exchange's head, in positions.
    package var lag: UInt64 = 0
    package var storeFailure: Failure?
}

extension EngineSummary: CustomStringConvertible {
    package var description: String {
        let store = self.storeFailure.map { "; the store does not answer: \($0.message)" } ?? ""
        let places = self.exchanges == 1 ? "head" : "\(self.exchanges) exchanges, events"
        return
            "serving \(self.awake) of \(self.subscriptions) subscriptions on \(self.connections) connections, "
            + "\(places) \(self.events), lag \(self.lag)\(store)"
    }
}

extension Engine {
    /// Why requests are not served as promised; nil: they are.
    package var troubleText: String? {
        if let failure = self.storeFailure { return failure.message }
        let lost = self.exchanges.values.filter(\.isLost)
        return lost.isEmpty ? nil : "another server has taken \(lost.count) of our exchanges"
    }

    /// Costs a look at every connection and at the awake subscriptions, of these at most
    /// `Limits.summarySubscriptionsMax`.
    package func summary() -> EngineSummary {
        var summary = EngineSummary()
        summary.connections = self.sessions.count
        summary.exchanges = self.exchanges.count
        summary.storeFailure = self.storeFailure
        for exchange in self.exchanges.values {
            summary.events += exchange.head.rawValue
            summary.subscriptions += exchange.subscribers.count
        }
        for session in self.sessions.values {
            for subscriber in session.awake.members {
                summary.awake += 1
                guard summary.awake <= Limits.summarySubscriptionsMax else { continue }
                summary.lag = max(summary.lag, subscriber.lag)
            }
        }
        return summary
    }
}
