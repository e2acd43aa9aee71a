internal import CDormouse

/// Why something failed: said by the server, or found by the client.
public struct DormouseError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What kind of failure.
    public let status: Status
    /// What was wrong, what was expected, what to do.
    public let message: String

    /// An error of this kind.
    public init(_ status: Status, _ message: String) {
        self.status = status
        self.message = message
    }

    /// For people.
    public var description: String { "\(self.status): \(self.message)" }

    /// The numbers of the protocol and of `dormouse.h`; later servers may know more of them.
    public struct Status: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
        /// Its number.
        public let rawValue: UInt32

        /// Any number, also one that is not known here.
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        /// The task or the request was cancelled.
        public static let cancelled = Status(DORMOUSE_CANCELLED)
        /// Nothing more is known.
        public static let unknown = Status(DORMOUSE_UNKNOWN)
        /// The server refused what was asked, and would always.
        public static let invalidArgument = Status(DORMOUSE_INVALID_ARGUMENT)
        /// It took longer than was allowed.
        public static let deadlineExceeded = Status(DORMOUSE_DEADLINE_EXCEEDED)
        /// There is no such exchange or name.
        public static let notFound = Status(DORMOUSE_NOT_FOUND)
        /// There is one of this name.
        public static let alreadyExists = Status(DORMOUSE_ALREADY_EXISTS)
        /// Known, but not allowed to.
        public static let permissionDenied = Status(DORMOUSE_PERMISSION_DENIED)
        /// A limit of the server is reached; try again later.
        public static let resourceExhausted = Status(DORMOUSE_RESOURCE_EXHAUSTED)
        /// Not in the present state, such as another config of the name.
        public static let failedPrecondition = Status(DORMOUSE_FAILED_PRECONDITION)
        /// Somebody else was first; look again and try again.
        public static let aborted = Status(DORMOUSE_ABORTED)
        /// A position beyond the log.
        public static let outOfRange = Status(DORMOUSE_OUT_OF_RANGE)
        /// An older server.
        public static let unimplemented = Status(DORMOUSE_UNIMPLEMENTED)
        /// A mistake of the server.
        public static let `internal` = Status(DORMOUSE_INTERNAL)
        /// The store does not answer; try again.
        public static let unavailable = Status(DORMOUSE_UNAVAILABLE)
        /// The server does not know who this is.
        public static let unauthenticated = Status(DORMOUSE_UNAUTHENTICATED)
        /// Somebody stopped this subscriber by name.
        public static let stopped = Status(DORMOUSE_STOPPED)
        /// A newer consumer of this name came.
        public static let takenOver = Status(DORMOUSE_TAKEN_OVER)
        /// The log no longer has what follows, or is another log.
        public static let positionLost = Status(DORMOUSE_POSITION_LOST)
        /// The server is stopping.
        public static let draining = Status(DORMOUSE_DRAINING)
        /// More than the server takes at once.
        public static let frameTooLarge = Status(DORMOUSE_FRAME_TOO_LARGE)
        /// A deadline for writing or acknowledging was missed.
        public static let tooSlow = Status(DORMOUSE_TOO_SLOW)
        /// An administrator has paused it.
        public static let paused = Status(DORMOUSE_PAUSED)
        /// Nothing came in time; nothing is wrong otherwise.
        public static let timeout = Status(DORMOUSE_TIMEOUT)
        /// Too much is published and not yet answered.
        public static let windowFull = Status(DORMOUSE_WINDOW_FULL)
        /// While this was under way: whether it was done is unknown.
        public static let connectionLost = Status(DORMOUSE_CONNECTION_LOST)
        /// No host could be reached, or TLS refused it.
        public static let cannotConnect = Status(DORMOUSE_CANNOT_CONNECT)
        /// The server sent what it must not send.
        public static let protocolError = Status(DORMOUSE_PROTOCOL_ERROR)
        /// Deliveries do not join: events may be missing.
        public static let hole = Status(DORMOUSE_HOLE)
        /// The call is wrong; nothing was sent.
        public static let badArgument = Status(DORMOUSE_BAD_ARGUMENT)
        /// The system gave no memory, thread or descriptor.
        public static let noMemory = Status(DORMOUSE_NO_MEMORY)
        /// The client or the subscription was closed.
        public static let closed = Status(DORMOUSE_CLOSED)

        /// Whether the same may succeed later without any change.
        public var mayRetry: Bool { dormouse_status_may_retry(self.code) }

        /// For people.
        public var description: String { String(cString: dormouse_status_text(self.code)) }

        init(_ code: dormouse_status) { self.rawValue = UInt32(code.rawValue) }

        private var code: dormouse_status { dormouse_status(rawValue: self.rawValue) }
    }
}
