import Channels
import Glibc
import Testing

/// Lets a test's tasks run on one thread, in the order in which they become ready.
final class TaskExecutorOf: TaskExecutor {
    private let executor: ThreadExecutor

    init(_ executor: ThreadExecutor) { self.executor = executor }

    func enqueue(_ job: consuming ExecutorJob) { self.executor.enqueue(job) }
}

actor Runner {
    nonisolated let executor: ThreadExecutor
    private(set) var values: [Int] = []

    init(_ executor: ThreadExecutor) { self.executor = executor }

    nonisolated var unownedExecutor: UnownedSerialExecutor {
        self.executor.asUnownedSerialExecutor()
    }

    func add(_ value: Int) { self.values.append(value) }

    func schedulingPolicy() -> Int32 {
        var policy: Int32 = -1
        var parameters = sched_param()
        return pthread_getschedparam(pthread_self(), &policy, &parameters) == 0 ? policy : -1
    }

    func isAssumedIsolated() -> Bool {
        self.assumeIsolated { _ in true }
    }
}

@Suite struct ThreadExecutorTests {
    @Test func anActorRunsOnTheThreadAndNowhereElse() async {
        let executor = ThreadExecutor(name: "test")
        defer { executor.stop() }
        let runner = Runner(executor)
        #expect(await runner.isAssumedIsolated())
        #expect(executor.isIsolatingCurrentContext() == false)
    }

    @Test func callsRunInTheOrderInWhichTheyWereMade() async {
        let executor = ThreadExecutor(name: "test")
        defer { executor.stop() }
        let runner = Runner(executor)
        for value in 0..<1_000 { await runner.add(value) }
        #expect(await runner.values == Array(0..<1_000))
    }

    @Test func stopRunsWhatIsEnqueuedFirst() async {
        let executor = ThreadExecutor(name: "test")
        let runner = Runner(executor)
        await withTaskGroup(of: Void.self) { group in
            for value in 0..<100 { group.addTask { await runner.add(value) } }
        }
        executor.stop()
        executor.stop()
        #expect(await runner.values.count == 100, "a call after the stop starts the thread again")
        executor.stop()
    }

    /// 0 and 3: SCHED_OTHER and SCHED_BATCH of Linux.
    @Test(arguments: [(false, 0), (true, 3)] as [(Bool, Int32)])
    func aPatientThreadIsKnownToTheScheduler(isPatient: Bool, policy: Int32) async {
        let executor = ThreadExecutor(name: "test", isPatient: isPatient)
        defer { executor.stop() }
        #expect(await Runner(executor).schedulingPolicy() == policy)
    }
}
