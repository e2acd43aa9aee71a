import CWire
package import Core

/// Events to be published together, in order, or not at all. The events are kept encoded: the
/// server copies them into the log as they are, and no array per field is made on the way.
package struct PublishRequest: Hashable, Sendable {
    /// Empty: `main`.
    package var exchange: [UInt8]
    /// With it, events are de-duplicated by sequence. Empty: they are not.
    package var producer: [UInt8]
    /// Of the first event; the others follow by one.
    package var sequence: UInt64
    /// May be empty as far as decoding is concerned.
    package var events: EncodedEvents

    package init(
        exchange: [UInt8] = [], producer: [UInt8] = [], sequence: UInt64 = 0,
        events: EncodedEvents = EncodedEvents()
    ) {
        self.exchange = exchange
        self.producer = producer
        self.sequence = sequence
        self.events = events
    }
}

extension PublishRequest {
    private enum Field {
        static let exchange: UInt8 = 1
        static let producer: UInt8 = 2
        static let sequence: UInt8 = 3
        static let events: UInt8 = 4
    }

    /// Server: decodes and checks the events, whose position and time are ignored. Throws
    /// `invalidArgument` for what is wrong with one of them, such as more than `eventBytesMax`
    /// bytes.
    static func decode(
        _ payload: UnsafeRawBufferPointer, eventBytesMax: Int, arena: Arena
    ) throws(Failure) -> PublishRequest {
        try arena.withUnpacked(
            payload, factor: Request.arenaFactor, by: dormouse__v1__publish_request__unpack
        ) { unpacked throws(Failure) in
            PublishRequest(
                exchange: [UInt8](unpacked.exchange), producer: [UInt8](unpacked.producer),
                sequence: unpacked.sequence,
                events: try Self.events(
                    UnsafeBufferPointer(start: unpacked.events, count: unpacked.n_events),
                    payloadBytes: payload.count, eventBytesMax: eventBytesMax))
        }
    }

    private static func events(
        _ unpacked: UnsafeBufferPointer<UnsafeMutablePointer<Dormouse__V1__Event>?>,
        payloadBytes: Int, eventBytesMax: Int
    ) throws(Failure) -> EncodedEvents {
        var events = EncodedEvents()
        // A record is its message plus position and time, which clients leave out (18 bytes), plus
        // at most two bytes of length for those. The count is bounded by the arena's budget.
        events.reserve(events: unpacked.count, bytes: payloadBytes + unpacked.count * 20)
        for case let pointer? in unpacked {
            let event = pointer.pointee
            let parts = EventRecord.Parts(
                key: UnsafeRawBufferPointer(event.key),
                payload: UnsafeRawBufferPointer(event.payload),
                id: UnsafeRawBufferPointer(event.id),
                contentType: UnsafeRawBufferPointer(event.content_type))
            try events.append(
                parts, headers: Self.headers(event), eventBytesMax: eventBytesMax)
        }
        return events
    }

    private static func headers(_ event: Dormouse__V1__Event) -> [EventRecord.HeaderBytes] {
        // Most events have none, and an empty array costs no allocation.
        if event.n_headers == 0 { return [] }
        return UnsafeBufferPointer(start: event.headers, count: event.n_headers).compactMap {
            header in
            guard let header = header?.pointee else { return nil }
            return EventRecord.HeaderBytes(
                name: UnsafeRawBufferPointer(header.name),
                value: UnsafeRawBufferPointer(header.value))
        }
    }

    /// Client: appends the payload of a REQUEST.
    package func encode(into bytes: inout [UInt8]) {
        self.encodeHead(into: &bytes)
        self.events.bytes.withUnsafeBytes { records in
            for index in 0..<self.events.count {
                let range = self.events.recordRange(index)
                Self.encodeRecord(UnsafeRawBufferPointer(rebasing: records[range]), into: &bytes)
            }
        }
    }

    /// Client: appends the payload of a REQUEST that publishes `events`, without checking them: the
    /// server does. Position and time are not sent. `self.events` comes first.
    package func encode(with events: some Collection<Event>, into bytes: inout [UInt8]) {
        self.encode(into: &bytes)
        for event in events {
            bytes.writeMessage(Field.events) { event.encodeFields(into: &$0) }
        }
    }

    private func encodeHead(into bytes: inout [UInt8]) {
        bytes.writeBytes(Field.exchange, self.exchange)
        bytes.writeBytes(Field.producer, self.producer)
        bytes.writeFixed64(Field.sequence, self.sequence)
    }

    /// A record of the log differs from an event in a request by its tag, and by position and time,
    /// which stand first and which the server would ignore.
    private static func encodeRecord(_ record: UnsafeRawBufferPointer, into bytes: inout [UInt8]) {
        var offset = 1
        guard let length = Varint.readLength(record, at: &offset), length >= 18 else { return }
        bytes.append(WireType.bytes.tag(Field.events))
        Varint.append(UInt64(length - 18), to: &bytes)
        bytes.append(contentsOf: record[(offset + 18)...])
    }
}
