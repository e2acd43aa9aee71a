internal import Core

// A principal has a few pages of the log read at once. Its other subscribers that are behind, and its fetches, wait until
// one of these has come, in order; those of other principals have theirs meanwhile.

/// Who waits until its principal may have another page read.
enum ReplayWaiter {
    case subscriber(Subscriber)
    case fetch(CheckedContinuation<Void, Never>)
}

extension Engine {
    /// Whether the page may be asked for now; else the subscriber's turn comes. A page that is under way costs nobody anything.
    func mayRequest(_ key: PageKey, for subscriber: Subscriber) -> Bool {
        guard let principal = subscriber.session?.permissions.principal,
            self.pageWaiters[key] == nil
        else { return true }
        if self.replayShares.take(principal) {
            self.pagePrincipals[key] = principal
            return true
        }
        if !subscriber.isHeld {
            subscriber.isHeld = true
            self.replayShares.wait(.subscriber(subscriber), principal, isGone: Self.isGone)
        }
        return false
    }

    private static func isGone(_ waiter: ReplayWaiter) -> Bool {
        guard case .subscriber(let subscriber) = waiter, subscriber.wantedPage == nil else {
            return false
        }
        subscriber.isHeld = false
        return true
    }

    /// A page of this principal has come: who has waited longest has its turn.
    func passOn(_ principal: Name) {
        while let next = self.replayShares.giveBack(principal) {
            switch next {
            case .fetch(let continuation):
                return continuation.resume()
            case .subscriber(let subscriber):
                subscriber.isHeld = false
                // Asleep by now, or it has what it needs, or somebody else is about to get that.
                guard let key = subscriber.wantedPage else { continue }
                if !key.isKeys, self.pages.chunk(key.exchange, after: key.after) != nil {
                    subscriber.wantedPage = nil
                    self.pump(subscriber)
                } else if self.pageWaiters[key] != nil {
                    self.request(key, for: subscriber)
                } else {
                    self.pagePrincipals[key] = principal
                    return self.request(key, for: subscriber)
                }
            }
        }
    }

    /// Reads a page of the log for a fetch.
    func withReplayShare<Value>(
        of principal: Name?, _ body: () async throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        guard let principal else { return try await body() }
        if !self.isFinished, !self.replayShares.take(principal) {
            await withCheckedContinuation {
                self.replayShares.wait(.fetch($0), principal, isGone: Self.isGone)
            }
        }
        defer { self.passOn(principal) }
        return try await body()
    }

    func endReplayShares() {
        for waiter in self.replayShares.end() {
            if case .fetch(let continuation) = waiter { continuation.resume() }
        }
    }
}
