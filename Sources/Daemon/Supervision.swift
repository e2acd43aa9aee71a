import Core
import Net

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// What the service manager that started us has said in the environment. Without one everything is empty, and
/// nothing is told to anybody.
struct Supervision: Sendable {
    /// Where to tell how we are. Source: sd_notify(3).
    var notifySocket: String?
    /// We are taken for dead when we say nothing for this long. Source: sd_watchdog_enabled(3).
    var watchdogMicroseconds: UInt64?
    var sockets: [PassedSocket] = []

    private static let variables = [
        "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS",
        "LISTEN_FDNAMES", "LISTEN_PIDFDID",
    ]

    init(_ environment: [String: String], process: Int32 = getpid()) throws(Failure) {
        self.notifySocket = environment["NOTIFY_SOCKET"]
        // Without WATCHDOG_PID it is for every process of the service.
        if environment["WATCHDOG_PID"].map({ Int32($0) == process }) ?? true {
            self.watchdogMicroseconds = environment["WATCHDOG_USEC"].flatMap { UInt64($0) }
                .flatMap { $0 > 0 ? $0 : nil }
        }
        self.sockets = try PassedSocket.all(in: environment, process: process)
    }

    /// Programs that we start, above all Postgres, must not take it for theirs. Before the first thread.
    static func forgetEnvironment() {
        for name in Self.variables { unsetenv(name) }
    }
}
