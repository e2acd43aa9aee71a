import Core

// protobuf's wire format, the writing half: an array of bytes and a function per kind of field. A
// field with its default value is left out, as proto3 does. Source: protobuf.dev, "Encoding".

/// How a field's value is written.
enum WireType: UInt8 {
    case varint = 0
    case fixed64 = 1
    case bytes = 2
    case fixed32 = 5

    /// The tag of a `field` below 16: one byte.
    func tag(_ field: UInt8) -> UInt8 { field << 3 | self.rawValue }
}

extension [UInt8] {
    private mutating func writeTag(_ type: WireType, _ field: UInt8) {
        if field < 16 {
            self.append(type.tag(field))
        } else {
            Varint.append(UInt64(field) << 3 | UInt64(type.rawValue), to: &self)
        }
    }

    mutating func writeBytes(_ field: UInt8, _ value: [UInt8]) {
        if !value.isEmpty { self.writeElement(field, value) }
    }

    /// An element of a repeated field, which is written even when it is empty.
    mutating func writeElement(_ field: UInt8, _ value: [UInt8]) {
        self.writeTag(.bytes, field)
        Varint.append(UInt64(value.count), to: &self)
        self.append(contentsOf: value)
    }

    mutating func writeUInt32(_ field: UInt8, _ value: UInt32) {
        guard value != 0 else { return }
        self.writeTag(.varint, field)
        Varint.append(UInt64(value), to: &self)
    }

    mutating func writeBool(_ field: UInt8, _ value: Bool) {
        self.writeUInt32(field, value ? 1 : 0)
    }

    mutating func writeFixed64(_ field: UInt8, _ value: UInt64) {
        guard value != 0 else { return }
        self.writeTag(.fixed64, field)
        Swift.withUnsafeBytes(of: value.littleEndian) { self.append(contentsOf: $0) }
    }

    /// Numbers in one field, packed.
    mutating func writePacked(_ field: UInt8, _ values: [UInt32]) {
        guard !values.isEmpty else { return }
        self.writeMessage(field) { bytes in
            for value in values { Varint.append(UInt64(value), to: &bytes) }
        }
    }

    /// The same of numbers of eight bytes.
    mutating func writePackedFixed64(_ field: UInt8, _ values: [UInt64]) {
        guard !values.isEmpty else { return }
        self.writeTag(.bytes, field)
        Varint.append(UInt64(8 * values.count), to: &self)
        for value in values {
            Swift.withUnsafeBytes(of: value.littleEndian) { self.append(contentsOf: $0) }
        }
    }

    /// A message within a message. Its length is put in front once it is known, which moves it:
    /// cheaper than measuring it first, since these messages are small.
    mutating func writeMessage(_ field: UInt8, _ body: (inout [UInt8]) -> Void) {
        self.writeTag(.bytes, field)
        let start = self.count
        body(&self)
        var length: [UInt8] = []
        Varint.append(UInt64(self.count - start), to: &length)
        self.insert(contentsOf: length, at: start)
    }
}
