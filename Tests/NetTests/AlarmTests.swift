import Core
import Foundation
import Net
import Testing

extension NetTests {
    @Suite struct AlarmTests {
        @Test func anAlarmFiresOnceAndNeverBeforeItsTime() throws {
            let thread = try LoopThread()
            let loop = thread.loop
            let fired = Mailbox<Instant>()
            let alarm = try thread.on { Alarm(on: loop) { fired.put(loop.now()) } }
            for microseconds: UInt64 in [0, 300, 600, 900, 1000, 1500, 1900, 2900, 5100, 20_000] {
                let due = try thread.on {
                    let due = Instant(rawValue: loop.now().rawValue + microseconds)
                    alarm.set(at: due)
                    #expect(alarm.instant == due)
                    return due
                }
                #expect(try fired.next() >= due)
                #expect(try thread.on { alarm.instant } == nil)
            }
            try thread.on { alarm.set(at: Instant(rawValue: 0)) }
            _ = try fired.next()
            #expect(fired.all.isEmpty)
            try thread.stop()
        }

        @Test func settingAnAlarmAgainMovesItAndNilCancelsIt() throws {
            let thread = try LoopThread()
            let loop = thread.loop
            let fired = Mailbox<String>()
            let (moved, cancelled, far) = try thread.on {
                let now = loop.now()
                let moved = Alarm(on: loop) { fired.put("moved") }
                moved.set(at: Instant(rawValue: .max))
                moved.set(at: now.advanced(byMilliseconds: 30))
                let cancelled = Alarm(on: loop) { fired.put("cancelled") }
                cancelled.set(at: now.advanced(byMilliseconds: 5))
                cancelled.set(at: nil)
                let far = Alarm(on: loop) { fired.put("far") }
                far.set(at: now.advanced(byMilliseconds: .max))
                return (moved, cancelled, far)
            }
            #expect(try fired.next() == "moved")
            #expect(fired.all.isEmpty)
            withExtendedLifetime((moved, cancelled, far)) {}
            try thread.stop()
        }

        @Test func anAlarmMaySetItselfAgain() throws {
            let thread = try LoopThread()
            let ticking = Ticking()
            try thread.on { ticking.start(thread.loop) }
            for index in 1...5 { #expect(try ticking.ticks.next() == index) }
            try thread.stop()
            #expect(ticking.ticks.all.isEmpty)
        }

        @Test func anAlarmThatIsForgottenDoesNotFire() throws {
            let thread = try LoopThread()
            let loop = thread.loop
            let fired = Mailbox<String>()
            try thread.on {
                let alarm = Alarm(on: loop) { fired.put("forgotten") }
                alarm.set(at: loop.now().advanced(byMilliseconds: 1))
            }
            let kept = try thread.on {
                let alarm = Alarm(on: loop) { fired.put("kept") }
                alarm.set(at: loop.now().advanced(byMilliseconds: 10))
                return alarm
            }
            #expect(try fired.next() == "kept")
            withExtendedLifetime(kept) {}
            try thread.stop()
        }

        @Test func watchedSignalsComeOnTheLoop() throws {
            let thread = try LoopThread()
            let loop = thread.loop
            let came = Mailbox<Int32>()
            let signals = try thread.on {
                try Signals(on: loop) { came.put(loop.isOnLoopThread ? $0 : -1) }
            }
            for number in [SIGHUP, SIGTERM, SIGINT] {
                kill(getpid(), number)
                #expect(try came.next() == number)
            }
            try thread.on {
                signals.close()
                signals.close()
            }
            let failure = #expect(throws: Failure.self) {
                try thread.on { _ = try Signals(on: loop, watching: [SIGKILL]) { _ in } }
            }
            #expect(failure?.code == .internal)
            try thread.stop()
        }
    }
}

/// `@unchecked Sendable`: used on the loop's thread only, but for `ticks`.
private final class Ticking: @unchecked Sendable {
    let ticks = Mailbox<Int>()
    private var count = 0
    private var alarm: Alarm?

    func start(_ loop: EventLoop) {
        self.alarm = Alarm(on: loop) { [weak self] in self?.tick(loop) }
        self.alarm?.set(at: loop.now())
    }

    private func tick(_ loop: EventLoop) {
        self.count += 1
        self.ticks.put(self.count)
        if self.count < 5 { self.alarm?.set(at: loop.now().advanced(byMilliseconds: 1)) }
    }
}
