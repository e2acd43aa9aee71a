import Core

/// Walks through the fields of a message without unpacking it: protobuf's wire format, the reading
/// half. For the two messages that carry events, `PublishRequest` and `Delivery`; everything else is
/// unpacked by protobuf-c.
struct FieldReader {
    enum Value {
        case number(UInt64)
        case bytes(Range<Int>)
    }

    let bytes: UnsafeRawBufferPointer
    private(set) var offset = 0

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    /// The next field and its value, or nil at the end. Throws `invalidArgument` where the bytes
    /// are no message.
    mutating func next() throws(Failure) -> (field: UInt64, value: Value)? {
        guard self.offset < self.bytes.count else { return nil }
        guard let tag = Varint.read(self.bytes, at: &self.offset), tag >> 3 != 0,
            let type = WireType(rawValue: UInt8(tag & 7))
        else { throw Self.damaged }
        switch type {
        case .varint:
            guard let value = Varint.read(self.bytes, at: &self.offset) else { throw Self.damaged }
            return (tag >> 3, .number(value))
        case .fixed64:
            return (tag >> 3, .number(try self.fixed(UInt64.self)))
        case .fixed32:
            return (tag >> 3, .number(UInt64(try self.fixed(UInt32.self))))
        case .bytes:
            guard let length = Varint.readLength(self.bytes, at: &self.offset) else {
                throw Self.damaged
            }
            defer { self.offset += length }
            return (tag >> 3, .bytes(self.offset..<self.offset + length))
        }
    }

    private mutating func fixed<Number: FixedWidthInteger & BitwiseCopyable>(
        _ type: Number.Type
    ) throws(Failure) -> Number {
        let size = MemoryLayout<Number>.size
        guard size <= self.bytes.count - self.offset else { throw Self.damaged }
        defer { self.offset += size }
        return Number(
            littleEndian: self.bytes.loadUnaligned(fromByteOffset: self.offset, as: type))
    }

    static let damaged = Failure(
        .invalidArgument,
        "the bytes of a message are not what its type looks like; expected the messages of "
            + "dormouse.proto, version 1")
}
