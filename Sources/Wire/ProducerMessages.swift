import CWire
import Core

/// Sent after the commit.
package struct PublishReply: Hashable, Sendable {
    /// Of the first event that was new; 0 if none was.
    package var firstPosition: UInt64
    package var lastPosition: UInt64
    /// How many leading events were already in the log.
    package var duplicates: UInt32

    package init(firstPosition: UInt64 = 0, lastPosition: UInt64 = 0, duplicates: UInt32 = 0) {
        self.firstPosition = firstPosition
        self.lastPosition = lastPosition
        self.duplicates = duplicates
    }
}

extension PublishReply: Message {
    static var unpack: Unpack<Dormouse__V1__PublishReply> { dormouse__v1__publish_reply__unpack }

    init(_ unpacked: Dormouse__V1__PublishReply) throws(Failure) {
        self.init(
            firstPosition: unpacked.first_position,
            lastPosition: unpacked.last_position,
            duplicates: unpacked.duplicates)
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeFixed64(1, self.firstPosition)
        bytes.writeFixed64(2, self.lastPosition)
        bytes.writeUInt32(3, self.duplicates)
    }
}

/// Asks for the last stored sequence of a producer.
package struct ProducerRequest: Hashable, Sendable {
    /// Empty: `main`.
    package var exchange: [UInt8]
    package var producer: [UInt8]

    package init(exchange: [UInt8] = [], producer: [UInt8] = []) {
        self.exchange = exchange
        self.producer = producer
    }
}

extension ProducerRequest: Message {
    static var unpack: Unpack<Dormouse__V1__ProducerRequest> {
        dormouse__v1__producer_request__unpack
    }

    init(_ unpacked: Dormouse__V1__ProducerRequest) throws(Failure) {
        self.init(
            exchange: [UInt8](unpacked.exchange),
            producer: [UInt8](unpacked.producer))
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.exchange)
        bytes.writeBytes(2, self.producer)
    }
}

/// Last stored sequence and its position; both 0 for a producer that was never seen.
package struct ProducerReply: Hashable, Sendable {
    package var sequence: UInt64
    package var position: UInt64

    package init(sequence: UInt64 = 0, position: UInt64 = 0) {
        self.sequence = sequence
        self.position = position
    }
}

extension ProducerReply: Message {
    static var unpack: Unpack<Dormouse__V1__ProducerReply> { dormouse__v1__producer_reply__unpack }

    init(_ unpacked: Dormouse__V1__ProducerReply) throws(Failure) {
        self.init(
            sequence: unpacked.sequence,
            position: unpacked.position)
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeFixed64(1, self.sequence)
        bytes.writeFixed64(2, self.position)
    }
}
