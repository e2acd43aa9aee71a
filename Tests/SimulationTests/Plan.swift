import Core
import Engine

/// What a simulation is made of. Everything that a test does not set is drawn from the seed.
struct Plan {
    var limits = Limits()
    var exchanges = 1
    var publishers = 2
    var consumers = 3
    /// SQL writers of the outbox.
    var writers = 0
    var hasAdministrator = true
    var hasStranger = true
    /// Consumers that are principals, whose grants come and go.
    var tenants = 0
    /// Faults of the store while it is not healed.
    var faults = StoreFaults.none
    /// Of each tick, in cases of 1,000.
    var kills = 0
    var drains = 0
    var seconds = 0
    var outages = 0
    var deletions = 0
    var clockJumps = 0
    /// Of each client's tick, in cases of 1,000.
    var losses = 0
    var vanishings = 0
    var stalls = 0
    /// Events come to an end, so that the log does not grow for ever.
    var eventsMax = 150
    var activeMilliseconds = 3_000
    /// A broken client: it forgets producer and sequence when it tries again.
    var retriesWithoutSequence = false
    var planted: PlantedBug?

    init() {}

    init(_ dice: Dice) {
        self.limits = Self.limits(dice)
        self.exchanges = dice.chance(300) ? 2 : 1
        self.publishers = dice.within(1...3)
        self.consumers = dice.within(2...5)
        self.writers = dice.below(3)
        self.hasAdministrator = dice.chance(700)
        self.hasStranger = dice.chance(300)
        self.activeMilliseconds = dice.within(500...2_500)
        self.eventsMax = dice.within(30...250)
        self.drawTrouble(dice)
        // Servers do not hear of each other's changes.
        self.tenants = self.seconds == 0 && dice.chance(500) ? 2 : 0
    }

    private mutating func drawTrouble(_ dice: Dice) {
        // Some runs are calm, so that what happens without faults is seen, too.
        guard dice.chance(850) else { return }
        func maybe(_ most: Int) -> Int { dice.chance(500) ? dice.within(1...most) : 0 }
        self.faults.failed = maybe(150)
        self.faults.lostReply = maybe(150)
        self.faults.late = maybe(100)
        self.faults.stateFailed = maybe(200)
        self.faults.stateLostReply = maybe(200)
        self.faults.readFailed = maybe(200)
        self.faults.slow = maybe(50)
        self.faults.latencyMax = dice.pick([200, 3_000, 30_000], or: 3_000)
        self.kills = maybe(20)
        self.drains = maybe(20)
        self.seconds = maybe(15)
        self.outages = maybe(20)
        self.deletions = maybe(30)
        self.clockJumps = maybe(30)
        self.losses = maybe(40)
        self.vanishings = maybe(20)
        self.stalls = maybe(30)
    }

    /// Small bounds, so that seams and limits are crossed all the time.
    private static func limits(_ dice: Dice) -> Limits {
        var limits = Limits()
        limits.frameBytesMax = 16 << 10
        limits.helloMillisecondsMax = dice.within(300...1_500)
        limits.heartbeatMilliseconds = dice.within(300...3_000)
        limits.writeMillisecondsMax = dice.within(200...2_000)
        limits.outboundBytesMax = 32 << 10
        limits.outboundTotalBytesMax = dice.pick(
            [32 << 10, 40 << 10, 1 << 20], or: 32 << 10)
        limits.requestsMax = dice.within(2...40)
        limits.publishBytesMax = 16 << 10
        limits.pendingBytesMax = dice.within(16...40) << 10
        limits.publishWaitMilliseconds = dice.within(50...1_000)
        limits.chunkBytesMax = dice.within(100...1_500)
        limits.appendBytesMax = dice.within(200...5_000)
        limits.appendsInFlightMax = dice.within(1...3)
        limits.gatherBytes = dice.pick([0, 200, 1_000], or: 200)
        limits.tailBytes = dice.within(500...8_000)
        limits.pageBytesMax = dice.within(200...3_000)
        limits.replayReaders = dice.within(1...3)
        limits.replaysPerPrincipalMax = dice.within(1...2)
        limits.replayBytes = dice.pick([18_000, 200_000, 400_000], or: 18_000)
        limits.listPageMax = dice.within(1...5)
        limits.fetchWaitMillisecondsMax = 500
        limits.turnWorkMax = dice.pick([1, 50, 1_000, 250_000], or: 50)
        limits.bookmarkMilliseconds = dice.within(5...300)
        limits.saveMilliseconds = dice.within(1...100)
        limits.savesPerSecondMax = dice.pick([1, 10, 100, 10_000], or: 10)
        limits.drainMillisecondsMax = dice.within(50...1_000)
        limits.retryMillisecondsMin = dice.within(1...20)
        limits.retryMillisecondsMax = dice.within(20...200)
        limits.mergeMilliseconds = dice.pick([0, 20, 200, 1_000], or: 200)
        limits.outboxMilliseconds = dice.within(5...100)
        limits.outboxRowsMax = dice.within(1...10)
        limits.ownershipMilliseconds = dice.within(20...500)
        limits.takeoverMilliseconds = dice.within(1...2_000)
        limits.streamsMax = dice.within(2...10)
        return limits
    }
}
