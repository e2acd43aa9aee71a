// A queue between tasks that holds at most `capacity` elements.
//
// Invariants, under the lock:
// 1. Somebody waits to receive only while nothing is buffered and nobody waits to send.
// 2. Somebody waits to send only while the buffer is full.
// 3. A waiter is resumed exactly once, by whoever took it out of its queue, after unlocking.

/// Back-pressure between tasks: `send` suspends while the channel is full, `receive` while it is
/// empty; both are first come, first served, and end when their task is cancelled.
package final class BoundedChannel<Element: Sendable>: Sendable {
    private struct Sender {
        let id: UInt64
        let element: Element
        let continuation: CheckedContinuation<Bool, Never>
    }

    private struct Receiver {
        let id: UInt64
        let continuation: CheckedContinuation<Element?, Never>
    }

    private struct State {
        var elements: Ring<Element>
        var senders = Ring<Sender>()
        var receivers = Ring<Receiver>()
        var isClosed = false
        var nextID: UInt64 = 0

        mutating func makeID() -> UInt64 {
            defer { self.nextID += 1 }
            return self.nextID
        }
    }

    private enum SendAction {
        case taken(by: CheckedContinuation<Element?, Never>?)
        case refused
        case full
    }

    package let capacity: Int
    private let state: Lock<State>

    /// `capacity` is at least 1 (a smaller one is taken for 1).
    package init(capacity: Int) {
        self.capacity = max(1, capacity)
        self.state = Lock(State(elements: Ring(capacity: self.capacity)))
    }

    /// Elements that are buffered; those whose senders still wait are not counted.
    package var count: Int { self.state.withLock { $0.elements.count } }

    /// Adds the element, after waiting while the channel is full. False: closed or cancelled, and
    /// the element was not taken.
    package func send(_ element: Element) async -> Bool {
        let id = self.state.withLock { $0.makeID() }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let action = self.state.withLock { state -> SendAction in
                    // Under the lock: a cancellation comes either before, and is seen here, or
                    // after, and then finds the waiter.
                    if Task.isCancelled { return .refused }
                    let action = self.add(element, &state)
                    if case .full = action {
                        state.senders.append(
                            Sender(id: id, element: element, continuation: continuation))
                    }
                    return action
                }
                switch action {
                case .taken(let receiver):
                    receiver?.resume(returning: element)
                    continuation.resume(returning: true)
                case .refused: continuation.resume(returning: false)
                case .full: break
                }
            }
        } onCancel: {
            let sender = self.state.withLock { $0.senders.remove { $0.id == id } }
            sender?.continuation.resume(returning: false)
        }
    }

    /// Adds the element when there is room now; false = full or closed.
    package func trySend(_ element: Element) -> Bool {
        switch self.state.withLock({ self.add(element, &$0) }) {
        case .taken(let receiver):
            receiver?.resume(returning: element)
            return true
        case .refused, .full:
            return false
        }
    }

    /// The next element, after waiting while there is none. Nil: closed and empty, or cancelled.
    package func receive() async -> Element? {
        let id = self.state.withLock { $0.makeID() }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let (element, sender, waits) = self.state.withLock {
                    state -> (Element?, Sender?, Bool) in
                    if Task.isCancelled { return (nil, nil, false) }
                    let (element, sender) = Self.take(&state)
                    if element != nil || state.isClosed { return (element, sender, false) }
                    state.receivers.append(Receiver(id: id, continuation: continuation))
                    return (nil, nil, true)
                }
                sender?.continuation.resume(returning: true)
                if !waits { continuation.resume(returning: element) }
            }
        } onCancel: {
            let receiver = self.state.withLock { $0.receivers.remove { $0.id == id } }
            receiver?.continuation.resume(returning: nil)
        }
    }

    /// The next element when there is one now.
    package func tryReceive() -> Element? {
        let (element, sender) = self.state.withLock { Self.take(&$0) }
        sender?.continuation.resume(returning: true)
        return element
    }

    /// Takes no more: waiting senders are refused; what is buffered can still be received.
    package func close() {
        let (senders, receivers) = self.state.withLock { state -> ([Sender], [Receiver]) in
            state.isClosed = true
            var senders: [Sender] = []
            while let sender = state.senders.popFirst() { senders.append(sender) }
            var receivers: [Receiver] = []
            while let receiver = state.receivers.popFirst() { receivers.append(receiver) }
            return (senders, receivers)
        }
        for sender in senders { sender.continuation.resume(returning: false) }
        for receiver in receivers { receiver.continuation.resume(returning: nil) }
    }

    private func add(_ element: Element, _ state: inout State) -> SendAction {
        if state.isClosed { return .refused }
        if let receiver = state.receivers.popFirst() { return .taken(by: receiver.continuation) }
        if state.elements.count == self.capacity { return .full }
        state.elements.append(element)
        return .taken(by: nil)
    }

    /// Takes the oldest element, and lets the sender that waited longest have the room.
    private static func take(_ state: inout State) -> (Element?, Sender?) {
        let element = state.elements.popFirst()
        let sender = element == nil ? nil : state.senders.popFirst()
        if let sender { state.elements.append(sender.element) }
        return (element, sender)
    }
}
