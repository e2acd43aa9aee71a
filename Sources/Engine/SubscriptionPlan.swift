internal import Core
internal import Wire

/// A subscribe request, checked as far as that is possible without looking at anything else.
struct SubscriptionPlan: Sendable {
    let name: Name?
    let config: ReceiverConfig
    let start: StartPoint
    let reposition: Bool
    let replaceConfig: Bool
    let settings: ConsumerSettings
    let lastIncarnation: [UInt8]

    init(_ request: SubscribeRequest, limits: Limits) throws(Failure) {
        self.name =
            request.name.isEmpty ? nil : try Name(bytes: request.name, what: "subscriber's name")
        self.config = try request.config.checked()
        self.start = StartPoint(request.start, request.startValue)
        self.reposition = request.reposition
        self.replaceConfig = request.replaceConfig
        self.lastIncarnation = request.lastIncarnation
        self.settings = ConsumerSettings(
            acknowledgement: request.acknowledgement == .onSend ? .onSend : .manual,
            creditEvents: request.creditEvents == 0
                ? limits.creditEventsDefault : request.creditEvents,
            creditBytes: request.creditBytes == 0 ? limits.creditBytesDefault : request.creditBytes,
            acknowledgeWithinMilliseconds: request.acknowledgeWithinMilliseconds,
            lastSeen: Position(request.lastSeen))
    }
}

/// Where to begin.
enum StartPoint: Hashable, Sendable {
    case next
    case first
    case last
    /// The position of the first event that is wanted.
    case position(Position)
    case time(Timestamp)

    init(_ start: Start, _ value: UInt64) {
        self =
            switch start {
            case .next: .next
            case .first: .first
            case .last: .last
            case .position: .position(Position(value))
            case .time: .time(Timestamp(rawValue: value))
            }
    }
}
