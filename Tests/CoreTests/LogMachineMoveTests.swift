import Testing

@testable import Core

@Suite struct LogMachineMoveTests {
    private static let rows = [OutboxID(rawValue: 7), OutboxID(rawValue: 9)]

    /// Holds the machine, which cannot be copied and so not be looked at in an expectation.
    private final class Held {
        var log: LogMachine

        init(pendingBytesMax: Int) {
            var limits = Limits()
            limits.pendingBytesMax = pendingBytesMax
            self.log = LogMachine(
                exchange: ExchangeID(rawValue: 1), head: .origin, epoch: OwnerEpoch(rawValue: 1),
                configuration: .init(limits))
        }

        var takesRows: Bool { self.log.takesRows }
        var movingRows: Int { self.log.movingRows }
        var pendingBytes: Int { self.log.pendingBytes }
        var deadline: Instant? { self.log.deadline }
        func take() -> Append? { self.log.take().append }
        func expire(_ now: Instant) -> [Ticket] { self.log.expire(now: now).map(\.ticket) }

        func move() throws -> Bool {
            self.log.move(
                try encoded("a", "b"), rows: LogMachineMoveTests.rows, now: at(0),
                time: Timestamp(rawValue: 1))
        }

        @discardableResult
        func completed(_ last: Position, _ outcome: AppendOutcome) -> LogMachine.CompletionAction {
            self.log.completed(last: last, outcome: outcome)
        }

        @discardableResult
        func recovered(head: Position) -> LogMachine.CompletionAction {
            self.log.recovered(Ownership(epoch: OwnerEpoch(rawValue: 2), head: head))
        }
    }

    private func machine(pendingBytesMax: Int = 1 << 20) -> Held {
        Held(pendingBytesMax: pendingBytesMax)
    }

    @Test func rowsGoWithTheAppendThatHoldsTheirEvents() throws {
        let it = self.machine()
        #expect(it.takesRows)
        #expect(try it.move())
        #expect(!it.takesRows, "a row under way is still in the table")
        #expect(try !it.move())
        let append = try #require(it.take())
        #expect(append.rows == Self.rows && append.last == Position(2))
        #expect(!it.takesRows && it.movingRows == 2)
        let action = it.completed(append.last, .committed)
        #expect(action.answers.isEmpty && action.chunks.map(\.payloads) == [["a", "b"]])
        #expect(it.takesRows && it.movingRows == 0 && it.pendingBytes == 0)
    }

    @Test func anAppendThatIsWrittenAgainTakesItsRowsAgain() throws {
        let it = self.machine()
        _ = try it.move()
        let append = try #require(it.take())
        it.completed(append.last, .conflict)
        #expect(!it.takesRows)
        it.recovered(head: .origin)
        let again = try #require(it.take())
        #expect(again.rows == Self.rows && again.epoch == OwnerEpoch(rawValue: 2))
        #expect(!it.takesRows)
        it.completed(again.last, .committed)
        #expect(it.takesRows)
    }

    @Test func whatWasUnknownAndIsInTheLogIsMovedOnce() throws {
        let it = self.machine()
        _ = try it.move()
        let append = try #require(it.take())
        it.completed(append.last, .conflict)
        #expect(it.recovered(head: Position(2)).chunks.count == 1)
        #expect(it.take() == nil && it.takesRows)
    }

    /// Nobody waits for them, so they make nobody's publishes fail; and what was not sent is still in the outbox.
    @Test func rowsThatWaitLongDisturbNobody() throws {
        let it = self.machine()
        _ = try it.move()
        #expect(it.deadline == nil)
        let ticket = Ticket(
            connection: ConnectionID(rawValue: 1), stream: StreamID(rawValue: 1))
        _ = it.log.publish(
            try encoded("c"), producer: nil, sequence: 0, ticket: ticket, now: at(5),
            time: .zero)
        #expect(it.deadline == at(10_005))
        #expect(it.expire(at(10_005)) == [ticket])
        #expect(it.takesRows && it.pendingBytes == 0)
        #expect(it.take() == nil)
    }

    @Test func aLostExchangeMovesNothing() throws {
        let it = self.machine()
        _ = try it.move()
        _ = it.take()
        #expect(it.log.lostOwnership().isEmpty)
        #expect(try !it.takesRows && !it.move() && it.movingRows == 0)
    }

    @Test func publishersKeepHalfOfTheRoom() throws {
        let bytes = try encoded("x").bytes.count
        let it = self.machine(pendingBytesMax: bytes)
        let ticket = Ticket(
            connection: ConnectionID(rawValue: 1), stream: StreamID(rawValue: 1))
        _ = it.log.publish(
            try encoded("x"), producer: nil, sequence: 0, ticket: ticket, now: at(0), time: .zero)
        #expect(try !it.takesRows && !it.move())
        let append = try #require(it.take())
        it.completed(append.last, .committed)
        #expect(it.takesRows)
    }
}
