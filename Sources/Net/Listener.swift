package import Core
package import Diagnostics
import CLibUV

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Who wants connections.
package protocol ListenerHandler: AnyObject {
    /// On the loop's thread. Nil closes the connection at once. The handler hears of received bytes
    /// after this returned.
    func accepted(_ connection: Connection) -> (any ConnectionHandler)?
}

/// Accepts connections. For the loop's thread; a loop may have several.
///
/// Accepting is done here and not by libuv: when descriptors run out, libuv accepts and drops
/// whoever waits, without saying so; here they keep waiting.
///
/// `@unchecked Sendable`: used on the loop's thread only.
package final class Listener: LoopHandle, @unchecked Sendable {
    /// Per turn; the others wait for the next one. Those who say hello at once have said it by then, so
    /// these and those of the turn before are all who count as newcomers: no more than the 32 that
    /// may come from one address.
    private static let acceptsPerTurnMax = 16
    /// How long accepting rests when descriptors ran out.
    private static let pauseMilliseconds = 100
    /// Seconds of silence after which the kernel asks whether the peer is still there. The protocol
    /// has its own heartbeat, so this is only for peers that never spoke.
    private static let keepAliveSeconds: UInt32 = 60

    let loop: EventLoop
    private let socket: ListeningSocket
    private let isUnix: Bool
    private let logger: Logger
    private let tls: TLSSource?
    private var handler: (any ListenerHandler)?
    private var poll: UnsafeMutablePointer<uv_poll_t>?
    private var retry: Alarm?
    private var isPaused = false

    /// The port that is listened on, also when the system chose it; 0 for a unix socket.
    package var port: UInt16 { self.socket.port }
    /// Where it listens, in numbers: `127.0.0.1:7300`, `tls:127.0.0.1:7301` or
    /// `unix:/run/dormouse/socket`.
    package var address: String { self.tls == nil ? self.socket.name : "tls:\(self.socket.name)" }

    /// Listens from now on. Host names are looked up, which may take a while. The failure says what
    /// is wrong with the address and what to do.
    package convenience init(
        on loop: EventLoop, at address: ListenAddress, logger: Logger, tls: TLSSource? = nil,
        handler: any ListenerHandler
    ) throws(Failure) {
        try self.init(
            on: loop, taking: ListeningSocket(address), logger: logger, tls: tls, handler: handler)
    }

    /// Accepts from a socket that a service manager opened.
    package convenience init(
        on loop: EventLoop, passed: PassedSocket, logger: Logger, tls: TLSSource? = nil,
        handler: any ListenerHandler
    ) throws(Failure) {
        try self.init(
            on: loop, taking: ListeningSocket(passed), logger: logger, tls: tls, handler: handler)
    }

    private init(
        on loop: EventLoop, taking socket: ListeningSocket, logger: Logger, tls: TLSSource?,
        handler: any ListenerHandler
    ) throws(Failure) {
        self.loop = loop
        self.tls = tls
        self.logger = logger
        self.handler = handler
        self.socket = socket
        self.isUnix = socket.name.hasPrefix("unix:")
        let poll = UnsafeMutablePointer<uv_poll_t>.allocate(capacity: 1)
        let code = uv_poll_init(loop.uv, poll, socket.descriptor)
        guard code == 0 else {
            poll.deallocate()
            socket.close()
            throw Failure(
                .internal, "cannot listen on \(socket.name): the socket cannot be watched",
                underlying: describe(code))
        }
        self.poll = poll
        self.adopt(poll)
        self.retry = Alarm(on: loop) { [weak self] in self?.watch() }
        self.watch()
    }

    /// Closes the socket, removes the socket file, and lets go of the handler. Connections stay. A
    /// second call does nothing.
    package func stop() {
        guard let poll = self.poll else { return }
        self.poll = nil
        self.retry = nil
        self.handler = nil
        self.closeAdopted(poll)
        self.socket.close()
    }

    private func watch() {
        guard let poll = self.poll else { return }
        let code = uv_poll_start(poll, Int32(UV_READABLE.rawValue)) { poll, status, _ in
            // On the loop's thread.
            adopted(Listener.self, poll?.pointee.data)?.acceptAll(status)
        }
        if code != 0 { self.pause(describe(code)) }
    }

    private func acceptAll(_ status: Int32) {
        guard status == 0 else {
            self.pause(describe(status))
            return
        }
        // Who comes while handshakes wait would only make them wait longer.
        if self.tls != nil, self.loop.isShakingHands { return }
        for _ in 0..<Self.acceptsPerTurnMax where self.poll != nil {
            let result = dormouse_accept(self.socket.descriptor)
            switch -result {
            case ...0:
                self.accepted(result)
            case EAGAIN:
                return
            case EINTR, ECONNABORTED, EPROTO:
                // One that was gone before we came; the next may be fine.
                break
            case let code:
                self.pause(String(cString: strerror(code)))
                return
            }
        }
    }

    /// Those who wait stay in the backlog. Said once, until accepting works again.
    private func pause(_ reason: String) {
        guard let poll = self.poll else { return }
        uv_poll_stop(poll)
        if !self.isPaused {
            self.isPaused = true
            self.logger.error(
                "cannot accept connections; raise the limit of open files or close connections",
                [.address: self.address, .error: reason])
        }
        self.retry?.set(at: self.loop.now().advanced(byMilliseconds: Self.pauseMilliseconds))
    }

    private func accepted(_ descriptor: Int32) {
        if self.isPaused {
            self.isPaused = false
            self.logger.info("accepting connections again", [.address: self.address])
        }
        let peer = peer(of: descriptor, isUnix: self.isUnix)
        guard let connection = self.open(descriptor, peer.name, peer.identity) else { return }
        if let handler = self.handler?.accepted(connection) {
            connection.start(handler)
        } else {
            connection.close()
        }
    }

    private func open(
        _ descriptor: Int32, _ peer: String, _ identity: PeerIdentity
    ) -> Connection? {
        let stream: UnsafeMutableRawPointer
        var code: Int32
        if self.isUnix {
            let pipe = UnsafeMutablePointer<uv_pipe_t>.allocate(capacity: 1)
            uv_pipe_init(self.loop.uv, pipe, 0)
            code = uv_pipe_open(pipe, descriptor)
            stream = UnsafeMutableRawPointer(pipe)
        } else {
            let tcp = UnsafeMutablePointer<uv_tcp_t>.allocate(capacity: 1)
            uv_tcp_init(self.loop.uv, tcp)
            code = uv_tcp_open(tcp, descriptor)
            if code == 0 {
                // Neither is worth a connection: a peer that is gone already is noticed by reading.
                uv_tcp_nodelay(tcp, 1)
                uv_tcp_keepalive(tcp, 1, Self.keepAliveSeconds)
            }
            stream = UnsafeMutableRawPointer(tcp)
        }
        // uv_tcp_t and uv_pipe_t begin with the fields of uv_stream_t. Source: libuv, "uv_stream_t".
        let opened = stream.assumingMemoryBound(to: uv_stream_t.self)
        guard code == 0 else {
            uv_handle_set_data(stream.assumingMemoryBound(to: uv_handle_t.self), nil)
            freeWhenClosed(opened)
            _ = socketClose(descriptor)
            self.logger.warning(
                "a connection could not be opened", [.peer: peer, .error: describe(code)])
            return nil
        }
        do throws(Failure) {
            return try Connection(
                opened, on: self.loop, peerDescription: peer, peerIdentity: identity,
                tls: self.tls?.context)
        } catch {
            uv_handle_set_data(stream.assumingMemoryBound(to: uv_handle_t.self), nil)
            freeWhenClosed(opened)
            self.logger.warning(
                "a connection could not be opened", [.peer: peer, .error: error.description])
            return nil
        }
    }

    func loopCloses() { self.stop() }

    func handleClosed() {
        // Everything went with `stop`.
    }
}
