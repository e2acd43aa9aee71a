import Core
import Diagnostics
import Net
import Synchronization

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// sysexits(3).
enum ExitCode {
    static let ok: Int32 = 0
    static let usage: Int32 = 64
    static let unavailable: Int32 = 69
    static let software: Int32 = 70
    static let temporaryFailure: Int32 = 75
    static let configuration: Int32 = 78

    static func of(_ failure: Failure) -> Int32 {
        switch failure.code {
        case .invalidArgument: Self.usage
        case .failedPrecondition, .alreadyExists, .permissionDenied: Self.configuration
        case .unavailable, .cancelled: Self.unavailable
        case .aborted: Self.temporaryFailure
        case .ok, .deadlineExceeded, .notFound, .resourceExhausted, .outOfRange,
            .unimplemented,
            .internal, .unauthenticated, .stopped, .takenOver, .positionLost, .draining,
            .frameTooLarge,
            .tooSlow, .paused:
            Self.software
        }
    }
}

@main
struct Main {
    static func main() {
        do throws(Failure) {
            let environment = processEnvironment()
            let invocation = try Invocation(
                arguments: Array(CommandLine.arguments.dropFirst()), environment: environment)
            switch invocation {
            case .help: print(Invocation.helpText)
            case .version: print("dormoused \(Version.text)")
            case .run(let options):
                let supervision = try Supervision(environment)
                Supervision.forgetEnvironment()
                try Self.run(options, supervision)
            }
        } catch {
            Self.complain(error)
            exit(ExitCode.of(error))
        }
    }

    private static func run(_ options: Options, _ supervision: Supervision) throws(Failure) {
        let logger = Logger(threshold: LogLevel(name: options.logLevel) ?? .info)
        let loop = try EventLoop()
        let daemon = Daemon(options, supervision, on: loop, logger: logger)
        let code = Mutex(ExitCode.ok)
        Task(executorPreference: loop) {
            do throws(Failure) {
                try await daemon.run()
            } catch {
                Self.complain(error)
                code.withLock { $0 = ExitCode.of(error) }
            }
            loop.stop()
        }
        loop.run()
        loop.close()
        exit(code.withLock { $0 })
    }

    private static func complain(_ failure: Failure) {
        // The journal is told how much it matters; it names the program itself.
        let prefix = standardErrorIsJournal() ? "<3>" : "dormoused: "
        let text = Array("\(prefix)\(failure.description)\n".utf8)
        _ = text.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
