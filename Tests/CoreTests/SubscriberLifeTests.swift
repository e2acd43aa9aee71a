import Testing

@testable import Core

@Suite struct SubscriberLifeTests {
    @Test func aNewSubscriberSleepsUntilAConsumerComes() throws {
        var machine = SubscriberMachine(createdAt: Position(5), now: wall)
        #expect(machine.state == .sleeping(.created))
        #expect(machine.epoch == SessionEpoch(rawValue: 0))
        let action = machine.wake()
        #expect(action == .init(replaced: nil, after: Position(5), save: nil))
        #expect(machine.epoch == SessionEpoch(rawValue: 1))
        #expect(machine.awake?.announced == Position(5) && machine.awake?.scanned == Position(5))
        #expect(machine.awake?.consumer == consumer(1))
    }

    @Test func aRestoredSubscriberMayHaveSeenEverything() throws {
        let pause = Pause(until: wall, reason: "r")
        let machine = SubscriberMachine(
            restored: Position(5), epoch: SessionEpoch(rawValue: 3), pause: pause,
            head: Position(9), now: wall)
        #expect(machine.state == .sleeping(.restored))
        #expect(machine.confirmed == Position(5) && machine.seen == Position(9))
        #expect(machine.epoch == SessionEpoch(rawValue: 3) && machine.pause == pause)
    }

    @Test func aStoredPositionBeyondTheHeadIsBroughtBack() {
        let machine = SubscriberMachine(
            restored: Position(50), epoch: SessionEpoch(rawValue: 0), pause: nil,
            head: Position(9), now: wall)
        #expect(machine.confirmed == Position(9))
    }

    @Test func aWakeMayMoveThePositionAndThenSavesIt() throws {
        var machine = SubscriberMachine(createdAt: Position(5), now: wall)
        let action = machine.wake(start: 2)
        #expect(action == .init(replaced: nil, after: Position(2), save: try save(2, epoch: 1)))
        #expect(machine.confirmed == Position(2) && machine.seen == Position(5))
    }

    @Test func theNewestConsumerWinsAndStartsAtWhatIsConfirmed() throws {
        var machine = SubscriberMachine(createdAt: .origin, now: wall)
        machine.wake()
        _ = try machine.deliver(try chunk(keys: ["a", "b", "c"]))
        _ = machine.acknowledge(1)
        let action = machine.wake(by: consumer(2), settings(events: 7))
        #expect(action == .init(replaced: consumer(1), after: Position(1), save: nil))
        #expect(machine.awake?.creditEvents == 7 && machine.awake?.scanned == Position(1))
        #expect(machine.epoch == SessionEpoch(rawValue: 2))
    }

    @Test func aLateStopFromAnOldConsumerChangesNothing() {
        var machine = SubscriberMachine(createdAt: .origin, now: wall)
        machine.wake()
        machine.wake(by: consumer(2))
        let before = machine
        let slept = machine.sleep(
            consumer: consumer(1), reason: .cancelled, now: Timestamp(rawValue: 9))
        #expect(!slept && machine == before)
    }

    @Test func itSleepsOnce() {
        var machine = SubscriberMachine(createdAt: .origin, now: wall)
        machine.wake()
        let first = machine.sleep(
            consumer: consumer(1), reason: .stopped, now: Timestamp(rawValue: 9))
        let second = machine.sleep(
            consumer: consumer(1), reason: .draining, now: Timestamp(rawValue: 10))
        #expect(first && !second)
        #expect(machine.state == .sleeping(.stopped) && machine.since == Timestamp(rawValue: 9))
    }

    @Test func inputsOfAnOldConsumerAreRefused() throws {
        var machine = SubscriberMachine(createdAt: .origin, now: wall)
        machine.wake()
        _ = try machine.deliver(try chunk(keys: ["a"]))
        machine.wake(by: consumer(2))
        let before = machine
        let granted = machine.grant(consumer: consumer(1), events: 1, bytes: 1)
        guard case .refused(let failure) = machine.acknowledge(1) else {
            Issue.record("an old consumer's acknowledgement was taken")
            return
        }
        #expect(!granted && failure.code == .notFound && machine == before)
    }

    @Test func aSleeperIgnoresTheFlow() throws {
        var machine = SubscriberMachine(createdAt: .origin, now: wall)
        let before = machine
        let granted = machine.grant(consumer: consumer(1), events: 1, bytes: 1)
        let delivered = try machine.deliver(try chunk(keys: ["a"]))
        let bookmark = machine.bookmark()
        #expect(!granted)
        #expect(delivered == nil)
        #expect(bookmark == nil)
        #expect(
            machine.next(head: Position(9), tailFirst: Position(1), frameBytes: 9) == .nothing)
        #expect(!machine.isLate(now: at(1 << 40)))
        #expect(machine == before)
    }

    @Test func seekMovesASleeperOnly() throws {
        var machine = SubscriberMachine(createdAt: Position(5), now: wall)
        let moved = machine.seek(name: try name("s"), to: Position(2))
        #expect(moved == (try save(2, epoch: 1)))
        machine.wake()
        let before = machine
        let refused = machine.seek(name: try name("s"), to: Position(4))
        #expect(refused == nil && machine == before)
        #expect(machine.awake?.announced == Position(2))
    }

    @Test func whatWasSentBeforeASeekIsMarkedAfterIt() throws {
        var machine = SubscriberMachine(createdAt: .origin, now: wall)
        machine.wake()
        let first = try machine.deliver(try chunk(keys: ["a", "b"]))
        #expect(first == delivery(0, 2))
        _ = machine.sleep(consumer: consumer(1), reason: .moved, now: wall)
        _ = machine.seek(name: nil, to: .origin)
        machine.wake()
        let again = try machine.deliver(try chunk(keys: ["a", "b", "c"]))
        let fresh = try machine.deliver(try chunk(keys: ["a", "b", "c"]))
        #expect(again == delivery(0, 2, redelivered: true))
        #expect(fresh == delivery(2, 3))
    }

    @Test func whatAConsumerHasSeenElsewhereIsMarked() {
        var machine = SubscriberMachine(createdAt: .origin, now: wall)
        machine.wake(settings(lastSeen: 4))
        #expect(machine.seen == Position(4))
        machine.wake(settings(lastSeen: 2))
        #expect(machine.seen == Position(4))
    }

    @Test func aSubscriberMadeAnewIsNewerThanItsEarlierLife() throws {
        var early = SubscriberMachine(createdAt: .origin, now: Timestamp(rawValue: 1_000))
        for number in 0..<20 as Range<UInt64> { early.wake(by: consumer(number)) }
        _ = try early.deliver(try chunk(keys: ["a", "b"]))
        guard case .moved(let late?) = early.acknowledge(2, by: consumer(19)) else {
            Issue.record("nothing to save")
            return
        }
        // Forgotten, and made again under the same name, before that was stored.
        var anew = SubscriberMachine(createdAt: .origin, now: Timestamp(rawValue: 2_000))
        let first = try #require(anew.seek(name: try name("s"), to: .origin))
        #expect(first.isNewer(than: late) && !late.isNewer(than: first))
    }

    @Test func aRestoredSubscriberIsNewerThanItsLifeWithAnEarlierServer() {
        let stored = SessionEpoch(rawValue: 7)
        let later = SubscriberMachine(
            restored: .origin, epoch: stored, pause: nil, head: .origin,
            now: Timestamp(rawValue: 2_000))
        #expect(later.epoch == SessionEpoch(rawValue: 2_000))
        let clockWentBack = SubscriberMachine(
            restored: .origin, epoch: stored, pause: nil, head: .origin,
            now: Timestamp(rawValue: 3))
        #expect(clockWentBack.epoch == stored)
    }

    @Test func everyReasonSaysSomething() {
        let reasons: [SleepReason] = [
            .restored, .created, .stopped, .cancelled, .connectionClosed("x"), .takenOver,
            .acknowledgementDeadline, .moved, .draining, .exchangeLost, .failed("y"),
        ]
        #expect(Set(reasons.map(\.text)).count == reasons.count)
        #expect(SleepReason.connectionClosed("eof").text.contains("eof"))
    }
}
