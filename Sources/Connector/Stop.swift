import Synchronization

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// SIGTERM or Ctrl-C: the program is to end. A second signal ends it at once.
package enum Stop {
    private static let requested = Atomic(false)

    package static var isRequested: Bool { Self.requested.load(ordering: .relaxed) }

    /// Asks for it from within, and by tests.
    package static func request() { Self.requested.store(true, ordering: .relaxed) }

    package static func watchSignals() {
        signal(SIGPIPE, SIG_IGN)
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                // Only what a signal handler may do: an atomic store, and a call that is safe there.
                Stop.request()
                signal(number, SIG_DFL)
            }
        }
    }

    /// Waits, but not past a request to end.
    package static func pause(milliseconds: Int) {
        let end = ContinuousClock.now + .milliseconds(milliseconds)
        while !Self.isRequested, ContinuousClock.now < end { usleep(10_000) }
    }
}

/// The program was told to end while it waited for something.
package struct Stopped: Error {
    package init() {}
}
