import Synchronization

/// A number that only grows, added to from any thread. Relaxed: each counter is right by itself,
/// two read together may be from slightly different times.
package struct Counter: ~Copyable, Sendable {
    private let number = Atomic<UInt64>(0)

    package init() {}

    package func add(_ count: Int = 1) {
        self.number.wrappingAdd(UInt64(max(0, count)), ordering: .relaxed)
    }

    package var value: UInt64 { self.number.load(ordering: .relaxed) }
}

/// What the server did since it started.
package final class Counters: Sendable {
    package let connectionsAccepted = Counter()
    package let connectionsRefused = Counter()
    package let connectionsClosed = Counter()
    package let bytesReceived = Counter()
    package let bytesSent = Counter()
    package let published = Counter()
    package let publishedBytes = Counter()
    package let duplicates = Counter()
    package let rejected = Counter()
    package let delivered = Counter()
    package let deliveredBytes = Counter()
    package let acknowledged = Counter()
    package let commits = Counter()
    package let commitFailures = Counter()
    package let replayPages = Counter()
    package let replayBytes = Counter()
    package let saves = Counter()
    package let saveFailures = Counter()

    package init() {}

    /// Every counter with its name, in the order of the declaration.
    package var all: [(name: String, value: UInt64)] {
        [
            ("connectionsAccepted", self.connectionsAccepted.value),
            ("connectionsRefused", self.connectionsRefused.value),
            ("connectionsClosed", self.connectionsClosed.value),
            ("bytesReceived", self.bytesReceived.value),
            ("bytesSent", self.bytesSent.value),
            ("published", self.published.value),
            ("publishedBytes", self.publishedBytes.value),
            ("duplicates", self.duplicates.value),
            ("rejected", self.rejected.value),
            ("delivered", self.delivered.value),
            ("deliveredBytes", self.deliveredBytes.value),
            ("acknowledged", self.acknowledged.value),
            ("commits", self.commits.value),
            ("commitFailures", self.commitFailures.value),
            ("replayPages", self.replayPages.value),
            ("replayBytes", self.replayBytes.value),
            ("saves", self.saves.value),
            ("saveFailures", self.saveFailures.value),
        ]
    }
}
