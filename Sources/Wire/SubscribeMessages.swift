import CWire
import Core

/// Where a new subscriber begins.
package enum Start: UInt8, Hashable, Sendable, CaseIterable {
    /// With the next event that is published.
    case next = 0
    /// With the oldest event of the log.
    case first = 1
    /// With the newest event of the log.
    case last = 2
    /// With the event at the position in `startValue`.
    case position = 3
    /// With the first event at or after the time in `startValue`.
    case time = 4
}

/// What moves a subscriber's durable position.
package enum Acknowledgement: UInt8, Hashable, Sendable, CaseIterable {
    /// `AcknowledgeRequest` only.
    case manual = 0
    /// Handing the bytes to the socket.
    case onSend = 1
}

/// Opens a stream of deliveries. Numbers are raw; the engine checks them.
package struct SubscribeRequest: Hashable, Sendable {
    /// Empty: forgotten when the stream ends.
    package var name: [UInt8]
    package var config: ReceiverConfigMessage
    package var start: Start
    /// A position, or microseconds since 1970 UTC.
    package var startValue: UInt64
    /// Apply `start` to an existing subscriber too.
    package var reposition: Bool
    /// Otherwise another config than the stored one is FAILED_PRECONDITION.
    package var replaceConfig: Bool
    package var acknowledgement: Acknowledgement
    /// 0: the server's default.
    package var creditEvents: UInt32
    /// 0: the server's default.
    package var creditBytes: UInt32
    /// 0: no deadline.
    package var acknowledgeWithinMilliseconds: UInt32
    /// Highest position that this consumer has processed; 0: unknown.
    package var lastSeen: UInt64
    /// Of the log in which `lastSeen` was processed.
    package var lastIncarnation: [UInt8]

    package init(
        name: [UInt8] = [], config: ReceiverConfigMessage = ReceiverConfigMessage(),
        start: Start = .next, startValue: UInt64 = 0, reposition: Bool = false,
        replaceConfig: Bool = false, acknowledgement: Acknowledgement = .manual,
        creditEvents: UInt32 = 0, creditBytes: UInt32 = 0,
        acknowledgeWithinMilliseconds: UInt32 = 0, lastSeen: UInt64 = 0,
        lastIncarnation: [UInt8] = []
    ) {
        self.name = name
        self.config = config
        self.start = start
        self.startValue = startValue
        self.reposition = reposition
        self.replaceConfig = replaceConfig
        self.acknowledgement = acknowledgement
        self.creditEvents = creditEvents
        self.creditBytes = creditBytes
        self.acknowledgeWithinMilliseconds = acknowledgeWithinMilliseconds
        self.lastSeen = lastSeen
        self.lastIncarnation = lastIncarnation
    }
}

extension SubscribeRequest: Message {
    static var unpack: Unpack<Dormouse__V1__SubscribeRequest> {
        dormouse__v1__subscribe_request__unpack
    }

    init(_ unpacked: Dormouse__V1__SubscribeRequest) throws(Failure) {
        self.init(
            name: [UInt8](unpacked.name),
            config: try ReceiverConfigMessage(optional: unpacked.config),
            start: try Start(unpacked: unpacked.start.rawValue),
            startValue: unpacked.start_value,
            reposition: unpacked.reposition != 0,
            replaceConfig: unpacked.replace_config != 0,
            acknowledgement: try Acknowledgement(unpacked: unpacked.acknowledgement.rawValue),
            creditEvents: unpacked.credit_events,
            creditBytes: unpacked.credit_bytes,
            acknowledgeWithinMilliseconds: unpacked.acknowledge_within_ms,
            lastSeen: unpacked.last_seen,
            lastIncarnation: [UInt8](unpacked.last_incarnation))
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.name)
        if self.config != ReceiverConfigMessage() {
            bytes.writeMessage(2) { self.config.encode(into: &$0) }
        }
        bytes.writeUInt32(3, UInt32(self.start.rawValue))
        bytes.writeFixed64(4, self.startValue)
        bytes.writeBool(5, self.reposition)
        bytes.writeBool(6, self.replaceConfig)
        bytes.writeUInt32(7, UInt32(self.acknowledgement.rawValue))
        bytes.writeUInt32(8, self.creditEvents)
        bytes.writeUInt32(9, self.creditBytes)
        bytes.writeUInt32(10, self.acknowledgeWithinMilliseconds)
        bytes.writeFixed64(11, self.lastSeen)
        bytes.writeBytes(12, self.lastIncarnation)
    }
}

/// Everything up to `upto` is processed.
package struct AcknowledgeRequest: Hashable, Sendable {
    package var stream: UInt32
    package var upto: UInt64

    package init(stream: UInt32 = 0, upto: UInt64 = 0) {
        self.stream = stream
        self.upto = upto
    }
}

extension AcknowledgeRequest: Message {
    static var unpack: Unpack<Dormouse__V1__AcknowledgeRequest> {
        dormouse__v1__acknowledge_request__unpack
    }

    init(_ unpacked: Dormouse__V1__AcknowledgeRequest) throws(Failure) {
        self.init(
            stream: unpacked.stream,
            upto: unpacked.upto)
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeUInt32(1, self.stream)
        bytes.writeFixed64(2, self.upto)
    }
}

/// The durable position after an acknowledgement.
package struct AcknowledgeReply: Hashable, Sendable {
    package var position: UInt64

    package init(position: UInt64 = 0) {
        self.position = position
    }
}

extension AcknowledgeReply: Message {
    static var unpack: Unpack<Dormouse__V1__AcknowledgeReply> {
        dormouse__v1__acknowledge_reply__unpack
    }

    init(_ unpacked: Dormouse__V1__AcknowledgeReply) throws(Failure) {
        self.init(
            position: unpacked.position)
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeFixed64(1, self.position)
    }
}

/// Adds to the credit of a stream.
package struct GrantRequest: Hashable, Sendable {
    package var stream: UInt32
    package var events: UInt32
    package var bytes: UInt32

    package init(stream: UInt32 = 0, events: UInt32 = 0, bytes: UInt32 = 0) {
        self.stream = stream
        self.events = events
        self.bytes = bytes
    }
}

extension GrantRequest: Message {
    static var unpack: Unpack<Dormouse__V1__GrantRequest> { dormouse__v1__grant_request__unpack }

    init(_ unpacked: Dormouse__V1__GrantRequest) throws(Failure) {
        self.init(
            stream: unpacked.stream,
            events: unpacked.events,
            bytes: unpacked.bytes)
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeUInt32(1, self.stream)
        bytes.writeUInt32(2, self.events)
        bytes.writeUInt32(3, self.bytes)
    }
}

/// Credit was added.
package struct GrantReply: Hashable, Sendable {
    package init() {}
}

extension GrantReply: Message {
    static var unpack: Unpack<Dormouse__V1__GrantReply> { dormouse__v1__grant_reply__unpack }

    init(_ unpacked: Dormouse__V1__GrantReply) throws(Failure) {
        self.init()
    }

    package func encode(into bytes: inout [UInt8]) {}
}

/// Puts a subscriber to sleep, by name, from any connection.
package struct StopRequest: Hashable, Sendable {
    /// Empty: `main`.
    package var exchange: [UInt8]
    package var name: [UInt8]

    package init(exchange: [UInt8] = [], name: [UInt8] = []) {
        self.exchange = exchange
        self.name = name
    }
}

extension StopRequest: Message {
    static var unpack: Unpack<Dormouse__V1__StopRequest> { dormouse__v1__stop_request__unpack }

    init(_ unpacked: Dormouse__V1__StopRequest) throws(Failure) {
        self.init(
            exchange: [UInt8](unpacked.exchange),
            name: [UInt8](unpacked.name))
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.exchange)
        bytes.writeBytes(2, self.name)
    }
}

/// The subscriber sleeps.
package struct StopReply: Hashable, Sendable {
    package var wasAwake: Bool
    /// Its durable position.
    package var position: UInt64

    package init(wasAwake: Bool = false, position: UInt64 = 0) {
        self.wasAwake = wasAwake
        self.position = position
    }
}

extension StopReply: Message {
    static var unpack: Unpack<Dormouse__V1__StopReply> { dormouse__v1__stop_reply__unpack }

    init(_ unpacked: Dormouse__V1__StopReply) throws(Failure) {
        self.init(
            wasAwake: unpacked.was_awake != 0,
            position: unpacked.position)
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBool(1, self.wasAwake)
        bytes.writeFixed64(2, self.position)
    }
}
