/// Who reads the log for whom: each principal has a few pages under way at once, and what else it wants waits for its own, in
/// order. Without it, one that replays a thousand subscriptions would keep everybody else's replays behind all of them.
package struct ReplayShares<Waiter> {
    private struct Share {
        var underWay = 0
        var waiting: [Waiter] = []
        /// Those before it had their turn.
        var head = 0
        /// So many wait when next those are thrown away who do not want it any more.
        var sweepAt = Self.sweepMin

        static var sweepMin: Int { 64 }
        var count: Int { self.waiting.count - self.head }
    }

    private let atOnceMax: Int
    private var shares: [Name: Share] = [:]
    /// Of all principals together; some may have gone meanwhile.
    package private(set) var waitingCount = 0

    package init(atOnceMax: Int) {
        self.atOnceMax = atOnceMax
    }

    /// How many pages it has under way.
    package func underWay(_ principal: Name) -> Int { self.shares[principal]?.underWay ?? 0 }

    /// Begins a page; `giveBack` must follow. false: it has as many as it may; `wait`.
    package mutating func take(_ principal: Name) -> Bool {
        guard self.underWay(principal) < self.atOnceMax else { return false }
        self.shares[principal, default: Share()].underWay += 1
        return true
    }

    /// `isGone` tells of those that wait who would not do anything with it any more: there are no more of these than of
    /// others, however often somebody comes and goes.
    package mutating func wait(_ waiter: Waiter, _ principal: Name, isGone: (Waiter) -> Bool) {
        var share = self.shares.removeValue(forKey: principal) ?? Share()
        share.waiting.append(waiter)
        self.waitingCount += 1
        if share.waiting.count >= share.sweepAt {
            self.waitingCount -= share.count
            share.waiting = share.waiting[share.head...].filter { !isGone($0) }
            share.head = 0
            share.sweepAt = max(Share.sweepMin, 2 * share.waiting.count)
            self.waitingCount += share.waiting.count
        }
        self.shares[principal] = share
    }

    /// A page has come. Whoever is returned begins the next one in its place.
    package mutating func giveBack(_ principal: Name) -> Waiter? {
        guard let share = self.shares[principal], share.underWay > 0 else { return nil }
        if share.count > 0 {
            self.waitingCount -= 1
            self.shares[principal]?.head += 1
            return share.waiting[share.head]
        }
        self.shares[principal]?.underWay -= 1
        if share.underWay == 1 { self.shares[principal] = nil }
        return nil
    }

    /// Everything ends: who waits, by principal and in order.
    package mutating func end() -> [Waiter] {
        let all = self.shares.sorted { $0.key < $1.key }.flatMap {
            $0.value.waiting[$0.value.head...]
        }
        self.shares = [:]
        self.waitingCount = 0
        return all
    }
}
