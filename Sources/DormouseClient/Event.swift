/// An event: a key to route by, and a payload that nobody but its readers looks into.
public struct Event: Hashable, Sendable {
    /// Words of `A-Z a-z 0-9 _ -` joined by dots, at most 255 bytes.
    public var key: String
    /// Up to the server's limit, 1 MB unless it was changed.
    public var payload: [UInt8]
    /// Your own, at most 64 bytes.
    public var id: [UInt8]
    /// Such as `application/json`; empty = not said.
    public var contentType: String
    /// In this order; names may repeat.
    public var headers: [Header]
    /// 1, 2, 3 … in its exchange. The server sets it; ignored when publishing.
    public let position: UInt64
    /// Microseconds since 1970 UTC. The server sets it; ignored when publishing.
    public let publishedAt: UInt64

    /// An event to publish.
    public init(
        key: String, payload: [UInt8], id: [UInt8] = [], contentType: String = "",
        headers: [Header] = []
    ) {
        self.init(
            key: key, payload: payload, id: id, contentType: contentType, headers: headers,
            position: 0, publishedAt: 0)
    }

    /// An event whose payload is text.
    public init(key: String, _ text: String) {
        self.init(key: key, payload: Array(text.utf8))
    }

    /// An event as it stood in a log.
    public init(
        key: String, payload: [UInt8], id: [UInt8], contentType: String, headers: [Header],
        position: UInt64, publishedAt: UInt64
    ) {
        self.key = key
        self.payload = payload
        self.id = id
        self.contentType = contentType
        self.headers = headers
        self.position = position
        self.publishedAt = publishedAt
    }

    /// The payload as text; bytes that are no UTF-8 are replaced.
    public var text: String { String(decoding: self.payload, as: UTF8.self) }

    /// A name and a value, which filters can look at.
    public struct Header: Hashable, Sendable {
        /// Of any characters.
        public var name: String
        /// Any bytes.
        public var value: [UInt8]

        /// A header with any value.
        public init(name: String, value: [UInt8]) {
            self.name = name
            self.value = value
        }

        /// A header whose value is text.
        public init(_ name: String, _ text: String) {
            self.init(name: name, value: Array(text.utf8))
        }
    }
}

/// Where a publish is in the log. Its COMMIT has returned.
public struct Published: Hashable, Sendable {
    /// Of the first event that was new; 0 when all were in the log already.
    public let first: UInt64
    /// Of the last event.
    public let last: UInt64
    /// Leading events that an earlier attempt had stored.
    public let duplicates: Int
}

/// Which events: any of the patterns (none = all keys) and all of the header matches.
public struct Filter: Hashable, Sendable {
    /// AMQP topic patterns: `*` stands for one word, `#` for any number.
    public var patterns: [String]
    /// All of them must match.
    public var headers: [HeaderMatch]

    /// All events.
    public static let everything = Filter()

    /// Any of these patterns and all of these matches.
    public init(_ patterns: String..., headers: [HeaderMatch] = []) {
        self.init(patterns: patterns, headers: headers)
    }

    /// Any of these patterns and all of these matches.
    public init(patterns: [String], headers: [HeaderMatch] = []) {
        self.patterns = patterns
        self.headers = headers
    }
}

/// What a header must be like.
public enum HeaderMatch: Hashable, Sendable {
    case equals(String, [UInt8])
    case prefix(String, [UInt8])
    case exists(String)
    case absent(String)
}

/// Where to begin in a log.
public enum Start: Hashable, Sendable {
    /// With what is published from now on.
    case next
    case first
    /// With the newest event.
    case last
    /// With the event at this position.
    case position(UInt64)
    /// With the first event that is not older; microseconds since 1970 UTC.
    case time(UInt64)
}
