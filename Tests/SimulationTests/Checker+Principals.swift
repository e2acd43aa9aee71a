import Core
import Wire

extension Checker {
    /// Whatever is sent to a tenant, at the instant at which it is sent, must match something that it may have: patterns
    /// are compared as simply as possible.
    func checkGranted(_ events: [Event], of exchange: ExchangeID, to user: UInt32) {
        guard self.isClosed, user >= Registrar.firstUser, !events.isEmpty else { return }
        let matchers = (self.possibleGrants[user] ?? []).compactMap { grant -> NaiveMatcher? in
            guard grant.exchange == Array("*".utf8) || exchange.rawValue == 1,
                let pattern = try? KeyPattern(bytes: grant.pattern),
                let config = try? ReceiverConfig(patterns: [pattern], headers: [])
            else { return nil }
            return NaiveMatcher(config)
        }
        self.simulation?.statistics.tenantEvents += events.count
        for event in events where !matchers.contains(where: { $0.matches(key: event.key) }) {
            self.broke(
                .granted,
                "user \(user) was sent '\(String(decoding: event.key, as: UTF8.self))' of exchange "
                    + "\(exchange.rawValue), which was not granted")
        }
    }
}
