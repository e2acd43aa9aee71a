internal import CDormouse

/// A subscription of a `BlockingClient`, on the same thread. It goes on by itself when the connection
/// is lost and found again. With `end`, or with this object, its name falls asleep at the position
/// that was acknowledged.
public final class BlockingSubscription {
    private let client: BlockingClient
    private var subscription: OpaquePointer?

    fileprivate init(_ client: BlockingClient, _ subscription: OpaquePointer?) {
        self.client = client
        self.subscription = subscription
    }

    deinit {
        dormouse_unsubscribe(self.subscription)
    }

    /// Lends the next events, if there are any, and returns what `body` does with them; nil: none are
    /// here now. Throws why the subscription is over, again with each call.
    public func next<Value>(_ body: (LentBatch) -> Value) throws(DormouseError) -> Value? {
        guard let subscription = self.subscription else { throw Self.ended }
        var batch = dormouse_batch()
        switch dormouse_next_batch(subscription, &batch, 0) {
        case DORMOUSE_OK: return body(LentBatch(batch))
        case DORMOUSE_TIMEOUT: return nil
        case let status:
            throw Connection.end(of: subscription) ?? self.client.handle.error(status)
        }
    }

    /// Everything up to and with this position is processed and need not come again. Returns before
    /// the server knows: `end` waits for that.
    public func acknowledge(upto position: UInt64) throws(DormouseError) {
        guard let subscription = self.subscription else { throw Self.ended }
        try self.client.handle.check(dormouse_acknowledge(subscription, position))
    }

    /// Where it is: everything that matches up to here was handed out, or lies before its start.
    public var position: UInt64 { self.subscription.map { dormouse_position($0) } ?? 0 }

    /// Whether the server has confirmed it on the present connection.
    public var isLive: Bool { self.subscription.map { dormouse_is_live($0) } ?? false }

    /// Why it is over; nil: it is not.
    public var endError: DormouseError? {
        self.subscription.map { Connection.end(of: $0) } ?? Self.ended
    }

    /// Ends it, and waits until the server has taken what was acknowledged and put the name to sleep.
    public func end() throws(DormouseError) {
        guard let subscription = self.subscription else { return }
        self.subscription = nil
        dormouse_unsubscribe(subscription)
        // A server works off one connection in order, so whatever answers this has heard all before.
        _ = try self.client.server()
    }

    private static let ended = DormouseError(.closed, "the subscription was ended")
}

extension BlockingClient {
    /// Subscribes and waits until the name is durable and everything from its start on will come.
    /// Throws `timeout` when the server did not confirm it in time.
    public func subscribe(
        _ options: SubscribeOptions
    ) throws(DormouseError) -> BlockingSubscription {
        let subscription = try self.begin(options, self.answerMilliseconds)
        guard subscription.isLive else {
            throw DormouseError(
                .timeout, "the server did not answer within \(self.answerMilliseconds) ms")
        }
        return subscription
    }

    /// The same without waiting: `isLive` tells when the server has confirmed it, `next` throws what it
    /// refuses.
    public func subscribeLater(
        _ options: SubscribeOptions
    ) throws(DormouseError) -> BlockingSubscription {
        try self.begin(options, 0)
    }

    private func begin(
        _ options: SubscribeOptions, _ timeout: Int32
    ) throws(DormouseError) -> BlockingSubscription {
        let loan = Loan()
        var made: OpaquePointer?
        var request = options.request(loan)
        let status = dormouse_subscribe(self.handle.pointer, &request, timeout, &made)
        loan.end()
        try self.handle.check(status)
        return BlockingSubscription(self, made)
    }
}
