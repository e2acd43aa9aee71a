import CWire
import Core

/// A connection, as it is listed.
package struct ConnectionInfo: Hashable, Sendable {
    /// As its Welcome says.
    package var id: UInt64
    package var peer: [UInt8]
    /// What it calls itself; empty before its hello, as are the next two.
    package var client: [UInt8]
    package var library: [UInt8]
    package var principal: [UInt8]
    /// Microseconds since 1970 UTC.
    package var since: UInt64
    /// Those that it consumes, the ones without a name too.
    package var subscriptions: UInt32
    /// Of the first of them, as "exchange/name".
    package var names: [[UInt8]]
    /// Events that were stored for it.
    package var published: UInt64
    /// Events.
    package var delivered: UInt64
    /// On their way out, not taken by its socket yet.
    package var queuedBytes: UInt64
    /// Taken by its socket.
    package var sentBytes: UInt64
    package var receivedBytes: UInt64

    package init(
        id: UInt64 = 0, peer: [UInt8] = [], client: [UInt8] = [], library: [UInt8] = [],
        principal: [UInt8] = [], since: UInt64 = 0, subscriptions: UInt32 = 0,
        names: [[UInt8]] = [], published: UInt64 = 0, delivered: UInt64 = 0,
        queuedBytes: UInt64 = 0, sentBytes: UInt64 = 0, receivedBytes: UInt64 = 0
    ) {
        self.id = id
        self.peer = peer
        self.client = client
        self.library = library
        self.principal = principal
        self.since = since
        self.subscriptions = subscriptions
        self.names = names
        self.published = published
        self.delivered = delivered
        self.queuedBytes = queuedBytes
        self.sentBytes = sentBytes
        self.receivedBytes = receivedBytes
    }
}

extension ConnectionInfo: Message {
    static var unpack: Unpack<Dormouse__V1__ConnectionInfo> {
        dormouse__v1__connection_info__unpack
    }

    init(_ unpacked: Dormouse__V1__ConnectionInfo) throws(Failure) {
        self.init(
            id: unpacked.id,
            peer: [UInt8](unpacked.peer),
            client: [UInt8](unpacked.client),
            library: [UInt8](unpacked.library),
            principal: [UInt8](unpacked.principal),
            since: unpacked.since,
            subscriptions: unpacked.subscriptions,
            names: unpackedBytes(unpacked.names, count: unpacked.n_names),
            published: unpacked.published,
            delivered: unpacked.delivered,
            queuedBytes: unpacked.queued_bytes,
            sentBytes: unpacked.sent_bytes,
            receivedBytes: unpacked.received_bytes)
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeFixed64(1, self.id)
        bytes.writeBytes(2, self.peer)
        bytes.writeBytes(3, self.client)
        bytes.writeBytes(4, self.library)
        bytes.writeBytes(5, self.principal)
        bytes.writeFixed64(6, self.since)
        bytes.writeUInt32(7, self.subscriptions)
        for name in self.names { bytes.writeElement(8, name) }
        bytes.writeFixed64(9, self.published)
        bytes.writeFixed64(10, self.delivered)
        bytes.writeFixed64(11, self.queuedBytes)
        bytes.writeFixed64(12, self.sentBytes)
        bytes.writeFixed64(13, self.receivedBytes)
    }
}

/// Asks for a page of connections.
package struct ListConnectionsRequest: Hashable, Sendable {
    /// 0: the server's default.
    package var pageSize: UInt32
    /// From the reply before; empty: the first page.
    package var pageToken: [UInt8]

    package init(pageSize: UInt32 = 0, pageToken: [UInt8] = []) {
        self.pageSize = pageSize
        self.pageToken = pageToken
    }
}

extension ListConnectionsRequest: Message {
    static var unpack: Unpack<Dormouse__V1__ListConnectionsRequest> {
        dormouse__v1__list_connections_request__unpack
    }

    init(_ unpacked: Dormouse__V1__ListConnectionsRequest) throws(Failure) {
        self.init(pageSize: unpacked.page_size, pageToken: [UInt8](unpacked.page_token))
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeUInt32(1, self.pageSize)
        bytes.writeBytes(2, self.pageToken)
    }
}

/// A page of connections.
package struct ListConnectionsReply: Hashable, Sendable {
    package var connections: [ConnectionInfo]
    /// Empty: this was the last page.
    package var nextPageToken: [UInt8]

    package init(connections: [ConnectionInfo] = [], nextPageToken: [UInt8] = []) {
        self.connections = connections
        self.nextPageToken = nextPageToken
    }
}

extension ListConnectionsReply: Message {
    static var unpack: Unpack<Dormouse__V1__ListConnectionsReply> {
        dormouse__v1__list_connections_reply__unpack
    }

    init(_ unpacked: Dormouse__V1__ListConnectionsReply) throws(Failure) {
        self.init(
            connections: try ConnectionInfo.all(
                unpacked.connections, count: unpacked.n_connections),
            nextPageToken: [UInt8](unpacked.next_page_token))
    }

    package func encode(into bytes: inout [UInt8]) {
        for each in self.connections {
            bytes.writeMessage(1) { each.encode(into: &$0) }
        }
        bytes.writeBytes(2, self.nextPageToken)
    }
}
