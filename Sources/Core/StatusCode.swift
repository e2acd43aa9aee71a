/// What a reply, an END or a GOAWAY says. gRPC's numbers below 100, ours from 100 on. A status
/// answers two questions: may I retry, and whose fault is it. Source: protocol.md, "Status".
package enum StatusCode: UInt16, Hashable, Sendable, CaseIterable {
    case ok = 0
    case cancelled = 1
    case invalidArgument = 3
    case deadlineExceeded = 4
    case notFound = 5
    case alreadyExists = 6
    case permissionDenied = 7
    case resourceExhausted = 8
    case failedPrecondition = 9
    case aborted = 10
    case outOfRange = 11
    case unimplemented = 12
    case `internal` = 13
    case unavailable = 14
    case unauthenticated = 16
    case stopped = 100
    case takenOver = 101
    case positionLost = 102
    case draining = 103
    case frameTooLarge = 104
    case tooSlow = 105
    case paused = 106

    /// The name in the documentation and in what people are shown.
    package var name: String {
        switch self {
        case .ok: "OK"
        case .cancelled: "CANCELLED"
        case .invalidArgument: "INVALID_ARGUMENT"
        case .deadlineExceeded: "DEADLINE_EXCEEDED"
        case .notFound: "NOT_FOUND"
        case .alreadyExists: "ALREADY_EXISTS"
        case .permissionDenied: "PERMISSION_DENIED"
        case .resourceExhausted: "RESOURCE_EXHAUSTED"
        case .failedPrecondition: "FAILED_PRECONDITION"
        case .aborted: "ABORTED"
        case .outOfRange: "OUT_OF_RANGE"
        case .unimplemented: "UNIMPLEMENTED"
        case .internal: "INTERNAL"
        case .unavailable: "UNAVAILABLE"
        case .unauthenticated: "UNAUTHENTICATED"
        case .stopped: "STOPPED"
        case .takenOver: "TAKEN_OVER"
        case .positionLost: "POSITION_LOST"
        case .draining: "DRAINING"
        case .frameTooLarge: "FRAME_TOO_LARGE"
        case .tooSlow: "TOO_SLOW"
        case .paused: "PAUSED"
        }
    }

    /// Whether the same request may succeed later without being changed.
    package var isRetryable: Bool {
        switch self {
        case .unavailable, .resourceExhausted, .aborted, .deadlineExceeded, .draining, .tooSlow,
            .paused:
            true
        case .ok, .cancelled, .invalidArgument, .notFound, .alreadyExists, .permissionDenied,
            .failedPrecondition, .outOfRange, .unimplemented, .internal, .unauthenticated, .stopped,
            .takenOver, .positionLost, .frameTooLarge:
            false
        }
    }
}
