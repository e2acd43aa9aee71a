import Testing

@testable import Core

@Suite struct LogMachineRecoveryTests {
    /// Two appends under way, "a" and "b", and "c" waiting.
    private static func two() throws -> (first: Append, second: Append, log: LogFixture) {
        let log = LogFixture()
        try log.publish("a")
        let first = try #require(log.take())
        try log.publish("b")
        let second = try #require(log.take())
        try log.publish("c")
        return (first, second, log)
    }

    @Test(arguments: [AppendOutcome.conflict, away])
    func recoveryWaitsForAllOutcomes(outcome: AppendOutcome) throws {
        let (first, second, log) = try Self.two()
        #expect(log.complete(first, outcome).next == .none)
        #expect(log.state == .recovering)
        #expect(log.take() == nil)
        let early = log.recover(head: 0)
        #expect(early.next == .none && log.state == .recovering)
        #expect(log.complete(second, outcome).next == .recover)
    }

    @Test func theOtherOrderOfOutcomesRecoversToo() throws {
        let (first, second, log) = try Self.two()
        #expect(log.complete(second, away).next == .none)
        let action = log.complete(first, .committed)
        #expect(action.answers == [published(1, 1, 1)])
        #expect(action.next == .recover)
        #expect(log.take() == nil)
    }

    @Test func aCommitOfTheSecondSettlesAnUnknownFirst() throws {
        let (first, second, log) = try Self.two()
        #expect(log.complete(first, away).next == .none)
        let action = log.complete(second, .committed)
        #expect(action.answers == [published(1, 1, 1), published(2, 2, 2)])
        #expect(action.next == .recover)
        #expect(log.recover(head: 2).next == .take)
        #expect(log.take()?.epoch == OwnerEpoch(rawValue: 2))
    }

    @Test(arguments: [0, 1, 2] as [UInt64])
    func whatTheHeadCoversIsAnsweredAndTheRestIsSentAgain(head: UInt64) throws {
        let (first, second, log) = try Self.two()
        _ = log.complete(first, away)
        _ = log.complete(second, away)
        let action = log.recover(head: head)
        #expect(action.next == .take)
        #expect(log.state == .writing)
        #expect(log.epoch == OwnerEpoch(rawValue: 2))
        #expect(log.head == Position(head))
        let answers = [published(1, 1, 1), published(2, 2, 2)]
        #expect(action.answers == Array(answers.prefix(Int(head))))
        #expect(action.chunks.flatMap(\.payloads) == Array(["a", "b"].prefix(Int(head))))
        for old in [first, second].dropFirst(Int(head)) {
            let again = try #require(log.take())
            #expect(again.epoch == OwnerEpoch(rawValue: 2))
            #expect(again.after == old.after && again.last == old.last)
            #expect(again.chunks.map(\.block.bytes) == old.chunks.map(\.block.bytes))
            #expect(again.producers == old.producers)
            #expect(log.commit(again).count == 1)
        }
        #expect(log.settle() == [published(3, 3, 3)])
        #expect(log.pendingBytes == 0)
    }

    @Test func resentAppendsKeepTheirOrderAndNewOnesComeAfter() throws {
        let (first, second, log) = try Self.two()
        _ = log.complete(first, away)
        _ = log.complete(second, away)
        _ = log.recover(head: 0)
        let again = [log.take(), log.take()]
        #expect(again.map(\.?.last) == [first.last, second.last])
        #expect(log.take() == nil)
        #expect(log.commit(again[0]) == [published(1, 1, 1)])
        #expect(log.take()?.chunks.map(\.payloads) == [["c"]])
    }

    @Test func aSecondFailureSendsThemAThirdTime() throws {
        let (first, second, log) = try Self.two()
        _ = log.complete(first, away)
        _ = log.complete(second, away)
        _ = log.recover(head: 0)
        let again = log.take()
        // The second is not sent yet: nothing else is under way.
        #expect(log.complete(again, away).next == .recover)
        let action = log.recover(head: 1, epoch: 3)
        #expect(action.answers == [published(1, 1, 1)])
        let last = try #require(log.take())
        #expect(last.last == second.last && last.epoch == OwnerEpoch(rawValue: 3))
    }

    @Test(arguments: [3, 1_000] as [UInt64])
    func aHeadThatIsNotOursLosesTheExchange(head: UInt64) throws {
        let (first, second, log) = try Self.two()
        _ = log.complete(first, away)
        _ = log.complete(second, away)
        let action = log.recover(head: head)
        #expect(log.state == .lost)
        #expect(action.next == .none)
        #expect(codes(action.answers) == [Told(1, .ok), Told(2, .ok), Told(3, .unavailable)])
        #expect(log.pendingBytes == 0)
    }

    @Test func aHeadInTheMiddleOfAnAppendLosesTheExchange() throws {
        let log = LogFixture()
        try log.publish("a", "b")
        let append = log.take()
        _ = log.complete(append, away)
        #expect(codes(log.recover(head: 1).answers) == [Told(1, .unavailable)])
        #expect(log.state == .lost)
    }

    @Test func aHeadThatWentBackLosesTheExchange() throws {
        let log = LogFixture(head: 5)
        try log.publish("a")
        _ = log.complete(log.take(), away)
        #expect(codes(log.recover(head: 4).answers) == [Told(1, .unavailable)])
        #expect(log.state == .lost)
    }

    @Test func recoveryOutOfTurnChangesNothing() throws {
        let log = LogFixture()
        try log.publish("a")
        let append = log.take()
        let action = log.recover(head: 9, epoch: 9)
        #expect(action.next == .none && action.answers.isEmpty)
        #expect(log.state == .writing && log.epoch == OwnerEpoch(rawValue: 1))
        _ = log.complete(append, away)
        _ = log.recover(head: 1)
        #expect(log.recover(head: 7, epoch: 7).next == .none)
        #expect(log.head == Position(1) && log.epoch == OwnerEpoch(rawValue: 2))
    }

    @Test func lostAnswersEverybodyAndRefusesEver() throws {
        let (first, second, log) = try Self.two()
        #expect(log.refuse(Failure(.invalidArgument, "bad")) == .wait)
        _ = log.complete(first, .conflict)
        _ = log.complete(second, .conflict)
        #expect(
            codes(log.lostOwnership()) == [
                Told(1, .unavailable), Told(2, .unavailable), Told(3, .unavailable),
                Told(4, .invalidArgument),
            ])
        #expect(log.pendingBytes == 0 && log.deadline == nil)
        #expect(log.lostOwnership().isEmpty)
        #expect(code(try log.publish("d")) == .unavailable)
        #expect(code(try log.publish("d", producer: "p", sequence: 1)) == .unavailable)
        #expect(code(try log.ask("p")) == .unavailable)
        #expect(log.take() == nil)
        let late = log.complete(first, .committed)
        #expect(late.answers.isEmpty && late.chunks.isEmpty && late.next == .none)
        #expect(log.recover(head: 0).next == .none)
        #expect(log.state == .lost)
        #expect(log.expire(atMilliseconds: 1 << 40).isEmpty)
    }
}
