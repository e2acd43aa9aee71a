// One executor for everything in a simulation.
//
// 1. Jobs wait in an array. `step` draws one of them and runs it on the caller's thread, so any
//    order of jobs that no happens-before forbids may occur, and the same seed gives the same one.
// 2. Time is virtual, in microseconds. When no job is ready it moves to the earliest callback;
//    callbacks that are due compete with the jobs.
// 3. The engine is isolated to this executor, and so is every callback of the simulation: both may
//    call into it with `assumeIsolated`.

/// `@unchecked Sendable`: used on the simulation's thread only; nothing in a simulation leaves it,
/// since every task is started with this executor as its preference.
final class SimulatedExecutor: SerialExecutor, TaskExecutor, @unchecked Sendable {
    private struct Callback {
        let at: UInt64
        let order: UInt64
        let body: () -> Void

        func isBefore(_ other: Callback) -> Bool {
            self.at == other.at ? self.order < other.order : self.at < other.at
        }
    }

    private let dice: Dice
    private var jobs: [UnownedJob] = []
    private var heap: [Callback] = []
    private var added: UInt64 = 0
    private var isRunning = false
    private(set) var now: UInt64 = 0
    private(set) var steps = 0

    init(dice: Dice) {
        self.dice = dice
    }

    // MARK: Executor

    func enqueue(_ job: consuming ExecutorJob) {
        self.jobs.append(UnownedJob(job))
    }

    func checkIsolated() {
        precondition(self.isRunning, "not on the simulated executor")
    }

    func isIsolatingCurrentContext() -> Bool? {
        self.isRunning
    }

    // MARK: Time

    /// Calls `body` when virtual time has come to `time`; at equal times, in the order of the calls.
    func at(_ time: UInt64, _ body: @escaping () -> Void) {
        self.added += 1
        self.heap.append(Callback(at: max(time, self.now), order: self.added, body: body))
        var child = self.heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard self.heap[child].isBefore(self.heap[parent]) else { break }
            self.heap.swapAt(child, parent)
            child = parent
        }
    }

    private func takeCallback() -> Callback? {
        guard let first = self.heap.first, let last = self.heap.popLast() else { return nil }
        if !self.heap.isEmpty {
            self.heap[0] = last
            self.sink()
        }
        return first
    }

    private func sink() {
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < self.heap.count && self.heap[child].isBefore(self.heap[least]) {
                least = child
            }
            if least == parent { return }
            self.heap.swapAt(parent, least)
            parent = least
        }
    }

    // MARK: Steps

    /// Runs one job or one callback. false: there is nothing left to do.
    func step() -> Bool {
        self.isRunning = true
        defer { self.isRunning = false }
        self.steps += 1
        let isDue = self.heap.first.map { $0.at <= self.now } ?? false
        if !self.jobs.isEmpty, !(isDue && self.dice.chance(250)) {
            let job = self.jobs.remove(at: self.dice.below(self.jobs.count))
            job.runSynchronously(
                isolatedTo: self.asUnownedSerialExecutor(),
                taskExecutor: self.asUnownedTaskExecutor())
            return true
        }
        guard let callback = self.takeCallback() else { return false }
        self.now = max(self.now, callback.at)
        callback.body()
        return true
    }
}
