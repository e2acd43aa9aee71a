import Testing

@testable import Core

@Suite struct LogMachineTests {
    @Test func eventsThatCameTogetherFormOneAppend() throws {
        let log = LogFixture()
        #expect(try log.publish("a") == .wait)
        #expect(try log.publish("b", "c") == .wait)
        let append = try #require(log.take())
        #expect(append.after == .origin && append.last == Position(3))
        #expect(append.epoch == OwnerEpoch(rawValue: 1))
        #expect(append.chunks.map(\.payloads) == [["a", "b", "c"]])
        #expect(append.producers.isEmpty)
        #expect(log.take() == nil)
        let action = log.complete(append, .committed)
        #expect(action.answers == [published(1, 1, 1), published(2, 2, 3)])
        #expect(action.chunks.map(\.payloads) == [["a", "b", "c"]])
        #expect(action.next == .take)
        #expect(log.head == Position(3) && log.pendingBytes == 0)
    }

    @Test func whatComesWhileAppendsAreUnderWayFormsTheNext() throws {
        let log = LogFixture()
        try log.publish("a")
        let first = log.take()
        try log.publish("b")
        let second = log.take()
        try log.publish("c")
        try log.publish("d")
        #expect(log.take() == nil)
        #expect(second?.after == first?.last)
        #expect(log.commit(first) == [published(1, 1, 1)])
        let third = try #require(log.take())
        #expect(third.after == Position(2))
        #expect(third.chunks.map(\.payloads) == [["c", "d"]])
        #expect(log.commit(second) == [published(2, 2, 2)])
        #expect(log.commit(third) == [published(3, 3, 3), published(4, 4, 4)])
    }

    @Test func aLaterCommitSettlesTheEarlierOne() throws {
        let log = LogFixture()
        try log.publish("a")
        let first = log.take()
        try log.publish("b")
        let second = log.take()
        let action = log.complete(second, .committed)
        #expect(action.answers == [published(1, 1, 1), published(2, 2, 2)])
        #expect(action.chunks.flatMap(\.payloads) == ["a", "b"])
        for outcome in [AppendOutcome.committed, .conflict, away] {
            let late = log.complete(first, outcome)
            #expect(late.answers.isEmpty && late.chunks.isEmpty && late.next == .none)
        }
        #expect(log.state == .writing)
    }

    @Test func anOutcomeToldTwiceChangesNothingTheSecondTime() throws {
        let log = LogFixture()
        try log.publish("a")
        let append = log.take()
        #expect(log.commit(append).count == 1)
        let again = log.complete(append, .committed)
        #expect(again.answers.isEmpty && again.chunks.isEmpty && again.next == .none)
        #expect(log.pendingBytes == 0 && log.head == Position(1))
    }

    @Test func anAppendIsCutIntoChunksAndStopsAtItsBound() throws {
        let record = try encoded("a").bytes.count
        let log = LogFixture(chunkBytesMax: 2 * record, appendBytesMax: 3 * record)
        try log.publish("a", "b", "c")
        try log.publish("d")
        let first = try #require(log.take())
        #expect(first.chunks.map(\.payloads) == [["a", "b"], ["c"]])
        #expect(first.chunks.map(\.first) == [Position(1), Position(3)])
        let second = try #require(log.take())
        #expect(second.chunks.map(\.payloads) == [["d"]])
        #expect(second.after == first.last)
    }

    @Test func aRefusalWaitsForThoseBeforeIt() throws {
        let log = LogFixture()
        let bad = Failure(.invalidArgument, "bad")
        #expect(log.refuse(bad) == .answer(.failed(bad)))
        try log.publish("a")
        #expect(log.refuse(bad) == .wait)
        let first = log.take()
        #expect(log.refuse(bad) == .wait)
        try log.publish("b")
        let second = log.take()
        #expect(codes(log.commit(first)) == [Told(2, .ok), Told(3, .invalidArgument)])
        #expect(codes(log.commit(second)) == [Told(4, .invalidArgument), Told(5, .ok)])
    }

    @Test func aRefusalBehindAnAppendRidesOnIt() throws {
        let log = LogFixture()
        try log.publish("a")
        let append = log.take()
        #expect(log.refuse(Failure(.invalidArgument, "bad")) == .wait)
        let action = log.takeWithAnswers()
        #expect(action.append == nil && action.answers.isEmpty)
        #expect(codes(log.commit(append)) == [Told(1, .ok), Told(2, .invalidArgument)])
    }

    @Test func positionsGoOnFromTheHead() throws {
        let log = LogFixture(head: 41)
        try log.publish("a", "b")
        let append = try #require(log.take())
        #expect(append.after == Position(41))
        #expect(append.chunks[0].events.map(\.position) == [Position(42), Position(43)])
        #expect(log.commit(append) == [published(1, 42, 43)])
    }

    @Test func timesNeverRunBackwards() throws {
        let log = LogFixture()
        try log.publish("a")
        log.time = Timestamp(rawValue: 500)
        try log.publish("b")
        log.time = Timestamp(rawValue: 2_000)
        try log.publish("c")
        let chunk = try #require(log.take()?.chunks.first)
        #expect(chunk.events.map(\.publishedAt.rawValue) == [1_000, 1_000, 2_000])
        #expect(chunk.firstAt.rawValue == 1_000 && chunk.lastAt.rawValue == 2_000)
    }

    @Test func aFullExchangeRefusesAndKeepsCount() throws {
        let log = LogFixture(head: UInt64(Int64.max) - 2)
        try log.publish("a", producer: "p", sequence: 1)
        #expect(try log.publish("b", "c", producer: "p", sequence: 2) == .wait)
        #expect(codes(log.settle()) == [Told(1, .ok), Told(2, .outOfRange)])
        #expect(log.pendingBytes == 0)
        #expect(code(try log.publish("b", "c", producer: "p", sequence: 2)) == .outOfRange)
        try log.publish("b", producer: "p", sequence: 2)
        #expect(log.settle() == [published(4, UInt64(Int64.max), UInt64(Int64.max))])
        #expect(code(try log.publish("d")) == .outOfRange)
    }

    @Test func whatIsLittleWaitsForTheAnswer() throws {
        let log = LogFixture(inFlight: 3, gatherBytes: 100)
        try log.publish("a")
        let first = log.take()
        #expect(first?.chunks.map(\.payloads) == [["a"]], "nothing is under way")
        try log.publish("b")
        #expect(log.take() == nil)
        let much = String(repeating: "c", count: 100)
        try log.publish(much)
        let second = log.take()
        #expect(second?.chunks.map(\.payloads) == [["b", much]])
        try log.publish("d")
        #expect(log.take() == nil)
        #expect(log.commit(first).count == 1)
        #expect(log.take() == nil, "one is still under way")
        #expect(log.commit(second).count == 2)
        #expect(log.take()?.chunks.map(\.payloads) == [["d"]])
    }

    @Test func appendsWaitForTheirTurn() throws {
        let log = LogFixture(inFlight: 1)
        try log.publish("a")
        let first = log.take()
        try log.publish("b")
        #expect(log.take() == nil)
        #expect(log.commit(first).count == 1)
        #expect(log.take()?.chunks.map(\.payloads) == [["b"]])
    }
}
