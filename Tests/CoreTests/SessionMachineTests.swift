import Testing

@testable import Core

@Suite struct SessionMachineTests {
    private static let states: [SessionMachine.State] = [
        .greeting, .introducing, .open, .draining, .closed,
    ]

    @Test func thePrefaceCountsOnceAndTheHelloAfterIt() {
        let expected: [SessionMachine.State: SessionMachine.State] = [.greeting: .introducing]
        for state in Self.states {
            let session = SessionFixture(state)
            session.preface()
            #expect(session.state == expected[state] ?? state)
        }
        for state in Self.states {
            let session = SessionFixture(state)
            session.helloAccepted()
            #expect(session.state == (state == .introducing ? .open : state))
        }
    }

    @Test(
        arguments: [
            (.greeting, .ignore), (.introducing, .goAway(.failedPrecondition)), (.open, .perform),
            (.draining, .refuse(.draining)), (.closed, .ignore),
        ] as [(SessionMachine.State, RequestVerdict)])
    func aRequestInEachState(state: SessionMachine.State, verdict: RequestVerdict) {
        let session = SessionFixture(state)
        #expect(RequestVerdict(session.request(1)) == verdict)
        #expect(session.streams == (verdict == .perform ? [1] : []))
        #expect(session.state == state)
    }

    @Test(
        arguments: [
            (.greeting, .ignore), (.introducing, .hello), (.open, .refuse(.failedPrecondition)),
            (.draining, .refuse(.draining)), (.closed, .ignore),
        ] as [(SessionMachine.State, RequestVerdict)])
    func aHelloInEachState(state: SessionMachine.State, verdict: RequestVerdict) {
        let session = SessionFixture(state)
        #expect(RequestVerdict(session.request(1, isHello: true)) == verdict)
    }

    @Test(
        arguments: [
            (.greeting, .ignore), (.introducing, .goAway(.invalidArgument)),
            (.open, .goAway(.invalidArgument)), (.draining, .goAway(.invalidArgument)),
            (.closed, .ignore),
        ] as [(SessionMachine.State, RequestVerdict)])
    func streamZeroInEachState(state: SessionMachine.State, verdict: RequestVerdict) {
        let session = SessionFixture(state)
        #expect(RequestVerdict(session.request(0, isHello: true)) == verdict)
    }

    @Test func aSecondHelloBeforeTheFirstIsAnsweredIsRefused() {
        let session = SessionFixture(.introducing)
        #expect(session.request(1, isHello: true) == .hello)
        #expect(
            RequestVerdict(session.request(2, isHello: true)) == .refuse(.failedPrecondition))
        #expect(session.streams == [1])
    }

    @Test func aRefusedHelloMayBeTriedAgain() {
        let session = SessionFixture(.introducing)
        #expect(session.request(1, isHello: true) == .hello)
        #expect(session.answered(1) != nil)
        #expect(session.request(1, isHello: true) == .hello)
    }

    @Test func aStreamInUseEndsTheConnectionAndAnAnsweredOneMayBeReused() {
        let session = SessionFixture(.open)
        #expect(session.request(5) == .perform)
        #expect(RequestVerdict(session.request(5)) == .goAway(.invalidArgument))
        #expect(session.answered(5) == .init(method: 7, isQuiet: false, publishBytes: 0))
        #expect(session.answered(5) == nil)
        #expect(session.request(5, isQuiet: true) == .perform)
        #expect(session.answered(5)?.isQuiet == true)
        #expect(session.answered(99) == nil)
    }

    @Test func itIsFullAtTheLimitOfRequests() {
        let session = SessionFixture(.open, requestsMax: 2)
        _ = session.request(1)
        #expect(!session.isFull)
        _ = session.request(2)
        #expect(session.isFull)
        _ = session.answered(1)
        #expect(!session.isFull)
    }

    @Test func itIsFullAtTheLimitOfBytes() {
        let session = SessionFixture(.open, publishBytesMax: 100)
        _ = session.request(1, publishBytes: 99)
        #expect(!session.isFull)
        _ = session.request(2, publishBytes: 1)
        #expect(session.isFull && session.publishBytes == 100)
        _ = session.answered(2)
        #expect(!session.isFull && session.publishBytes == 99)
    }

    @Test func theHelloHasADeadline() {
        for state in [SessionMachine.State.greeting, .introducing] {
            let session = SessionFixture(state)
            #expect(session.checked(silence: 99_999, age: 4_999) == .none)
            #expect(session.checked(silence: 0, age: 5_000) == .close("no hello in time"))
        }
    }

    @Test(arguments: [SessionMachine.State.open, .draining])
    func silenceIsAnsweredByOnePingAndThenTheEnd(state: SessionMachine.State) {
        let session = SessionFixture(state)
        #expect(session.checked(silence: 999, age: 99_999) == .none)
        #expect(session.checked(silence: 1_000) == .ping)
        #expect(session.checked(silence: 1_001) == .none)
        #expect(session.checked(silence: 2_999) == .none)
        session.heard()
        #expect(session.checked(silence: 0) == .none)
        #expect(session.checked(silence: 1_000) == .ping)
        #expect(
            session.checked(silence: 3_000) == .close("no sign of life for three heartbeats"))
    }

    @Test func aClosedSessionIsNotWatched() {
        let session = SessionFixture(.closed)
        #expect(session.checked(silence: 99_999, age: 99_999) == .none)
    }

    @Test func drainingSaysSoOnce() {
        for state in Self.states {
            let session = SessionFixture(state)
            let wasTold = state == .draining || state == .closed
            #expect(session.drain() == !wasTold)
            #expect(session.drain() == false)
            #expect(session.state == (state == .closed ? .closed : .draining))
        }
    }

    @Test func drainingIsFinishedWhenAllIsAnswered() {
        let session = SessionFixture(.open)
        _ = session.request(1)
        #expect(!session.isFinished)
        _ = session.drain()
        #expect(!session.isFinished)
        #expect(session.answered(1) != nil)
        #expect(session.isFinished)
        _ = session.close()
        #expect(!session.isFinished)
    }

    /// Or what the cancelled request set in motion would answer the next one of this number.
    @Test func aCancelledNumberIsFreeOnlyWhenItsWorkIsOver() {
        let session = SessionFixture(.open)
        _ = session.request(5, publishBytes: 10)
        #expect(session.isOpen(5) && session.cancel(5))
        #expect(!session.isOpen(5) && !session.cancel(5) && !session.cancel(6))
        #expect(RequestVerdict(session.request(5)) == .refuse(.aborted))
        #expect(session.publishBytes == 10)
        #expect(session.answered(5) == nil)
        #expect(session.publishBytes == 0)
        #expect(session.request(5) == .perform)
        session.workEnded(5)
        #expect(session.isOpen(5), "only cancelled ones end with their work")
        #expect(session.cancel(5))
        session.workEnded(5)
        #expect(session.streams == [])
    }

    @Test func closingGivesTheOpenStreamsOnce() {
        let session = SessionFixture(.open)
        _ = session.request(9, publishBytes: 5)
        _ = session.request(2)
        #expect(session.close() == [2, 9])
        #expect(session.close() == [])
        #expect(session.state == .closed && session.publishBytes == 0 && !session.isFull)
        #expect(session.answered(9) == nil)
        #expect(session.drain() == false)
    }
}
