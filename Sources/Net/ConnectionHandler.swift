/// What is told about a connection: on the loop's thread, and never from inside `send`, `close` or
/// another call to the connection. After `close` nothing is told any more but `closed`.
package protocol ConnectionHandler: AnyObject {
    /// `bytes` are valid until this returns. They are `sending` so that an actor of the loop can
    /// use them in `assumeIsolated`.
    func received(_ bytes: sending UnsafeRawBufferPointer, on connection: Connection)
    /// `queuedBytes` was above `lowWaterBytes` and is no longer.
    func drained(_ connection: Connection)
    /// Exactly once, the last call: after the peer's end of stream, an error, or `close`.
    func closed(_ connection: Connection, reason: String)
    /// TLS did not come about; the reason is for people. The connection closes.
    func handshakeFailed(_ reason: String, on connection: Connection)
    /// A connection that should have begun with TLS began with these bytes, which are valid until
    /// this returns. What is sent goes as it is; then the connection closes.
    func spokeWithoutTLS(_ bytes: sending UnsafeRawBufferPointer, on connection: Connection)
}

extension ConnectionHandler {
    package func handshakeFailed(_ reason: String, on connection: Connection) {}
    package func spokeWithoutTLS(
        _ bytes: sending UnsafeRawBufferPointer, on connection: Connection
    ) {}
}
