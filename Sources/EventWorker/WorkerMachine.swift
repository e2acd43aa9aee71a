/// Decides what a worker does next. Pure: the shell does it, and says how it went.
///
/// 1. A delivery is applied as a whole, in one transaction. When that fails, or when the process ended
///    in the middle of the last one, its events are applied one by one, so that the one that fails is found.
/// 2. The event that fails is *set aside* and the log goes on behind it. It is tried again, later and
///    later, until it has had all its attempts; then it stays *parked* until somebody says what is to
///    become of it. Whatever has the same ordering key waits behind it.
/// 3. Trouble that is nobody's fault (the database is away) costs no attempt. It only makes the worker rest.
///
/// Times are milliseconds of a clock that never runs backwards.
struct WorkerMachine: Equatable {
    /// What the shell is to do.
    enum Action: Equatable {
        /// Wait for the next delivery, at most until then; nil: as long as it takes.
        case take(until: Int64?)
        /// Apply these events of the delivery, after `attempt` was written down.
        case apply(Range<Int>, attempt: Int)
        /// Put this event of the delivery aside, and the position behind it.
        case setAside(event: Int, attempts: Int, verdict: Verdict)
        /// Try the event that is due among those that were set aside.
        case retry
        /// Do nothing until then.
        case rest(until: Int64)
    }

    /// What becomes of an event that failed.
    enum Verdict: Equatable {
        /// It is tried again after so many milliseconds.
        case later(milliseconds: Int64)
        /// It stays until a command is given.
        case parked
    }

    /// Why applying failed.
    enum Trouble: Equatable {
        /// The database is away, or another transaction won. Nobody's fault.
        case passing
        /// The event, or the code that applies it.
        case event
        /// Something that must come first has not been applied yet.
        case cause
    }

    private struct Work: Equatable {
        let count: Int
        var next = 0
        var isSingle: Bool
        /// The event at `next` is to be set aside.
        var verdict: Verdict?
    }

    private let limits: WorkerLimits
    private var work: Work?
    /// How often the events behind the position were begun to be applied.
    private(set) var attempts: Int
    private var troubles = 0
    private var restUntil: Int64 = .min
    /// Whether it is the log's turn, when an event that was set aside is due as well.
    private var isTurnOfLog = true

    /// - Parameter attempts: of the events behind the stored position: more than none says that a
    ///   process ended while it applied them.
    init(_ limits: WorkerLimits, attempts: Int) {
        self.limits = limits
        self.attempts = attempts
    }

    /// Whether there is nothing to do but to wait for a delivery.
    var isIdle: Bool { self.work == nil }

    /// A delivery of so many events, at least one, is here. The one before must be done.
    mutating func delivered(_ count: Int) {
        self.work = Work(count: count, isSingle: self.attempts > 0)
    }

    /// The subscription begins anew behind the stored position: what was delivered comes again.
    mutating func dropped() {
        self.work = nil
    }

    /// Whether it does nothing for now, after trouble.
    func isResting(now: Int64) -> Bool { now < self.restUntil }

    /// What to do now.
    ///
    /// - Parameters:
    ///   - due: when the first of the events that were set aside is to be tried; nil: none is.
    ///   - asideCount: how many are set aside, parked ones included.
    mutating func next(now: Int64, due: Int64?, asideCount: Int) -> Action {
        if self.isResting(now: now) { return .rest(until: self.restUntil) }
        let isDue = due.map { $0 <= now } ?? false
        let isFull = asideCount >= self.limits.asideMax
        if isDue, self.work == nil || isFull || !self.isTurnOfLog {
            self.isTurnOfLog = true
            return .retry
        }
        self.isTurnOfLog = false
        // More cannot be kept aside. What is parked only goes by command, which nobody reports to us.
        if isFull { return .rest(until: min(due ?? .max, now + self.limits.lookMilliseconds)) }
        guard let work = self.work else { return .take(until: due) }
        if let verdict = work.verdict {
            return .setAside(event: work.next, attempts: self.attempts, verdict: verdict)
        }
        if work.isSingle, self.attempts >= self.limits.attemptsMax {
            return .setAside(event: work.next, attempts: self.attempts, verdict: .parked)
        }
        let last = work.isSingle ? work.next + 1 : work.count
        return .apply(work.next..<last, attempt: self.attempts + 1)
    }

    /// The transaction of the last `apply` or `setAside` is committed.
    mutating func committed() {
        self.troubles = 0
        self.attempts = 0
        guard var work = self.work else { return }
        work.verdict = nil
        work.next = work.isSingle ? work.next + 1 : work.count
        self.work = work.next < work.count ? work : nil
    }

    /// The transaction of the last `apply` or `setAside` was rolled back. `luck` is a random number in 0..<1.
    mutating func failed(_ trouble: Trouble, now: Int64, luck: Double) {
        switch trouble {
        case .passing:
            self.rest(now: now, luck: luck)
        case .event, .cause:
            self.troubles = 0
            guard var work = self.work else { return }
            if work.isSingle || work.count == 1 {
                work.isSingle = true
                if trouble == .event { self.attempts += 1 }
                work.verdict = self.verdict(
                    trouble, attempts: self.attempts, waits: 1, luck: luck)
            } else {
                // One of them; the whole costs none of them an attempt.
                work.isSingle = true
            }
            self.work = work
        }
    }

    /// What becomes of an event that was set aside and has failed again.
    ///
    /// - Parameters:
    ///   - attempts: how often it failed, this time included.
    ///   - waits: how often its cause was not there, this time included.
    func verdict(_ trouble: Trouble, attempts: Int, waits: Int, luck: Double) -> Verdict {
        switch trouble {
        case .passing: .later(milliseconds: 0)
        case .cause: .later(milliseconds: self.limits.retry.milliseconds(after: waits, luck: luck))
        case .event:
            attempts >= self.limits.attemptsMax
                ? .parked
                : .later(milliseconds: self.limits.retry.milliseconds(after: attempts, luck: luck))
        }
    }

    /// Trouble outside of any event, such as a server that refuses for now.
    mutating func rest(now: Int64, luck: Double) {
        self.troubles += 1
        self.restUntil = now + self.limits.rest.milliseconds(after: self.troubles, luck: luck)
    }

    /// Something went well that had been troublesome.
    mutating func recovered() {
        self.troubles = 0
    }
}
