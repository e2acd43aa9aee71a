/// A header of an event: carried as it is; matched by receiver configs.
package struct Header: Hashable, Sendable {
    package var name: [UInt8]
    package var value: [UInt8]

    package init(name: [UInt8], value: [UInt8]) {
        self.name = name
        self.value = value
    }
}

/// One event as a value: convenient, not fast. The server's paths keep events encoded
/// (`EncodedEvents`, `Chunk`); clients, tests and the command line use this.
package struct Event: Hashable, Sendable {
    package var position: Position
    package var publishedAt: Timestamp
    package var key: [UInt8]
    package var payload: [UInt8]
    package var id: [UInt8]
    package var contentType: [UInt8]
    package var headers: [Header]

    package init(
        position: Position = .origin, publishedAt: Timestamp = .zero, key: [UInt8],
        payload: [UInt8] = [],
        id: [UInt8] = [], contentType: [UInt8] = [], headers: [Header] = []
    ) {
        self.position = position
        self.publishedAt = publishedAt
        self.key = key
        self.payload = payload
        self.id = id
        self.contentType = contentType
        self.headers = headers
    }
}
