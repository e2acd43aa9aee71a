public import EventWorker
import DormouseClient
import Synchronization

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// What all applications with workers do around their own commands.
public enum Program {
    /// Runs `body` and ends the program with the code that fits, with the reason on stderr. Source: the codes
    /// of sysexits.h: 64 usage, 69 unavailable, 70 internal, 75 try again.
    public static func run(_ name: String, _ body: () throws -> Void) -> Never {
        do {
            try body()
            exit(0)
        } catch let error as UsageError {
            Self.fail(name, error.description, code: 64)
        } catch let error as WorkerError {
            let isPassing = error.kind == .databaseAway || error.kind == .replaced
            Self.fail(name, error.message, code: isPassing ? 75 : 70)
        } catch let error as DormouseError {
            Self.fail(name, error.description, code: error.status.mayRetry ? 75 : 69)
        } catch {
            Self.fail(name, "\(error)", code: 1)
        }
    }

    private static func fail(_ name: String, _ message: String, code: Int32) -> Never {
        Self.log("\(name): \(message)")
        exit(code)
    }

    /// A line on stderr.
    @Sendable public static func log(_ line: String) {
        // Below a bar that is not complete.
        let isBehindBar = Self.isBarOpen.exchange(false, ordering: .relaxed)
        let bytes = Array(((isBehindBar ? "\n" : "") + line + "\n").utf8)
        _ = write(2, bytes, bytes.count)
    }

    /// Text on stdout, at once: also into a pipe.
    @Sendable public static func say(_ text: String) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
            // Whoever read it has gone.
            if count < 0 && errno != EINTR { exit(1) }
            bytes = bytes.dropFirst(max(count, 0))
        }
    }

    private static let isBarOpen = Atomic(false)

    /// Below a bar that will not be complete: what follows begins a line.
    public static func endProgress() {
        if Self.isBarOpen.exchange(false, ordering: .relaxed) { _ = write(2, "\n", 1) }
    }

    /// A bar on stderr while somebody looks; in a pipe, one line when it is complete.
    public static func progress(_ what: String, _ done: Int, of count: Int) {
        guard isatty(2) == 1 else {
            if done == count { Self.log("\(count) \(what)") }
            return
        }
        let filled = count > 0 ? min(done, count) * 30 / count : 30
        let bar = String(repeating: "#", count: filled) + String(repeating: "-", count: 30 - filled)
        Self.isBarOpen.store(done != count, ordering: .relaxed)
        let text = Array("\r[\(bar)] \(done)/\(count) \(what)\(done == count ? "\n" : "")".utf8)
        _ = write(2, text, text.count)
    }

    /// Raised by Ctrl-C and by SIGTERM. To be called once.
    public static func stopSignal() throws -> StopSignal {
        let signal = try StopSignal()
        stopDescriptor = signal
        for number in [SIGINT, SIGTERM] {
            var action = sigaction()
            #if canImport(Darwin)
                action.__sigaction_u.__sa_handler = { _ in stopDescriptor?.raise() }
            #else
                action.__sigaction_handler.sa_handler = { _ in stopDescriptor?.raise() }
            #endif
            sigaction(number, &action, nil)
        }
        return signal
    }
}

/// Set once, before the handlers that read it are installed.
nonisolated(unsafe) private var stopDescriptor: StopSignal?
