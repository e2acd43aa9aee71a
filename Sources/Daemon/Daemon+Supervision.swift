import Core
import Engine
import Net

// What the service manager is told, and when: on the loop itself, so that a loop that hangs says nothing. The
// database does not decide whether we live: a server whose database is away serves what it can, and a restart would
// not bring the database back.

/// Where the daemon is in its life.
enum Phase: Equatable {
    /// Waiting for the database, migrating, restoring; the text says which.
    case starting(String)
    /// Restored and listening.
    case serving
    case stopping
}

extension Daemon {
    /// While we start or stop, the manager's patience is renewed with every beat for so long. A loop that hangs is
    /// given up after this.
    private static let patienceMicroseconds: UInt64 = 30_000_000

    /// From the first turn of the loop on.
    func startBeating() {
        if self.notifier != nil || self.page != nil {
            self.beat = Alarm(on: self.loop) { self.assumeIsolated { $0.beatCame() } }
            self.beatCame()
        }
        if self.notifier != nil, self.supervision.watchdogMicroseconds != nil {
            self.watchdog = Alarm(on: self.loop) { self.assumeIsolated { $0.feedWatchdog() } }
            self.feedWatchdog()
        }
    }

    /// Twice as often as it has to be: one may come late.
    private func feedWatchdog() {
        self.notifier?.alive()
        let pause = (self.supervision.watchdogMicroseconds ?? 0) / 2
        self.watchdog?.set(at: self.loop.now().advanced(byMilliseconds: Int(pause / 1000)))
    }

    private func beatCame() {
        self.noteHealth()
        self.notifier?.sendWaiting()
        switch self.phase {
        case .starting(let what):
            self.notifier?.status(what)
            self.notifier?.extend(microseconds: Self.patienceMicroseconds)
        case .serving:
            self.notifier?.status(self.servingText())
        case .stopping:
            self.notifier?.extend(microseconds: Self.patienceMicroseconds)
        }
        self.beat?.set(at: self.loop.now().advanced(byMilliseconds: Limits.beatMilliseconds))
    }

    func starts(_ what: String) {
        guard case .starting = self.phase else { return }
        self.phase = .starting(what)
        self.notifier?.status(what)
    }

    /// Restored and listening.
    func isReady() {
        self.phase = .serving
        self.noteHealth()
        self.notifier?.ready(self.servingText())
    }

    func stops() {
        self.phase = .stopping
        self.noteHealth()
        self.notifier?.stopping("stopping: answering what is held")
    }

    /// Configuration is read again; `isReloaded` follows. While we start or stop that is nobody's business.
    func reloads() {
        guard self.phase == .serving else { return }
        self.notifier?.reloading(monotonicMicroseconds: self.loop.now().rawValue)
    }

    func isReloaded() {
        guard self.phase == .serving else { return }
        self.notifier?.ready(self.servingText())
    }

    private func servingText() -> String {
        self.engine?.assumeIsolated { $0.summary().description } ?? "serving"
    }
}
