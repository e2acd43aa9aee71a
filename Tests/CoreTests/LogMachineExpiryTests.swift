import Testing

@testable import Core

@Suite struct LogMachineExpiryTests {
    @Test func theOldestPublishSetsTheDeadline() throws {
        let log = LogFixture()
        #expect(log.deadline == nil)
        log.now = at(5)
        try log.publish("a")
        let append = log.take()
        log.now = at(9)
        try log.publish("b")
        #expect(log.deadline == at(10_005))
        _ = log.commit(append)
        #expect(log.deadline == at(10_009))
        _ = log.settle()
        #expect(log.deadline == nil)
    }

    @Test func nothingExpiresEarly() throws {
        let log = LogFixture()
        try log.publish("a")
        #expect(log.expire(atMilliseconds: 9_999).isEmpty)
        #expect(!log.refusesPublishes && log.pendingBytes > 0)
    }

    @Test func whatIsUnderWayMayStillBeCommittedAndTheRestIsDropped() throws {
        let log = LogFixture()
        try log.publish("a")
        let append = log.take()
        let second = try log.publish("b")
        #expect(second == .wait)
        let underWay = try encoded("a").bytes.count
        #expect(
            codes(log.expire(atMilliseconds: 10_000)) == [
                Told(1, .unavailable), Told(2, .unavailable),
            ])
        #expect(log.refusesPublishes && log.pendingBytes == underWay)
        #expect(log.deadline == nil)
        #expect(log.expire(atMilliseconds: 99_000).isEmpty)
        #expect(code(try log.publish("c")) == .unavailable)
        #expect(code(try log.ask("p")) == .unavailable)
        let action = log.complete(append, .committed)
        #expect(action.answers.isEmpty && action.chunks.map(\.payloads) == [["a"]])
        #expect(!log.refusesPublishes && log.pendingBytes == 0)
        try log.publish("d")
        #expect(log.settle() == [published(5, 2, 2)])
    }

    @Test func anExpiredProducerResumesWithoutLosingOrRepeating() throws {
        let log = LogFixture(inFlight: 1)
        try log.publish("a", producer: "p", sequence: 1)
        let append = log.take()
        try log.publish("b", producer: "p", sequence: 2)
        _ = log.expire(atMilliseconds: 10_000)
        #expect(log.commit(append).isEmpty)
        #expect(code(try log.publish("c", producer: "p", sequence: 3)) == .aborted)
        try log.publish("a", producer: "p", sequence: 1)
        try log.publish("b", producer: "p", sequence: 2)
        try log.publish("c", producer: "p", sequence: 3)
        #expect(
            log.settle() == [
                published(4, 0, 3, duplicates: 1), published(5, 2, 2), published(6, 3, 3),
            ])
        #expect(log.head == Position(3))
    }

    /// What is under way is committed in the end, so nothing after it can overtake it.
    @Test func aProducerWhoseAppendExpiredGoesOnAndItsRetryIsADuplicate() throws {
        let log = LogFixture()
        try log.publish("a", producer: "p", sequence: 1)
        let append = log.take()
        _ = log.expire(atMilliseconds: 10_000)
        #expect(log.commit(append).isEmpty)
        try log.publish("b", producer: "p", sequence: 2)
        try log.publish("a", "b", producer: "p", sequence: 1)
        #expect(log.settle() == [published(2, 2, 2), published(3, 0, 2, duplicates: 2)])
    }

    @Test func expiryWhileRecoveringEndsWithTheRecovery() throws {
        let log = LogFixture()
        try log.publish("a")
        _ = log.complete(log.take(), away)
        #expect(codes(log.expire(atMilliseconds: 10_000)) == [Told(1, .unavailable)])
        #expect(log.recover(head: 1).answers.isEmpty)
        #expect(!log.refusesPublishes && log.pendingBytes == 0)
    }

    @Test func anExpiredAppendIsStillSentAgain() throws {
        let log = LogFixture()
        try log.publish("a")
        _ = log.complete(log.take(), away)
        _ = log.expire(atMilliseconds: 10_000)
        _ = log.recover(head: 0)
        #expect(log.refusesPublishes)
        let again = try #require(log.take())
        #expect(again.chunks.map(\.payloads) == [["a"]])
        #expect(log.complete(again, .committed).chunks.count == 1)
        #expect(!log.refusesPublishes)
    }

    @Test func expiryWithNothingUnderWayDoesNotRefuseForEver() throws {
        let log = LogFixture()
        try log.publish("a")
        #expect(codes(log.expire(atMilliseconds: 10_000)) == [Told(1, .unavailable)])
        #expect(!log.refusesPublishes)
        try log.publish("b")
        #expect(log.settle() == [published(2, 1, 1)])
    }

    @Test func aRiderOnAnExpiredAppendWaitsItsOwnTime() throws {
        let log = LogFixture()
        try log.publish("a", producer: "p", sequence: 1)
        let first = log.take()
        try log.publish("b", producer: "p", sequence: 2)
        let second = log.take()
        _ = log.expire(atMilliseconds: 10_000)
        _ = log.commit(first)
        try log.publish("a", producer: "p", sequence: 1)
        #expect(log.takeWithAnswers().answers.isEmpty)
        #expect(log.deadline == at(20_000))
        #expect(log.expire(atMilliseconds: 10_001).isEmpty)
        #expect(log.commit(second) == [published(3, 0, 2, duplicates: 1)])
    }

    @Test func aRefusalKeepsItsOwnReasonWhenItExpires() throws {
        let log = LogFixture()
        try log.publish("a")
        _ = log.take()
        _ = log.refuse(Failure(.invalidArgument, "bad"))
        _ = log.takeWithAnswers()
        _ = log.refuse(Failure(.invalidArgument, "bad"))
        #expect(
            codes(log.expire(atMilliseconds: 10_000)) == [
                Told(1, .unavailable), Told(2, .invalidArgument), Told(3, .invalidArgument),
            ])
    }

    @Test func thePendingLimitCountsWhatIsUnderWay() throws {
        let size = try encoded("a").bytes.count
        let log = LogFixture(pendingBytesMax: 2 * size)
        try log.publish("a")
        let append = log.take()
        try log.publish("b")
        try log.publish("c")
        #expect(codes(log.commit(append)) == [Told(1, .ok)])
        #expect(codes(log.settle()) == [Told(2, .ok), Told(3, .resourceExhausted)])
        try log.publish("c")
        #expect(codes(log.settle()) == [Told(4, .ok)])
    }
}
