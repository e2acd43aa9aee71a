#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A value behind a lock of the C library. The thread sanitizer knows that lock; it does not see
/// into `Synchronization.Mutex`, whose every use it reports as a race.
///
/// `@unchecked Sendable`: `value` is touched only while `lock` is held.
struct Locked<Value: Sendable>: ~Copyable, @unchecked Sendable {
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let value = UnsafeMutablePointer<Value>.allocate(capacity: 1)

    init(_ value: Value) {
        self.value.initialize(to: value)
        let code = pthread_mutex_init(self.lock, nil)
        precondition(code == 0, "a lock without attributes needs no memory")
    }

    deinit {
        pthread_mutex_destroy(self.lock)
        self.lock.deallocate()
        self.value.deinitialize(count: 1)
        self.value.deallocate()
    }

    func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
        pthread_mutex_lock(self.lock)
        defer { pthread_mutex_unlock(self.lock) }
        return body(&self.value.pointee)
    }
}
