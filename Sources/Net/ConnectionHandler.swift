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
}
