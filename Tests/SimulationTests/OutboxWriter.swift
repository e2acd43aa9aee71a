import Core

// A program that writes to the outbox, one transaction after the other: its rows are numbered at once and seen when it
// commits, which others do earlier or later; or it rolls back. The checker sees it as a producer: each committed event
// once, in its order.

/// `@unchecked Sendable`: used on the simulation's thread only.
final class OutboxWriter: @unchecked Sendable {
    private unowned let simulation: Simulation
    private let number: Int
    private let exchange: ExchangeID
    private let name: Name?
    private var sequence: UInt64 = 0

    init(_ simulation: Simulation, number: Int) {
        self.simulation = simulation
        self.number = number
        self.exchange = ExchangeID(
            rawValue: Int64(simulation.dice.within(1...simulation.plan.exchanges)))
        self.name = try? Name("writer-\(number)")
    }

    func begin() {
        let dice = self.simulation.dice
        let isEnough = self.simulation.statistics.events >= self.simulation.plan.eventsMax
        guard !self.simulation.isQuiet, !isEnough else { return }
        let rows = (0..<dice.within(1...4)).map { _ in
            (id: self.simulation.durable.nextOutboxID(), event: self.makeEvent())
        }
        // Some are idle in their transaction.
        let length = dice.chance(50) ? dice.within(1...1_000_000) : dice.within(1...20_000)
        self.simulation.after(length) {
            if !dice.chance(200) { self.commit(rows) }
            self.simulation.after(dice.within(1...40_000)) { self.begin() }
        }
    }

    private func commit(_ rows: [(id: OutboxID, event: Event)]) {
        self.simulation.remark(
            .request, "writer \(self.number) commits the rows \(rows.map(\.id.rawValue))")
        for (id, event) in rows {
            // What cannot be an event never comes to the log.
            if !event.key.isEmpty {
                self.sequence += 1
                self.simulation.checker.attempting(
                    Attempt(
                        publisher: self.number, exchange: self.exchange, producer: self.name,
                        sequence: self.sequence, events: [event]))
            }
            self.simulation.durable.commit(id, event, to: self.exchange)
        }
    }

    private func makeEvent() -> Event {
        let dice = self.simulation.dice
        let id = "\(self.number).\(self.simulation.durable.lastOutbox)"
        return Event(
            key: dice.chance(50) ? [] : Array("a.b".utf8), payload: dice.bytes(dice.below(400)),
            id: Array(id.utf8))
    }
}
