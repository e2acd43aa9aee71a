import Core
import Engine
import Net

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// The engine's time, chance and alarm, from the event loop. Its calls come on the loop's thread
/// only.
final class LoopHost: Host {
    private let loop: EventLoop
    private let clock: Alarm

    /// `rang` is called on the loop's thread.
    init(_ loop: EventLoop, rang: @escaping @Sendable () -> Void) {
        self.loop = loop
        self.clock = Alarm(on: loop, rang)
    }

    var now: Instant { self.loop.now() }
    var queuedBytes: Int { self.loop.queuedBytes }
    var wallTime: Timestamp { self.loop.wallTime() }

    func setAlarm(at time: Instant) {
        self.clock.set(at: time)
    }

    var userID: UInt32 { getuid() }

    func random(below bound: Int) -> Int {
        Int.random(in: 0..<max(1, bound))
    }
}
