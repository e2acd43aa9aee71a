internal import CDormouse

/// The C library's handle; used on the client's thread only, and freed there.
///
/// `@unchecked Sendable`: it only carries the pointer to the thread.
final class Handle: @unchecked Sendable {
    let pointer: OpaquePointer

    init() throws(DormouseError) {
        guard let pointer = dormouse_new() else {
            throw DormouseError(.noMemory, "there is no memory for a client")
        }
        self.pointer = pointer
    }

    func free() {
        dormouse_free(self.pointer)
    }

    /// The error of the call that has just returned `status`.
    func error(_ status: dormouse_status) -> DormouseError {
        let text = String(cString: dormouse_error(self.pointer))
        let name = String(cString: dormouse_status_text(status))
        return DormouseError(.init(status), text.isEmpty ? name : text)
    }

    func check(_ status: dormouse_status) throws(DormouseError) {
        if status != DORMOUSE_OK { throw self.error(status) }
    }
}

/// Copies of texts and bytes that live as long as this object: C structures point into them.
final class Loan {
    private var blocks: [UnsafeMutableRawPointer] = []

    deinit {
        for block in self.blocks { block.deallocate() }
    }

    /// Called after the last use of what was lent: so long it lives.
    func end() {}

    func bytes(_ bytes: some Collection<UInt8>) -> dormouse_bytes {
        guard !bytes.isEmpty else { return dormouse_bytes() }
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        block.copyBytes(from: bytes)
        if let base = block.baseAddress { self.blocks.append(base) }
        return dormouse_bytes(data: block.baseAddress, size: block.count)
    }

    /// With a 0 at the end.
    func text(_ text: String) -> UnsafePointer<CChar>? {
        let bytes = self.bytes(Array(text.utf8) + [0])
        return bytes.data?.assumingMemoryBound(to: CChar.self)
    }

    func array<Element>(_ elements: [Element]) -> UnsafePointer<Element>? {
        guard !elements.isEmpty else { return nil }
        let block = UnsafeMutablePointer<Element>.allocate(capacity: elements.count)
        block.initialize(from: elements, count: elements.count)
        self.blocks.append(UnsafeMutableRawPointer(block))
        return UnsafePointer(block)
    }

    func matches(_ matches: [HeaderMatch]) -> UnsafePointer<dormouse_header_match>? {
        self.array(
            matches.map { match in
                let (name, kind, value): (String, dormouse_match_kind, [UInt8]) =
                    switch match {
                    case .equals(let name, let value): (name, DORMOUSE_EQUALS, value)
                    case .prefix(let name, let value): (name, DORMOUSE_PREFIX, value)
                    case .exists(let name): (name, DORMOUSE_EXISTS, [])
                    case .absent(let name): (name, DORMOUSE_ABSENT, [])
                    }
                return dormouse_header_match(
                    name: self.bytes(name.utf8), kind: kind, value: self.bytes(value))
            })
    }

    /// One block holds all bytes of all events.
    func events(_ events: [Event]) -> [dormouse_event] {
        var bytes: [UInt8] = []
        for event in events {
            bytes += event.key.utf8
            bytes += event.payload
            bytes += event.id
            bytes += event.contentType.utf8
        }
        let base = self.bytes(bytes).data
        var offset = 0
        func take(_ count: Int) -> dormouse_bytes {
            defer { offset += count }
            return dormouse_bytes(data: count == 0 ? nil : base.map { $0 + offset }, size: count)
        }
        return events.map { event in
            var result = dormouse_event()
            result.key = take(event.key.utf8.count)
            result.payload = take(event.payload.count)
            result.id = take(event.id.count)
            result.content_type = take(event.contentType.utf8.count)
            result.headers = self.array(
                event.headers.map {
                    dormouse_header(name: self.bytes($0.name.utf8), value: self.bytes($0.value))
                })
            result.header_count = event.headers.count
            return result
        }
    }
}

extension Event {
    /// A copy of what the library lends.
    init(_ event: dormouse_event) {
        let headers = UnsafeBufferPointer(start: event.headers, count: event.header_count)
        self.init(
            key: String(event.key), payload: Array(event.payload), id: Array(event.id),
            contentType: String(event.content_type),
            headers: headers.map { Header(name: String($0.name), value: Array($0.value)) },
            position: event.position, publishedAt: event.published_at)
    }
}

extension [UInt8] {
    init(_ bytes: dormouse_bytes) {
        self = Array(UnsafeRawBufferPointer(start: bytes.data, count: bytes.size))
    }
}

extension String {
    init(_ bytes: dormouse_bytes) {
        self.init(
            decoding: UnsafeRawBufferPointer(start: bytes.data, count: bytes.size), as: UTF8.self)
    }
}

extension Start {
    var code: (dormouse_start, UInt64) {
        switch self {
        case .next: (DORMOUSE_NEXT, 0)
        case .first: (DORMOUSE_FIRST, 0)
        case .last: (DORMOUSE_LAST, 0)
        case .position(let position): (DORMOUSE_POSITION, position)
        case .time(let time): (DORMOUSE_TIME, time)
        }
    }
}
