/// Confirmed positions that are newer than what is stored. The newest of each subscriber wins, so
/// this never holds more than one entry per subscriber, however often it acknowledges.
package struct UnsavedPositions: Sendable {
    package struct Batch: Hashable, Sendable {
        package let exchange: ExchangeID
        package let positions: [PositionSave]
    }

    private var positions: [ExchangeID: [Name: PositionSave]] = [:]

    package init() {}

    package var isEmpty: Bool { self.positions.isEmpty }

    package mutating func mark(_ save: PositionSave, in exchange: ExchangeID) {
        if let known = self.positions[exchange]?[save.name], !save.isNewer(than: known) { return }
        self.positions[exchange, default: [:]][save.name] = save
    }

    /// Forgets a subscriber that no longer exists.
    package mutating func remove(_ name: Name, in exchange: ExchangeID) {
        self.positions[exchange]?[name] = nil
        if self.positions[exchange]?.isEmpty == true { self.positions[exchange] = nil }
    }

    /// Takes everything, in statements of at most `limit` positions, ordered by exchange and name.
    package mutating func take(limit: Int) -> [Batch] {
        var batches: [Batch] = []
        for (exchange, byName) in self.positions.sorted(by: { $0.key < $1.key }) {
            let all = byName.values.sorted { $0.name < $1.name }
            let limit = max(1, limit)
            for start in stride(from: 0, to: all.count, by: limit) {
                batches.append(
                    Batch(
                        exchange: exchange,
                        positions: Array(all[start..<min(start + limit, all.count)])))
            }
        }
        self.positions = [:]
        return batches
    }

    /// A batch could not be stored: it comes back, behind whatever is newer by now.
    package mutating func giveBack(_ batch: Batch) {
        for save in batch.positions { self.mark(save, in: batch.exchange) }
    }
}

extension PositionSave {
    /// The rule of the store, too.
    package func isNewer(than other: PositionSave) -> Bool {
        self.epoch == other.epoch ? self.position > other.position : self.epoch > other.epoch
    }
}
