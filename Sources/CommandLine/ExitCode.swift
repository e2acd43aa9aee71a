import Core
import DormouseClient

/// What the process ends with. Source of 64 to 77: sysexits.h; 130 and 143: a shell's 128 + signal.
enum ExitCode: Int32, Hashable, CaseIterable {
    case success = 0
    /// Refused for a reason that is neither of the ones below, such as NOT_FOUND.
    case failure = 1
    /// Of `dormouse check`, whose 1 is a warning. Source: nagios-plugins.org, "Guidelines".
    case critical = 2
    case unknown = 3
    case usage = 64
    case data = 65
    case noInput = 66
    case unavailable = 69
    case `internal` = 70
    case exists = 73
    case io = 74
    case temporary = 75
    case permission = 77
    case configuration = 78
    case interrupted = 130
    case terminated = 143

    init(_ code: StatusCode) {
        self =
            switch code {
            case .ok: .success
            case .cancelled, .notFound, .failedPrecondition, .stopped, .takenOver, .positionLost:
                .failure
            case .invalidArgument, .outOfRange: .usage
            case .frameTooLarge: .data
            case .unavailable, .draining: .unavailable
            case .internal, .unimplemented: .internal
            case .alreadyExists: .exists
            case .deadlineExceeded, .resourceExhausted, .aborted, .tooSlow, .paused: .temporary
            case .permissionDenied, .unauthenticated: .permission
            }
    }

    /// For `--help`.
    static let explanation = """
        Exit codes: 0 done; 1 refused, such as NOT_FOUND; 64 usage; 65 bad input data; 66 no input
        file; 69 no connection, or lost; 70 internal; 73 exists already; 74 cannot read or write;
        75 try again later, or no answer in time; 77 permission; 78 bad
        configuration; 130 Ctrl-C; 143 SIGTERM.
        'dormouse check' ends with 0, 1, 2 or 3 for OK, warning, critical, unknown.
        """
}

/// Why a command ends. The message says what failed, why, and what to do.
struct CommandFailure: Error, Hashable {
    var exit: ExitCode
    /// Empty: nothing is to be said.
    var message: String
    /// What to do, when that does not stand in the message behind a semicolon.
    var advice = ""
    var code: StatusCode?

    init(_ exit: ExitCode, _ message: String) {
        self.exit = exit
        self.message = message
    }

    /// `doing` is such as "cannot stop 'billing'".
    init(_ failure: Failure, doing: String = "") {
        self.exit = ExitCode(failure.code)
        self.code = failure.code
        var message = doing.isEmpty ? "" : doing + ": "
        message += failure.message.isEmpty ? failure.code.name : failure.message
        if !failure.detail.isEmpty { message += " (\(failure.detail))" }
        if failure.code == .positionLost, failure.firstPosition > .origin {
            message += "; the first position that is left is \(failure.firstPosition)"
        }
        self.message = message
    }

    init(_ error: DormouseError, doing: String = "") {
        let code = StatusCode(error.status)
        self.exit = ExitCode(code)
        self.code = code
        self.message = (doing.isEmpty ? "" : doing + ": ") + error.message
    }

    static func usage(_ message: String) -> CommandFailure {
        CommandFailure(.usage, message)
    }

    /// Whoever read our output has gone, and got what it wanted: no error.
    static let readerGone = CommandFailure(.success, "")
}

/// Calls `body`; a failure becomes the command's.
func attempt<Value>(
    _ doing: String = "", _ body: () throws(Failure) -> Value
) throws(CommandFailure) -> Value {
    do throws(Failure) {
        return try body()
    } catch {
        throw CommandFailure(error, doing: doing)
    }
}

extension StatusCode {
    /// What the client found is shown as what it comes to: there is one list of codes to look up.
    init(_ status: DormouseError.Status) {
        switch status {
        case .timeout: self = .deadlineExceeded
        case .windowFull: self = .resourceExhausted
        case .connectionLost, .cannotConnect, .closed: self = .unavailable
        case .badArgument: self = .invalidArgument
        default: self = UInt16(exactly: status.rawValue).flatMap(Self.init(rawValue:)) ?? .internal
        }
    }
}
