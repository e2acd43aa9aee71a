internal import Channels
internal import Core
internal import Diagnostics

// Numbers for whoever watches. They are gathered on the loop, in turns: between two turns everything else goes on, so
// entries may be from slightly different times. Nothing here asks the store while somebody waits: when a subscriber's
// oldest event is not in memory, its time is looked up afterwards, and told the next time.

extension Engine {
    /// Subscribers between which others have their turn: less than a millisecond.
    private static let turnMax = 10_000

    /// `subscriptionsMax`: of how many subscriptions to tell. Of a million it takes some tens of milliseconds.
    package func metrics(subscriptionsMax: Int) async -> EngineMetrics {
        var metrics = self.generalMetrics()
        var largest = LargestLags(limit: subscriptionsMax)
        for exchange in self.exchanges.values.sorted(by: { $0.name < $1.name }) {
            metrics.exchanges.append(self.describeMetrics(of: exchange))
            var count = 0
            for subscriber in Array(exchange.subscribers.values) {
                largest.add(subscriber)
                count += 1
                if count % Self.turnMax == 0 { await Task.yield() }
            }
        }
        metrics.subscriptionsOmitted = largest.seen
        let chosen = largest.all
        metrics.subscriptionsOmitted -= chosen.count
        var unknown: [WaitingTimes.Place] = []
        metrics.subscriptions = chosen.map { self.describeMetrics(of: $0, &unknown) }
        self.waitingTimes.keep(chosen.map(WaitingTimes.Place.init))
        self.learnWaitingTimes(unknown)
        return metrics
    }

    private func generalMetrics() -> EngineMetrics {
        var metrics = EngineMetrics()
        metrics.published = self.published
        metrics.delivered = self.delivered
        metrics.isStoreAvailable = self.storeFailure == nil
        metrics.connections = self.sessions.count
        metrics.tailBytes = self.tailBudget.bytes
        metrics.replayCacheBytes = self.pages.bytes
        metrics.pagesWaiting = self.wantedPages.count + self.pageRequests.count
        metrics.replaysHeld = self.replayShares.waitingCount
        metrics.deliveriesWaiting = self.due.count
        metrics.commits = self.commitTimes
        metrics.counters = self.counters.values
        metrics.bytesSent = self.counters[.sentBytes]
        for session in self.sessions.values {
            metrics.outboundBytes += session.peer.queuedBytes
            metrics.bytesSent += session.peer.takenBytes
        }
        return metrics
    }

    private func describeMetrics(of exchange: Exchange) -> EngineMetrics.ExchangeEntry {
        var entry = EngineMetrics.ExchangeEntry()
        entry.name = exchange.name.text
        entry.head = exchange.head.rawValue
        entry.first = exchange.first.rawValue
        entry.storedBytes = exchange.bytes
        entry.pendingBytes = exchange.log.pendingBytes
        entry.receivers = exchange.receivers.count
        entry.awake = exchange.awakeReceivers.members.reduce(0) { $0 + $1.awakeNamed }
        entry.subscriptions = exchange.subscribers.count
        entry.isOwned = !exchange.isLost
        return entry
    }

    private func describeMetrics(
        of subscriber: Subscriber, _ unknown: inout [WaitingTimes.Place]
    ) -> EngineMetrics.SubscriptionEntry {
        var entry = EngineMetrics.SubscriptionEntry()
        entry.exchange = subscriber.exchange.name.text
        entry.name = subscriber.name?.text ?? ""
        entry.lag = subscriber.lag
        entry.isAwake = subscriber.session != nil
        if entry.lag == 0 {
            entry.ageMicroseconds = 0
        } else if let time = self.waitingSince(subscriber) {
            let now = self.host.wallTime.rawValue
            entry.ageMicroseconds = now > time ? now - time : 0
        } else {
            unknown.append(WaitingTimes.Place(subscriber))
        }
        return entry
    }

    /// When the oldest event that it has not confirmed was published, as far as that is in memory.
    private func waitingSince(_ subscriber: Subscriber) -> UInt64? {
        let confirmed = subscriber.machine.confirmed
        if let chunk = subscriber.exchange.tail.chunk(after: confirmed) {
            return chunk.time(at: chunk.index(after: confirmed)).rawValue
        }
        return self.waitingTimes.known[WaitingTimes.Place(subscriber)]
    }

    /// A few at a time, and only while the store answers.
    private func learnWaitingTimes(_ places: [WaitingTimes.Place]) {
        guard !places.isEmpty, !self.waitingTimes.isLearning, self.storeFailure == nil,
            !self.isFinished
        else { return }
        self.waitingTimes.isLearning = true
        let chosen = Set(places).prefix(Limits.waitingTimesAtOnceMax)
        self.spawn { engine in await engine.learn(Array(chosen)) }
    }

    private func learn(_ places: [WaitingTimes.Place]) async {
        defer { self.waitingTimes.isLearning = false }
        for place in places where !self.isFinished {
            do throws(Failure) {
                let page = try await self.asking { () throws(Failure) -> LogPage in
                    try await self.log.read(place.exchange, after: place.after, bytesMax: 1)
                }
                guard let chunk = page.chunks.first else { continue }
                let index = min(chunk.count - 1, chunk.index(after: place.after))
                self.waitingTimes.known[place] = chunk.time(at: index).rawValue
            } catch {
                // Later then: whoever asks for numbers is told that this one is not known.
                return
            }
        }
    }
}

/// Publish times of events that only the log holds: positions do not change their event.
struct WaitingTimes {
    struct Place: Hashable, Sendable {
        let exchange: ExchangeID
        let after: Position

        init(_ subscriber: Subscriber) {
            self.exchange = subscriber.exchange.id
            self.after = subscriber.machine.confirmed
        }
    }

    var known: [Place: UInt64] = [:]
    var isLearning = false

    /// Forgets all others.
    mutating func keep(_ places: [Place]) {
        guard !self.known.isEmpty else { return }
        let wanted = Set(places)
        self.known = self.known.filter { wanted.contains($0.key) }
    }
}

/// The subscribers with the largest lags among many, in room for twice as many.
private struct LargestLags {
    let limit: Int
    private var kept: [(lag: UInt64, subscriber: Subscriber)] = []
    private(set) var seen = 0

    init(limit: Int) { self.limit = limit }

    mutating func add(_ subscriber: Subscriber) {
        self.seen += 1
        self.kept.append((subscriber.lag, subscriber))
        if self.kept.count >= 2 * self.limit + 2 { self.cut() }
    }

    private mutating func cut() {
        self.kept.sort { $0.lag > $1.lag }
        self.kept.removeLast(max(0, self.kept.count - self.limit))
    }

    /// By exchange and name.
    var all: [Subscriber] {
        var copy = self
        copy.cut()
        return copy.kept.map(\.subscriber).sorted {
            ($0.exchange.id, $0.name?.text ?? "") < ($1.exchange.id, $1.name?.text ?? "")
        }
    }
}

extension Subscriber {
    /// Positions between what is confirmed and the head.
    var lag: UInt64 {
        let (head, confirmed) = (self.exchange.head.rawValue, self.machine.confirmed.rawValue)
        return head > confirmed ? head - confirmed : 0
    }
}
