import Foundation
import Synchronization

/// A value that threads share.
final class Locked<Value: Sendable>: Sendable {
    private let value: Mutex<Value>

    init(_ value: Value) {
        self.value = Mutex(value)
    }

    func withLock<Result: Sendable>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        try self.value.withLock { value in try body(&value) }
    }

    var current: Value {
        self.withLock { $0 }
    }
}

/// A thread of a test, for clients, which block.
final class Worker<Value: Sendable>: Sendable {
    private let outcome: Locked<Result<Value, any Error>?>
    private let name: String

    init(_ name: String, _ body: @escaping @Sendable () throws -> Value) {
        let outcome = Locked<Result<Value, any Error>?>(nil)
        self.outcome = outcome
        self.name = name
        Thread.detachNewThread {
            let result = Result { try body() }
            outcome.withLock { $0 = result }
        }
    }

    /// Whether it has ended; throws what it threw, so that a test does not wait for the others.
    func check() throws {
        if case .failure(let error)? = self.outcome.current { throw error }
    }

    func join(seconds: Double = 2 * patience) throws -> Value {
        try eventually("\(self.name) has ended", seconds: seconds) {
            try self.outcome.current?.get()
        }
    }
}
