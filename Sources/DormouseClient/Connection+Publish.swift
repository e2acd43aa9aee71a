internal import CDormouse

struct BlockedPublish {
    let events: [Event]
    let continuation: CheckedContinuation<Result<Published, DormouseError>, Never>
}

extension Connection {
    func publish(_ events: [Event]) async throws(DormouseError) -> Published {
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<Published, DormouseError>, Never>) in
            let publish = BlockedPublish(events: events, continuation: continuation)
            // Behind those that wait: what one task publishes stays in order.
            if !self.blocked.isEmpty || !self.send(publish) { self.blocked.append(publish) }
        }
        return try result.get()
    }

    func sendBlocked() {
        while let first = self.blocked.first, self.send(first) { self.blocked.removeFirst() }
    }

    /// false: the window is full.
    private func send(_ publish: BlockedPublish) -> Bool {
        let answer = Answer(publish.continuation)
        let context = Unmanaged.passRetained(answer)
        let loan = Loan()
        let events = loan.events(publish.events)
        let status = dormouse_publish_async(
            self.handle.pointer, events, events.count, 0,
            { context, result in
                guard let context, let result else { return }
                Unmanaged<Answer>.fromOpaque(context).takeRetainedValue().give(result.pointee)
            }, context.toOpaque())
        loan.end()
        if status == DORMOUSE_OK { return true }
        context.release()
        if status == DORMOUSE_WINDOW_FULL { return false }
        publish.continuation.resume(returning: .failure(self.handle.error(status)))
        return true
    }
}

/// Whoever waits for a publish. When the handle is freed before it was answered, nobody calls back;
/// but then nobody waits either: a publish holds its client.
private final class Answer {
    private let continuation: CheckedContinuation<Result<Published, DormouseError>, Never>

    init(_ continuation: CheckedContinuation<Result<Published, DormouseError>, Never>) {
        self.continuation = continuation
    }

    func give(_ result: dormouse_published) {
        self.continuation.resume(returning: Published.result(result))
    }
}
