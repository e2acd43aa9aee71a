import Testing

@testable import Core

@Suite struct SubscriberAcknowledgementTests {
    private static func sent(_ asked: ConsumerSettings = settings()) throws -> SubscriberMachine {
        var machine = SubscriberMachine(createdAt: .origin, now: wall)
        machine.wake(asked)
        _ = try machine.deliver(try chunk(keys: ["a", "b", "c"]), atMilliseconds: 1_000)
        return machine
    }

    @Test func anAcknowledgementMovesThePosition() throws {
        var machine = try Self.sent()
        #expect(machine.acknowledge(2) == .moved(try save(2, epoch: 1)))
        #expect(machine.confirmed == Position(2) && machine.acknowledged == 2)
        #expect(machine.acknowledge(3) == .moved(try save(3, epoch: 1)))
    }

    @Test func anAcknowledgementTwiceOrBackwardsChangesNothing() throws {
        var machine = try Self.sent()
        _ = machine.acknowledge(2)
        let before = machine
        for position in [0, 1, 2] as [UInt64] {
            #expect(machine.acknowledge(position) == .unchanged)
        }
        #expect(machine == before)
    }

    @Test(arguments: [4, UInt64.max])
    func anAcknowledgementBeyondWhatWasSentIsRefused(position: UInt64) throws {
        var machine = try Self.sent()
        let before = machine
        guard case .refused(let failure) = machine.acknowledge(position) else {
            Issue.record("\(position) was acknowledged")
            return
        }
        #expect(failure.code == .outOfRange && machine == before)
    }

    @Test func whatWasScannedAndNotAnnouncedCannotBeAcknowledged() throws {
        var machine = try Self.sent()
        _ = try machine.deliver(try chunk(keys: ["d"], first: 4), .none)
        guard case .refused = machine.acknowledge(4) else {
            Issue.record("4 was never announced")
            return
        }
    }

    @Test func aSubscriberWithoutANameSavesNothing() throws {
        var machine = try Self.sent()
        let action = machine.acknowledge(
            name: nil, consumer: consumer(1), upto: Position(3), now: at(0))
        #expect(action == .moved(nil) && machine.confirmed == Position(3))
    }

    @Test func theDeadlineRunsFromTheFirstUnacknowledgedDelivery() throws {
        var machine = try Self.sent(settings(within: 500))
        #expect(machine.awake?.acknowledgeBy == at(1_500))
        _ = try machine.deliver(try chunk(keys: ["d"], first: 4), atMilliseconds: 1_400)
        #expect(machine.awake?.acknowledgeBy == at(1_500))
        #expect(!machine.isLate(now: at(1_499)) && machine.isLate(now: at(1_500)))
    }

    @Test func anAcknowledgementOfSomeArmsTheDeadlineAgainAndOfAllClearsIt() throws {
        var machine = try Self.sent(settings(within: 500))
        _ = machine.acknowledge(1, atMilliseconds: 1_200)
        #expect(machine.awake?.acknowledgeBy == at(1_700))
        _ = machine.acknowledge(1, atMilliseconds: 1_600)
        #expect(machine.awake?.acknowledgeBy == at(1_700))
        _ = machine.acknowledge(3, atMilliseconds: 1_650)
        #expect(machine.awake?.acknowledgeBy == nil)
        #expect(!machine.isLate(now: at(1 << 40)))
        _ = try machine.deliver(try chunk(keys: ["d"], first: 4), atMilliseconds: 9_000)
        #expect(machine.awake?.acknowledgeBy == at(9_500))
    }

    @Test func anEmptyDeliveryAsksForNoAcknowledgement() throws {
        var machine = try Self.sent(settings(within: 500))
        _ = machine.acknowledge(3, atMilliseconds: 1_200)
        _ = try machine.deliver(try chunk(keys: ["d"], first: 4), .none)
        let bookmark = machine.bookmark()
        #expect(bookmark == delivery(3, 4))
        #expect(machine.awake?.acknowledgeBy == nil)
        // It may be acknowledged all the same.
        #expect(machine.acknowledge(4) == .moved(try save(4, epoch: 1)))
    }

    @Test func anAcknowledgementUpToTheLastEventClearsTheDeadline() throws {
        var machine = try Self.sent(settings(within: 500))
        _ = try machine.deliver(try chunk(keys: ["d"], first: 4), .none)
        _ = machine.bookmark()
        _ = machine.acknowledge(3, atMilliseconds: 1_200)
        #expect(machine.awake?.acknowledgeBy == nil)
    }

    @Test func withoutADeadlineNothingIsLate() throws {
        let machine = try Self.sent()
        #expect(machine.awake?.acknowledgeBy == nil && !machine.isLate(now: at(1 << 40)))
    }
}
