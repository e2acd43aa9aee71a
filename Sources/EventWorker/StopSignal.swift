internal import CLibPQ

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Ends workers, from any thread or from a signal handler.
public final class StopSignal: Sendable {
    /// Can be read once it was raised. Two ends of a pipe, open as long as this object.
    let descriptor: Int32
    private let other: Int32

    /// One that was not raised.
    public init() throws(WorkerError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw WorkerError(.unexpected, "the system gave no descriptors: \(errno)")
        }
        (self.descriptor, self.other) = (ends[0], ends[1])
        _ = fcntl(self.descriptor, F_SETFD, FD_CLOEXEC)
        _ = fcntl(self.other, F_SETFD, FD_CLOEXEC)
        _ = fcntl(self.other, F_SETFL, O_NONBLOCK)
    }

    deinit {
        close(self.descriptor)
        close(self.other)
    }

    /// Ends all workers that have this signal, when what they are applying is committed.
    public func raise() {
        var byte: UInt8 = 1
        // A full pipe can be read already.
        _ = write(self.other, &byte, 1)
    }

    /// Whether it was raised.
    public var isRaised: Bool { self.wait(milliseconds: 0) }

    /// Waits for it at most so long, below 0 as long as it takes; true: it was raised.
    public func wait(milliseconds: Int64) -> Bool {
        let deadline = ContinuousClock.now + .milliseconds(max(0, milliseconds))
        var watched = pollfd(fd: self.descriptor, events: Int16(POLLIN), revents: 0)
        var left = milliseconds
        while true {
            let count = poll(&watched, 1, Int32(clamping: left))
            // The handler of a signal has run meanwhile, and may have raised this.
            guard count < 0, errno == EINTR else { return count > 0 }
            if milliseconds >= 0 {
                left = max(0, Int64((deadline - ContinuousClock.now) / .milliseconds(1)))
            }
        }
    }
}
