package import Core
import CLibUV

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

extension EventLoop {
    /// Monotonic time. From any thread.
    package func now() -> Instant { Instant(rawValue: uv_hrtime() / 1000) }

    /// Time of day. From any thread.
    package func wallTime() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(rawValue: UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_nsec) / 1000)
    }
}
