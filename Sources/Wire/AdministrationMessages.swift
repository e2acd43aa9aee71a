import CWire
import Core

/// Moves a subscriber.
package struct SeekRequest: Hashable, Sendable {
    /// Empty: `main`.
    package var exchange: [UInt8]
    package var name: [UInt8]
    package var start: Start
    /// A position, or microseconds since 1970 UTC.
    package var startValue: UInt64

    package init(
        exchange: [UInt8] = [], name: [UInt8] = [], start: Start = .next, startValue: UInt64 = 0
    ) {
        self.exchange = exchange
        self.name = name
        self.start = start
        self.startValue = startValue
    }
}

extension SeekRequest: Message {
    static var unpack: Unpack<Dormouse__V1__SeekRequest> { dormouse__v1__seek_request__unpack }

    init(_ unpacked: Dormouse__V1__SeekRequest) throws(Failure) {
        self.init(
            exchange: [UInt8](unpacked.exchange),
            name: [UInt8](unpacked.name),
            start: try Start(unpacked: unpacked.start.rawValue),
            startValue: unpacked.start_value)
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.exchange)
        bytes.writeBytes(2, self.name)
        bytes.writeUInt32(3, UInt32(self.start.rawValue))
        bytes.writeFixed64(4, self.startValue)
    }
}

/// Where the subscriber is and was.
package struct SeekReply: Hashable, Sendable {
    package var position: UInt64
    package var previous: UInt64

    package init(position: UInt64 = 0, previous: UInt64 = 0) {
        self.position = position
        self.previous = previous
    }
}

extension SeekReply: Message {
    static var unpack: Unpack<Dormouse__V1__SeekReply> { dormouse__v1__seek_reply__unpack }

    init(_ unpacked: Dormouse__V1__SeekReply) throws(Failure) {
        self.init(
            position: unpacked.position,
            previous: unpacked.previous)
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeFixed64(1, self.position)
        bytes.writeFixed64(2, self.previous)
    }
}

/// Pauses or resumes a subscriber.
package struct PauseRequest: Hashable, Sendable {
    /// Empty: `main`.
    package var exchange: [UInt8]
    package var name: [UInt8]
    /// Microseconds since 1970 UTC; 0: resume.
    package var until: UInt64
    /// For people.
    package var reason: [UInt8]

    package init(
        exchange: [UInt8] = [], name: [UInt8] = [], until: UInt64 = 0, reason: [UInt8] = []
    ) {
        self.exchange = exchange
        self.name = name
        self.until = until
        self.reason = reason
    }
}

extension PauseRequest: Message {
    static var unpack: Unpack<Dormouse__V1__PauseRequest> { dormouse__v1__pause_request__unpack }

    init(_ unpacked: Dormouse__V1__PauseRequest) throws(Failure) {
        self.init(
            exchange: [UInt8](unpacked.exchange),
            name: [UInt8](unpacked.name),
            until: unpacked.until,
            reason: [UInt8](unpacked.reason))
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.exchange)
        bytes.writeBytes(2, self.name)
        bytes.writeFixed64(3, self.until)
        bytes.writeBytes(4, self.reason)
    }
}

/// The subscriber is paused or resumed.
package struct PauseReply: Hashable, Sendable {
    package init() {}
}

extension PauseReply: Message {
    static var unpack: Unpack<Dormouse__V1__PauseReply> { dormouse__v1__pause_reply__unpack }

    init(_ unpacked: Dormouse__V1__PauseReply) throws(Failure) {
        self.init()
    }

    package func encode(into bytes: inout [UInt8]) {}
}

/// Removes a subscriber.
package struct ForgetRequest: Hashable, Sendable {
    /// Empty: `main`.
    package var exchange: [UInt8]
    package var name: [UInt8]

    package init(exchange: [UInt8] = [], name: [UInt8] = []) {
        self.exchange = exchange
        self.name = name
    }
}

extension ForgetRequest: Message {
    static var unpack: Unpack<Dormouse__V1__ForgetRequest> { dormouse__v1__forget_request__unpack }

    init(_ unpacked: Dormouse__V1__ForgetRequest) throws(Failure) {
        self.init(
            exchange: [UInt8](unpacked.exchange),
            name: [UInt8](unpacked.name))
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.exchange)
        bytes.writeBytes(2, self.name)
    }
}

/// Whether there was such a subscriber.
package struct ForgetReply: Hashable, Sendable {
    package var existed: Bool

    package init(existed: Bool = false) {
        self.existed = existed
    }
}

extension ForgetReply: Message {
    static var unpack: Unpack<Dormouse__V1__ForgetReply> { dormouse__v1__forget_reply__unpack }

    init(_ unpacked: Dormouse__V1__ForgetReply) throws(Failure) {
        self.init(
            existed: unpacked.existed != 0)
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBool(1, self.existed)
    }
}

/// Creates an exchange.
package struct ExchangeRequest: Hashable, Sendable {
    package var name: [UInt8]

    package init(name: [UInt8] = []) {
        self.name = name
    }
}

extension ExchangeRequest: Message {
    static var unpack: Unpack<Dormouse__V1__ExchangeRequest> {
        dormouse__v1__exchange_request__unpack
    }

    init(_ unpacked: Dormouse__V1__ExchangeRequest) throws(Failure) {
        self.init(
            name: [UInt8](unpacked.name))
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.name)
    }
}

/// An exchange.
package struct ExchangeInfo: Hashable, Sendable {
    package var name: [UInt8]
    /// Oldest position that is left.
    package var first: UInt64
    /// Newest committed position.
    package var head: UInt64
    package var bytes: UInt64
    package var epoch: UInt64
    package var receivers: UInt32
    package var subscribers: UInt32

    package init(
        name: [UInt8] = [], first: UInt64 = 0, head: UInt64 = 0, bytes: UInt64 = 0,
        epoch: UInt64 = 0, receivers: UInt32 = 0, subscribers: UInt32 = 0
    ) {
        self.name = name
        self.first = first
        self.head = head
        self.bytes = bytes
        self.epoch = epoch
        self.receivers = receivers
        self.subscribers = subscribers
    }
}

extension ExchangeInfo: Message {
    static var unpack: Unpack<Dormouse__V1__ExchangeInfo> { dormouse__v1__exchange_info__unpack }

    init(_ unpacked: Dormouse__V1__ExchangeInfo) throws(Failure) {
        self.init(
            name: [UInt8](unpacked.name),
            first: unpacked.first,
            head: unpacked.head,
            bytes: unpacked.bytes,
            epoch: unpacked.epoch,
            receivers: unpacked.receivers,
            subscribers: unpacked.subscribers)
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.name)
        bytes.writeFixed64(2, self.first)
        bytes.writeFixed64(3, self.head)
        bytes.writeFixed64(4, self.bytes)
        bytes.writeFixed64(5, self.epoch)
        bytes.writeUInt32(6, self.receivers)
        bytes.writeUInt32(7, self.subscribers)
    }
}

/// Asks for all exchanges.
package struct ExchangesRequest: Hashable, Sendable {
    package init() {}
}

extension ExchangesRequest: Message {
    static var unpack: Unpack<Dormouse__V1__ExchangesRequest> {
        dormouse__v1__exchanges_request__unpack
    }

    init(_ unpacked: Dormouse__V1__ExchangesRequest) throws(Failure) {
        self.init()
    }

    package func encode(into bytes: inout [UInt8]) {}
}

/// All exchanges.
package struct ExchangesReply: Hashable, Sendable {
    package var exchanges: [ExchangeInfo]

    package init(exchanges: [ExchangeInfo] = []) {
        self.exchanges = exchanges
    }
}

extension ExchangesReply: Message {
    static var unpack: Unpack<Dormouse__V1__ExchangesReply> {
        dormouse__v1__exchanges_reply__unpack
    }

    init(_ unpacked: Dormouse__V1__ExchangesReply) throws(Failure) {
        self.init(
            exchanges: try ExchangeInfo.all(unpacked.exchanges, count: unpacked.n_exchanges))
    }

    package func encode(into bytes: inout [UInt8]) {
        for each in self.exchanges {
            bytes.writeMessage(1) { each.encode(into: &$0) }
        }
    }
}
