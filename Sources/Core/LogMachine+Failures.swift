extension LogMachine {
    static let awayFailure = Failure(
        .unavailable,
        "the store did not commit in time, so it is not known whether the events are stored; send them again with "
            + "the same producer and sequence",
        retryAfterMilliseconds: 1_000)
    static let fullFailure = Failure(
        .outOfRange, "the exchange has no positions left; create another exchange")

    static func failed(_ ticket: Ticket, _ entry: Entry, _ failure: Failure)
        -> AnsweredTicket
    {
        if case .refused(let own) = entry {
            return AnsweredTicket(ticket: ticket, answer: .failed(own))
        }
        return AnsweredTicket(ticket: ticket, answer: .failed(failure))
    }

    static func failed(_ ticket: Ticket, _ promise: Promise, _ failure: Failure)
        -> AnsweredTicket
    {
        if case .answer(.failed(let own)) = promise {
            return AnsweredTicket(ticket: ticket, answer: .failed(own))
        }
        return AnsweredTicket(ticket: ticket, answer: .failed(failure))
    }
}
