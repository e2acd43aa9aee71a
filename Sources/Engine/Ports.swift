package import Core

/// The other end of a connection, as the engine sees it. The daemon's is a socket, the simulation's
/// is a client in memory. Used on the engine's executor only.
package protocol Peer: AnyObject, Sendable {
    var id: ConnectionID { get }
    /// For people: "127.0.0.1:51234", "unix:uid=0".
    var address: String { get }
    /// What the transport knows of it: complete when the first bytes are received, TLS and all.
    var identity: PeerIdentity { get }
    /// Bytes on their way out that the kernel has not taken yet.
    var queuedBytes: Int { get }
    /// Bytes that the kernel has taken since the connection was accepted; stays what it was when the
    /// connection is gone.
    var takenBytes: UInt64 { get }
    /// When the kernel last took some.
    var lastWriteProgress: Instant { get }
    func send(_ bytes: [UInt8])
    /// Sends part of a shared block without copying it.
    func send(_ block: ByteBlock, _ range: Range<Int>)
    func pauseReading()
    func resumeReading()
    /// At once; what is queued is dropped. `Engine.closed` follows.
    func close()
    /// When what is queued is written. `Engine.closed` follows.
    func closeAfterFlush()
}

/// Time, chance, one alarm clock, and cryptography; everything that the engine needs of the world besides peers
/// and the store. Used on the engine's executor only.
package protocol Host: AnyObject, Cryptography, Sendable {
    /// The unix user that the server runs as.
    var userID: UInt32 { get }
    var now: Instant { get }
    var wallTime: Timestamp { get }
    /// `Engine.alarm` is to be called at this time, once; replaces the one before.
    func setAlarm(at time: Instant)
    /// `Peer.queuedBytes` of all peers together, or a little more.
    var queuedBytes: Int { get }
    /// A number in 0 ..< bound, for jitter.
    func random(below bound: Int) -> Int
}
