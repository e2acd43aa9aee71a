import EventWorker
import Foundation
import Synchronization

/// A worker on a thread of its own; when it fails, the others are stopped, too.
final class WorkerThread: Sendable {
    private let outcome = Mutex<Result<Void, any Error>?>(nil)
    private let isDone = DispatchSemaphore(value: 0)

    init(until stop: StopSignal, _ body: @escaping @Sendable () throws -> Void) {
        Thread.detachNewThread {
            let result = Result { try body() }
            self.outcome.withLock { $0 = result }
            stop.raise()
            self.isDone.signal()
        }
    }

    /// Waits for its end; throws what it threw.
    func join() throws {
        self.isDone.wait()
        try self.outcome.withLock { $0 }?.get()
    }
}
