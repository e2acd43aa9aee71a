import Core
import Testing

@Suite struct ReplaySharesTests {
    /// Shares of a few principals, for waiters that are numbers; negative ones are gone.
    private final class Model {
        private var shares: ReplayShares<Int>

        init(atOnceMax: Int) { self.shares = ReplayShares(atOnceMax: atOnceMax) }

        var waiting: Int { self.shares.waitingCount }
        func underWay(_ name: Name) -> Int { self.shares.underWay(name) }
        func take(_ name: Name) -> Bool { self.shares.take(name) }
        func wait(_ waiter: Int, _ name: Name) { self.shares.wait(waiter, name) { $0 < 0 } }
        func giveBack(_ name: Name) -> Int? { self.shares.giveBack(name) }
        func end() -> [Int] { self.shares.end() }
    }

    private let a: Name
    private let b: Name

    init() throws {
        self.a = try Name("a", what: "principal")
        self.b = try Name("b", what: "principal")
    }

    @Test func eachPrincipalHasItsOwnAndWaitsForItsOwn() {
        let shares = Model(atOnceMax: 2)
        #expect(shares.take(self.a) && shares.take(self.a) && !shares.take(self.a))
        shares.wait(1, self.a)
        shares.wait(2, self.a)
        #expect(shares.take(self.b) && shares.underWay(self.b) == 1 && shares.waiting == 2)
        #expect(shares.giveBack(self.b) == nil && shares.underWay(self.b) == 0)
        // Handed on, in order: nobody else gets between.
        #expect(shares.giveBack(self.a) == 1 && !shares.take(self.a))
        #expect(shares.giveBack(self.a) == 2 && shares.waiting == 0)
        #expect(shares.giveBack(self.a) == nil && shares.underWay(self.a) == 1)
        #expect(shares.take(self.a) && !shares.take(self.a))
    }

    @Test func whatWasNotTakenIsNotGivenBack() {
        let shares = Model(atOnceMax: 1)
        #expect(shares.giveBack(self.a) == nil)
        #expect(shares.take(self.a) && !shares.take(self.a))
        #expect(shares.giveBack(self.a) == nil && shares.giveBack(self.a) == nil)
        #expect(shares.take(self.a) && !shares.take(self.a))
    }

    @Test func thoseWhoAreGoneDoNotPileUp() {
        let shares = Model(atOnceMax: 1)
        #expect(shares.take(self.a))
        var waitingMax = 0
        for number in 0..<100_000 {
            shares.wait(number % 1_000 == 0 ? number + 1 : -1, self.a)
            waitingMax = max(waitingMax, shares.waiting - 2 * (number / 1_000 + 1))
        }
        #expect(waitingMax <= 64)
        var order: [Int] = []
        while let next = shares.giveBack(self.a) { order.append(next) }
        #expect(order.filter { $0 > 0 } == (0..<100).map { $0 * 1_000 + 1 })
        #expect(shares.waiting == 0 && shares.underWay(self.a) == 0)
    }

    @Test func atTheEndAllAreKnown() {
        let shares = Model(atOnceMax: 1)
        for principal in [self.b, self.a] {
            #expect(shares.take(principal))
            for number in 1...3 { shares.wait(number, principal) }
        }
        #expect(shares.giveBack(self.a) == 1)
        #expect(shares.end() == [2, 3, 1, 2, 3])
        #expect(shares.waiting == 0 && shares.giveBack(self.a) == nil)
    }
}
