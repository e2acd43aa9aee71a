extension LogMachine {
    static let awayFailure = Failure(
        .unavailable,
        "the store did not commit in time, so it is not known whether the events are stored; send them again with "
            + "the same producer and sequence",
        retryAfterMilliseconds: 1_000)
    static let fullFailure = Failure(
        .outOfRange, "the exchange has no positions left; create another exchange")
}
