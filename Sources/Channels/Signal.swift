/// A coalescing wake-up for one waiter: any number of signals before a wait count as one.
package final class Signal: Sendable {
    private struct State {
        var isSignalled = false
        var isClosed = false
        var waiter: CheckedContinuation<Bool, Never>?
    }

    private let state = Lock(State())

    package init() {}

    /// Wakes the waiter, or lets the next wait return at once.
    package func signal() {
        let waiter = self.state.withLock { state -> CheckedContinuation<Bool, Never>? in
            if state.waiter == nil { state.isSignalled = true }
            return state.waiter.take()
        }
        waiter?.resume(returning: true)
    }

    /// Returns true when there was a signal since the last wait, else suspends until there is one.
    /// False: cancelled or closed. One task waits at a time; should a second one come, the first
    /// is woken as if signalled, so that nobody is left behind.
    package func wait() async -> Bool {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let result = self.state.withLock {
                    state -> (Bool?, CheckedContinuation<Bool, Never>?) in
                    // Under the lock: a cancellation comes either before, and is seen here, or
                    // after, and then finds the waiter.
                    if state.isClosed || Task.isCancelled { return (false, nil) }
                    if state.isSignalled {
                        state.isSignalled = false
                        return (true, nil)
                    }
                    let earlier = state.waiter.take()
                    state.waiter = continuation
                    return (nil, earlier)
                }
                result.1?.resume(returning: true)
                if let answer = result.0 { continuation.resume(returning: answer) }
            }
        } onCancel: {
            self.state.withLock { $0.waiter.take() }?.resume(returning: false)
        }
    }

    /// Ends the waiter and every later wait.
    package func close() {
        let waiter = self.state.withLock { state in
            state.isClosed = true
            return state.waiter.take()
        }
        waiter?.resume(returning: false)
    }
}
