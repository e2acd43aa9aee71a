// The loop, and how a turn of it goes:
//
// 1. libuv runs timers (alarms), waits for IO, runs the callbacks of what is ready (bytes received,
//    writes finished, connections accepted). These may call into actors with `assumeIsolated`.
//    Then come steps of TLS handshakes, for a bounded time.
// 2. After the IO (uv_check) and once more before the next wait (uv_prepare), the end of the turn:
//    jobs of Swift tasks and bodies from `execute`, in the order in which they came; then
//    `onTurnEnd`; then one writev for every connection that has something to send.
// 3. The loop waits only when nothing of all that is left.
//
// Invariants:
// - All but `enqueue`, `execute`, `stop`, `now` and `wallTime` is for the loop's thread: the one
//   that calls `run`, and until then the one that made the loop.
// - Jobs run in the order of their `enqueue`, each exactly once, never inside another.
// - A turn runs a bounded number of jobs, so that actors that keep each other busy do not keep the
//   sockets waiting.
// - Another thread writes to the loop's eventfd only when the loop sleeps.

package import Core
import CLibUV
import Synchronization

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A libuv loop that is a Swift executor: actors whose `unownedExecutor` it is run on its thread,
/// calls between them need no hop, and libuv's callbacks may enter them with `assumeIsolated`.
///
/// `@unchecked Sendable`: `inbox` has its lock, `thread` and `stopping` are atomic; everything else
/// belongs to the loop's thread.
package final class EventLoop: SerialExecutor, TaskExecutor, @unchecked Sendable {
    /// Jobs of one end of a turn, so that sockets have their turn, too.
    static let jobsPerTurnMax = 1024
    /// The same in time, looked at after every few jobs.
    static let jobsPerTurnNanoseconds: UInt64 = 5_000_000
    /// Steps of handshakes in a turn. One takes up to 2 ms (RSA, 4096 bits); strangers who want many
    /// must not keep those waiting who are in.
    static let handshakeNanosecondsMax: UInt64 = 2_000_000
    /// One read's buffer. Larger ones were not faster; it is one per loop because received bytes
    /// are handed on before the callback returns.
    static let readBytesMax = 64 << 10

    private enum Work: Sendable {
        case job(UnownedJob)
        case body(@Sendable () -> Void)
    }

    private struct Inbox: Sendable {
        var work: [Work] = []
        /// Whether the loop may be waiting, so that new work must wake it.
        var sleeping = false
        /// Nothing is taken any more, and `wake` is freed.
        var closed = false
    }

    private let inbox = Locked(Inbox())
    private let thread: Atomic<UInt>
    private let stopping = Atomic<Bool>(false)

    let uv: UnsafeMutablePointer<uv_loop_t>
    private let wake = UnsafeMutablePointer<uv_async_t>.allocate(capacity: 1)
    private let beforeWait = UnsafeMutablePointer<uv_prepare_t>.allocate(capacity: 1)
    private let afterIO = UnsafeMutablePointer<uv_check_t>.allocate(capacity: 1)
    /// While it runs, libuv does not wait.
    private let doNotWait = UnsafeMutablePointer<uv_idle_t>.allocate(capacity: 1)

    private var batch: [Work] = []
    private var batchNext = 0
    /// Connections whose handshake can go on, and the next one's place.
    private var handshakes: [Connection] = []
    private var handshakesNext = 0
    private var toFlush: [Connection] = []
    private var flushing: [Connection] = []
    private var lastConnection: UInt64 = 0
    private(set) var isClosing = false
    /// Handles of connections, listeners, alarms and signals that are not yet freed.
    private var openHandles = 0

    /// Called at the end of every turn after its jobs and before its writes: the place to put
    /// together what the turn produced.
    package var onTurnEnd: (() -> Void)?

    let readBuffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: EventLoop.readBytesMax, alignment: 16)
    let writeBuffers = UnsafeMutablePointer<uv_buf_t>.allocate(capacity: WriteQueue.buffersMax)
    var spareBuffers = SpareBuffers()
    /// What one read holds when it is unsealed, with the record of 16 KiB that it may complete.
    let unsealedBuffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: EventLoop.readBytesMax + 2 * EventLoop.recordBytesMax, alignment: 16)
    /// One record, to be sealed.
    let recordBuffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: EventLoop.recordBytesMax, alignment: 16)
    /// Source: RFC 8446, section 5.1.
    static let recordBytesMax = 16 << 10

    /// Makes a loop that the calling thread owns until another calls `run`. SIGPIPE is ignored in
    /// the whole process from here on: a peer that went away is an error of a write, not our end.
    package init() throws(Failure) {
        self.thread = Atomic(dormouse_current_thread())
        self.uv = .allocate(capacity: 1)
        signal(SIGPIPE, SIG_IGN)
        var code = uv_loop_init(self.uv)
        if code == 0 {
            code = uv_async_init(self.uv, self.wake, nil)
        }
        guard code == 0 else {
            throw Failure(
                .internal, "the event loop could not be made; check the limit of open files",
                underlying: describe(code))
        }
        uv_prepare_init(self.uv, self.beforeWait)
        uv_check_init(self.uv, self.afterIO)
        uv_idle_init(self.uv, self.doNotWait)
        // Tells the loop's own handles from those of `LoopHandle`s.
        self.wake.pointee.data = nil
        self.beforeWait.pointee.data = nil
        self.afterIO.pointee.data = nil
        self.doNotWait.pointee.data = nil
        self.uv.pointee.data = Unmanaged.passUnretained(self).toOpaque()
        uv_prepare_start(self.beforeWait) { handle in
            eventLoop(of: handle.map { $0.pointee.loop })?.willWait()
        }
        uv_check_start(self.afterIO) { handle in
            eventLoop(of: handle.map { $0.pointee.loop })?.didWait()
        }
    }

    deinit {
        self.readBuffer.deallocate()
        self.writeBuffers.deallocate()
        self.unsealedBuffer.deallocate()
        self.recordBuffer.deallocate()
    }

    // MARK: Life

    /// Makes the calling thread the loop's and serves until `stop`.
    package func run() {
        self.thread.store(dormouse_current_thread(), ordering: .releasing)
        uv_run(self.uv, UV_RUN_DEFAULT)
        self.stopping.store(false, ordering: .relaxed)
    }

    /// Makes `run` return at the end of its turn, or at once when it is called later. From any
    /// thread.
    package func stop() {
        self.stopping.store(true, ordering: .relaxed)
        self.inbox.withLock { inbox in
            if !inbox.closed { uv_async_send(self.wake) }
        }
    }

    /// Closes every connection, listener, alarm and signal, runs the jobs that follow from that,
    /// and frees what libuv has. After `run` returned; makes the calling thread the loop's. Jobs
    /// enqueued later never run. A second call does nothing.
    package func close() {
        guard !self.isClosing else { return }
        self.isClosing = true
        self.thread.store(dormouse_current_thread(), ordering: .releasing)
        uv_walk(
            self.uv,
            { handle, _ in
                guard let data = handle?.pointee.data else { return }
                let owner = Unmanaged<AnyObject>.fromOpaque(data).takeUnretainedValue()
                (owner as? any LoopHandle)?.loopCloses()
            }, nil)
        // A job may start another for ever; a thousand turns are a clean end for all that will end.
        for _ in 0..<1000 {
            uv_run(self.uv, UV_RUN_NOWAIT)
            if self.openHandles == 0 && !self.hasWork() { break }
        }
        self.inbox.withLock { inbox in
            inbox.closed = true
            inbox.work = []
        }
        self.onTurnEnd = nil
        self.closeOwnHandles()
    }

    private func closeOwnHandles() {
        freeWhenClosed(self.wake)
        freeWhenClosed(self.beforeWait)
        freeWhenClosed(self.afterIO)
        freeWhenClosed(self.doNotWait)
        uv_run(self.uv, UV_RUN_DEFAULT)
        // Busy only if a handle is left, which then still points to the loop: better not freed.
        if uv_loop_close(self.uv) == 0 { self.uv.deallocate() }
    }

    // MARK: Executor

    package var isOnLoopThread: Bool {
        self.thread.load(ordering: .acquiring) == dormouse_current_thread()
    }

    /// From any thread.
    package func enqueue(_ job: consuming ExecutorJob) {
        self.take(.job(UnownedJob(job)))
    }

    /// Runs `body` on the loop's thread, in order with the jobs. From any thread.
    package func execute(_ body: @escaping @Sendable () -> Void) {
        self.take(.body(body))
    }

    package func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        UnownedSerialExecutor(ordinary: self)
    }

    package func asUnownedTaskExecutor() -> UnownedTaskExecutor {
        UnownedTaskExecutor(ordinary: self)
    }

    package func checkIsolated() {
        precondition(self.isOnLoopThread, "not on the thread of the event loop")
    }

    package func isIsolatingCurrentContext() -> Bool? { self.isOnLoopThread }

    private func take(_ work: Work) {
        let isOnLoopThread = self.isOnLoopThread
        self.inbox.withLock { inbox in
            guard !inbox.closed else { return }
            inbox.work.append(work)
            // On the loop's thread the end of this turn is still to come.
            guard inbox.sleeping && !isOnLoopThread else { return }
            inbox.sleeping = false
            // Under the lock: `close` frees the handle.
            uv_async_send(self.wake)
        }
    }

    // MARK: Turn

    private func didWait() {
        self.inbox.withLock { $0.sleeping = false }
        self.shakeHands()
        self.endTurn()
    }

    private func willWait() {
        self.endTurn()
        let isIdle =
            self.batchNext == self.batch.count && self.toFlush.isEmpty && !self.isShakingHands
            && self.inbox.withLock { inbox in
                inbox.sleeping = inbox.work.isEmpty
                return inbox.sleeping
            }
        if isIdle {
            uv_idle_stop(self.doNotWait)
        } else {
            uv_idle_start(self.doNotWait) { _ in
                // Being there is all it does.
            }
        }
    }

    private func endTurn() {
        self.runWork()
        self.onTurnEnd?()
        self.flush()
        if self.stopping.load(ordering: .relaxed) { uv_stop(self.uv) }
    }

    private func runWork() {
        let serial = self.asUnownedSerialExecutor()
        let task = self.asUnownedTaskExecutor()
        let began = uv_hrtime()
        for count in 1...Self.jobsPerTurnMax {
            if count % 8 == 0, uv_hrtime() - began > Self.jobsPerTurnNanoseconds { return }
            if self.batchNext == self.batch.count {
                self.batchNext = 0
                // A burst's memory is given back, a steady load's is used again.
                self.batch.removeAll(keepingCapacity: self.batch.capacity <= 16 << 10)
                self.inbox.withLock { swap(&$0.work, &self.batch) }
                if self.batch.isEmpty { return }
            }
            let work = self.batch[self.batchNext]
            self.batchNext += 1
            switch work {
            case .job(let job): job.runSynchronously(isolatedTo: serial, taskExecutor: task)
            case .body(let body): body()
            }
        }
    }

    private func hasWork() -> Bool {
        self.batchNext < self.batch.count || !self.toFlush.isEmpty || self.isShakingHands
            || self.inbox.withLock { !$0.work.isEmpty }
    }

    private func shakeHands() {
        guard self.isShakingHands else { return }
        let began = uv_hrtime()
        repeat {
            let connection = self.handshakes[self.handshakesNext]
            self.handshakesNext += 1
            connection.shakeHands()
        } while self.isShakingHands && uv_hrtime() - began < Self.handshakeNanosecondsMax
        if self.handshakesNext * 2 >= self.handshakes.count {
            self.handshakes.removeFirst(self.handshakesNext)
            self.handshakesNext = 0
        }
    }

    /// Connections that get something to send meanwhile are next turn's.
    private func flush() {
        guard !self.toFlush.isEmpty else { return }
        swap(&self.toFlush, &self.flushing)
        for connection in self.flushing {
            connection.flush()
        }
        self.flushing.removeAll(keepingCapacity: true)
    }

    /// Bytes that all connections together hold because the kernel has not taken them. On the loop's
    /// thread.
    package var queuedBytes: Int { self.spareBuffers.queuedBytes }

    // MARK: For the handles of this module

    func flushAtTurnEnd(_ connection: Connection) {
        self.toFlush.append(connection)
    }

    func shakeHandsSoon(_ connection: Connection) {
        self.handshakes.append(connection)
    }

    /// Handshakes wait for their turn.
    var isShakingHands: Bool { self.handshakesNext < self.handshakes.count }

    func nextConnectionID() -> ConnectionID {
        self.lastConnection += 1
        return ConnectionID(rawValue: self.lastConnection)
    }

    func handleOpened() { self.openHandles += 1 }
    func handleFreed() { self.openHandles -= 1 }
}
