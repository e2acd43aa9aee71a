import Core
import Testing

@Suite struct NewcomersTests {
    private func newcomers(_ most: Int, perOrigin: Int) -> Newcomers {
        var limits = Limits()
        limits.newcomersMax = most
        limits.newcomersPerOriginMax = perOrigin
        return Newcomers(limits: limits)
    }

    private func origin(_ number: UInt32) -> Newcomers.Origin { .network(.four(number)) }

    private func id(_ number: Int) -> ConnectionID { ConnectionID(rawValue: UInt64(number)) }

    @Test func theOldestOfAnOriginGoesForItsNewest() {
        var newcomers = self.newcomers(10, perOrigin: 2)
        #expect(newcomers.arrived(self.id(1), from: self.origin(1)) == nil)
        #expect(newcomers.arrived(self.id(2), from: self.origin(2)) == nil)
        #expect(newcomers.arrived(self.id(3), from: self.origin(2)) == nil)
        #expect(newcomers.arrived(self.id(4), from: self.origin(2)) == self.id(2))
        #expect(newcomers.arrived(self.id(5), from: self.origin(2)) == self.id(3))
        #expect(newcomers.contains(self.id(1)) && !newcomers.contains(self.id(3)))
        #expect(newcomers.count == 3)
    }

    @Test func theOldestOfAllGoesWhenThereAreTooMany() {
        var newcomers = self.newcomers(3, perOrigin: 3)
        for number in 1...3 {
            #expect(newcomers.arrived(self.id(number), from: self.origin(UInt32(number))) == nil)
        }
        newcomers.left(self.id(1))
        newcomers.left(self.id(1))
        #expect(newcomers.arrived(self.id(4), from: self.origin(4)) == nil)
        #expect(newcomers.arrived(self.id(5), from: self.origin(5)) == self.id(2))
    }

    @Test func usersOfAUnixSocketAndNetworksAreOriginsOfTheirOwn() {
        let user = PeerIdentity(
            evidence: .unixUser(uid: 7, gid: 8), isLocal: true, network: nil)
        #expect(Newcomers.Origin(user) == .unixUser(7))
        #expect(
            Newcomers.Origin(PeerIdentity(isLocal: true, network: .four(1))) == self.origin(1))
        #expect(Newcomers.Origin(.unknown) == .unknown)
    }

    /// Against the plainest thing that could be right.
    @Test func itDoesWhatAListWouldDo() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        var newcomers = self.newcomers(12, perOrigin: 4)
        var model: [(id: ConnectionID, origin: UInt32)] = []
        for number in 1...5_000 {
            if Int.random(in: 0...2, using: &random) == 0,
                let one = model.randomElement(using: &random)
            {
                newcomers.left(one.id)
                model.removeAll { $0.id == one.id }
                continue
            }
            let origin = UInt32.random(in: 0...5, using: &random)
            var expected: ConnectionID?
            if model.count(where: { $0.origin == origin }) == 4 {
                expected = model.first { $0.origin == origin }?.id
            } else if model.count == 12 {
                expected = model.first?.id
            }
            model.removeAll { $0.id == expected }
            model.append((self.id(number), origin))
            let evicted = newcomers.arrived(self.id(number), from: self.origin(origin))
            #expect(evicted == expected, "seed \(seed)")
            #expect(newcomers.count == model.count, "seed \(seed)")
        }
    }
}

@Suite struct LogAllowanceTests {
    @Test func aBurstIsWrittenThenASlowTrickleAndWhatWasLeftOutIsCounted() {
        var allowance = LogAllowance()
        let start = Instant(rawValue: 1_000_000_000)
        for _ in 1...100 { #expect(allowance.take(now: start) == 0) }
        for _ in 1...7 { #expect(allowance.take(now: start) == nil) }
        let later = start.advanced(byMilliseconds: 20)
        #expect(allowance.take(now: later) == 7)
        #expect(allowance.take(now: later) == nil)
        let calm = later.advanced(byMilliseconds: 60_000)
        #expect(allowance.take(now: calm) == 1)
        for _ in 1...99 { #expect(allowance.take(now: calm) == 0) }
        #expect(allowance.take(now: calm) == nil)
    }
}
