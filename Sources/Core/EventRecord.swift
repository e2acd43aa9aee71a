// The bytes of an event in the log, which are also its bytes in a Delivery (`repeated Event events
// = 15`):
//
//   7A <length>  09 <position: 8 bytes LE>  11 <published_at: 8 bytes LE>  1A <length> <key>  [22 <length> <payload>]
//   [2A <length> <id>]  [32 <length> <content type>]  { 3A <length> <header> }
//
// Invariants: position, time and key stand first, in this order, in every record, so that both
// numbers can be written when the record is sealed into a chunk and the key can be read without
// decoding; empty fields are left out; fields ascend. Source of the encoding: protobuf wire format;
// field numbers from proto/dormouse.proto.

/// Writes event records.
package enum EventRecord {
    package static let tag: UInt8 = 0x7A
    static let positionTag: UInt8 = 0x09
    static let timeTag: UInt8 = 0x11
    static let keyTag: UInt8 = 0x1A
    static let payloadTag: UInt8 = 0x22
    static let idTag: UInt8 = 0x2A
    static let contentTypeTag: UInt8 = 0x32
    static let headerTag: UInt8 = 0x3A
    static let headerNameTag: UInt8 = 0x0A
    static let headerValueTag: UInt8 = 0x12

    /// Bytes from the start of the message (after tag and length) to the value of the position, the
    /// time, and to the key's length.
    static let positionOffset = 1
    static let timeOffset = 10
    static let keyLengthOffset = 19

    /// Position and time, still zero, with their tags: what stands before the key.
    static let stampBytes =
        [Self.positionTag] + [UInt8](repeating: 0, count: 8) + [Self.timeTag]
        + [UInt8](repeating: 0, count: 8)

    /// Bytes of a record around its key, payload, id, content type and headers, at most: tag and
    /// length (4), position and time (18), four tags and lengths (4 × 4).
    package static let overheadBytesMax = 38

    /// One header, in borrowed memory.
    package struct HeaderBytes {
        package let name: UnsafeRawBufferPointer
        package let value: UnsafeRawBufferPointer

        package init(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
            self.name = name
            self.value = value
        }

        /// Bytes of the header message, without its own tag and length.
        var messageBytes: Int {
            (self.name.isEmpty ? 0 : 1 + Varint.size(self.name.count) + self.name.count)
                + (self.value.isEmpty ? 0 : 1 + Varint.size(self.value.count) + self.value.count)
        }
    }

    /// The parts of an event, in borrowed memory: what a decoder found in a request.
    package struct Parts {
        package var key: UnsafeRawBufferPointer
        package var payload: UnsafeRawBufferPointer
        package var id: UnsafeRawBufferPointer
        package var contentType: UnsafeRawBufferPointer

        package init(
            key: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer,
            id: UnsafeRawBufferPointer,
            contentType: UnsafeRawBufferPointer
        ) {
            self.key = key
            self.payload = payload
            self.id = id
            self.contentType = contentType
        }
    }

    /// Bytes of the event message (what it costs in credit), without the record's tag and length.
    package static func messageBytes(_ parts: Parts, headers: [HeaderBytes]) -> Int {
        var count = 18 + Self.fieldBytes(parts.key)
        if !parts.payload.isEmpty { count += Self.fieldBytes(parts.payload) }
        if !parts.id.isEmpty { count += Self.fieldBytes(parts.id) }
        if !parts.contentType.isEmpty { count += Self.fieldBytes(parts.contentType) }
        for header in headers {
            let bytes = header.messageBytes
            count += 1 + Varint.size(bytes) + bytes
        }
        return count
    }

    /// The key of a message that we have written or checked.
    static func key(_ bytes: UnsafeRawBufferPointer, ofMessageAt message: Int)
        -> UnsafeRawBufferPointer
    {
        var offset = message + Self.keyLengthOffset
        let count = Varint.readLength(bytes, at: &offset) ?? 0
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
    }

    private static func fieldBytes(_ value: UnsafeRawBufferPointer) -> Int {
        1 + Varint.size(value.count) + value.count
    }
}

/// Base-128 integers of protobuf.
package enum Varint {
    package static func size(_ value: Int) -> Int {
        // Seven bits a byte; 0 takes one, too.
        (UInt64.bitWidth - UInt64(truncatingIfNeeded: value | 1).leadingZeroBitCount + 6) / 7
    }

    package static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    /// Reads at `offset` and moves it; nil where the bytes end or the integer is longer than ten
    /// bytes.
    @inline(__always)
    package static func read(_ bytes: UnsafeRawBufferPointer, at offset: inout Int) -> UInt64? {
        // Most have one byte.
        if offset < bytes.count, bytes[offset] < 0x80 {
            defer { offset += 1 }
            return UInt64(bytes[offset])
        }
        return Self.readLong(bytes, at: &offset)
    }

    private static func readLong(_ bytes: UnsafeRawBufferPointer, at offset: inout Int) -> UInt64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while offset < bytes.count, shift < 70 {
            let byte = bytes[offset]
            offset += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        return nil
    }

    /// Where an integer ends that begins at `offset`; the bytes hold it.
    static func end(_ bytes: UnsafeRawBufferPointer, from offset: Int) -> Int {
        var end = offset
        while bytes[end] >= 0x80 { end += 1 }
        return end + 1
    }

    /// A length that lies within `bytes` from `offset` on; nil otherwise.
    package static func readLength(_ bytes: UnsafeRawBufferPointer, at offset: inout Int) -> Int? {
        guard let value = Self.read(bytes, at: &offset), value <= UInt64(bytes.count - offset)
        else { return nil }
        return Int(value)
    }
}
