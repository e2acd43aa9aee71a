#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Milliseconds of the monotonic clock.
func monotonicMilliseconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int(time.tv_sec) * 1000 + Int(time.tv_nsec) / 1_000_000
}

/// A point of time until which something is waited for, or never.
struct Deadline {
    private let milliseconds: Int?

    static let never = Deadline(milliseconds: nil)

    private init(milliseconds: Int?) {
        self.milliseconds = milliseconds
    }

    init(afterMilliseconds wait: Int) {
        // A wait of more than a century is none that anybody will see the end of.
        self.milliseconds = monotonicMilliseconds() + min(max(0, wait), 1 << 42)
    }

    init(afterMilliseconds wait: Int?) {
        if let wait { self.init(afterMilliseconds: wait) } else { self = .never }
    }

    var hasPassed: Bool {
        self.milliseconds.map { $0 <= monotonicMilliseconds() } ?? false
    }

    /// For `poll`: milliseconds from now, at most `max`; negative: no bound.
    func pollMilliseconds(max: Int = .max) -> Int32 {
        var wait = max
        if let milliseconds = self.milliseconds {
            wait = min(wait, Swift.max(0, milliseconds - monotonicMilliseconds()))
        }
        return wait == .max ? -1 : Int32(clamping: wait)
    }
}
