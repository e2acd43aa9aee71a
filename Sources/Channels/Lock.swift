import Glibc

/// A value that is only reached while its lock is held; critical sections are short and never
/// suspend.
///
/// Not `Synchronization.Mutex`: on Linux that one is a bare futex, which ThreadSanitizer does not
/// know, so that it reports everything behind it as a race.
///
/// `@unchecked Sendable`: `value` is only touched with `mutex` locked.
package final class Lock<Value: Sendable>: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private var value: Value

    package init(_ value: Value) {
        self.mutex = .allocate(capacity: 1)
        self.mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(self.mutex, nil)
        self.value = value
    }

    deinit {
        pthread_mutex_destroy(self.mutex)
        self.mutex.deallocate()
    }

    package func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
        pthread_mutex_lock(self.mutex)
        defer { pthread_mutex_unlock(self.mutex) }
        return body(&self.value)
    }
}
