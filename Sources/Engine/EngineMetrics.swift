package import Diagnostics

/// Numbers of the engine at one time.
package struct EngineMetrics: Sendable {
    package struct ExchangeEntry: Sendable {
        package var name = ""
        package var head: UInt64 = 0
        package var first: UInt64 = 0
        package var storedBytes: UInt64 = 0
        package var pendingBytes = 0
        package var receivers = 0
        package var awake = 0
        package var subscriptions = 0
        package var isOwned = true
    }

    package struct SubscriptionEntry: Sendable {
        package var exchange = ""
        package var name = ""
        /// Positions between what its consumer confirmed and the head, whether they match or not.
        package var lag: UInt64 = 0
        /// Since the oldest event after the confirmed position was published; 0 when there is none, nil while that
        /// is not known.
        package var ageMicroseconds: UInt64?
        package var isAwake = false
    }

    package var isStoreAvailable = true
    package var connections = 0
    /// Not yet taken by sockets.
    package var outboundBytes = 0
    package var tailBytes = 0
    package var replayCacheBytes = 0
    /// Pages of the log that somebody waits for.
    package var pagesWaiting = 0
    /// Subscriptions and fetches that wait until their principal may have another page.
    package var replaysHeld = 0
    /// Subscribers whose turn to be sent something is to come.
    package var deliveriesWaiting = 0
    /// Events.
    package var published: UInt64 = 0
    package var delivered: UInt64 = 0
    package var bytesSent: UInt64 = 0
    package var counters: [Counters.Name: UInt64] = [:]
    package var commits = Histogram()
    package var exchanges: [ExchangeEntry] = []
    /// Those with the largest lags, at most as many as were asked for.
    package var subscriptions: [SubscriptionEntry] = []
    package var subscriptionsOmitted = 0
}
