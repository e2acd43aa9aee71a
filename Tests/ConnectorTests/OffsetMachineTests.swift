import Connector
import Core
import Testing

private func event(_ text: String) -> Event {
    Event(key: Array("k".utf8), payload: Array(text.utf8))
}

@Suite struct OffsetMachineTests {
    /// One that was told how far it got.
    private func machine(stored: UInt64 = 0) -> OffsetMachine {
        var machine = OffsetMachine()
        #expect(machine.received(offset: 0, event("too early"), bytes: 1) == .ignored)
        #expect(machine.told(stored: stored) == stored)
        return machine
    }

    @Test func consecutiveOffsetsAreOneRunAndTheSequenceIsOneMore() {
        var machine = self.machine(stored: 5)
        for offset in [5, 6, 7] as [Int64] {
            #expect(machine.received(offset: offset, event("\(offset)"), bytes: 10) == .gathered)
        }
        #expect(machine.gatheredBytes == 30)
        let run = machine.nextRun()
        #expect(run?.sequence == 6 && run?.events == [event("5"), event("6"), event("7")])
        machine.published(3)
        #expect(machine.stored == 8 && machine.isEmpty && machine.gatheredBytes == 0)
        #expect(machine.nextRun() == nil)
    }

    @Test func aMissingOffsetBeginsAnotherRun() {
        var machine = self.machine()
        for offset in [0, 1, 4, 5] as [Int64] {
            _ = machine.received(offset: offset, event("\(offset)"), bytes: 1)
        }
        #expect(machine.nextRun()?.events.count == 2)
        machine.published(2)
        let second = machine.nextRun()
        #expect(second?.sequence == 5 && second?.events == [event("4"), event("5")])
        machine.published(2)
        #expect(machine.stored == 6)
    }

    @Test func whatIsInTheLogOrWasGatheredIsIgnored() {
        var machine = self.machine(stored: 3)
        #expect(machine.received(offset: 2, event("old"), bytes: 1) == .ignored)
        #expect(machine.received(offset: -1, event("none"), bytes: 1) == .ignored)
        #expect(machine.received(offset: 3, event("new"), bytes: 1) == .gathered)
        #expect(machine.received(offset: 3, event("again"), bytes: 1) == .ignored)
    }

    /// RabbitMQ passes over what is gone, and says nothing.
    @Test func aStreamProvesThatNothingIsGoneBeforeItIsRead() {
        var machine = OffsetMachine(isProven: true)
        #expect(machine.told(stored: 3) == 2 && machine.state == .proving)
        // What RabbitMQ may send of the chunk before.
        #expect(machine.received(offset: 1, event("x"), bytes: 1) == .ignored)
        #expect(machine.state == .proving)
        #expect(machine.received(offset: 4, event("x"), bytes: 1) == .gap)
        #expect(machine.state == .lost && machine.nextRun() == nil)
        #expect(machine.received(offset: 3, event("x"), bytes: 1) == .ignored)
        // What is in the log comes again; behind it, the broker's own records may lie between messages.
        #expect(machine.told(stored: 3) == 2)
        #expect(machine.received(offset: 2, event("x"), bytes: 1) == .ignored)
        #expect(machine.state == .reading && machine.isEmpty)
        #expect(machine.received(offset: 5, event("x"), bytes: 1) == .gathered)
        // So does what is next, if it alone was kept.
        #expect(machine.told(stored: 3) == 2)
        #expect(machine.received(offset: 3, event("x"), bytes: 1) == .gathered)
        #expect(machine.nextRun()?.sequence == 4)
        // A stream that nothing is known of begins where it does.
        var fresh = OffsetMachine(isProven: true)
        #expect(fresh.told(stored: 0) == 0)
        #expect(fresh.received(offset: 100, event("x"), bytes: 1) == .gathered)
    }

    @Test func aRunFitsARequest() {
        var machine = self.machine()
        for (offset, bytes) in [(0, 30), (1, 30), (2, 100), (3, 50)] as [(Int64, Int)] {
            _ = machine.received(offset: offset, event("\(offset)"), bytes: bytes)
        }
        var runs: [[Event]] = []
        while let run = machine.nextRun(bytesMax: 80) {
            #expect(run.sequence == machine.stored + 1)
            runs.append(run.events)
            machine.published(run.events.count)
        }
        // One that is larger than that goes alone: the server has said that it takes it.
        #expect(runs == [[event("0"), event("1")], [event("2")], [event("3")]])
        #expect(machine.gatheredBytes == 0 && machine.stored == 4)
    }

    @Test func askingAgainForgetsWhatWasGathered() {
        var machine = self.machine()
        _ = machine.received(offset: 0, event("a"), bytes: 1)
        machine.mustAsk()
        #expect(machine.state == .asking && machine.nextRun() == nil)
        #expect(machine.told(stored: 7) == 7)
        #expect(machine.received(offset: 0, event("a"), bytes: 1) == .ignored)
        #expect(machine.received(offset: 7, event("b"), bytes: 1) == .gathered)
    }
}

@Suite struct QueueMachineTests {
    @discardableResult
    private func receive(
        _ machine: inout QueueMachine, _ tag: UInt64, _ id: String, again: Bool = false
    ) -> Bool {
        machine.received(
            tag: tag, id: Array(id.utf8), isRedelivered: again, event(id), bytes: 10)
    }

    @Test func nothingIsAcknowledgedBeforeItsCommit() {
        var machine = QueueMachine()
        machine.connected()
        self.receive(&machine, 1, "a")
        self.receive(&machine, 2, "b")
        #expect(machine.takeAcknowledgement() == nil)
        #expect(machine.gatheredCount == 2 && machine.gatheredBytes == 20)
        machine.publishAll()
        #expect(machine.takeAcknowledgement() == 2 && machine.takeAcknowledgement() == nil)
        #expect(machine.isEmpty && machine.gatheredBytes == 0)
    }

    @Test func whatComesAgainIsKnownByItsIDAndOnlyThen() {
        var machine = QueueMachine()
        machine.connected()
        self.receive(&machine, 1, "a")
        machine.publishAll()
        machine.connected()
        self.receive(&machine, 1, "a", again: true)
        #expect(machine.isEmpty && machine.duplicates == 1)
        #expect(machine.takeAcknowledgement() == 1)
        // The same id on a message that is not marked is another message.
        self.receive(&machine, 2, "a")
        #expect(machine.gatheredCount == 1)
        // Without an id nothing is known.
        self.receive(&machine, 3, "", again: true)
        #expect(machine.gatheredCount == 2)
    }

    @Test func aDuplicateBehindGatheredMessagesWaitsForThem() {
        var machine = QueueMachine()
        machine.remember(Array("old".utf8))
        machine.connected()
        self.receive(&machine, 1, "new")
        self.receive(&machine, 2, "old", again: true)
        #expect(machine.takeAcknowledgement() == nil)
        machine.publishAll()
        #expect(machine.takeAcknowledgement() == 2)
    }

    @Test func aNewConnectionForgetsTagsAndKeepsIDs() {
        var machine = QueueMachine()
        machine.connected()
        self.receive(&machine, 1, "a")
        machine.connected()
        #expect(machine.isEmpty && machine.takeAcknowledgement() == nil)
        self.receive(&machine, 1, "a", again: true)
        #expect(machine.gatheredCount == 1, "it was not committed")
    }

    @Test func whatComesBehindAGapIsNotTaken() {
        var machine = QueueMachine()
        machine.connected()
        #expect(self.receive(&machine, 1, "a"))
        #expect(!self.receive(&machine, 3, "c") && !self.receive(&machine, 1, "a"))
        machine.publishAll()
        #expect(machine.takeAcknowledgement() == 1)
        machine.connected()
        #expect(!self.receive(&machine, 2, "b") && self.receive(&machine, 1, "b", again: true))
    }

    @Test func nothingIsAcknowledgedBeforeTheLastRequestOfABatch() {
        var machine = QueueMachine()
        machine.connected()
        for tag in 1...3 as ClosedRange<UInt64> { self.receive(&machine, tag, "\(tag)") }
        #expect(machine.nextRun(bytesMax: 25) == [event("1"), event("2")])
        machine.published(2)
        #expect(machine.takeAcknowledgement() == nil && machine.gatheredBytes == 10)
        #expect(machine.knows(Array("2".utf8)) && !machine.knows(Array("3".utf8)))
        #expect(machine.nextRun(bytesMax: 5) == [event("3")])
        machine.published(1)
        #expect(machine.takeAcknowledgement() == 3 && machine.nextRun().isEmpty)
    }

    @Test func theOldestIDsAreForgotten() {
        var machine = QueueMachine()
        for number in 0...QueueMachine.idsMax { machine.remember(Array("\(number)".utf8)) }
        machine.connected()
        self.receive(&machine, 1, "0", again: true)
        #expect(machine.gatheredCount == 1)
        self.receive(&machine, 2, "1", again: true)
        #expect(machine.gatheredCount == 1)
    }
}

extension QueueMachine {
    fileprivate mutating func publishAll() { self.published(self.gatheredCount) }
}
