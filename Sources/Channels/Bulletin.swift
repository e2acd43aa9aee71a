import Glibc

/// What a task makes now and then for threads that wait for it. Those who ask while one is being made get the same
/// one: however many ask, one is made at a time.
///
/// `@unchecked Sendable`: everything is touched with `mutex` locked.
package final class Bulletin<Value: Sendable>: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var issue: UInt64 = 0
    private var newest: Value?
    private var isClosed = false
    private let asked = Signal()

    package init() {
        pthread_mutex_init(self.mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        // Nobody sets this clock.
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(self.changed, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(self.changed)
        pthread_mutex_destroy(self.mutex)
        self.changed.deallocate()
        self.mutex.deallocate()
    }

    /// Waits until somebody wants the next one. False: closed, or cancelled.
    package func wanted() async -> Bool { await self.asked.wait() }

    /// Hands it to all who wait.
    package func publish(_ value: Value) {
        pthread_mutex_lock(self.mutex)
        self.issue += 1
        self.newest = value
        pthread_cond_broadcast(self.changed)
        pthread_mutex_unlock(self.mutex)
    }

    /// Asks for the next one and blocks the calling thread until it comes. Nil: it did not come in time, or none
    /// will come any more.
    package func next(milliseconds: Int) -> Value? {
        var deadline = timespec()
        clock_gettime(CLOCK_MONOTONIC, &deadline)
        deadline.tv_sec += milliseconds / 1000
        deadline.tv_nsec += milliseconds % 1000 * 1_000_000
        if deadline.tv_nsec >= 1_000_000_000 {
            deadline.tv_sec += 1
            deadline.tv_nsec -= 1_000_000_000
        }
        pthread_mutex_lock(self.mutex)
        defer { pthread_mutex_unlock(self.mutex) }
        let seen = self.issue
        // With the lock held: what comes from now on is newer than `seen`.
        self.asked.signal()
        while self.issue == seen, !self.isClosed {
            if pthread_cond_timedwait(self.changed, self.mutex, &deadline) == ETIMEDOUT { break }
        }
        return self.issue == seen ? nil : self.newest
    }

    /// Nobody waits any more.
    package func close() {
        self.asked.close()
        pthread_mutex_lock(self.mutex)
        self.isClosed = true
        pthread_cond_broadcast(self.changed)
        pthread_mutex_unlock(self.mutex)
    }
}
