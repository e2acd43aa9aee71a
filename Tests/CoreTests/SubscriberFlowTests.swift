import Testing

@testable import Core

@Suite struct SubscriberFlowTests {
    private static func awake(
        at position: UInt64 = 0, _ asked: ConsumerSettings = settings()
    ) -> SubscriberMachine {
        var machine = SubscriberMachine(createdAt: Position(position), now: wall)
        machine.wake(asked)
        return machine
    }

    private static func next(
        _ machine: SubscriberMachine, head: UInt64, tailFirst: UInt64?
    ) -> SubscriberMachine.Next {
        machine.next(
            head: Position(head), tailFirst: tailFirst.map { Position($0) }, frameBytes: 500)
    }

    @Test func theSeamLiesWhereTheNextPositionIsInMemory() {
        let machine = Self.awake(at: 9)
        let allowance = Portion.Allowance(events: 100, cost: 10_000, frameBytes: 500)
        #expect(Self.next(machine, head: 20, tailFirst: 9) == .tail(after: Position(9), allowance))
        #expect(Self.next(machine, head: 20, tailFirst: 10) == .tail(after: Position(9), allowance))
        #expect(Self.next(machine, head: 20, tailFirst: 11) == .log(after: Position(9), allowance))
        #expect(Self.next(machine, head: 20, tailFirst: nil) == .log(after: Position(9), allowance))
        #expect(Self.next(machine, head: 9, tailFirst: 5) == .nothing)
        #expect(Self.next(machine, head: 8, tailFirst: 5) == .nothing)
    }

    @Test func nothingIsSentWithoutBothCredits() {
        for asked in [settings(events: 0), settings(bytes: 0)] {
            var machine = Self.awake(asked)
            #expect(Self.next(machine, head: 20, tailFirst: 1) == .nothing)
            let granted = machine.grant(consumer: consumer(1), events: 1, bytes: 1)
            #expect(granted && Self.next(machine, head: 20, tailFirst: 1) != .nothing)
        }
    }

    @Test func nothingIsSentWhilePaused() {
        var machine = Self.awake()
        machine.setPause(Pause(until: wall, reason: "r"), now: wall)
        #expect(Self.next(machine, head: 20, tailFirst: 1) == .nothing)
        machine.setPause(nil, now: wall)
        #expect(Self.next(machine, head: 20, tailFirst: 1) != .nothing)
    }

    @Test func deliveriesCostCreditAndMayOverdrawIt() throws {
        var machine = Self.awake(settings(events: 5, bytes: 30))
        let two = try chunk(keys: ["a", "b"])
        _ = try machine.deliver(two)
        let cost = two.messageBytes(0) + two.messageBytes(1)
        #expect(machine.awake?.creditEvents == 3)
        #expect(machine.awake?.creditBytes == 30 - cost)
        #expect(cost > 30 && Self.next(machine, head: 20, tailFirst: 1) == .nothing)
        _ = machine.grant(consumer: consumer(1), events: 0, bytes: UInt32(cost - 30))
        #expect(Self.next(machine, head: 20, tailFirst: 1) == .nothing)
        _ = machine.grant(consumer: consumer(1), events: 0, bytes: 1)
        #expect(Self.next(machine, head: 20, tailFirst: 1) != .nothing)
    }

    @Test func creditSaturatesAndAGrantNeverLowersIt() {
        for start in [1, UInt32(Int32.max), UInt32.max] {
            var machine = Self.awake(settings(events: start, bytes: start))
            for _ in 0..<3 {
                let before = machine.awake
                _ = machine.grant(consumer: consumer(1), events: .max, bytes: .max)
                #expect(machine.awake?.creditEvents == Int(Int32.max))
                #expect(machine.awake?.creditBytes == Int(Int32.max))
                #expect((before?.creditEvents ?? 0) <= Int(Int32.max))
            }
        }
    }

    @Test func eachDeliveryBeginsWhereTheLastOneEnded() throws {
        var machine = Self.awake()
        let first = try machine.deliver(try chunk(keys: ["a", "b"]), fromLog: true)
        let none = try machine.deliver(try chunk(keys: ["a", "b"], first: 3), .none)
        let some = try machine.deliver(try chunk(keys: ["a", "b"], first: 5), .some([1]))
        #expect(first == delivery(0, 2, replay: true))
        #expect(none == nil)
        #expect(some == delivery(2, 6))
        #expect(machine.delivered == 3 && machine.confirmed == .origin)
    }

    @Test func aPortionCutAfterAnotherPositionIsNotDelivered() throws {
        var machine = Self.awake()
        let all = try chunk(keys: ["a", "b", "c", "d"])
        let allowance = Portion.Allowance(events: 9, cost: 999, frameBytes: 999)
        for after in [0, 2] as [UInt64] {
            let portion = Portion(
                of: all, after: Position(after), upto: .last, matches: .all, allowance: allowance)
            if after == 0 { _ = try machine.deliver(try chunk(keys: ["a"])) }
            let before = machine
            let action = machine.deliver(portion, fromLog: true, now: at(0))
            #expect(action == nil && machine == before)
        }
    }

    @Test func onlyTheEventsThatWereSentBeforeAreMarked() throws {
        var machine = Self.awake()
        _ = try machine.deliver(try chunk(keys: ["a", "b", "c"]))
        machine.wake(by: consumer(2))
        #expect(machine.portionEnd(after: .origin) == Position(3))
        #expect(machine.portionEnd(after: Position(2)) == Position(3))
        #expect(machine.portionEnd(after: Position(3)) == .last)
        // Nothing of the part that was sent before matches now, so the first delivery is new.
        let none = try machine.deliver(try chunk(keys: ["a", "b", "c", "d"]), .none)
        #expect(none == nil && machine.awake?.scanned == Position(3))
        let fresh = try machine.deliver(try chunk(keys: ["a", "b", "c", "d"]))
        #expect(fresh == delivery(0, 4))
    }

    @Test func aBookmarkTellsOnceHowFarTheLogIs() throws {
        var machine = Self.awake()
        let early = machine.bookmark()
        _ = try machine.deliver(try chunk(keys: ["a", "b"]), .none)
        let first = machine.bookmark()
        let second = machine.bookmark()
        #expect(early == nil && second == nil)
        #expect(first == delivery(0, 2))
        #expect(machine.awake?.announced == Position(2))
        #expect(machine.awake?.creditEvents == 100)
    }

    @Test func onSendConfirmsWhatTheSocketHasTaken() throws {
        var machine = Self.awake(settings(.onSend, within: 50))
        #expect(!machine.awaitsSocket && machine.took(10, of: 10) == nil)
        let sent = try machine.deliver(try chunk(keys: ["a", "b"]))
        #expect(sent == delivery(0, 2))
        #expect(machine.awaitsSocket && machine.confirmed == .origin)
        #expect(machine.took(100, of: 100) == (try save(2, epoch: 1)))
        #expect(machine.confirmed == Position(2) && machine.acknowledged == 2)
        #expect(!machine.awaitsSocket && machine.awake?.acknowledgeBy == nil)
        #expect(machine.acknowledge(2) == .unchanged)
        _ = try machine.deliver(try chunk(keys: ["c"], first: 3), .none)
        #expect(machine.bookmark() == delivery(2, 3))
        #expect(machine.took(130, of: 130) == (try save(3, epoch: 1)))
    }

    @Test func whatTheSocketHasNotTakenIsNotConfirmed() throws {
        var machine = Self.awake(settings(.onSend))
        _ = try machine.deliver(try chunk(keys: ["a", "b"]))
        // 100 bytes were sent, among them the delivery's: the last of them matters.
        #expect(machine.took(0, of: 100) == nil)
        #expect(machine.took(99, of: 100) == nil)
        _ = try machine.deliver(try chunk(keys: ["c"], first: 3))
        // More is sent all the time: what was marked first is confirmed, the rest is marked anew.
        #expect(machine.took(99, of: 200) == nil)
        #expect(machine.took(150, of: 200) == (try save(2, epoch: 1)))
        _ = try machine.deliver(try chunk(keys: ["d"], first: 4))
        #expect(machine.took(199, of: 300) == nil)
        #expect(machine.took(200, of: 300) == (try save(3, epoch: 1)))
        #expect(machine.took(299, of: 300) == nil)
        #expect(machine.took(300, of: 300) == (try save(4, epoch: 1)))
        #expect(machine.acknowledged == 4)
    }

    @Test func theSocketOfAnEarlierConsumerConfirmsNothingOfALaterOne() throws {
        var machine = Self.awake(settings(.onSend))
        _ = try machine.deliver(try chunk(keys: ["a", "b"]))
        #expect(machine.took(0, of: 100) == nil)
        machine.wake(by: consumer(2), settings(.onSend))
        #expect(machine.took(1_000, of: 1_000) == nil)
        #expect(machine.confirmed == .origin)
    }

    @Test func acknowledgedByHandTheSocketConfirmsNothing() throws {
        var machine = Self.awake()
        _ = try machine.deliver(try chunk(keys: ["a", "b"]))
        #expect(!machine.awaitsSocket && machine.took(100, of: 100) == nil)
        #expect(machine.confirmed == .origin)
    }
}
