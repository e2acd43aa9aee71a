package import Core

extension Delivery {
    /// The payload of the same delivery with plain events; nil when they are plain already. At most
    /// `Limits.frameBytesMaxMax` bytes are made of them. Throws `invalidArgument` for bytes that are no delivery, or are
    /// compressed in another way than LZ4's.
    package static func decompressed(_ payload: UnsafeRawBufferPointer) throws(Failure) -> [UInt8]?
    {
        var plain: [UInt8] = []
        var codec: UInt64 = 0
        var eventsBytes: UInt64 = 0
        var block: Range<Int>?
        var reader = FieldReader(payload)
        while true {
            let start = reader.offset
            guard let (field, value) = try reader.next() else { break }
            switch (field, value) {
            // Plain ones end the fields that could be different.
            case (15, _): return nil
            case (6, .number(let number)): codec = number
            case (7, .number(let number)): eventsBytes = number
            case (DeliveryHeader.compressedField, .bytes(let range)): block = range
            default: plain += payload[start..<reader.offset]
            }
        }
        if block == nil, codec == 0, eventsBytes == 0 { return nil }
        guard let block, codec == DeliveryHeader.lz4, eventsBytes <= UInt64(Limits.frameBytesMaxMax)
        else {
            throw FieldReader.damaged
        }
        return plain
            + (try LZ4.decompress(
                UnsafeRawBufferPointer(rebasing: payload[block]), count: Int(eventsBytes)))
    }
}
