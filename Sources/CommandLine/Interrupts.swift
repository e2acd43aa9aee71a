#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Ctrl-C and SIGTERM as bytes in a pipe, which a wait can watch. A second signal ends the process
/// as if this were not here.
struct Interrupts {
    /// Becomes readable with the first signal.
    let descriptor: Int32

    /// The pipe's other end. Set once, by the main thread, before the handlers that read it are
    /// installed.
    nonisolated(unsafe) private static var signalled: Int32 = -1

    /// Throws `internal` when there is no pipe to be had.
    init() throws(CommandFailure) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw CommandFailure(.internal, "cannot watch for signals: \(OS.text(errno))")
        }
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        self.descriptor = ends[0]
        Self.signalled = ends[1]
        for number in [SIGINT, SIGTERM] {
            var action = sigaction()
            let handler: @convention(c) (Int32) -> Void = { number in
                // Only what a signal handler may do.
                let saved = errno
                var byte = UInt8(truncatingIfNeeded: number)
                _ = withUnsafeBytes(of: &byte) { OS.write(Interrupts.signalled, $0) }
                errno = saved
            }
            #if canImport(Darwin)
                action.__sigaction_u.__sa_handler = handler
            #else
                action.__sigaction_handler.sa_handler = handler
            #endif
            action.sa_flags = Int32(truncatingIfNeeded: SA_RESETHAND)
            sigaction(number, &action, nil)
        }
    }

    /// What the process must end with, when a signal has come. Asked once, it forgets.
    func take() -> ExitCode? {
        var byte: UInt8 = 0
        let count = withUnsafeMutableBytes(of: &byte) { OS.read(self.descriptor, $0) }
        guard count == 1 else { return nil }
        return Int32(byte) == SIGTERM ? .terminated : .interrupted
    }

    /// A reader that has gone is an error of `write`, not a signal.
    static func ignoreBrokenPipes() {
        signal(SIGPIPE, SIG_IGN)
    }
}
