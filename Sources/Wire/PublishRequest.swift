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
    /// What is wrong with the first event that cannot be published; then no event is. Kept beside the
    /// rest, since the producer must be held at this request.
    package var failure: Failure?

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
    ///
    /// Read field by field, as deliveries are: protobuf-c makes some 200 bytes of each event, so its
    /// budget would refuse requests of many small ones, and this is the hottest message of all.
    package static func decode(
        _ payload: UnsafeRawBufferPointer, eventBytesMax: Int
    ) throws(Failure) -> PublishRequest {
        var request = PublishRequest()
        // Position and time, which clients leave out, make each record 18 bytes longer.
        request.events.reserve(bytes: payload.count + payload.count / 4)
        var reader = FieldReader(payload)
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (1, .bytes(let range)): request.exchange = Array(payload[range])
            case (2, .bytes(let range)): request.producer = Array(payload[range])
            case (3, .number(let number)): request.sequence = number
            case (4, .bytes(let range)):
                if case .some = request.failure { continue }
                do throws(Failure) {
                    try request.events.append(
                        decoding: UnsafeRawBufferPointer(rebasing: payload[range]),
                        eventBytesMax: eventBytesMax)
                } catch {
                    request.failure = error
                }
            default: if field <= Field.events { throw FieldReader.damaged }
            }
        }
        return request
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

extension EncodedEvents {
    /// Appends an event as it stands in a request.
    fileprivate mutating func append(
        decoding bytes: UnsafeRawBufferPointer, eventBytesMax: Int
    ) throws(Failure) {
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        var parts = EventRecord.Parts(
            key: nothing, payload: nothing, id: nothing, contentType: nothing)
        // Most events have no headers, and an empty array costs no allocation.
        var headers: [EventRecord.HeaderBytes] = []
        var isInOrder = true
        var previous: UInt64 = 2
        var reader = FieldReader(bytes)
        while let (field, value) = try reader.next() {
            guard case .bytes(let range) = value else {
                if field >= 3 && field <= 7 { throw FieldReader.damaged }
                isInOrder = false
                continue
            }
            // Fields of a header may have any order, too, so events with headers are written anew.
            isInOrder = isInOrder && field > previous && field < 7
            previous = field
            let part = UnsafeRawBufferPointer(rebasing: bytes[range])
            switch field {
            case 3: parts.key = part
            case 4: parts.payload = part
            case 5: parts.id = part
            case 6: parts.contentType = part
            case 7:
                // One more than is allowed, so that `append` says what is wrong.
                if headers.count <= Limits.eventHeadersMax {
                    headers.append(try EventRecord.HeaderBytes(decoding: part))
                }
            case 1, 2: throw FieldReader.damaged
            default: break
            }
        }
        try self.append(
            parts, headers: headers, encoded: isInOrder ? bytes : nil, eventBytesMax: eventBytesMax)
    }
}

extension EventRecord.HeaderBytes {
    fileprivate init(decoding bytes: UnsafeRawBufferPointer) throws(Failure) {
        var name = UnsafeRawBufferPointer(start: nil, count: 0)
        var content = name
        var reader = FieldReader(bytes)
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (1, .bytes(let range)): name = UnsafeRawBufferPointer(rebasing: bytes[range])
            case (2, .bytes(let range)): content = UnsafeRawBufferPointer(rebasing: bytes[range])
            case (1...2, _): throw FieldReader.damaged
            default: break
            }
        }
        self.init(name: name, value: content)
    }
}
