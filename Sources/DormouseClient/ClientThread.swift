internal import Channels

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// The thread of one client: runs the actor's jobs, and waits for its socket between them.
///
/// 1. `turn` is called after jobs, when the socket is ready, and when its time has come; it says what
///    to wait for next.
/// 2. `finish` ends the thread after everything that was enqueued before.
///
/// `@unchecked Sendable`: `turn` is set before the first job and only called on the thread; the rest
/// is constant or locked.
final class ClientThread: SerialExecutor, @unchecked Sendable {
    struct Wait {
        var descriptor: Int32 = -1
        var events: Int16 = 0
        /// Milliseconds; negative = until something happens.
        var milliseconds: Int32 = -1
    }

    private struct Inbox: Sendable {
        var jobs: [UnownedJob] = []
        var isFinishing = false
        var isAwake = true
        var thread: pthread_t?
    }

    private let inbox = Lock(Inbox())
    private let bell: (read: Int32, write: Int32)
    private var turn: () -> Wait = { Wait() }
    private var atEnd: () -> Void = {}

    init() throws(DormouseError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw DormouseError(.noMemory, "no pipe could be made; check the limit of open files")
        }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        self.bell = (ends[0], ends[1])
    }

    deinit {
        close(self.bell.read)
        close(self.bell.write)
    }

    /// Starts the thread; it holds this object until it ends.
    func start(turn: @escaping () -> Wait, atEnd: @escaping () -> Void) throws(DormouseError) {
        self.turn = turn
        self.atEnd = atEnd
        let thread = WorkerThread(name: "dormouse-client") { self.run() }
        guard let thread else {
            throw DormouseError(.noMemory, "the system refused to start a thread")
        }
        thread.detach()
    }

    func finish() {
        self.put { $0.isFinishing = true }
    }

    // MARK: Executor

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        self.put { $0.jobs.append(job) }
    }

    func isIsolatingCurrentContext() -> Bool? {
        self.inbox.withLock { inbox in
            inbox.thread.map { pthread_equal($0, pthread_self()) != 0 } ?? false
        }
    }

    func checkIsolated() {
        precondition(self.isIsolatingCurrentContext() == true, "not on the client's thread")
    }

    private func put(_ change: (inout Inbox) -> Void) {
        let mustRing = self.inbox.withLock { inbox in
            change(&inbox)
            defer { inbox.isAwake = true }
            return !inbox.isAwake
        }
        guard mustRing else { return }
        var byte: UInt8 = 0
        // A full pipe rings, too.
        _ = write(self.bell.write, &byte, 1)
    }

    // MARK: On the thread

    private func run() {
        self.inbox.withLock { $0.thread = pthread_self() }
        while true {
            let (jobs, isLast) = self.inbox.withLock { inbox in
                inbox.isAwake = true
                defer { inbox.jobs = [] }
                return (inbox.jobs, inbox.isFinishing && inbox.jobs.isEmpty)
            }
            if isLast { break }
            for job in jobs { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
            let wait = self.turn()
            let mayWait = self.inbox.withLock { inbox in
                inbox.isAwake = !inbox.jobs.isEmpty || inbox.isFinishing
                return !inbox.isAwake
            }
            self.wait(wait, isBlocking: mayWait)
        }
        self.atEnd()
        self.turn = { Wait() }
        self.atEnd = {}
        self.inbox.withLock { $0.thread = nil }
    }

    private func wait(_ wait: Wait, isBlocking: Bool) {
        var descriptors = [
            pollfd(fd: self.bell.read, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wait.descriptor, events: wait.events, revents: 0),
        ]
        _ = poll(&descriptors, 2, isBlocking ? wait.milliseconds : 0)
        guard descriptors[0].revents != 0 else { return }
        var bytes: (UInt64, UInt64) = (0, 0)
        while read(self.bell.read, &bytes, MemoryLayout.size(ofValue: bytes)) > 0 {
            // All rings are one.
        }
    }
}
