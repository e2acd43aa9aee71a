import Glibc

// 1. One thread runs the jobs one after the other, in the order in which they were enqueued.
// 2. The thread starts with the first job and ends in `stop()`, after everything that was enqueued
//    before. A job that comes later starts it again, so that no task hangs for having come late.
// 3. The thread holds a reference to the executor: without `stop()` both live on.

/// An actor's executor with a thread of its own, for actors that make blocking calls.
///
/// `@unchecked Sendable`: `jobs`, `thread`, `isStopping` and `current` are only touched under
/// `lock`.
package final class ThreadExecutor: SerialExecutor, @unchecked Sendable {
    private let name: String
    private let isPatient: Bool
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private let wakeUp: UnsafeMutablePointer<pthread_cond_t>
    private var jobs: [UnownedJob] = []
    private var thread: WorkerThread?
    private var isStopping = false
    private var current: pthread_t?

    /// A patient thread does not push aside who wakes it, though it runs at once on an idle processor:
    /// for reading what another program writes in many small pieces, all of which are wanted at
    /// once. An impatient reader takes each piece while the writer, whose processor it shares,
    /// stands still.
    package init(name: String, isPatient: Bool = false) {
        self.name = name
        self.isPatient = isPatient
        self.lock = .allocate(capacity: 1)
        self.lock.initialize(to: pthread_mutex_t())
        pthread_mutex_init(self.lock, nil)
        self.wakeUp = .allocate(capacity: 1)
        self.wakeUp.initialize(to: pthread_cond_t())
        pthread_cond_init(self.wakeUp, nil)
    }

    deinit {
        pthread_cond_destroy(self.wakeUp)
        self.wakeUp.deallocate()
        pthread_mutex_destroy(self.lock)
        self.lock.deallocate()
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        pthread_mutex_lock(self.lock)
        self.jobs.append(job)
        // A thread that is stopping still empties the queue first.
        if self.thread == nil, !self.isStopping {
            self.thread = WorkerThread(name: self.name) { self.runJobs() }
            // Without a thread no actor of ours can go on, and there is nobody to tell.
            precondition(self.thread != nil, "the system refused to start a thread")
        }
        pthread_cond_signal(self.wakeUp)
        pthread_mutex_unlock(self.lock)
    }

    package func isIsolatingCurrentContext() -> Bool? {
        pthread_mutex_lock(self.lock)
        defer { pthread_mutex_unlock(self.lock) }
        guard let current = self.current else { return false }
        return pthread_equal(current, pthread_self()) != 0
    }

    package func checkIsolated() {
        precondition(
            self.isIsolatingCurrentContext() == true, "not on the thread of \(self.name)")
    }

    /// Runs what is enqueued, ends the thread and waits for that. From the thread itself it does
    /// not wait.
    package func stop() {
        pthread_mutex_lock(self.lock)
        let thread = self.thread.take()
        self.isStopping = thread != nil
        pthread_cond_signal(self.wakeUp)
        pthread_mutex_unlock(self.lock)
        guard let thread else { return }
        if thread.isCurrent {
            thread.detach()
        } else {
            thread.join()
        }
    }

    /// The thread's body.
    private func runJobs() {
        if self.isPatient { Self.becomePatient() }
        pthread_mutex_lock(self.lock)
        self.current = pthread_self()
        while true {
            while self.jobs.isEmpty, !self.isStopping {
                pthread_cond_wait(self.wakeUp, self.lock)
            }
            let batch = self.jobs
            self.jobs = []
            if batch.isEmpty { break }
            pthread_mutex_unlock(self.lock)
            for job in batch { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
            pthread_mutex_lock(self.lock)
        }
        self.current = nil
        self.isStopping = false
        pthread_mutex_unlock(self.lock)
    }

    /// Source: sched(7), SCHED_BATCH, which a thread may always choose for itself; its number is in
    /// Linux' sched.h, and Swift's Glibc does not show it. Only a comfort, so a failure is of no
    /// interest.
    private static func becomePatient() {
        var parameters = sched_param(sched_priority: 0)
        pthread_setschedparam(pthread_self(), 3, &parameters)
    }
}
