import Testing

@testable import EventWorker

struct WorkerMachineTests {
    private func machine(attempts: Int = 0) -> WorkerMachine {
        var limits = WorkerLimits()
        limits.attemptsMax = 3
        limits.asideMax = 10
        limits.retry = BackOff(first: 100, most: 1_000)
        limits.rest = BackOff(first: 100, most: 1_000)
        return WorkerMachine(limits, attempts: attempts)
    }

    private func next(
        _ machine: inout WorkerMachine, at now: Int64 = 0, due: Int64? = nil, aside: Int = 0
    ) -> WorkerMachine.Action {
        machine.next(now: now, due: due, asideCount: aside)
    }

    @Test func aDeliveryIsAppliedAsAWhole() {
        var machine = self.machine()
        #expect(self.next(&machine) == .take(until: nil))
        machine.delivered(5)
        #expect(self.next(&machine) == .apply(0..<5, attempt: 1))
        machine.committed()
        #expect(self.next(&machine) == .take(until: nil))
    }

    @Test func anEventThatFailsIsFoundAndSetAsideAndTheOthersGoOn() {
        var machine = self.machine()
        machine.delivered(3)
        machine.failed(.event, now: 0, luck: 0)
        #expect(self.next(&machine) == .apply(0..<1, attempt: 1))
        machine.committed()
        #expect(self.next(&machine) == .apply(1..<2, attempt: 1))
        machine.failed(.event, now: 0, luck: 0)
        #expect(
            self.next(&machine)
                == .setAside(event: 1, attempts: 1, verdict: .later(milliseconds: 50)))
        machine.committed()
        #expect(self.next(&machine) == .apply(2..<3, attempt: 1))
        machine.committed()
        #expect(self.next(&machine, due: 50, aside: 1) == .take(until: 50))
    }

    @Test func settingAsideIsTriedAgainWhenTheDatabaseWasAway() {
        var machine = self.machine()
        machine.delivered(1)
        machine.failed(.event, now: 0, luck: 0)
        machine.failed(.passing, now: 0, luck: 0)
        #expect(self.next(&machine, at: 0) == .rest(until: 50))
        #expect(
            self.next(&machine, at: 50)
                == .setAside(event: 0, attempts: 1, verdict: .later(milliseconds: 50)))
    }

    @Test func troubleThatPassesCostsNoAttempt() {
        var machine = self.machine()
        machine.delivered(2)
        var now: Int64 = 0
        for _ in 1...20 {
            #expect(self.next(&machine, at: now) == .apply(0..<2, attempt: 1))
            machine.failed(.passing, now: now, luck: 0.5)
            guard case .rest(let until) = self.next(&machine, at: now) else {
                Issue.record("it does not rest")
                return
            }
            #expect(until > now && until <= now + 1_000)
            now = until
        }
    }

    @Test func aProcessThatEndsInTheMiddleHasTriedTheEvent() {
        // Ended once: which event it was is not known, so they go one by one.
        var machine = self.machine(attempts: 1)
        machine.delivered(3)
        #expect(self.next(&machine) == .apply(0..<1, attempt: 2))
        machine.committed()
        // This one ends the process, again and again.
        #expect(self.next(&machine) == .apply(1..<2, attempt: 1))
        machine = self.machine(attempts: 3)
        machine.delivered(2)
        #expect(self.next(&machine) == .setAside(event: 0, attempts: 3, verdict: .parked))
        machine.committed()
        #expect(self.next(&machine) == .apply(1..<2, attempt: 1))
    }

    @Test func anEventThatWaitsForItsCauseIsNeverParked() {
        var machine = self.machine()
        machine.delivered(1)
        machine.failed(.cause, now: 0, luck: 0)
        #expect(
            self.next(&machine)
                == .setAside(event: 0, attempts: 0, verdict: .later(milliseconds: 50)))
        #expect(
            machine.verdict(.cause, attempts: 0, waits: 1_000, luck: 0)
                == .later(milliseconds: 500))
        #expect(machine.verdict(.event, attempts: 3, waits: 0, luck: 0) == .parked)
    }

    @Test func whatIsDueTakesTurnsWithTheLog() {
        var machine = self.machine()
        machine.delivered(1)
        #expect(self.next(&machine, at: 9, due: 5, aside: 1) == .apply(0..<1, attempt: 1))
        #expect(!machine.isResting(now: 9))
        #expect(self.next(&machine, at: 9, due: 5, aside: 1) == .retry)
        #expect(self.next(&machine, at: 9, due: 5, aside: 1) == .apply(0..<1, attempt: 1))
        machine.committed()
        #expect(self.next(&machine, at: 9, due: 5, aside: 1) == .retry)
    }

    @Test func withTooManyAsideNothingMoreIsTaken() {
        var machine = self.machine()
        machine.delivered(1)
        #expect(self.next(&machine, at: 0, aside: 10) == .rest(until: 1_000))
        #expect(self.next(&machine, at: 0, due: 300, aside: 10) == .rest(until: 300))
        #expect(self.next(&machine, at: 300, due: 300, aside: 10) == .retry)
        #expect(self.next(&machine, at: 300, aside: 9) == .apply(0..<1, attempt: 1))
    }

    @Test func aNewSubscriptionForgetsWhatWasDelivered() {
        var machine = self.machine()
        machine.delivered(1)
        machine.dropped()
        #expect(machine.isIdle)
        machine.failed(.event, now: 0, luck: 0)
        machine.committed()
        #expect(self.next(&machine) == .take(until: nil))
    }

    @Test func limitsThatNobodyCanLiveWithAreMended() {
        var limits = WorkerLimits()
        #expect(limits.sound == limits)
        limits.attemptsMax = 0
        limits.asideMax = -1
        limits.lookMilliseconds = .max
        limits.statementMilliseconds = .max
        limits.unmatchedMax = 0
        limits.rest = BackOff(first: .max, most: .max)
        let sound = limits.sound
        #expect(sound.attemptsMax == 1 && sound.asideMax == 1 && sound.unmatchedMax == 1)
        var machine = WorkerMachine(sound, attempts: 0)
        machine.delivered(1)
        #expect(machine.next(now: 7, due: nil, asideCount: 1) == .rest(until: 86_400_007))
        machine.rest(now: 7, luck: 0.5)
        #expect(machine.isResting(now: 60_000_000) && !machine.isResting(now: 86_400_007))
    }

    @Test func pausesGrowToTheirBoundAndAreNeverShorterThanHalf() {
        let backOff = BackOff(first: 50, most: 5_000)
        #expect(backOff.milliseconds(after: 1, luck: 0) == 25)
        #expect(backOff.milliseconds(after: 2, luck: 0) == 50)
        #expect(backOff.milliseconds(after: 1_000, luck: 0) == 2_500)
        #expect(backOff.milliseconds(after: 1_000, luck: 0.999) == 4_997)
        #expect(BackOff(first: .max, most: 7).milliseconds(after: 9, luck: 0) == 3)
        // Never none at all: that would be to try without an end.
        #expect(BackOff(first: 1, most: 1).milliseconds(after: 1, luck: 0) == 1)
        #expect(BackOff(first: 0, most: 0).milliseconds(after: 3, luck: 0.5) == 1)
    }
}
