import DormouseClient

/// Why a worker, or a statement of its observer, cannot go on.
public struct WorkerError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What kind of failure.
    public enum Kind: Hashable, Sendable {
        /// A newer instance of this worker runs, or a rebuild has put fresh tables in place.
        case replaced
        /// The database is away or another transaction won; trying again helps.
        case databaseAway
        /// The database refused a statement.
        case refused
        /// A row, an argument or an event is not what was expected.
        case unexpected
        /// The log no longer has what follows the worker's position, or is another log.
        case positionLost
        /// The server refused the subscription, and would always.
        case server
    }

    /// What kind of failure.
    public let kind: Kind
    /// What was wrong, what was expected, what to do.
    public let message: String
    /// The code of the database's error, five characters; empty when there is none. Source: PostgreSQL
    /// documentation, appendix A.
    public let sqlState: String

    /// `query_canceled`: it had `statementMilliseconds`, or somebody has ended it.
    static let statementTooLong = "57014"

    /// An error of this kind.
    public init(_ kind: Kind, _ message: String, sqlState: String = "") {
        self.kind = kind
        self.message = message
        self.sqlState = sqlState
    }

    /// For people.
    public var description: String { self.message }
}

/// Thrown by an observer for an event whose cause it has not seen yet, such as the purchase of
/// something that was not offered: the event waits and is tried again, however often it takes, and is never parked.
public struct CauseMissing: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is missing, for people.
    public let description: String
    /// Whether later events of the same ordering key wait behind it.
    public let holdsKey: Bool

    /// An event that waits for this.
    ///
    /// - Parameter holdsKey: false when the cause may be a later event of the same ordering key: it would
    ///   wait behind its own effect otherwise.
    public init(_ description: String, holdsKey: Bool = true) {
        self.description = description
        self.holdsKey = holdsKey
    }
}

extension DormouseError {
    /// To try again would not help.
    var isFinal: Bool {
        switch self.status {
        // Aborted: the name's position was moved, or its producer is in use, by hand or by an older instance.
        case .connectionLost, .cannotConnect, .timeout, .closed, .unavailable, .takenOver,
            .aborted:
            false
        default: !self.status.mayRetry
        }
    }
}
