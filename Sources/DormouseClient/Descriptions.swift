internal import CDormouse

/// A subscriber as the server describes it.
public struct SubscriberInfo: Hashable, Sendable {
    /// What a subscriber does.
    public enum State: Hashable, Sendable {
        case sleeping, live, replaying, waitingForCredit, paused
    }

    /// Unique in its exchange.
    public let name: String
    /// Where its events come from.
    public let exchange: String
    /// Which of them it gets.
    public let filter: Filter
    /// What it does now.
    public let state: State
    /// Why it sleeps, waits or is paused.
    public let reason: String
    /// Confirmed up to here.
    public let position: UInt64
    /// Sent up to here.
    public let sent: UInt64
    /// Newest position of the exchange.
    public let head: UInt64
    /// In this state since; microseconds since 1970 UTC.
    public let since: UInt64
    /// Publish time of the oldest event that is not confirmed; 0 = none.
    public let oldestWaitingAt: UInt64
    /// Address of its consumer; empty while it sleeps.
    public let peer: String
    /// What its consumer calls itself.
    public let client: String
    /// Whom the server took its consumer for.
    public let principal: String
    /// Events, since the server started.
    public let delivered: UInt64
    /// Positions confirmed, since the server started.
    public let acknowledged: UInt64
    /// While it is paused, when that ends; 0 = it is not, or the server is too old to say.
    public let pausedUntil: UInt64

    /// For tests of what shows it.
    public init(
        name: String, exchange: String, filter: Filter, state: State, reason: String = "",
        position: UInt64 = 0, sent: UInt64 = 0, head: UInt64 = 0, since: UInt64 = 0,
        oldestWaitingAt: UInt64 = 0, peer: String = "", client: String = "",
        principal: String = "", delivered: UInt64 = 0, acknowledged: UInt64 = 0,
        pausedUntil: UInt64 = 0
    ) {
        self.name = name
        self.exchange = exchange
        self.filter = filter
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

/// A row of the outbox that cannot be an event, and that the server has set aside.
public struct AsideRow: Hashable, Sendable {
    /// What `retryOutbox` and `dropOutbox` name it by.
    public let id: UInt64
    /// As the writer gave it; the beginning of it.
    public let exchange: String
    /// As the writer gave it; the beginning of it.
    public let key: String
    /// Why it cannot be an event.
    public let reason: String
    /// Bytes of its payload.
    public let payloadBytes: UInt64
    /// When the writer's transaction began; microseconds since 1970 UTC.
    public let insertedAt: UInt64

    init(_ row: dormouse_aside_row) {
        self.id = row.id
        self.exchange = String(row.exchange)
        self.key = String(row.key)
        self.reason = String(row.reason)
        self.payloadBytes = row.payload_bytes
        self.insertedAt = row.inserted_at
    }
}

/// A receiver: one distinct config of an exchange, with all its subscribers.
public struct ReceiverInfo: Hashable, Sendable {
    /// 0: only subscribers without a name use it.
    public let id: UInt64
    /// Where its events come from.
    public let exchange: String
    /// Which of them it gets.
    public let filter: Filter
    /// Subscribers with a consumer.
    public let awake: Int
    /// Subscribers without one.
    public let sleeping: Int
}

/// An exchange and how large it is.
public struct ExchangeInfo: Hashable, Sendable {
    /// Unique in its exchange.
    public let name: String
    /// The oldest and the newest position.
    public let first: UInt64
    /// Newest position of the exchange.
    public let head: UInt64
    /// Size of its log.
    public let bytes: UInt64
    /// Grows whenever a server takes it.
    public let epoch: UInt64
    /// How many receivers it has.
    public let receivers: Int
    /// How many names it has, awake or asleep.
    public let subscribers: Int
}

/// A connection of the server.
public struct ConnectionInfo: Hashable, Sendable {
    /// Never used again while the server runs.
    public let id: UInt64
    /// Its address, such as `127.0.0.1:51234`.
    public let peer: String
    /// What it calls itself; empty before its hello, as are the next two.
    public let client: String
    /// Its library and version.
    public let library: String
    /// Whom the server takes it for.
    public let principal: String
    /// Microseconds since 1970 UTC.
    public let since: UInt64
    /// How many subscriptions it consumes, those without a name too.
    public let subscriptions: Int
    /// The first of them, as `exchange/name`.
    public let names: [String]
    /// Events that were stored for it.
    public let published: UInt64
    /// Events that were sent to it.
    public let delivered: UInt64
    /// Bytes on their way to it that its socket has not taken yet.
    public let queuedBytes: UInt64
    /// Bytes that its socket has taken.
    public let sentBytes: UInt64
    /// Bytes that came from it.
    public let receivedBytes: UInt64
}

/// The server itself.
public struct ServerInfo: Hashable, Sendable {
    /// Name and version.
    public let server: String
    /// The 16 bytes that name its log.
    public let incarnation: [UInt8]
    /// Microseconds since 1970 UTC.
    public let startedAt: UInt64
    /// Open ones, this one included.
    public let connections: Int
    /// Events, since it started.
    public let published: UInt64
    /// Events, since it started.
    public let delivered: UInt64
    /// Whether its Postgres answers.
    public let isStoreAvailable: Bool
    /// What is wrong with the store.
    public let storeReason: String

    /// For tests of what shows it.
    public init(
        server: String = "", incarnation: [UInt8] = [], startedAt: UInt64 = 0,
        connections: Int = 0, published: UInt64 = 0, delivered: UInt64 = 0, isStoreAvailable: Bool,
        storeReason: String
    ) {
        self.server = server
        self.incarnation = incarnation
        self.startedAt = startedAt
        self.connections = connections
        self.published = published
        self.delivered = delivered
        self.isStoreAvailable = isStoreAvailable
        self.storeReason = storeReason
    }
}

// MARK: Copies of what the library lends

extension Filter {
    init(_ config: dormouse_config_info) {
        let patterns = UnsafeBufferPointer(start: config.patterns, count: config.pattern_count)
        let matches = UnsafeBufferPointer(
            start: config.header_matches, count: config.header_match_count)
        self.init(patterns: patterns.map { String($0) }, headers: matches.map { HeaderMatch($0) })
    }
}

extension HeaderMatch {
    init(_ match: dormouse_header_match) {
        let name = String(match.name)
        self =
            switch match.kind {
            case DORMOUSE_PREFIX: .prefix(name, Array(match.value))
            case DORMOUSE_EXISTS: .exists(name)
            case DORMOUSE_ABSENT: .absent(name)
            default: .equals(name, Array(match.value))
            }
    }
}

extension SubscriberInfo {
    init(_ info: dormouse_subscriber_info) {
        self.init(
            name: String(info.name), exchange: String(info.config.exchange),
            filter: Filter(info.config), state: State(info.state), reason: String(info.reason),
            position: info.position, sent: info.sent, head: info.head, since: info.since,
            oldestWaitingAt: info.oldest_waiting_at, peer: String(info.peer),
            client: String(info.client), principal: String(info.principal),
            delivered: info.delivered, acknowledged: info.acknowledged,
            pausedUntil: info.paused_until)
    }
}

extension SubscriberInfo.State {
    init(_ state: dormouse_subscriber_state) {
        self =
            switch state {
            case DORMOUSE_LIVE: .live
            case DORMOUSE_REPLAYING: .replaying
            case DORMOUSE_WAITING_FOR_CREDIT: .waitingForCredit
            case DORMOUSE_PAUSED_BY_HAND: .paused
            default: .sleeping
            }
    }
}

extension ReceiverInfo {
    init(_ info: dormouse_receiver_info) {
        self.init(
            id: info.id, exchange: String(info.config.exchange), filter: Filter(info.config),
            awake: Int(info.awake), sleeping: Int(info.sleeping))
    }
}

extension ExchangeInfo {
    init(_ info: dormouse_exchange_info) {
        self.init(
            name: String(info.name), first: info.first, head: info.head, bytes: info.bytes,
            epoch: info.epoch, receivers: Int(info.receivers), subscribers: Int(info.subscribers))
    }
}

extension ConnectionInfo {
    init(_ info: dormouse_connection_info) {
        let names = UnsafeBufferPointer(start: info.names, count: info.name_count)
        self.init(
            id: info.id, peer: String(info.peer), client: String(info.client),
            library: String(info.library), principal: String(info.principal), since: info.since,
            subscriptions: Int(info.subscription_count), names: names.map { String($0) },
            published: info.published, delivered: info.delivered, queuedBytes: info.queued_bytes,
            sentBytes: info.sent_bytes, receivedBytes: info.received_bytes)
    }
}

extension ServerInfo {
    init(_ info: dormouse_server_info) {
        self.init(
            server: String(info.server), incarnation: Array(info.incarnation),
            startedAt: info.started_at, connections: Int(info.connections),
            published: info.published, delivered: info.delivered,
            isStoreAvailable: info.store_available, storeReason: String(info.store_reason))
    }
}
