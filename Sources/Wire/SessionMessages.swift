import CWire
import Core

/// What a client may ask for in its hello; the welcome names those that the connection has. Unknown ones are passed over.
package enum Feature {
    /// Deliveries may come compressed.
    package static let lz4Deliveries: UInt32 = 1
}

/// The first request of a connection. The engine checks every field.
package struct HelloRequest: Hashable, Sendable {
    /// Name of the connection, for people.
    package var client: [UInt8]
    /// Such as `libdormouse/1.0.0`.
    package var library: [UInt8]
    /// Highest minor version of the protocol that the client speaks.
    package var minor: UInt32
    /// `id.secret`; empty when a certificate or the unix socket says who it is. Never logged.
    package var token: [UInt8]
    package var features: [UInt32]

    package init(
        client: [UInt8] = [], library: [UInt8] = [], minor: UInt32 = 0, token: [UInt8] = [],
        features: [UInt32] = []
    ) {
        self.client = client
        self.library = library
        self.minor = minor
        self.token = token
        self.features = features
    }
}

extension HelloRequest: Message {
    static var unpack: Unpack<Dormouse__V1__HelloRequest> { dormouse__v1__hello_request__unpack }

    init(_ unpacked: Dormouse__V1__HelloRequest) throws(Failure) {
        self.init(
            client: [UInt8](unpacked.client),
            library: [UInt8](unpacked.library),
            minor: unpacked.minor,
            token: [UInt8](unpacked.token),
            features: unpackedNumbers(unpacked.features, count: unpacked.n_features))
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.client)
        bytes.writeBytes(2, self.library)
        bytes.writeUInt32(3, self.minor)
        bytes.writeBytes(4, self.token)
        bytes.writePacked(5, self.features)
    }
}

/// The reply to a hello.
package struct Welcome: Hashable, Sendable {
    /// Such as `dormoused/1.0.0`.
    package var server: [UInt8]
    /// The minor version that is spoken from now on.
    package var minor: UInt32
    /// 16 bytes.
    package var incarnation: [UInt8]
    /// Largest payload of a frame, in either direction, from now on.
    package var frameBytesMax: UInt32
    package var heartbeatMilliseconds: UInt32
    package var connectionID: UInt64
    /// Who the server thinks the client is.
    package var principal: [UInt8]
    package var features: [UInt32]

    package init(
        server: [UInt8] = [], minor: UInt32 = 0, incarnation: [UInt8] = [],
        frameBytesMax: UInt32 = 0, heartbeatMilliseconds: UInt32 = 0, connectionID: UInt64 = 0,
        principal: [UInt8] = [], features: [UInt32] = []
    ) {
        self.server = server
        self.minor = minor
        self.incarnation = incarnation
        self.frameBytesMax = frameBytesMax
        self.heartbeatMilliseconds = heartbeatMilliseconds
        self.connectionID = connectionID
        self.principal = principal
        self.features = features
    }
}

extension Welcome: Message {
    static var unpack: Unpack<Dormouse__V1__Welcome> { dormouse__v1__welcome__unpack }

    init(_ unpacked: Dormouse__V1__Welcome) throws(Failure) {
        self.init(
            server: [UInt8](unpacked.server),
            minor: unpacked.minor,
            incarnation: [UInt8](unpacked.incarnation),
            frameBytesMax: unpacked.frame_bytes_max,
            heartbeatMilliseconds: unpacked.heartbeat_ms,
            connectionID: unpacked.connection_id,
            principal: [UInt8](unpacked.principal),
            features: unpackedNumbers(unpacked.features, count: unpacked.n_features))
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.server)
        bytes.writeUInt32(2, self.minor)
        bytes.writeBytes(3, self.incarnation)
        bytes.writeUInt32(4, self.frameBytesMax)
        bytes.writeUInt32(5, self.heartbeatMilliseconds)
        bytes.writeFixed64(6, self.connectionID)
        bytes.writeBytes(7, self.principal)
        bytes.writePacked(8, self.features)
    }
}

/// Asks for the state of the server.
package struct ServerRequest: Hashable, Sendable {
    package init() {}
}

extension ServerRequest: Message {
    static var unpack: Unpack<Dormouse__V1__ServerRequest> { dormouse__v1__server_request__unpack }

    init(_ unpacked: Dormouse__V1__ServerRequest) throws(Failure) {
        self.init()
    }

    package func encode(into bytes: inout [UInt8]) {}
}

/// The state of the server.
package struct ServerReply: Hashable, Sendable {
    package var server: [UInt8]
    package var incarnation: [UInt8]
    /// Microseconds since 1970 UTC.
    package var startedAt: UInt64
    package var connections: UInt32
    /// Events, since the server started.
    package var published: UInt64
    /// Events, since the server started.
    package var delivered: UInt64
    package var storeAvailable: Bool
    /// Why the store is not available.
    package var storeReason: [UInt8]

    package init(
        server: [UInt8] = [], incarnation: [UInt8] = [], startedAt: UInt64 = 0,
        connections: UInt32 = 0, published: UInt64 = 0, delivered: UInt64 = 0,
        storeAvailable: Bool = false, storeReason: [UInt8] = []
    ) {
        self.server = server
        self.incarnation = incarnation
        self.startedAt = startedAt
        self.connections = connections
        self.published = published
        self.delivered = delivered
        self.storeAvailable = storeAvailable
        self.storeReason = storeReason
    }
}

extension ServerReply: Message {
    static var unpack: Unpack<Dormouse__V1__ServerReply> { dormouse__v1__server_reply__unpack }

    init(_ unpacked: Dormouse__V1__ServerReply) throws(Failure) {
        self.init(
            server: [UInt8](unpacked.server),
            incarnation: [UInt8](unpacked.incarnation),
            startedAt: unpacked.started_at,
            connections: unpacked.connections,
            published: unpacked.published,
            delivered: unpacked.delivered,
            storeAvailable: unpacked.store_available != 0,
            storeReason: [UInt8](unpacked.store_reason))
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.server)
        bytes.writeBytes(2, self.incarnation)
        bytes.writeFixed64(3, self.startedAt)
        bytes.writeUInt32(4, self.connections)
        bytes.writeFixed64(5, self.published)
        bytes.writeFixed64(6, self.delivered)
        bytes.writeBool(7, self.storeAvailable)
        bytes.writeBytes(8, self.storeReason)
    }
}
