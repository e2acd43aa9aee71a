/// The events of one publish, as records without position and time yet. They enter the log together
/// or not at all.
package struct EncodedEvents: Hashable, Sendable {
    package private(set) var bytes: [UInt8] = []
    /// Where each record starts in `bytes`.
    package private(set) var starts: [UInt32] = []
    package private(set) var largestMessageBytes = 0

    private static let startOfOne: [UInt32] = [0]

    package var count: Int { self.starts.count }
    package var isEmpty: Bool { self.starts.isEmpty }

    package init() {}

    package mutating func reserve(bytes: Int) {
        self.bytes.reserveCapacity(bytes)
    }

    /// Appends one event; throws what is wrong with its key, id, headers or size, and then nothing
    /// was appended.
    ///
    /// `encoded` are the same parts as somebody has encoded them, in the order of a record. When they are as short as
    /// can be, nothing else is in them, and they are copied as they are.
    package mutating func append(
        _ parts: EventRecord.Parts, headers: [EventRecord.HeaderBytes],
        encoded: UnsafeRawBufferPointer? = nil, eventBytesMax: Int
    ) throws(Failure) {
        let message = try Self.checkedBytes(parts, headers: headers, eventBytesMax: eventBytesMax)
        guard self.bytes.count + message < Int(UInt32.max) - 8 else {
            throw Failure(.invalidArgument, "a publish has 4 GiB; send fewer events at a time")
        }
        // Most clients publish one event at a time, and an allocation for each counts.
        if self.starts.isEmpty {
            self.starts = Self.startOfOne
        } else {
            self.starts.append(UInt32(self.bytes.count))
        }
        self.largestMessageBytes = max(self.largestMessageBytes, message)
        self.writeHead(message: message)
        if let encoded, encoded.count + EventRecord.stampBytes.count == message {
            self.bytes.append(contentsOf: encoded)
        } else {
            self.write(parts, headers: headers)
        }
    }

    /// The same from a value.
    package mutating func append(_ event: Event, eventBytesMax: Int) throws(Failure) {
        var failure: Failure?
        event.withParts { parts, headers in
            do throws(Failure) {
                try self.append(parts, headers: headers, eventBytesMax: eventBytesMax)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    /// Bytes of the event's message; throws what is wrong with its key, id, headers or size.
    private static func checkedBytes(
        _ parts: EventRecord.Parts, headers: [EventRecord.HeaderBytes],
        eventBytesMax: Int
    ) throws(Failure) -> Int {
        if let failure = EventKey.problem(in: parts.key) { throw failure }
        guard parts.id.count <= Limits.eventIDBytesMax else {
            throw Failure(
                .invalidArgument,
                "the event id has \(parts.id.count) bytes; expected at most \(Limits.eventIDBytesMax)"
            )
        }
        guard parts.contentType.count <= Limits.contentTypeBytesMax else {
            throw Failure(
                .invalidArgument,
                "the content type has \(parts.contentType.count) bytes; expected at most \(Limits.contentTypeBytesMax)"
            )
        }
        try Self.check(headers)
        let message = EventRecord.messageBytes(parts, headers: headers)
        guard message <= eventBytesMax else {
            throw Failure(
                .invalidArgument,
                "an event has \(message) bytes; expected at most \(eventBytesMax). Send a reference to large content, or "
                    + "start the server with a larger --frame-bytes")
        }
        return message
    }

    /// The same of a value, for those who encode it elsewhere.
    package static func checkedBytes(
        _ event: Event, eventBytesMax: Int
    ) throws(Failure) -> Int {
        var result = Result<Int, Failure>.success(0)
        event.withParts { parts, headers in
            result = Result { () throws(Failure) in
                try Self.checkedBytes(parts, headers: headers, eventBytesMax: eventBytesMax)
            }
        }
        return try result.get()
    }

    private static func check(_ headers: [EventRecord.HeaderBytes]) throws(Failure) {
        guard headers.count <= Limits.eventHeadersMax else {
            throw Failure(
                .invalidArgument,
                "an event has \(headers.count) headers; expected at most \(Limits.eventHeadersMax)")
        }
        for header in headers where !(1...Limits.headerNameBytesMax).contains(header.name.count) {
            throw Failure(
                .invalidArgument,
                "a header's name has \(header.name.count) bytes; expected 1 to \(Limits.headerNameBytesMax)"
            )
        }
    }

    private mutating func writeHead(message: Int) {
        self.bytes.append(EventRecord.tag)
        Varint.append(UInt64(message), to: &self.bytes)
        self.bytes.append(contentsOf: EventRecord.stampBytes)
    }

    private mutating func write(
        _ parts: EventRecord.Parts, headers: [EventRecord.HeaderBytes]
    ) {
        self.writeField(EventRecord.keyTag, parts.key)
        if !parts.payload.isEmpty { self.writeField(EventRecord.payloadTag, parts.payload) }
        if !parts.id.isEmpty { self.writeField(EventRecord.idTag, parts.id) }
        if !parts.contentType.isEmpty {
            self.writeField(EventRecord.contentTypeTag, parts.contentType)
        }
        for header in headers {
            self.bytes.append(EventRecord.headerTag)
            Varint.append(UInt64(header.messageBytes), to: &self.bytes)
            if !header.name.isEmpty { self.writeField(EventRecord.headerNameTag, header.name) }
            if !header.value.isEmpty { self.writeField(EventRecord.headerValueTag, header.value) }
        }
    }

    private mutating func writeField(_ tag: UInt8, _ value: UnsafeRawBufferPointer) {
        self.bytes.append(tag)
        Varint.append(UInt64(value.count), to: &self.bytes)
        self.bytes.append(contentsOf: value)
    }

    /// Bytes of these records together.
    func bytesCount(_ indices: Range<Int>) -> Int {
        indices.isEmpty
            ? 0 : self.end(before: indices.upperBound) - Int(self.starts[indices.lowerBound])
    }

    /// Lends the bytes of these records, which are not none, and where each of them starts in `bytes`.
    func withRecords(
        _ indices: Range<Int>, _ body: (UnsafeRawBufferPointer, ArraySlice<UInt32>) -> Void
    ) {
        let range = Int(self.starts[indices.lowerBound])..<self.end(before: indices.upperBound)
        self.bytes.withUnsafeBytes { bytes in
            body(UnsafeRawBufferPointer(rebasing: bytes[range]), self.starts[indices])
        }
    }

    /// The first key that `isAllowed` refuses.
    package func firstKey(refusedBy isAllowed: (UnsafeRawBufferPointer) -> Bool) -> [UInt8]? {
        self.bytes.withUnsafeBytes { bytes in
            for start in self.starts {
                let key = EventRecord.key(
                    bytes, ofMessageAt: Varint.end(bytes, from: Int(start) + 1))
                if !isAllowed(key) { return Array(key) }
            }
            return nil
        }
    }

    /// The bytes of the record at `index`, tag and length included.
    package func recordRange(_ index: Int) -> Range<Int> {
        Int(self.starts[index])..<self.end(before: index + 1)
    }

    private func end(before index: Int) -> Int {
        index < self.starts.count ? Int(self.starts[index]) : self.bytes.count
    }
}

extension Event {
    /// Lends the event's parts to `body`.
    func withParts(_ body: (EventRecord.Parts, [EventRecord.HeaderBytes]) -> Void) {
        // One buffer for all header bytes, so that a single borrow covers them.
        var headerBytes: [UInt8] = []
        for header in self.headers { headerBytes += header.name + header.value }
        self.key.withUnsafeBytes { key in
            self.payload.withUnsafeBytes { payload in
                self.id.withUnsafeBytes { id in
                    self.contentType.withUnsafeBytes { contentType in
                        headerBytes.withUnsafeBytes { all in
                            var offset = 0
                            let headers = self.headers.map { header in
                                let name = UnsafeRawBufferPointer(
                                    rebasing: all[offset..<offset + header.name.count])
                                offset += header.name.count
                                let value = UnsafeRawBufferPointer(
                                    rebasing: all[offset..<offset + header.value.count])
                                offset += header.value.count
                                return EventRecord.HeaderBytes(name: name, value: value)
                            }
                            let parts = EventRecord.Parts(
                                key: key, payload: payload, id: id, contentType: contentType)
                            body(parts, headers)
                        }
                    }
                }
            }
        }
    }
}
