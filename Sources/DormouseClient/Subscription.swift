internal import CDormouse

/// How to subscribe.
public struct SubscribeOptions: Hashable, Sendable {
    /// Durable under this name; nil: forgotten when it ends.
    public var name: String?
    /// nil: the client's.
    public var exchange: String?
    /// Which events.
    public var filter: Filter
    /// Where a new name begins. A known one goes on where it was.
    public var start: Start
    /// Applies `start` to a known name, too.
    public var reposition = false
    /// Gives a known name this filter.
    public var replaceConfig = false
    /// The server confirms what it sends; `acknowledge` is not used.
    public var acknowledgeOnSend = false
    /// Events received and not yet taken, at most; 0 = the library's default.
    public var creditEvents: UInt32 = 0
    /// The same in bytes.
    public var creditBytes: UInt32 = 0
    /// Milliseconds in which an event must be acknowledged, or the name falls asleep; 0 = none.
    public var acknowledgeWithin: UInt32 = 0
    /// The newest position that was processed before, and the log that it belongs to: see
    /// `Client.incarnation`.
    public var lastSeen: UInt64 = 0
    /// The log that `lastSeen` belongs to.
    public var lastIncarnation: [UInt8] = []

    /// What most subscriptions need; set the other properties after it.
    public init(
        name: String? = nil, _ filter: Filter = .everything, from start: Start = .next,
        exchange: String? = nil
    ) {
        self.name = name
        self.filter = filter
        self.start = start
        self.exchange = exchange
    }
}

/// Some events of a subscription, in order, none left out.
public struct Delivery: Sendable {
    /// At least one, in the order of the log.
    public let events: [Event]
    /// Everything that matches, up to here, has been handed out with this delivery.
    public let upto: UInt64
    /// Newest position of the exchange when it was sent.
    public let head: UInt64
    /// Read from the log, not live.
    public let isReplay: Bool
    /// This name may have been sent some of these before.
    public let isRedelivered: Bool

    let subscription: Subscription

    /// Everything up to and with this delivery is processed and need not come again.
    public func acknowledge() async throws(DormouseError) {
        try await self.subscription.acknowledge(upto: self.upto)
    }
}

/// A subscription as a sequence of deliveries, for one loop. It is opened when the loop begins, or by
/// `open`; it ends with the loop, with the task, or with this object: then its name sleeps at the
/// position that was acknowledged.
///
/// It goes on by itself when the connection is lost and found again. The loop throws when the server
/// ends it (stopped, taken over …) or when deliveries do not join.
public final class Subscription: AsyncSequence, Sendable {
    /// Some events at a time.
    public typealias Element = Delivery
    /// Why the server ended it, or why it cannot go on.
    public typealias Failure = DormouseError

    private let client: Client
    private let options: SubscribeOptions
    private let state = SubscriptionState()

    init(_ client: Client, _ options: SubscribeOptions) {
        self.client = client
        self.options = options
    }

    deinit {
        let connection = self.client.connection
        // The client lives at least until its thread has done this.
        let (client, id) = (self.client, self.state)
        Task {
            await connection.end(id)
            withExtendedLifetime(client) {}
        }
    }

    /// Waits until the name is durable and everything from its start on will come.
    public func open() async throws(DormouseError) {
        try await self.client.connection.open(self.state, self.options)
    }

    /// Everything up to and with this position is processed and need not come again. Returns before
    /// the server knows.
    public func acknowledge(upto position: UInt64) async throws(DormouseError) {
        try await self.client.connection.acknowledge(self.state, upto: position)
    }

    /// Ends it; a loop over it ends, too.
    public func stop() async {
        await self.client.connection.end(self.state)
    }

    /// For one loop at a time.
    public func makeAsyncIterator() -> Iterator { Iterator(subscription: self) }

    /// Takes deliveries one after the other.
    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let subscription: Subscription

        /// The next delivery; nil when the subscription was stopped or the task cancelled.
        public mutating func next(isolation actor: isolated (any Actor)? = #isolation)
            async throws(DormouseError) -> Delivery?
        {
            try await self.subscription.next()
        }

        /// The next delivery; nil when the subscription was stopped or the task cancelled.
        public mutating func next() async throws(DormouseError) -> Delivery? {
            try await self.subscription.next()
        }
    }

    private func next() async throws(DormouseError) -> Delivery? {
        let connection = self.client.connection
        let batch = try await connection.next(self.state, self.options)
        guard let batch else {
            await connection.end(self.state)
            return nil
        }
        return Delivery(
            events: batch.events, upto: batch.upto, head: batch.head, isReplay: batch.isReplay,
            isRedelivered: batch.isRedelivered, subscription: self)
    }
}

/// `@unchecked Sendable`: touched on the client's thread only.
final class SubscriptionState: @unchecked Sendable {
    enum Phase {
        case new
        case open(OpaquePointer)
        case ended
    }

    var phase = Phase.new
}

struct Batch: Sendable {
    let events: [Event]
    let upto: UInt64
    let head: UInt64
    let isReplay: Bool
    let isRedelivered: Bool
}
