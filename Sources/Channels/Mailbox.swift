/// Takes elements without waiting and gives them out all at once, in order: the batch that forms by
/// itself while its reader is busy. It has no bound of its own: whoever puts bounds what it puts
/// (by credit, by bytes pending, by requests in flight).
package final class Mailbox<Element: Sendable>: Sendable {
    private struct State {
        var elements: [Element] = []
        var isClosed = false
        var waiter: CheckedContinuation<[Element], Never>?

        mutating func takeAll() -> [Element] {
            defer { self.elements = [] }
            return self.elements
        }
    }

    private enum Answer {
        case elements([Element])
        case wait(replacing: CheckedContinuation<[Element], Never>?)
    }

    private let state = Lock(State())

    package init() {}

    package var count: Int { self.state.withLock { $0.elements.count } }

    /// Adds the element. False: the mailbox is closed and the element was not taken.
    @discardableResult
    package func put(_ element: Element) -> Bool {
        let (taken, waiter) = self.state.withLock {
            state -> (Bool, CheckedContinuation<[Element], Never>?) in
            if state.isClosed { return (false, nil) }
            if let waiter = state.waiter.take() { return (true, waiter) }
            state.elements.append(element)
            return (true, nil)
        }
        waiter?.resume(returning: [element])
        return taken
    }

    /// Everything that was put since the last call, in order; suspends while there is nothing. Empty
    /// when cancelled, or closed and nothing is left. One task takes at a time; should a second one
    /// come, the first is woken with nothing.
    package func takeAll() async -> [Element] {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer = self.state.withLock { state -> Answer in
                    if Task.isCancelled { return .elements([]) }
                    if !state.elements.isEmpty || state.isClosed {
                        return .elements(state.takeAll())
                    }
                    let earlier = state.waiter.take()
                    state.waiter = continuation
                    return .wait(replacing: earlier)
                }
                switch answer {
                case .elements(let elements): continuation.resume(returning: elements)
                case .wait(let earlier): earlier?.resume(returning: [])
                }
            }
        } onCancel: {
            self.state.withLock { $0.waiter.take() }?.resume(returning: [])
        }
    }

    /// Everything that is there now, without waiting.
    package func takeNow() -> [Element] {
        self.state.withLock { $0.takeAll() }
    }

    /// Takes no more; what is there can still be taken.
    package func close() {
        let waiter = self.state.withLock { state in
            state.isClosed = true
            return state.waiter.take()
        }
        waiter?.resume(returning: [])
    }
}
