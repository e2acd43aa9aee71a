package import Core
package import Wire

/// What a server sends, decoded. PINGs are answered by the client and not shown.
package enum ClientFrame: Hashable, Sendable {
    case response(StreamID, Result<Reply, Failure>)
    /// Its range joins the one before it.
    case data(StreamID, Delivery)
    /// Instead of `data` when the client's `decodesEvents` is false.
    case summary(StreamID, Delivery.Summary)
    /// The stream is over; the code may be `ok`.
    case end(StreamID, Failure)
    /// No new requests; the code may be `ok`.
    case goAway(Failure)
    case pong([UInt8])
}

extension Event {
    /// What the event costs of a stream's bytes of credit: the size of its message as the log keeps
    /// it. Source: protocol.md, "Subscriptions".
    package var creditBytes: Int {
        // Position and time are always there, 9 bytes each.
        var total = 18 + Self.fieldBytes(self.key.count, isOptional: false)
        for part in [self.payload, self.id, self.contentType] {
            total += Self.fieldBytes(part.count, isOptional: true)
        }
        for header in self.headers {
            let inner =
                Self.fieldBytes(header.name.count, isOptional: true)
                + Self.fieldBytes(header.value.count, isOptional: true)
            total += Self.fieldBytes(inner, isOptional: false)
        }
        return total
    }

    /// A tag of one byte, the length as a varint, and the bytes.
    private static func fieldBytes(_ count: Int, isOptional: Bool) -> Int {
        if count == 0, isOptional { return 0 }
        let bits = max(1, Int.bitWidth - count.leadingZeroBitCount)
        return 1 + (bits + 6) / 7 + count
    }
}
