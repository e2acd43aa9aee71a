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
}

extension Client {
    /// By name; `prefix` is of the names.
    public func subscribers(prefix: String = "", exchange: String? = nil)
        async throws(DormouseError) -> [SubscriberInfo]
    {
        try await self.connection.list { client, timeout, list in
            dormouse_list_subscribers(
                client, exchange, prefix, timeout,
                { context, info in List<SubscriberInfo>.add(context, info) { SubscriberInfo($0) } },
                list)
        }
    }

    /// All receivers of an exchange.
    public func receivers(exchange: String? = nil) async throws(DormouseError) -> [ReceiverInfo] {
        try await self.connection.list { client, timeout, list in
            dormouse_list_receivers(
                client, exchange, timeout,
                { context, info in List<ReceiverInfo>.add(context, info) { ReceiverInfo($0) } },
                list)
        }
    }

    /// All exchanges, by name.
    public func exchanges() async throws(DormouseError) -> [ExchangeInfo] {
        try await self.connection.list { client, timeout, list in
            dormouse_list_exchanges(
                client, timeout,
                { context, info in List<ExchangeInfo>.add(context, info) { ExchangeInfo($0) } },
                list)
        }
    }

    /// What the server says of itself.
    public func server() async throws(DormouseError) -> ServerInfo {
        let found: [ServerInfo] = try await self.connection.list { client, timeout, list in
            dormouse_describe_server(
                client, timeout,
                { context, info in List<ServerInfo>.add(context, info) { ServerInfo($0) } }, list)
        }
        guard let first = found.first else {
            throw DormouseError(.internal, "the server did not describe itself")
        }
        return first
    }
}

/// Gathers what the library lends entry by entry.
private final class List<Entry> {
    var entries: [Entry] = []

    static func add<Info>(
        _ context: UnsafeMutableRawPointer?, _ info: UnsafePointer<Info>?,
        _ copy: (Info) -> Entry
    ) -> Bool {
        guard let context, let info else { return false }
        Unmanaged<List<Entry>>.fromOpaque(context).takeUnretainedValue().entries
            .append(copy(info.pointee))
        return true
    }
}

extension Connection {
    fileprivate func list<Entry: Sendable>(
        _ body: (OpaquePointer, Int32, UnsafeMutableRawPointer) -> dormouse_status
    ) throws(DormouseError) -> [Entry] {
        let list = List<Entry>()
        try self.administer { client, timeout in
            (body(client, timeout, Unmanaged.passUnretained(list).toOpaque()), ())
        }
        return list.entries
    }
}

extension Filter {
    fileprivate init(_ config: dormouse_config_info) {
        let patterns = UnsafeBufferPointer(start: config.patterns, count: config.pattern_count)
        let matches = UnsafeBufferPointer(
            start: config.header_matches, count: config.header_match_count)
        self.init(patterns: patterns.map { String($0) }, headers: matches.map { HeaderMatch($0) })
    }
}

extension HeaderMatch {
    fileprivate init(_ match: dormouse_header_match) {
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
    fileprivate init(_ info: dormouse_subscriber_info) {
        self.init(
            name: String(info.name), exchange: String(info.config.exchange),
            filter: Filter(info.config), state: State(info.state), reason: String(info.reason),
            position: info.position, sent: info.sent, head: info.head, since: info.since,
            oldestWaitingAt: info.oldest_waiting_at, peer: String(info.peer),
            client: String(info.client), principal: String(info.principal),
            delivered: info.delivered, acknowledged: info.acknowledged)
    }
}

extension SubscriberInfo.State {
    fileprivate init(_ state: dormouse_subscriber_state) {
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
    fileprivate init(_ info: dormouse_receiver_info) {
        self.init(
            id: info.id, exchange: String(info.config.exchange), filter: Filter(info.config),
            awake: Int(info.awake), sleeping: Int(info.sleeping))
    }
}

extension ExchangeInfo {
    fileprivate init(_ info: dormouse_exchange_info) {
        self.init(
            name: String(info.name), first: info.first, head: info.head, bytes: info.bytes,
            epoch: info.epoch, receivers: Int(info.receivers), subscribers: Int(info.subscribers))
    }
}

extension ServerInfo {
    fileprivate init(_ info: dormouse_server_info) {
        self.init(
            server: String(info.server), incarnation: Array(info.incarnation),
            startedAt: info.started_at, connections: Int(info.connections),
            published: info.published, delivered: info.delivered,
            isStoreAvailable: info.store_available, storeReason: String(info.store_reason))
    }
}
