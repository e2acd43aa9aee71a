import Testing

@testable import Core

@Suite struct TailBudgetTests {
    private static let now = Timestamp(rawValue: 1_000_000_000)

    /// `age` in microseconds.
    private func share(
        _ id: Int64, _ bytes: Int, age: UInt64 = 0, canGive: Bool = true
    ) -> TailBudget.Share {
        .init(
            exchange: ExchangeID(rawValue: id), bytes: bytes,
            oldestAt: Timestamp(rawValue: Self.now.rawValue - age), canGive: canGive)
    }

    private func giver(_ shares: [TailBudget.Share], bytesMax: Int) -> Int64? {
        var budget = TailBudget(bytesMax: bytesMax)
        for share in shares { budget.added(share.bytes) }
        return budget.giver(among: shares, now: Self.now)?.rawValue
    }

    @Test func whatIsOldGivesFirstAndTheOldestOfAllBeforeTheRest() {
        let fresh = Limits.tailFreshMicroseconds
        let shares = [
            self.share(1, 90), self.share(2, 10, age: fresh + 1), self.share(3, 20, age: fresh + 2),
            self.share(4, 30, age: fresh),
        ]
        #expect(self.giver(shares, bytesMax: 100) == 3)
        #expect(self.giver(shares.reversed(), bytesMax: 100) == 3)
        #expect(self.giver([shares[0], shares[1]], bytesMax: 0) == 2)
        #expect(self.giver([shares[3], shares[0]], bytesMax: 0) == 1)
        // Clocks that went back make nothing old.
        let ahead = TailBudget.Share(
            exchange: ExchangeID(rawValue: 5), bytes: 1, oldestAt: Timestamp(rawValue: .max),
            canGive: true)
        #expect(self.giver([ahead, shares[0]], bytesMax: 0) == 1)
        let both = [self.share(7, 1, age: fresh + 1), self.share(6, 1, age: fresh + 1)]
        #expect(self.giver(both, bytesMax: 0) == 6)
    }

    @Test func nobodyGivesWhileAllFits() {
        #expect(self.giver([], bytesMax: 0) == nil)
        #expect(self.giver([self.share(1, 60), self.share(2, 40)], bytesMax: 100) == nil)
    }

    @Test func theLargestGives() {
        let shares = [self.share(1, 10), self.share(2, 30), self.share(3, 20)]
        #expect(self.giver(shares, bytesMax: 59) == 2)
        #expect(self.giver(shares.reversed(), bytesMax: 59) == 2)
    }

    @Test func ofEqualTailsTheOlderExchangeGives() {
        let shares = [self.share(2, 30), self.share(1, 30), self.share(3, 30)]
        #expect(self.giver(shares, bytesMax: 0) == 1)
        #expect(self.giver(shares.reversed(), bytesMax: 0) == 1)
    }

    @Test func theNewestChunkOfATailStays() {
        let shares = [self.share(1, 90, canGive: false), self.share(2, 30)]
        #expect(self.giver(shares, bytesMax: 0) == 2)
        #expect(self.giver([self.share(1, 90, canGive: false)], bytesMax: 0) == nil)
    }

    /// A tail that nobody adds to must not keep the others from having one.
    @Test func anIdleTailShrinksUntilTheBusyOneHasAsMuch() throws {
        var tails: [Int64: TailBuffer] = [1: TailBuffer(), 2: TailBuffer()]
        var position: UInt64 = 1
        let size = try chunk(keys: ["a"], first: position).memoryBytes
        var budget = TailBudget(bytesMax: 10 * size)
        func publish(_ id: Int64) throws {
            let added = try chunk(keys: ["a"], first: position)
            position += 1
            tails[id]?.append(added)
            budget.added(added.memoryBytes)
            while let giver = budget.giver(
                among: tails.map {
                    self.share($0.key, $0.value.bytes, canGive: $0.value.chunksCount > 1)
                }, now: Self.now)
            {
                let before = tails[giver.rawValue]?.bytes ?? 0
                tails[giver.rawValue]?.evictOldest()
                budget.evicted(before - (tails[giver.rawValue]?.bytes ?? 0))
            }
        }
        for _ in 1...20 { try publish(1) }
        #expect(tails[1]?.bytes == 10 * size)
        for _ in 1...20 { try publish(2) }
        #expect(tails[1]?.bytes == 5 * size)
        #expect(tails[2]?.bytes == 5 * size)
        #expect(budget.bytes == 10 * size)
    }
}
