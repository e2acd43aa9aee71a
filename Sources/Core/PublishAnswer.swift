/// Which request a publish came from.
package struct Ticket: Hashable, Sendable {
    package let connection: ConnectionID
    package let stream: StreamID

    package init(connection: ConnectionID, stream: StreamID) {
        self.connection = connection
        self.stream = stream
    }
}

/// What a publisher is told.
package enum PublishAnswer: Hashable, Sendable {
    /// `first` is the position of the first event that was new, 0 if none was.
    case published(first: Position, last: Position, duplicates: UInt32)
    /// The producer's newest stored sequence and its position, 0 = never seen.
    case producer(sequence: UInt64, position: Position)
    case failed(Failure)
}

package struct AnsweredTicket: Hashable, Sendable {
    package let ticket: Ticket
    package let answer: PublishAnswer
}
