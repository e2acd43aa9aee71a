@testable import Core

/// A log machine with its inputs in short form. A class, because the testing macros copy what they
/// look at, and the machine cannot be copied.
final class LogFixture {
    private var machine: LogMachine
    var now = at(0)
    var time = Timestamp(rawValue: 1_000)
    /// Requests come from this connection.
    var connection: UInt64 = 1
    private var streams: UInt32 = 0

    init(
        head: UInt64 = 0, pendingBytesMax: Int = 1 << 20, chunkBytesMax: Int = 1 << 16,
        appendBytesMax: Int = 1 << 20, inFlight: Int = 2, gatherBytes: Int = 0,
        producersMax: Int = 100
    ) {
        var configuration = LogMachine.Configuration(Limits())
        configuration.pendingBytesMax = pendingBytesMax
        configuration.chunkBytesMax = chunkBytesMax
        configuration.appendBytesMax = appendBytesMax
        configuration.appendsInFlightMax = inFlight
        configuration.gatherBytes = gatherBytes
        configuration.producersMax = producersMax
        configuration.publishWaitMilliseconds = 10_000
        self.machine = LogMachine(
            exchange: ExchangeID(rawValue: 1), head: Position(head), epoch: OwnerEpoch(rawValue: 1),
            configuration: configuration)
    }

    var state: LogMachine.State { self.machine.state }
    var head: Position { self.machine.head }
    var epoch: OwnerEpoch { self.machine.epoch }
    var pendingBytes: Int { self.machine.pendingBytes }
    var refusesPublishes: Bool { self.machine.refusesPublishes }
    var deadline: Instant? { self.machine.deadline }

    private var ticket: Ticket {
        Ticket(
            connection: ConnectionID(rawValue: self.connection),
            stream: StreamID(rawValue: self.streams))
    }

    func restored(_ mark: ProducerMark) { self.machine.restored(mark) }

    /// Publishes the payloads as the next request, stream 1, 2, 3 ….
    @discardableResult
    func publish(_ payloads: String..., producer: String? = nil, sequence: UInt64 = 0)
        throws -> LogMachine.PublishAction
    {
        self.streams += 1
        let events = try encoded(payloads.map { Event(key: bytes("k"), payload: bytes($0)) })
        return self.machine.publish(
            events, producer: try producer.map { try name($0) }, sequence: sequence,
            ticket: self.ticket, now: self.now, time: self.time)
    }

    func ask(_ producer: String) throws -> LogMachine.PublishAction {
        self.streams += 1
        return self.machine.askProducer(
            try name(producer), ticket: self.ticket, now: self.now)
    }

    func refuse(_ failure: Failure) -> LogMachine.PublishAction {
        self.streams += 1
        return self.machine.refuse(failure, ticket: self.ticket, now: self.now)
    }

    func refuse(
        _ failure: Failure, producer: String, sequence: UInt64
    ) throws -> LogMachine.PublishAction {
        self.streams += 1
        return self.machine.refuse(
            failure, producer: try name(producer), sequence: sequence, ticket: self.ticket,
            now: self.now)
    }

    /// Takes an append; nil when there is none.
    func take() -> Append? { self.machine.take().append }

    func takeWithAnswers() -> LogMachine.TakeAction { self.machine.take() }

    func complete(_ append: Append?, _ outcome: AppendOutcome)
        -> LogMachine.CompletionAction
    {
        self.machine.completed(last: append?.last ?? .origin, outcome: outcome)
    }

    func commit(_ append: Append?) -> [AnsweredTicket] {
        self.complete(append, .committed).answers
    }

    /// Takes and commits until nothing is left.
    func settle() -> [AnsweredTicket] {
        var answers: [AnsweredTicket] = []
        while true {
            let action = self.machine.take()
            answers += action.answers
            guard let append = action.append else { return answers }
            answers += self.commit(append)
        }
    }

    func recover(head: UInt64, epoch: Int64 = 2) -> LogMachine.CompletionAction {
        self.machine.recovered(
            Ownership(epoch: OwnerEpoch(rawValue: epoch), head: Position(head)))
    }

    func lostOwnership() -> [AnsweredTicket] { self.machine.lostOwnership() }

    func expire(atMilliseconds milliseconds: Int) -> [AnsweredTicket] {
        self.now = at(milliseconds)
        return self.machine.expire(now: self.now)
    }
}

let away = AppendOutcome.unknown(Failure(.unavailable, "the connection was lost"))

func published(
    _ stream: UInt32, _ first: UInt64, _ last: UInt64, duplicates: UInt32 = 0,
    connection: UInt64 = 1
) -> AnsweredTicket {
    AnsweredTicket(
        ticket: Ticket(
            connection: ConnectionID(rawValue: connection), stream: StreamID(rawValue: stream)),
        answer: .published(first: Position(first), last: Position(last), duplicates: duplicates))
}

func told(
    _ stream: UInt32, sequence: UInt64, position: UInt64, connection: UInt64 = 1
) -> AnsweredTicket {
    AnsweredTicket(
        ticket: Ticket(
            connection: ConnectionID(rawValue: connection), stream: StreamID(rawValue: stream)),
        answer: .producer(sequence: sequence, position: Position(position)))
}

/// Streams with the status that each was answered with, OK included.
struct Told: Equatable, CustomStringConvertible {
    let stream: UInt32
    let code: StatusCode
    init(_ stream: UInt32, _ code: StatusCode) {
        self.stream = stream
        self.code = code
    }
    var description: String { "\(self.stream):\(self.code.name)" }
}

func codes(_ answers: [AnsweredTicket]) -> [Told] {
    answers.map { Told($0.ticket.stream.rawValue, code($0.answer)) }
}

func code(_ answer: PublishAnswer) -> StatusCode {
    switch answer {
    case .published, .producer: .ok
    case .failed(let failure): failure.code
    }
}

func code(_ action: LogMachine.PublishAction) -> StatusCode? {
    switch action {
    case .wait: nil
    case .answer(let answer): code(answer)
    }
}
