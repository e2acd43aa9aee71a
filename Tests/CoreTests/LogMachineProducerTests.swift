import Testing

@testable import Core

@Suite struct LogMachineProducerTests {
    @Test func aSequenceIsStoredWithItsEvents() throws {
        let log = LogFixture()
        try log.publish("a", "b", producer: "p", sequence: 1)
        try log.publish("x", producer: "q", sequence: 9)
        try log.publish("c", producer: "p", sequence: 3)
        let append = try #require(log.take())
        #expect(
            append.producers == [
                ProducerMark(name: try name("p"), sequence: 3, position: Position(4)),
                ProducerMark(name: try name("q"), sequence: 9, position: Position(3)),
            ])
    }

    @Test func aSequenceMayJumpForward() throws {
        let log = LogFixture()
        try log.publish("a", producer: "p", sequence: 5)
        try log.publish("b", producer: "p", sequence: 100)
        #expect(log.settle() == [published(1, 1, 1), published(2, 2, 2)])
        try log.publish("c", producer: "p", sequence: 50)
        #expect(log.settle() == [published(3, 0, 2, duplicates: 1)])
    }

    @Test func aRetryStoresOnlyWhatIsNew() throws {
        let log = LogFixture()
        try log.publish("a", "b", producer: "p", sequence: 1)
        _ = log.settle()
        try log.publish("a", "b", "c", "d", producer: "p", sequence: 1)
        let append = try #require(log.take())
        #expect(append.chunks.map(\.payloads) == [["c", "d"]])
        #expect(log.commit(append) == [published(2, 3, 4, duplicates: 2)])
        #expect(log.pendingBytes == 0)
    }

    @Test func aRetryOfStoredEventsIsAnsweredAtOnce() throws {
        let log = LogFixture()
        try log.publish("a", "b", producer: "p", sequence: 1)
        _ = log.settle()
        #expect(try log.publish("b", producer: "p", sequence: 2) == .wait)
        let action = log.takeWithAnswers()
        #expect(action.append == nil)
        #expect(action.answers == [published(2, 0, 2, duplicates: 1)])
    }

    @Test func aRetryOfEventsUnderWayWaitsForTheirCommit() throws {
        let log = LogFixture()
        try log.publish("a", producer: "p", sequence: 1)
        let append = log.take()
        try log.publish("a", producer: "p", sequence: 1)
        let action = log.takeWithAnswers()
        #expect(action.append == nil && action.answers.isEmpty)
        #expect(log.commit(append) == [published(1, 1, 1), published(2, 0, 1, duplicates: 1)])
    }

    @Test func anAnswerWithoutEventsWaitsForTheNewestAppend() throws {
        let log = LogFixture(inFlight: 3)
        try log.publish("a", producer: "p", sequence: 1)
        let first = log.take()
        try log.publish("b", producer: "p", sequence: 2)
        let second = log.take()
        try log.publish("a", producer: "p", sequence: 1)
        #expect(log.takeWithAnswers().answers.isEmpty)
        #expect(log.commit(first) == [published(1, 1, 1)])
        #expect(log.commit(second) == [published(2, 2, 2), published(3, 0, 2, duplicates: 1)])
    }

    @Test func aRetryOfEventsThatAreNotYetTakenIsADuplicateToo() throws {
        let log = LogFixture()
        try log.publish("a", producer: "p", sequence: 1)
        try log.publish("a", producer: "p", sequence: 1)
        let append = try #require(log.take())
        #expect(append.chunks.map(\.payloads) == [["a"]])
        #expect(log.commit(append) == [published(1, 1, 1), published(2, 0, 1, duplicates: 1)])
    }

    @Test(arguments: [0, UInt64(Int64.max) + 1, UInt64.max])
    func sequencesOutOfBoundsAreRefused(sequence: UInt64) throws {
        let log = LogFixture()
        #expect(
            code(try log.publish("a", producer: "p", sequence: sequence)) == .invalidArgument)
        #expect(log.pendingBytes == 0)
    }

    @Test func theLastSequenceIsAllowedAndTheOneBehindItIsNot() throws {
        let log = LogFixture()
        let last = UInt64(Int64.max)
        #expect(code(try log.publish("a", "b", producer: "p", sequence: last)) == .invalidArgument)
        try log.publish("a", "b", producer: "p", sequence: last - 1)
        #expect(log.settle() == [published(2, 1, 2)])
        try log.publish("b", producer: "p", sequence: last)
        #expect(log.settle() == [published(3, 0, 2, duplicates: 1)])
    }

    @Test func restoredSequencesAreDuplicates() throws {
        let log = LogFixture(head: 10)
        log.restored(
            ProducerMark(name: try name("p"), sequence: 3, position: Position(7)))
        try log.publish("c", producer: "p", sequence: 3)
        try log.publish("d", producer: "p", sequence: 4)
        _ = try log.ask("p")
        #expect(
            log.settle() == [
                published(1, 0, 11, duplicates: 1), published(2, 11, 11),
                told(3, sequence: 4, position: 11),
            ])
    }

    @Test func aProducerIsToldHowFarItGotWhenAllBeforeIsDecided() throws {
        let log = LogFixture()
        _ = try log.ask("p")
        #expect(log.settle() == [told(1, sequence: 0, position: 0)])
        try log.publish("a", producer: "p", sequence: 7)
        let append = log.take()
        #expect(try log.ask("p") == .wait)
        #expect(log.takeWithAnswers().answers.isEmpty)
        #expect(log.commit(append) == [published(2, 1, 1), told(3, sequence: 7, position: 1)])
    }

    @Test func producersAreLimited() throws {
        let log = LogFixture(producersMax: 1)
        try log.publish("a", producer: "p", sequence: 1)
        #expect(try log.publish("b", producer: "q", sequence: 1) == .wait)
        try log.publish("c", producer: "p", sequence: 2)
        try log.publish("d")
        #expect(
            codes(log.settle()) == [
                Told(1, .ok), Told(2, .resourceExhausted), Told(3, .ok), Told(4, .ok),
            ])
    }

    @Test func afterAPublishThatDidNotFitLaterOnesAreHeld() throws {
        let size = try encoded("a").bytes.count
        let log = LogFixture(pendingBytesMax: size)
        try log.publish("a", producer: "p", sequence: 1)
        try log.publish("b", producer: "p", sequence: 2)
        #expect(codes(log.settle()) == [Told(1, .ok), Told(2, .resourceExhausted)])
        // There is room again, and 3 was on its way before the failure of 2 was known.
        #expect(code(try log.publish("c", producer: "p", sequence: 3)) == .aborted)
        #expect(try log.publish("b", producer: "p", sequence: 2) == .wait)
        #expect(log.settle() == [published(4, 2, 2)])
        try log.publish("c", producer: "p", sequence: 3)
        #expect(log.settle() == [published(5, 3, 3)])
    }

    @Test func aProducerThatWasNeverSeenIsHeldToo() throws {
        let size = try encoded("a").bytes.count
        let log = LogFixture(pendingBytesMax: size)
        try log.publish("x")
        try log.publish("a", producer: "p", sequence: 1)
        _ = log.settle()
        #expect(code(try log.publish("b", producer: "p", sequence: 2)) == .aborted)
        try log.publish("a", producer: "p", sequence: 1)
        #expect(log.settle() == [published(4, 2, 2)])
    }

    @Test func askingReleasesAProducer() throws {
        let size = try encoded("a").bytes.count
        let log = LogFixture(pendingBytesMax: size)
        try log.publish("a", producer: "p", sequence: 1)
        try log.publish("b", producer: "p", sequence: 2)
        _ = log.settle()
        _ = try log.ask("p")
        #expect(log.settle() == [told(3, sequence: 1, position: 1)])
        try log.publish("z", producer: "p", sequence: 26)
        #expect(log.settle() == [published(4, 2, 2)])
    }

    @Test func theEarliestFailureHoldsAndOtherProducersGoOn() throws {
        let size = try encoded("a").bytes.count
        let log = LogFixture(pendingBytesMax: size)
        try log.publish("x")
        try log.publish("c", producer: "p", sequence: 3)
        try log.publish("b", producer: "p", sequence: 2)
        _ = log.settle()
        #expect(code(try log.publish("c", producer: "p", sequence: 3)) == .aborted)
        try log.publish("y", producer: "q", sequence: 3)
        #expect(log.settle() == [published(5, 2, 2)])
    }

    @Test func aWrongSequenceNeverHoldsAProducer() throws {
        let size = try encoded("a").bytes.count
        let log = LogFixture(pendingBytesMax: size)
        try log.publish("x")
        try log.publish("a", producer: "p", sequence: 0)
        _ = log.settle()
        try log.publish("a", producer: "p", sequence: 1)
        #expect(log.settle() == [published(3, 2, 2)])
    }

    /// What it sent behind would be stored, and the mended event would look like a duplicate.
    @Test func aProducerIsHeldAtAnInvalidEventToo() throws {
        let log = LogFixture()
        try log.publish("a", producer: "p", sequence: 1)
        _ = log.settle()
        let invalid = Failure(.invalidArgument, "bad key")
        #expect(code(try log.refuse(invalid, producer: "p", sequence: 2)) == .invalidArgument)
        #expect(code(try log.publish("c", producer: "p", sequence: 3)) == .aborted)
        try log.publish("b", producer: "p", sequence: 2)
        try log.publish("c", producer: "p", sequence: 3)
        #expect(log.settle() == [published(4, 2, 2), published(5, 3, 3)])
    }

    // MARK: Several connections

    /// The rest of an old connection's pipeline is read after a new connection was told how far the
    /// producer got: the new one's own events would look like duplicates of it.
    @Test func whoWasToldSomethingThatIsNoLongerTrueMustAskAgain() throws {
        let log = LogFixture()
        try log.publish("a", producer: "p", sequence: 1)
        log.connection = 2
        _ = try log.ask("p")
        #expect(log.settle().last == told(2, sequence: 1, position: 1, connection: 2))
        log.connection = 1
        try log.publish("b", producer: "p", sequence: 2)
        #expect(log.settle() == [published(3, 2, 2)])
        log.connection = 2
        #expect(code(try log.publish("other", producer: "p", sequence: 2)) == .aborted)
        _ = try log.ask("p")
        #expect(log.settle() == [told(5, sequence: 2, position: 2, connection: 2)])
        try log.publish("other", producer: "p", sequence: 3)
        #expect(log.settle() == [published(6, 3, 3, connection: 2)])
        log.connection = 1
        #expect(code(try log.publish("c", producer: "p", sequence: 4)) == .aborted)
    }

    @Test func whoeverAskedBeforeSomebodyElsePublishedMustAskAgain() throws {
        let log = LogFixture()
        try log.publish("z", producer: "p", sequence: 1)
        for connection in [2, 3, 4] as [UInt64] {
            log.connection = connection
            _ = try log.ask("p")
        }
        _ = log.settle()
        log.connection = 1
        try log.publish("a", producer: "p", sequence: 2)
        _ = log.settle()
        for connection in [2, 3, 4] as [UInt64] {
            log.connection = connection
            #expect(code(try log.publish("b", producer: "p", sequence: 2)) == .aborted)
        }
        // Whoever comes later and never asked retries what it knows.
        log.connection = 5
        try log.publish("a", producer: "p", sequence: 2)
        #expect(codes(log.settle()).last?.code == .ok)
        #expect(log.head == Position(2))
    }

    @Test func askingTakesNothingFromWhoPublishes() throws {
        let log = LogFixture()
        try log.publish("a", producer: "p", sequence: 1)
        log.connection = 9
        _ = try log.ask("p")
        _ = log.settle()
        log.connection = 1
        try log.publish("b", producer: "p", sequence: 2)
        try log.publish("c", producer: "p", sequence: 3)
        #expect(codes(log.settle()).map(\.code) == [.ok, .ok])
        #expect(log.head == Position(3))
    }

    /// What the older one sent behind its failure must not be stored because somebody asked.
    @Test func anotherOnesQuestionDoesNotReleaseAProducer() throws {
        let log = LogFixture()
        let invalid = Failure(.invalidArgument, "bad key")
        try log.publish("a", producer: "p", sequence: 1)
        _ = log.settle()
        _ = try log.refuse(invalid, producer: "p", sequence: 2)
        log.connection = 2
        _ = try log.ask("p")
        _ = log.settle()
        log.connection = 1
        #expect(code(try log.publish("c", producer: "p", sequence: 3)) == .aborted)
        // But who asked goes on from what it was told.
        log.connection = 2
        try log.publish("z", producer: "p", sequence: 20)
        #expect(codes(log.settle()).map(\.code) == [.ok])
    }

    @Test func publishingOnANewerConnectionEndsTheOlderOnesTurnToo() throws {
        let log = LogFixture()
        log.connection = 5
        try log.publish("a", producer: "p", sequence: 1)
        log.connection = 4
        #expect(code(try log.publish("b", producer: "p", sequence: 2)) == nil)
        #expect(codes(log.settle()) == [Told(1, .ok), Told(2, .aborted)])
        #expect(code(try log.ask("p")) == .aborted)
        try log.publish("c", producer: "q", sequence: 1)
        #expect(log.settle() == [published(4, 2, 2, connection: 4)])
    }

    /// What it sent behind its first failure must not be stored because it had asked before.
    @Test func whoAskedIsHeldAtItsOwnFailure() throws {
        let log = LogFixture()
        try log.publish("a", producer: "p", sequence: 1)
        log.connection = 2
        _ = try log.ask("p")
        _ = log.settle()
        _ = try log.refuse(Failure(.invalidArgument, "bad key"), producer: "p", sequence: 2)
        #expect(code(try log.publish("c", producer: "p", sequence: 3)) == .aborted)
        #expect(log.head == Position(1))
    }

    @Test func namesThatOnlyAskedMakeRoomForThoseThatPublish() throws {
        let log = LogFixture(producersMax: 2)
        for name in ["a", "b", "c", "d"] { _ = try log.ask(name) }
        _ = log.settle()
        try log.publish("x", producer: "p", sequence: 1)
        try log.publish("x", producer: "q", sequence: 1)
        #expect(codes(log.settle()).map(\.code) == [.ok, .ok])
        #expect(code(try log.ask("a")) == .resourceExhausted)
        #expect(code(try log.publish("x", producer: "r", sequence: 1)) == .resourceExhausted)
        try log.publish("y", producer: "p", sequence: 2)
        #expect(codes(log.settle()).map(\.code) == [.ok])
    }

    @Test func timesDoNotRunBackwardsAfterARestart() throws {
        var machine = LogMachine(
            exchange: ExchangeID(rawValue: 1), head: Position(7), epoch: OwnerEpoch(rawValue: 1),
            lastAt: Timestamp(rawValue: 5_000), configuration: .init(Limits()))
        _ = machine.publish(
            try encoded("a"), producer: nil, sequence: 0,
            ticket: Ticket(connection: ConnectionID(rawValue: 1), stream: StreamID(rawValue: 1)),
            now: at(0), time: Timestamp(rawValue: 4_000))
        let append = machine.take().append
        #expect(append?.chunks.first?.firstAt == Timestamp(rawValue: 5_000))
    }
}
