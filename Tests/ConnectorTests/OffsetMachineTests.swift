import Connector
import Core
import Testing

private func event(_ text: String) -> Event {
    Event(key: Array("k".utf8), payload: Array(text.utf8))
}

@Suite struct OffsetMachineTests {
    /// One that was told how far it got.
    private func machine(stored: UInt64 = 0, isDense: Bool = false) -> OffsetMachine {
        var machine = OffsetMachine(isDense: isDense)
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

    @Test func whereNothingCanBeMissingAGapIsALoss() {
        var machine = self.machine(stored: 3, isDense: true)
        #expect(machine.received(offset: 4, event("x"), bytes: 1) == .gap)
        #expect(machine.state == .lost && machine.nextRun() == nil)
        #expect(machine.received(offset: 3, event("x"), bytes: 1) == .ignored)
        // A stream that nothing is known of begins where it does.
        var fresh = self.machine(isDense: true)
        #expect(fresh.received(offset: 100, event("x"), bytes: 1) == .gathered)
        #expect(fresh.received(offset: 102, event("x"), bytes: 1) == .gap)
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
        #expect(machine.events.count == 2 && machine.gatheredBytes == 20)
        machine.published()
        #expect(machine.takeAcknowledgement() == 2 && machine.takeAcknowledgement() == nil)
        #expect(machine.events.isEmpty && machine.gatheredBytes == 0)
    }

    @Test func whatComesAgainIsKnownByItsIDAndOnlyThen() {
        var machine = QueueMachine()
        machine.connected()
        self.receive(&machine, 1, "a")
        machine.published()
        machine.connected()
        self.receive(&machine, 1, "a", again: true)
        #expect(machine.events.isEmpty && machine.duplicates == 1)
        #expect(machine.takeAcknowledgement() == 1)
        // The same id on a message that is not marked is another message.
        self.receive(&machine, 2, "a")
        #expect(machine.events.count == 1)
        // Without an id nothing is known.
        self.receive(&machine, 3, "", again: true)
        #expect(machine.events.count == 2)
    }

    @Test func aDuplicateBehindGatheredMessagesWaitsForThem() {
        var machine = QueueMachine()
        machine.remember(Array("old".utf8))
        machine.connected()
        self.receive(&machine, 1, "new")
        self.receive(&machine, 2, "old", again: true)
        #expect(machine.takeAcknowledgement() == nil)
        machine.published()
        #expect(machine.takeAcknowledgement() == 2)
    }

    @Test func aNewConnectionForgetsTagsAndKeepsIDs() {
        var machine = QueueMachine()
        machine.connected()
        self.receive(&machine, 1, "a")
        machine.connected()
        #expect(machine.events.isEmpty && machine.takeAcknowledgement() == nil)
        self.receive(&machine, 1, "a", again: true)
        #expect(machine.events.count == 1, "it was not committed")
    }

    @Test func whatComesBehindAGapIsNotTaken() {
        var machine = QueueMachine()
        machine.connected()
        #expect(self.receive(&machine, 1, "a"))
        #expect(!self.receive(&machine, 3, "c") && !self.receive(&machine, 1, "a"))
        machine.published()
        #expect(machine.takeAcknowledgement() == 1)
        machine.connected()
        #expect(!self.receive(&machine, 2, "b") && self.receive(&machine, 1, "b", again: true))
    }

    @Test func theOldestIDsAreForgotten() {
        var machine = QueueMachine()
        for number in 0...QueueMachine.idsMax { machine.remember(Array("\(number)".utf8)) }
        machine.connected()
        self.receive(&machine, 1, "0", again: true)
        #expect(machine.events.count == 1)
        self.receive(&machine, 2, "1", again: true)
        #expect(machine.events.count == 1)
    }
}
