import CWire
import Core

/// What a subscriber is doing.
package enum SubscriberState: UInt8, Hashable, Sendable, CaseIterable {
    case sleeping = 0
    case live = 1
    case replaying = 2
    case waitingForCredit = 3
    case paused = 4
}

/// A subscriber, as it is listed. Times are microseconds since 1970 UTC.
package struct Subscription: Hashable, Sendable {
    package var exchange: [UInt8]
    package var name: [UInt8]
    package var config: ReceiverConfigMessage
    package var state: SubscriberState
    /// Why it sleeps, waits or is paused.
    package var reason: [UInt8]
    /// Confirmed up to here.
    package var position: UInt64
    package var sent: UInt64
    package var head: UInt64
    /// In this state since.
    package var since: UInt64
    /// Publish time of the oldest event not yet confirmed; 0: none.
    package var oldestWaitingAt: UInt64
    package var peer: [UInt8]
    package var client: [UInt8]
    package var principal: [UInt8]
    /// Events, since the server started.
    package var delivered: UInt64
    /// Events, since the server started.
    package var acknowledged: UInt64
    /// 0: it is not paused.
    package var pausedUntil: UInt64

    package init(
        exchange: [UInt8] = [], name: [UInt8] = [],
        config: ReceiverConfigMessage = ReceiverConfigMessage(), state: SubscriberState = .sleeping,
        reason: [UInt8] = [], position: UInt64 = 0, sent: UInt64 = 0, head: UInt64 = 0,
        since: UInt64 = 0, oldestWaitingAt: UInt64 = 0, peer: [UInt8] = [], client: [UInt8] = [],
        principal: [UInt8] = [], delivered: UInt64 = 0, acknowledged: UInt64 = 0,
        pausedUntil: UInt64 = 0
    ) {
        self.exchange = exchange
        self.name = name
        self.config = config
        self.state = state
        self.reason = reason
        self.position = position
        self.sent = sent
        self.head = head
        self.since = since
        self.oldestWaitingAt = oldestWaitingAt
        self.peer = peer
        self.client = client
        self.principal = principal
        self.delivered = delivered
        self.acknowledged = acknowledged
        self.pausedUntil = pausedUntil
    }
}

extension Subscription: Message {
    static var unpack: Unpack<Dormouse__V1__Subscription> { dormouse__v1__subscription__unpack }

    init(_ unpacked: Dormouse__V1__Subscription) throws(Failure) {
        self.init(
            exchange: [UInt8](unpacked.exchange),
            name: [UInt8](unpacked.name),
            config: try ReceiverConfigMessage(optional: unpacked.config),
            state: try SubscriberState(unpacked: unpacked.state.rawValue),
            reason: [UInt8](unpacked.reason),
            position: unpacked.position,
            sent: unpacked.sent,
            head: unpacked.head,
            since: unpacked.since,
            oldestWaitingAt: unpacked.oldest_waiting_at,
            peer: [UInt8](unpacked.peer),
            client: [UInt8](unpacked.client),
            principal: [UInt8](unpacked.principal),
            delivered: unpacked.delivered,
            acknowledged: unpacked.acknowledged,
            pausedUntil: unpacked.paused_until)
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.exchange)
        bytes.writeBytes(2, self.name)
        if self.config != ReceiverConfigMessage() {
            bytes.writeMessage(3) { self.config.encode(into: &$0) }
        }
        bytes.writeUInt32(4, UInt32(self.state.rawValue))
        bytes.writeBytes(5, self.reason)
        bytes.writeFixed64(6, self.position)
        bytes.writeFixed64(7, self.sent)
        bytes.writeFixed64(8, self.head)
        bytes.writeFixed64(9, self.since)
        bytes.writeFixed64(10, self.oldestWaitingAt)
        bytes.writeBytes(11, self.peer)
        bytes.writeBytes(12, self.client)
        bytes.writeBytes(13, self.principal)
        bytes.writeFixed64(14, self.delivered)
        bytes.writeFixed64(15, self.acknowledged)
        bytes.writeFixed64(16, self.pausedUntil)
    }
}

/// Asks for a page of subscribers.
package struct ListRequest: Hashable, Sendable {
    /// Empty: `main`.
    package var exchange: [UInt8]
    package var namePrefix: [UInt8]
    /// 0: the server's default.
    package var pageSize: UInt32
    /// From the reply before; empty: the first page.
    package var pageToken: [UInt8]

    package init(
        exchange: [UInt8] = [], namePrefix: [UInt8] = [], pageSize: UInt32 = 0,
        pageToken: [UInt8] = []
    ) {
        self.exchange = exchange
        self.namePrefix = namePrefix
        self.pageSize = pageSize
        self.pageToken = pageToken
    }
}

extension ListRequest: Message {
    static var unpack: Unpack<Dormouse__V1__ListRequest> { dormouse__v1__list_request__unpack }

    init(_ unpacked: Dormouse__V1__ListRequest) throws(Failure) {
        self.init(
            exchange: [UInt8](unpacked.exchange),
            namePrefix: [UInt8](unpacked.name_prefix),
            pageSize: unpacked.page_size,
            pageToken: [UInt8](unpacked.page_token))
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.exchange)
        bytes.writeBytes(2, self.namePrefix)
        bytes.writeUInt32(3, self.pageSize)
        bytes.writeBytes(4, self.pageToken)
    }
}

/// A page of subscribers.
package struct ListReply: Hashable, Sendable {
    package var subscriptions: [Subscription]
    /// Empty: this was the last page.
    package var nextPageToken: [UInt8]

    package init(subscriptions: [Subscription] = [], nextPageToken: [UInt8] = []) {
        self.subscriptions = subscriptions
        self.nextPageToken = nextPageToken
    }
}

extension ListReply: Message {
    static var unpack: Unpack<Dormouse__V1__ListReply> { dormouse__v1__list_reply__unpack }

    init(_ unpacked: Dormouse__V1__ListReply) throws(Failure) {
        self.init(
            subscriptions: try Subscription.all(
                unpacked.subscriptions, count: unpacked.n_subscriptions),
            nextPageToken: [UInt8](unpacked.next_page_token))
    }

    package func encode(into bytes: inout [UInt8]) {
        for each in self.subscriptions {
            bytes.writeMessage(1) { each.encode(into: &$0) }
        }
        bytes.writeBytes(2, self.nextPageToken)
    }
}

/// A receiver and how many subscribers it has.
package struct ReceiverInfo: Hashable, Sendable {
    package var exchange: [UInt8]
    package var id: UInt64
    package var config: ReceiverConfigMessage
    package var awake: UInt32
    package var sleeping: UInt32

    package init(
        exchange: [UInt8] = [], id: UInt64 = 0,
        config: ReceiverConfigMessage = ReceiverConfigMessage(), awake: UInt32 = 0,
        sleeping: UInt32 = 0
    ) {
        self.exchange = exchange
        self.id = id
        self.config = config
        self.awake = awake
        self.sleeping = sleeping
    }
}

extension ReceiverInfo: Message {
    static var unpack: Unpack<Dormouse__V1__ReceiverInfo> { dormouse__v1__receiver_info__unpack }

    init(_ unpacked: Dormouse__V1__ReceiverInfo) throws(Failure) {
        self.init(
            exchange: [UInt8](unpacked.exchange),
            id: unpacked.id,
            config: try ReceiverConfigMessage(optional: unpacked.config),
            awake: unpacked.awake,
            sleeping: unpacked.sleeping)
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.exchange)
        bytes.writeFixed64(2, self.id)
        if self.config != ReceiverConfigMessage() {
            bytes.writeMessage(3) { self.config.encode(into: &$0) }
        }
        bytes.writeUInt32(4, self.awake)
        bytes.writeUInt32(5, self.sleeping)
    }
}

/// Asks for the receivers of an exchange.
package struct ListReceiversRequest: Hashable, Sendable {
    /// Empty: `main`.
    package var exchange: [UInt8]

    package init(exchange: [UInt8] = []) {
        self.exchange = exchange
    }
}

extension ListReceiversRequest: Message {
    static var unpack: Unpack<Dormouse__V1__ListReceiversRequest> {
        dormouse__v1__list_receivers_request__unpack
    }

    init(_ unpacked: Dormouse__V1__ListReceiversRequest) throws(Failure) {
        self.init(
            exchange: [UInt8](unpacked.exchange))
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.exchange)
    }
}

/// The receivers of an exchange.
package struct ListReceiversReply: Hashable, Sendable {
    package var receivers: [ReceiverInfo]

    package init(receivers: [ReceiverInfo] = []) {
        self.receivers = receivers
    }
}

extension ListReceiversReply: Message {
    static var unpack: Unpack<Dormouse__V1__ListReceiversReply> {
        dormouse__v1__list_receivers_reply__unpack
    }

    init(_ unpacked: Dormouse__V1__ListReceiversReply) throws(Failure) {
        self.init(
            receivers: try ReceiverInfo.all(unpacked.receivers, count: unpacked.n_receivers))
    }

    package func encode(into bytes: inout [UInt8]) {
        for each in self.receivers {
            bytes.writeMessage(1) { each.encode(into: &$0) }
        }
    }
}
