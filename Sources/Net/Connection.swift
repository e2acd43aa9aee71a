package import Core
import CLibUV

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A socket that was accepted. Received bytes are handed on at once; sent ones are collected and
/// written with one writev at the end of the loop's turn.
///
/// Nothing here limits what is queued: whoever sends looks at `queuedBytes` and waits for
/// `drained`.
///
/// `@unchecked Sendable`: used on the loop's thread only.
package final class Connection: LoopHandle, @unchecked Sendable {
    /// For the last bytes to arrive after `closeAfterFlush`, a few round trips.
    private static let lingerMilliseconds = 2_000

    enum State: Equatable {
        /// Turns into any other.
        case open
        /// `closeAfterFlush` was called; what is received is thrown away. Turns into lingering when
        /// the queue is empty.
        case flushing
        /// The peer was told that nothing follows; its own end of stream, or an alarm, closes.
        /// Closing at once with unread bytes would be a reset, which takes from the peer what it
        /// has not read yet.
        case lingering
        /// libuv is closing the handle.
        case closing
        /// The handler was told.
        case closed
    }

    let loop: EventLoop
    package let id: ConnectionID
    /// `127.0.0.1:51234`, `[::1]:51234` or `unix:uid=0,pid=12`.
    package let peerDescription: String
    /// What is known of the peer by the time its first bytes are received.
    package internal(set) var peerIdentity: PeerIdentity
    /// When the queue is this small again after it was larger, `drained` is called.
    package var lowWaterBytes = 64 << 10
    /// When bytes came last, at first the time of accepting.
    package private(set) var lastReceived: Instant

    // Not private where `Connection+Writing` needs them.

    private(set) var state = State.open
    private var reason = ""
    private(set) var stream: UnsafeMutablePointer<uv_stream_t>?
    private(set) var handler: (any ConnectionHandler)?
    /// On its way to the network.
    var queue = WriteQueue()
    /// Nil when bytes go as they are.
    var tls: TLSLink?
    /// The first bytes of the queue, which a uv_write has; 0 when none is under way.
    var writing = 0
    /// How many of them the kernel has not taken yet, as far as was looked.
    var writingLeft = 0
    /// Bytes that were removed from the queue because the kernel has them.
    var written: UInt64 = 0
    var progress: Instant
    var isToFlush = false
    var wasAboveLowWater = false
    private var linger: Alarm?

    /// Takes a stream that was opened; the memory is freed when it is closed.
    init(
        _ stream: UnsafeMutablePointer<uv_stream_t>, on loop: EventLoop, peerDescription: String,
        peerIdentity: PeerIdentity, tls: TLSContext?
    ) throws(Failure) {
        self.loop = loop
        self.id = loop.nextConnectionID()
        self.peerDescription = peerDescription
        self.peerIdentity = peerIdentity
        let now = loop.now()
        self.lastReceived = now
        self.progress = now
        self.stream = stream
        if let tls {
            guard
                let link = TLSLink(tls, emit: { [unowned self] bytes in self.emitSealed(bytes) })
            else { throw Failure(.resourceExhausted, "there is no memory left for TLS") }
            self.tls = link
        }
        self.adopt(stream)
    }

    func start(_ handler: any ConnectionHandler) {
        self.handler = handler
        self.resumeReading()
    }

    // MARK: Reading

    /// Whether bytes are being read.
    private(set) var isReading = false
    private var isPaused = false

    /// Leaves further bytes to the kernel, and so to the peer. The peer's end is not noticed
    /// either.
    package func pauseReading() {
        guard self.state == .open else { return }
        self.isPaused = true
        self.readOrNot()
    }

    package func resumeReading() {
        self.isPaused = false
        self.readOrNot()
    }

    /// Reads while the handler wants to, and no step of a handshake waits for its turn.
    func readOrNot() {
        guard let stream = self.stream else { return }
        let wanted = !self.isPaused && self.tls?.held.isEmpty != false
        guard wanted != self.isReading else { return }
        guard wanted else {
            self.isReading = false
            uv_read_stop(stream)
            return
        }
        let code = uv_read_start(
            stream,
            { handle, _, buffer in
                guard let loop = eventLoop(of: handle.map { $0.pointee.loop }) else { return }
                buffer?.pointee.base = loop.readBuffer.baseAddress?
                    .assumingMemoryBound(to: CChar.self)
                buffer?.pointee.len = loop.readBuffer.count
            },
            { stream, count, buffer in
                // On the loop's thread.
                guard let connection = adopted(Connection.self, stream?.pointee.data) else {
                    return
                }
                connection.received(count, buffer?.pointee.base)
            })
        if code == 0 {
            self.isReading = true
        } else {
            self.fail(code)
        }
    }

    private func received(_ count: Int, _ base: UnsafeMutablePointer<CChar>?) {
        guard count >= 0 else {
            self.fail(Int32(truncatingIfNeeded: count))
            return
        }
        guard count > 0, self.state == .open else { return }
        self.lastReceived = self.loop.now()
        // The loop's thread lends its read buffer and touches it again after the handler returned.
        nonisolated(unsafe) let bytes = UnsafeRawBufferPointer(start: base, count: count)
        guard self.tls == nil else { return self.receivedSealed(bytes) }
        self.handler?.received(bytes, on: self)
    }

    // MARK: End

    /// Whether `send` still takes something.
    package var isOpen: Bool { self.state == .open }

    /// Closes at once; what is queued is dropped. `closed` comes at the end of the turn. A second
    /// call does nothing.
    package func close(reason: String = "closed by the server") {
        switch self.state {
        case .open, .flushing, .lingering:
            self.state = .closing
            if self.reason.isEmpty { self.reason = reason }
            self.linger = nil
            guard let stream = self.stream else { return }
            self.stream = nil
            self.closeAdopted(stream)
        case .closing, .closed:
            break
        }
    }

    /// Writes what is queued, says that nothing follows, and closes when the peer has said so too,
    /// or two seconds later. What is received meanwhile is thrown away. A peer that does not read
    /// keeps it waiting: then `close` ends it. Before TLS is there, nothing can be said: it closes at
    /// once.
    package func closeAfterFlush(reason: String = "closed by the server") {
        switch self.state {
        case .open where self.tls?.state == .shakingHands:
            self.close(reason: reason)
        case .open:
            self.state = .flushing
            self.reason = reason
            self.resumeReading()
            self.flushAtTurnEnd()
        case .flushing, .lingering, .closing, .closed:
            break
        }
    }

    func shutDown() {
        guard let stream = self.stream else { return }
        self.state = .lingering
        var descriptor: Int32 = -1
        let handle = UnsafeMutableRawPointer(stream).assumingMemoryBound(to: uv_handle_t.self)
        guard uv_fileno(handle, &descriptor) == 0,
            shutdown(descriptor, Int32(SHUT_WR)) == 0
        else {
            // The peer is gone already.
            self.close()
            return
        }
        let alarm = Alarm(on: self.loop) { [weak self] in self?.close() }
        alarm.set(at: self.loop.now().advanced(byMilliseconds: Self.lingerMilliseconds))
        self.linger = alarm
    }

    func fail(_ code: Int32) {
        switch code {
        case UV_EOF.rawValue: self.close(reason: "end of stream")
        case UV_ECONNRESET.rawValue: self.close(reason: "connection reset")
        case _: self.close(reason: describe(code))
        }
    }

    func loopCloses() { self.close(reason: "the server stopped") }

    func handleClosed() {
        self.state = .closed
        self.isReading = false
        self.queue.removeAll(spare: &self.loop.spareBuffers)
        self.tls?.pending.removeAll(spare: &self.loop.spareBuffers)
        self.tls = nil
        let handler = self.handler
        self.handler = nil
        handler?.closed(self, reason: self.reason)
    }
}
