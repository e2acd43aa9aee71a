/// How often what happened: shows that the faults really occur.
struct Statistics {
    var seeds = 0
    var steps = 0
    var virtualMilliseconds = 0
    var events = 0
    var acknowledgedPublishes = 0
    var failedPublishes = 0
    var retriedPublishes = 0
    var duplicates = 0
    var deliveries = 0
    var deliveredEvents = 0
    var replayedDeliveries = 0
    var redelivered = 0
    var bookmarks = 0
    var fetches = 0
    var subscriptions = 0
    var takeovers = 0
    var stops = 0
    var seeks = 0
    var pauses = 0
    var forgets = 0
    var tooSlow = 0
    var positionsLost = 0
    var goAways = 0
    var connections = 0
    var losses = 0
    var vanishings = 0
    var stalls = 0
    var starts = 0
    var kills = 0
    var drains = 0
    var seconds = 0
    var abandoned = 0
    var outages = 0
    var unknownAppends = 0
    var recoveries = 0
    var pagesRead = 0
    /// Asked for while the page before was under way.
    var pagesReadAhead = 0
    var keysRead = 0
    var merges = 0
    var deletedChunks = 0
    var savedPositions = 0
    /// Of the outbox, to the log.
    var movedRows = 0
    var rowsSetAside = 0
    var principalChanges = 0
    var tenantEvents = 0

    static let counters: [(name: String, path: any WritableKeyPath<Statistics, Int> & Sendable)] = [
        ("seeds", \.seeds), ("steps", \.steps), ("virtual ms", \.virtualMilliseconds),
        ("events", \.events), ("acknowledged publishes", \.acknowledgedPublishes),
        ("failed publishes", \.failedPublishes), ("retried publishes", \.retriedPublishes),
        ("duplicates", \.duplicates), ("deliveries", \.deliveries),
        ("delivered events", \.deliveredEvents), ("replayed deliveries", \.replayedDeliveries),
        ("redelivered", \.redelivered), ("bookmarks", \.bookmarks), ("fetches", \.fetches),
        ("subscriptions", \.subscriptions), ("takeovers", \.takeovers), ("stops", \.stops),
        ("seeks", \.seeks), ("pauses", \.pauses), ("forgets", \.forgets),
        ("too slow", \.tooSlow), ("positions lost", \.positionsLost), ("go-aways", \.goAways),
        ("connections", \.connections), ("losses", \.losses), ("vanishings", \.vanishings),
        ("stalls", \.stalls), ("starts", \.starts), ("kills", \.kills), ("drains", \.drains),
        ("second servers", \.seconds), ("abandoned", \.abandoned), ("outages", \.outages),
        ("unknown appends", \.unknownAppends), ("recoveries", \.recoveries),
        ("pages read", \.pagesRead), ("pages read ahead", \.pagesReadAhead),
        ("keys read", \.keysRead), ("merges", \.merges),
        ("deleted chunks", \.deletedChunks),
        ("saved positions", \.savedPositions), ("moved rows", \.movedRows),
        ("rows set aside", \.rowsSetAside),
        ("principal changes", \.principalChanges),
        ("events to tenants", \.tenantEvents),
    ]

    mutating func add(_ other: Statistics) {
        for counter in Self.counters {
            self[keyPath: counter.path] += other[keyPath: counter.path]
        }
    }

    var text: String {
        Self.counters.map { "\($0.name) \(self[keyPath: $0.path])" }.joined(separator: ", ")
    }

    /// What never happened.
    var missing: [String] {
        Self.counters.filter { self[keyPath: $0.path] == 0 }.map(\.name)
    }
}
