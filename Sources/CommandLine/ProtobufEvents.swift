import Core
import DormouseClient
import Wire

/// Events as messages `dormouse.v1.Event` of the protocol, each behind its length as a varint: what
/// `parseDelimitedFrom` and its kin read in other languages.
enum ProtobufEvents {
    /// Positions and times are the log's; without them two exports can be compared.
    static func append(_ event: LentEvent, hasPosition: Bool, to bytes: inout [UInt8]) {
        var size = 0
        for part in [event.key, event.payload, event.id, event.contentType] {
            size += Self.fieldSize(part.count)
        }
        for index in 0..<event.headerCount {
            size += Self.nestedSize(Self.headerSize(event.header(index)))
        }
        if hasPosition { size += 18 }
        Varint.append(UInt64(size), to: &bytes)
        if hasPosition {
            Self.append(fixed: event.position, 1, to: &bytes)
            Self.append(fixed: event.publishedAt, 2, to: &bytes)
        }
        Self.append(event.key, 3, to: &bytes)
        Self.append(event.payload, 4, to: &bytes)
        Self.append(event.id, 5, to: &bytes)
        Self.append(event.contentType, 6, to: &bytes)
        for index in 0..<event.headerCount {
            let header = event.header(index)
            bytes.append(7 << 3 | 2)
            Varint.append(UInt64(Self.headerSize(header)), to: &bytes)
            Self.append(header.name, 1, to: &bytes)
            Self.append(header.value, 2, to: &bytes)
        }
    }

    private static func fieldSize(_ count: Int) -> Int {
        count == 0 ? 0 : Self.nestedSize(count)
    }

    private static func nestedSize(_ count: Int) -> Int { 1 + Varint.size(count) + count }

    private static func headerSize(
        _ header: (name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer)
    ) -> Int {
        Self.fieldSize(header.name.count) + Self.fieldSize(header.value.count)
    }

    private static func append(fixed number: UInt64, _ field: UInt8, to bytes: inout [UInt8]) {
        bytes.append(field << 3 | 1)
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: number >> shift))
        }
    }

    private static func append(
        _ part: UnsafeRawBufferPointer, _ field: UInt8, to bytes: inout [UInt8]
    ) {
        guard !part.isEmpty else { return }
        bytes.append(field << 3 | 2)
        Varint.append(UInt64(part.count), to: &bytes)
        bytes.append(contentsOf: part)
    }

    /// The event of one message, without its length and as it is published: position and time are the log's. nil when
    /// it is none.
    static func event(_ message: [UInt8]) -> Core.Event? {
        guard var event = message.withUnsafeBytes({ try? Core.Event(decoding: $0) }) else {
            return nil
        }
        event.position = .origin
        event.publishedAt = Timestamp(rawValue: 0)
        return event
    }
}
