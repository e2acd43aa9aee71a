internal import Core

/// What is to be done at a time.
enum Deadline: Hashable, Sendable {
    /// Look after a connection: hello, heartbeat, write progress.
    case session(ConnectionID)
    /// A consumer should have acknowledged.
    case acknowledgement(Consumer)
    /// See what the socket of an ON_SEND consumer has taken.
    case socket(Consumer)
    /// A publish has waited long enough.
    case publish(ExchangeID)
    case bookmarks(ExchangeID)
    /// A pause ends.
    case resume(ExchangeID, Name)
    /// A task sleeps until now.
    case sleeper(UInt64)
    /// A fetch has waited long enough.
    case fetch(UInt64)
    /// Look whether those who wait for others' bytes to go may be sent more.
    case pressure
    /// A stranger is told, or a client is looked at again.
    case identity(ConnectionID)
    /// A credential ends.
    case credentials
    case drain
}

extension Engine {
    func add(_ deadline: Deadline, at time: Instant) {
        let earliest = self.deadlines.earliest
        self.deadlines.add(deadline, at: time)
        if earliest.map({ time < $0 }) ?? true { self.host.setAlarm(at: time) }
    }

    /// The alarm that was set went off.
    package func alarm() {
        let now = self.host.now
        while let deadline = self.deadlines.take(now: now) { self.reached(deadline, now: now) }
        if let next = self.deadlines.earliest { self.host.setAlarm(at: next) }
    }

    private func reached(_ deadline: Deadline, now: Instant) {
        switch deadline {
        case .session(let id): self.check(id, now: now)
        case .acknowledgement(let consumer): self.checkAcknowledgement(consumer, now: now)
        case .publish(let id): self.expirePublishes(id, now: now)
        case .socket(let consumer): self.checkSocket(consumer)
        case .bookmarks(let id): self.sendBookmarks(id)
        case .resume(let id, let name): self.resumeIfDue(id, name)
        case .sleeper(let id): self.sleepers.removeValue(forKey: id)?.resume()
        case .fetch(let id): self.resumeFetch(id)
        case .pressure: self.easePressure()
        case .identity(let id): self.checkIdentity(id)
        case .credentials: self.checkCredentials()
        case .drain: self.finish()
        }
    }

    /// Lets time pass for this task; returns at once when the engine has finished.
    func sleep(milliseconds: Int) async {
        guard !self.isFinished else { return }
        self.lastSleeper += 1
        let id = self.lastSleeper
        await withCheckedContinuation { continuation in
            self.sleepers[id] = continuation
            self.add(.sleeper(id), at: self.host.now.advanced(byMilliseconds: milliseconds))
        }
    }

    /// Waits longer after each attempt, with jitter so that many do not come back at once.
    func backOff(attempt: Int) async {
        let ceiling = min(
            self.limits.retryMillisecondsMax, self.limits.retryMillisecondsMin << min(attempt, 10))
        await self.sleep(milliseconds: ceiling / 2 + self.host.random(below: ceiling / 2 + 1))
    }
}
