package import Core

// A delivery is the hot message of the way out, so it is not packed or unpacked as a whole: the
// server appends `DeliveryHeader` and then records (field 15) as they lie in chunks; a client walks
// through the fields with `FieldReader`. Unpacking by protobuf-c within a budget would refuse
// deliveries of many small events, which a server may send.

/// The fields of a delivery in front of its events.
package struct DeliveryHeader: Hashable, Sendable {
    /// The events are all matching ones in (after, upto].
    package var after: Position
    package var upto: Position
    /// Newest committed position of the exchange.
    package var head: Position
    /// Read from the log, not from the tail.
    package var replay: Bool
    /// May contain events that this name was sent before.
    package var redelivered: Bool

    /// Set: what follows the header are not event records but one block of LZ4 that becomes them.
    package var compressed: Compressed?

    package struct Compressed: Hashable, Sendable {
        /// Of the block.
        package let bytes: Int
        /// Of the records that it becomes.
        package let eventsBytes: Int

        package init(bytes: Int, eventsBytes: Int) {
            self.bytes = bytes
            self.eventsBytes = eventsBytes
        }

        /// Codec, size and the tag and length of the block.
        var encodedBytes: Int {
            2 + 1 + Varint.size(self.eventsBytes) + 1 + Varint.size(self.bytes)
        }
    }

    /// Most bytes that `encode` appends: three positions of 9, two booleans of 2, and 14 for what is compressed.
    package static let encodedBytesMax = 45

    package init(
        after: Position = .origin, upto: Position = .origin, head: Position = .origin,
        replay: Bool = false, redelivered: Bool = false
    ) {
        self.after = after
        self.upto = upto
        self.head = head
        self.replay = replay
        self.redelivered = redelivered
    }

    /// Bytes that `encode` appends.
    package var encodedBytes: Int {
        (self.after.rawValue == 0 ? 0 : 9) + (self.upto.rawValue == 0 ? 0 : 9)
            + (self.head.rawValue == 0 ? 0 : 9) + (self.replay ? 2 : 0)
            + (self.redelivered ? 2 : 0) + (self.compressed?.encodedBytes ?? 0)
    }

    /// Appends the fields 1 to 5, behind which event records follow as they are; or all up to the length of the
    /// compressed block, which follows.
    package func encode(into bytes: inout [UInt8]) {
        bytes.writeFixed64(1, self.after.rawValue)
        bytes.writeFixed64(2, self.upto.rawValue)
        bytes.writeFixed64(3, self.head.rawValue)
        bytes.writeBool(4, self.replay)
        bytes.writeBool(5, self.redelivered)
        guard let compressed = self.compressed else { return }
        bytes.writeUInt32(6, Self.lz4)
        bytes.writeUInt32(7, UInt32(clamping: compressed.eventsBytes))
        bytes.append(Self.compressedTag)
        Varint.append(UInt64(compressed.bytes), to: &bytes)
    }

    static let lz4: UInt32 = 1
    static let compressedField: UInt64 = 14
    private static let compressedTag = UInt8(compressedField << 3 | 2)
}

/// A delivery as values: for clients and tests.
package struct Delivery: Hashable, Sendable {
    package var header: DeliveryHeader
    package var events: [Event]

    package init(header: DeliveryHeader = DeliveryHeader(), events: [Event] = []) {
        self.header = header
        self.events = events
    }
}

extension Delivery {
    private static let eventsField: UInt8 = 15

    /// Appends header and events. The server's way is `DeliveryHeader.encode` and records.
    package func encode(into bytes: inout [UInt8]) {
        self.header.encode(into: &bytes)
        for event in self.events {
            bytes.writeMessage(Self.eventsField) { event.encode(into: &$0) }
        }
    }

    /// Throws `invalidArgument` for bytes that are no delivery.
    package static func decode(_ payload: UnsafeRawBufferPointer) throws(Failure) -> Delivery {
        guard let plain = try Self.decompressed(payload) else {
            return try Self.decodePlain(payload)
        }
        return try plain.span.bytes.withUnsafeBytes { bytes throws(Failure) in
            try Self.decodePlain(bytes)
        }
    }

    private static func decodePlain(_ payload: UnsafeRawBufferPointer) throws(Failure) -> Delivery {
        var events: [Event] = []
        let header = try Self.scan(payload) { record throws(Failure) in
            events.append(
                try Event(decoding: UnsafeRawBufferPointer(rebasing: payload[record.message])))
        }
        return Delivery(header: header, events: events)
    }

    /// What a delivery says without decoding its events.
    package struct Summary: Hashable, Sendable {
        package let header: DeliveryHeader
        package let eventsCount: Int
        /// Where the records lie in the payload, from the first tag to the end of the last one;
        /// empty without events.
        package let records: Range<Int>
    }

    /// Reads the header and counts the events: for consumers that only count, and for benchmarks.
    /// The events themselves are not checked. Throws as `decode` does.
    package static func summary(_ payload: UnsafeRawBufferPointer) throws(Failure) -> Summary {
        var count = 0
        var records = 0..<0
        let header = try Self.scan(payload) { record throws(Failure) in
            let start = count == 0 ? record.start : records.lowerBound
            records = start..<record.message.upperBound
            count += 1
        }
        return Summary(header: header, eventsCount: count, records: records)
    }

    private static func scan(
        _ payload: UnsafeRawBufferPointer,
        _ body: ((start: Int, message: Range<Int>)) throws(Failure) -> Void
    ) throws(Failure) -> DeliveryHeader {
        var header = DeliveryHeader()
        var reader = FieldReader(payload)
        while true {
            let start = reader.offset
            guard let (field, value) = try reader.next() else { return header }
            switch (field, value) {
            case (1, .number(let number)): header.after = Position(number)
            case (2, .number(let number)): header.upto = Position(number)
            case (3, .number(let number)): header.head = Position(number)
            case (4, .number(let number)): header.replay = number != 0
            case (5, .number(let number)): header.redelivered = number != 0
            case (UInt64(Self.eventsField), .bytes(let range)):
                try body((start: start, message: range))
            case (DeliveryHeader.compressedField, _):
                throw Failure(
                    .invalidArgument,
                    "the events of a delivery are compressed; this is for plain ones")
            default: break
            }
        }
    }
}
