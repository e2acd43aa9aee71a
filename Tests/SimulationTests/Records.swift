import Core
import Wire

/// A promise that a run can break.
enum Invariant: String {
    case dense = "positions are dense and immutable"
    case times = "times do not run backwards"
    case invention = "only what was published is in the log"
    case acknowledgedIsStored = "what was acknowledged is in the log"
    case together = "the events of a request enter the log together"
    case producerSequence = "no event of a producer twice, sequences ascend"
    case ownership = "only the owner writes"
    case appendOrder = "appends are handed over in their order"
    case durableBeforeVisible = "durable before visible"
    case chain = "delivered ranges chain"
    case matching = "exactly the matching events, in order"
    case start = "a consumer starts where it should"
    case redelivered = "what comes again is marked"
    case credit = "credit is not exceeded"
    case positionBound = "no position beyond what was sent and confirmed"
    case positionMonotone = "stored positions do not move back"
    case answeredOnce = "every request is answered once"
    case answered = "no internal error"
    case decoding = "every byte that the server sends can be decoded"
    case memory = "memory is bounded"
    case storedAsKnown = "whoever is awake is stored as it is known"
    case granted = "nobody is sent what was not granted"
    case complete = "complete after quiet"
    case ends = "everything ends"
}

struct Broken {
    let invariant: Invariant
    let text: String
}

/// One publish as a client means it; a retry is the same attempt.
final class Attempt {
    let publisher: Int
    let exchange: ExchangeID
    let producer: Name?
    let sequence: UInt64
    let events: [Event]
    /// It was sent once; from now on it is sent again.
    var isRetried = false

    init(
        publisher: Int, exchange: ExchangeID, producer: Name?, sequence: UInt64, events: [Event]
    ) {
        self.publisher = publisher
        self.exchange = exchange
        self.producer = producer
        self.sequence = sequence
        self.events = events
    }

    var last: UInt64 { self.sequence + UInt64(self.events.count) - 1 }
}

/// An event of the log as the checks see it.
struct LogEntry {
    let event: Event
    /// What it costs in credit.
    let cost: Int
    let words: [[UInt8]]
}

/// A subscription as its client asked for it, and what came on it.
final class StreamRecord {
    let exchange: ExchangeID
    let name: Name?
    let server: Int
    let request: SubscribeRequest
    let matcher: NaiveMatcher
    let headBefore: Position
    var grantedEvents: Int
    var grantedBytes: Int
    /// As the engine sent it.
    var sentUpto: Position?
    var sentEvents = 0
    var sentCost = 0
    /// As the client received it.
    var receivedUpto: Position?
    var receivedEvents = 0
    var receivedCost = 0
    var acknowledged = Position.origin

    init(
        exchange: ExchangeID, name: Name?, server: Int, request: SubscribeRequest,
        config: ReceiverConfig, headBefore: Position
    ) {
        self.exchange = exchange
        self.name = name
        self.server = server
        self.request = request
        self.matcher = NaiveMatcher(config)
        self.headBefore = headBefore
        self.grantedEvents = Int(request.creditEvents)
        self.grantedBytes = Int(request.creditBytes)
    }
}

struct FetchRecord {
    let exchange: ExchangeID
    let request: FetchRequest
    let matcher: NaiveMatcher
}

/// The filter written anew, as simply as possible: patterns by recursion over words.
struct NaiveMatcher {
    private let patterns: [[[UInt8]]]
    private let headers: [HeaderMatch]

    init(_ config: ReceiverConfig) {
        self.patterns = config.patterns.map { Self.words(Array($0.text.utf8)) }
        self.headers = config.headers
    }

    static func words(_ key: [UInt8]) -> [[UInt8]] {
        key.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).map(Array.init)
    }

    func matches(_ entry: LogEntry) -> Bool {
        self.matches(words: entry.words)
            && self.headers.allSatisfy { Self.matches($0, entry.event.headers) }
    }

    /// As far as keys tell.
    func matches(key: [UInt8]) -> Bool { self.matches(words: Self.words(key)) }

    private func matches(words: [[UInt8]]) -> Bool {
        self.patterns.isEmpty || self.patterns.contains { Self.matches($0[...], words[...]) }
    }

    private static func matches(_ pattern: ArraySlice<[UInt8]>, _ key: ArraySlice<[UInt8]>) -> Bool
    {
        guard let first = pattern.first else { return key.isEmpty }
        switch String(decoding: first, as: UTF8.self) {
        case "#":
            return Self.matches(pattern.dropFirst(), key)
                || (!key.isEmpty && Self.matches(pattern, key.dropFirst()))
        case "*":
            return !key.isEmpty && Self.matches(pattern.dropFirst(), key.dropFirst())
        default:
            return key.first == first && Self.matches(pattern.dropFirst(), key.dropFirst())
        }
    }

    private static func matches(_ match: HeaderMatch, _ headers: [Header]) -> Bool {
        let values = headers.filter { $0.name == match.name }.map(\.value)
        return switch match.kind {
        case .exists: !values.isEmpty
        case .absent: values.isEmpty
        case .equals: values.contains(match.value)
        case .prefix: values.contains { $0.starts(with: match.value) }
        }
    }
}
