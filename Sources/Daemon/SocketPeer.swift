import Core
import Engine
import Net

/// A socket's connection as the engine sees it, and the engine as the connection sees it. All
/// calls, both ways, come on the loop's thread, which is the engine's executor; `assumeIsolated`
/// checks that.
final class SocketPeer: Peer, ConnectionHandler {
    private let connection: Connection
    private let engine: Engine

    init(_ connection: Connection, _ engine: Engine) {
        self.connection = connection
        self.engine = engine
        // Subscribers are asked for more while a quarter of what may wait is still on its way: the
        // socket never runs dry.
        connection.lowWaterBytes = engine.limits.outboundBytesMax / 4
    }

    // MARK: Peer

    var id: ConnectionID { self.connection.id }
    var address: String { self.connection.peerDescription }
    var identity: PeerIdentity { self.connection.peerIdentity }
    var queuedBytes: Int { self.connection.queuedBytes }
    var takenBytes: UInt64 { self.connection.takenBytes }
    var lastWriteProgress: Instant { self.connection.lastWriteProgress }

    func send(_ bytes: [UInt8]) { self.connection.send(bytes) }
    func send(_ block: ByteBlock, _ range: Range<Int>) { self.connection.send(block, range) }
    func pauseReading() { self.connection.pauseReading() }
    func resumeReading() { self.connection.resumeReading() }
    func close() { self.connection.close() }
    func closeAfterFlush() { self.connection.closeAfterFlush() }

    // MARK: ConnectionHandler

    func received(_ bytes: UnsafeRawBufferPointer, on connection: Connection) {
        let id = connection.id
        // Lent for this call, which stays on this thread.
        nonisolated(unsafe) let bytes = bytes
        self.engine.assumeIsolated { $0.received(bytes, from: id) }
    }

    func handshakeFailed(_ reason: String, on connection: Connection) {
        let id = connection.id
        self.engine.assumeIsolated { $0.handshakeFailed(id, reason: reason) }
    }

    func spokeWithoutTLS(_ bytes: UnsafeRawBufferPointer, on connection: Connection) {
        let id = connection.id
        nonisolated(unsafe) let bytes = bytes
        self.engine.assumeIsolated { $0.spokeWithoutTLS(bytes, from: id) }
    }

    func drained(_ connection: Connection) {
        let id = connection.id
        self.engine.assumeIsolated { $0.drained(id) }
    }

    func closed(_ connection: Connection, reason: String) {
        let id = connection.id
        self.engine.assumeIsolated { $0.closed(id, reason: reason) }
    }
}

/// Hands accepted connections to the engine.
final class EngineListenerHandler: ListenerHandler {
    private let engine: Engine

    init(_ engine: Engine) {
        self.engine = engine
    }

    func accepted(_ connection: Connection) -> (any ConnectionHandler)? {
        let peer = SocketPeer(connection, self.engine)
        return self.engine.assumeIsolated { $0.accepted(peer) } ? peer : nil
    }
}
