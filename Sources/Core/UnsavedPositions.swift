/// Confirmed positions that are newer than what is stored. The newest of each subscriber wins, so
/// this never holds more than one entry per subscriber, however often it acknowledges.
///
/// 1. A position that is not saved costs redelivery after a crash, and nothing else. So they may wait,
///    and the more there are, the longer: rows are changed at a bounded rate.
/// 2. Those that will not change soon (of subscribers that fell asleep or were moved) do not wait for
///    the others: they are urgent.
package struct UnsavedPositions: Sendable {
    package struct Batch: Hashable, Sendable {
        package let exchange: ExchangeID
        package let positions: [PositionSave]
    }

    private typealias Positions = [ExchangeID: [Name: PositionSave]]

    /// Of each subscriber in one of the two.
    private var positions: Positions = [:]
    private var urgent: Positions = [:]
    /// Until then only urgent ones are due.
    private var heldUntil = Instant(rawValue: 0)

    package init() {}

    package var isEmpty: Bool { self.positions.isEmpty && self.urgent.isEmpty }

    package mutating func mark(_ save: PositionSave, in exchange: ExchangeID) {
        if let known = self.urgent[exchange]?[save.name] {
            guard save.isNewer(than: known) else { return }
            self.urgent[exchange]?[save.name] = save
        } else {
            let known = self.positions[exchange]?[save.name]
            guard known.map({ save.isNewer(than: $0) }) ?? true else { return }
            self.positions[exchange, default: [:]][save.name] = save
        }
    }

    /// What is unsaved of this subscriber is not held back any more.
    package mutating func hasten(_ name: Name, in exchange: ExchangeID) {
        guard let save = Self.remove(name, exchange, from: &self.positions) else { return }
        self.urgent[exchange, default: [:]][name] = save
    }

    /// Forgets a subscriber that no longer exists.
    package mutating func remove(_ name: Name, in exchange: ExchangeID) {
        _ = Self.remove(name, exchange, from: &self.positions)
        _ = Self.remove(name, exchange, from: &self.urgent)
    }

    /// Takes what is due, as `take`: everything, unless so much was taken lately that all together
    /// would be more than `perSecond`; then only what is urgent.
    package mutating func takeDue(now: Instant, perSecond: Int, limit: Int) -> [Batch] {
        let isHeld = now < self.heldUntil
        let batches = isHeld ? Self.takeAll(&self.urgent, limit) : self.take(limit: limit)
        let taken = batches.reduce(0) { $0 + $1.positions.count }
        self.heldUntil = max(now, self.heldUntil)
            .advanced(byMilliseconds: taken * 1_000 / max(1, perSecond))
        return batches
    }

    /// Takes everything, in statements of at most `limit` positions, ordered by exchange and name.
    package mutating func take(limit: Int) -> [Batch] {
        for (exchange, byName) in self.urgent {
            self.positions[exchange, default: [:]].merge(byName) { $1 }
        }
        self.urgent = [:]
        return Self.takeAll(&self.positions, limit)
    }

    /// A batch could not be stored: it comes back, behind whatever is newer by now, and is due at once.
    package mutating func giveBack(_ batch: Batch) {
        for save in batch.positions { self.mark(save, in: batch.exchange) }
        self.heldUntil = Instant(rawValue: 0)
    }

    private static func remove(
        _ name: Name, _ exchange: ExchangeID, from positions: inout Positions
    ) -> PositionSave? {
        let removed = positions[exchange]?.removeValue(forKey: name)
        if positions[exchange]?.isEmpty == true { positions[exchange] = nil }
        return removed
    }

    private static func takeAll(_ positions: inout Positions, _ limit: Int) -> [Batch] {
        var batches: [Batch] = []
        for (exchange, byName) in positions.sorted(by: { $0.key < $1.key }) {
            let all = byName.values.sorted { $0.name < $1.name }
            let limit = max(1, limit)
            for start in stride(from: 0, to: all.count, by: limit) {
                batches.append(
                    Batch(
                        exchange: exchange,
                        positions: Array(all[start..<min(start + limit, all.count)])))
            }
        }
        positions = [:]
        return batches
    }
}

extension PositionSave {
    /// The rule of the store, too.
    package func isNewer(than other: PositionSave) -> Bool {
        self.epoch == other.epoch ? self.position > other.position : self.epoch > other.epoch
    }
}
