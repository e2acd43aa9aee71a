package import Core
import CLibUV

/// One timer that fires once for each time it is set. For the loop's thread, except its end: the
/// last reference may go anywhere.
///
/// `@unchecked Sendable`: `clock` is used on the loop's thread only.
package final class Alarm: @unchecked Sendable {
    private let clock: AlarmClock

    /// `body` is called on the loop's thread; it may set the alarm again. On a loop that is closing
    /// the alarm never fires.
    package init(on loop: EventLoop, _ body: @escaping @Sendable () -> Void) {
        self.clock = AlarmClock(on: loop, body)
    }

    deinit {
        let clock = self.clock
        if clock.loop.isOnLoopThread {
            clock.close()
        } else {
            clock.loop.execute { clock.close() }
        }
    }

    /// Fires at `instant` or, in steps of a millisecond, just after, never before; `nil` cancels.
    /// What was set before is forgotten.
    package func set(at instant: Instant?) { self.clock.set(at: instant) }

    /// When it will fire.
    package var instant: Instant? { self.clock.instant }
}

/// `@unchecked Sendable`: used on the loop's thread only.
private final class AlarmClock: LoopHandle, @unchecked Sendable {
    let loop: EventLoop
    private(set) var instant: Instant?
    private let body: @Sendable () -> Void
    private var timer: UnsafeMutablePointer<uv_timer_t>?

    init(on loop: EventLoop, _ body: @escaping @Sendable () -> Void) {
        self.loop = loop
        self.body = body
        guard !loop.isClosing else { return }
        let timer = UnsafeMutablePointer<uv_timer_t>.allocate(capacity: 1)
        uv_timer_init(loop.uv, timer)
        self.timer = timer
        self.adopt(timer)
    }

    func set(at instant: Instant?) {
        guard let timer = self.timer else { return }
        self.instant = instant
        guard let instant else {
            uv_timer_stop(timer)
            return
        }
        // libuv counts from the time at which its turn began, in the milliseconds of uv_hrtime.
        let due = instant.rawValue / 1000 + (instant.rawValue % 1000 == 0 ? 0 : 1)
        let turnBegan = uv_now(self.loop.uv)
        uv_timer_start(
            timer,
            { timer in
                // On the loop's thread.
                adopted(AlarmClock.self, timer?.pointee.data)?.fired()
            }, due > turnBegan ? due - turnBegan : 0, 0)
    }

    private func fired() {
        self.instant = nil
        self.body()
    }

    func close() {
        guard let timer = self.timer else { return }
        self.timer = nil
        self.instant = nil
        self.closeAdopted(timer)
    }

    func loopCloses() { self.close() }

    func handleClosed() {
        // Nothing is left to do: `body` goes with this object.
    }
}
