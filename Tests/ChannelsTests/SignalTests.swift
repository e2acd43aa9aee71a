import Channels
import Testing

@Suite struct SignalTests {
    @Test func signalsBeforeAWaitCountAsOne() async {
        let signal = Signal()
        signal.signal()
        signal.signal()
        #expect(await signal.wait())
        async let second = signal.wait()
        signal.close()
        #expect(await second == false)
    }

    @Test func aWaiterIsWokenByALaterSignal() async {
        let signal = Signal()
        let started = Signal()
        let task = Task {
            started.signal()
            return await signal.wait()
        }
        _ = await started.wait()
        signal.signal()
        #expect(await task.value)
    }

    @Test func cancellationEndsTheWait() async {
        let signal = Signal()
        let task = Task { await signal.wait() }
        task.cancel()
        #expect(await task.value == false)
        signal.signal()
        #expect(await signal.wait(), "a signal that nobody took is kept")
    }

    @Test func closedEndsEveryWait() async {
        let signal = Signal()
        signal.close()
        signal.signal()
        #expect(await signal.wait() == false)
    }

    @Test func noSignalIsLostBetweenThreads() async {
        let ping = Signal()
        let pong = Signal()
        let task = Task {
            var count = 0
            while await ping.wait() {
                count += 1
                pong.signal()
            }
            return count
        }
        for _ in 0..<5_000 {
            ping.signal()
            #expect(await pong.wait())
        }
        ping.close()
        #expect(await task.value == 5_000)
    }
}
