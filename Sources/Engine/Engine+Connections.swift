package import Core
internal import Diagnostics
internal import Wire

extension Engine {
    // MARK: From the network

    /// A connection was accepted. false: refuse it.
    package func accepted(_ peer: any Peer) -> Bool {
        guard !self.isDraining, self.sessions.count < self.limits.connectionsMax else {
            self.counters.add(to: .connectionsRefused)
            self.logStranger(
                "refused a connection: the limit is reached or the server is stopping",
                [.peer: peer.address, .count: "\(self.sessions.count)"])
            return false
        }
        let session = Session(
            peer: peer, limits: self.limits, now: self.host.now, wallTime: self.host.wallTime)
        self.sessions[peer.id] = session
        self.counters.add(to: .connectionsAccepted)
        self.welcome(newcomer: session)
        self.scheduleCheck(session)
        return true
    }

    package func received(_ bytes: UnsafeRawBufferPointer, from id: ConnectionID) {
        guard let session = self.sessions[id] else { return }
        self.counters.add(bytes.count, to: .receivedBytes)
        session.lastHeard = self.host.now
        session.receivedBytes &+= UInt64(bytes.count)
        session.machine.heard()
        guard session.preface != nil else { return self.decode(bytes, session) }
        switch session.preface?.push(bytes) {
        case .complete(let used):
            session.preface = nil
            session.machine.prefaceReceived()
            self.decode(UnsafeRawBufferPointer(rebasing: bytes[used...]), session)
        case .mismatch(let description):
            session.preface = nil
            self.goAway(
                session,
                Failure(
                    .invalidArgument,
                    "the connection did not begin with Dormouse's preface (it looks like \(description))"
                ))
        case .needsMore, nil:
            break
        }
    }

    /// The queue of the connection went down: its subscribers may be sent more.
    package func drained(_ id: ConnectionID) {
        guard let session = self.sessions[id] else { return }
        for subscriber in session.awake.members { self.pump(subscriber) }
        self.roomCame(session)
        self.resumeReading(session)
    }

    /// The connection is gone, whoever ended it.
    package func closed(_ id: ConnectionID, reason: String) {
        guard let session = self.sessions.removeValue(forKey: id) else { return }
        self.newcomers.left(id)
        self.leave(session.identity)
        self.counters.add(Int(clamping: session.peer.takenBytes), to: .sentBytes)
        self.deadlines.remove(.session(id))
        self.deadlines.remove(.identity(id))
        _ = session.machine.close()
        for subscriber in session.awake.members {
            self.putToSleep(subscriber, .connectionClosed(reason))
        }
        session.subscriptions = [:]
        self.forgetFetches(of: session)
        self.roomCame(session)
        self.logger.debug("connection closed", [.peer: session.peer.address, .reason: reason])
        self.finishIfQuiet()
    }

    // MARK: Frames

    private func decode(_ bytes: UnsafeRawBufferPointer, _ session: Session) {
        var bytes = bytes
        do throws(Failure) {
            while true {
                let step = try session.decoder.decode(bytes) {
                    (header, payload) throws(Failure) -> FrameDecoder.Step in
                    try self.handle(header, payload, session)
                    return self.mustPause(session) ? .pause : .next
                }
                bytes = UnsafeRawBufferPointer(start: nil, count: 0)
                if step == .next || session.machine.state == .closed { return }
                if session.refusal != nil { return }
                if session.machine.isFull || self.isCongested(session) {
                    return self.pauseReading(session)
                }
                session.decoder.payloadBytesMax = self.limits.frameBytesMax
                session.hasFullFrames = true
            }
        } catch {
            self.goAway(session, error)
        }
    }

    /// After the hello the decoder's limit changes; when answers are behind, nothing more is read.
    private func mustPause(_ session: Session) -> Bool {
        switch session.machine.state {
        case .greeting, .introducing: return session.refusal != nil
        case .closed: return true
        case .open, .draining:
            return !session.hasFullFrames || session.machine.isFull || self.isCongested(session)
        }
    }

    /// The peer asks faster than it reads the answers.
    func isCongested(_ session: Session) -> Bool {
        session.peer.queuedBytes > self.limits.outboundBytesMax
    }

    func pauseReading(_ session: Session) {
        guard !session.isPaused else { return }
        session.isPaused = true
        session.peer.pauseReading()
    }

    /// Goes on reading when there is room for answers again: first what was held, then the socket.
    func resumeReading(_ session: Session) {
        guard session.isPaused, session.refusal == nil, !session.machine.isFull,
            !self.isCongested(session)
        else { return }
        session.isPaused = false
        session.lastHeard = self.host.now
        session.peer.resumeReading()
        self.decode(UnsafeRawBufferPointer(start: nil, count: 0), session)
    }

    private func handle(
        _ header: FrameHeader, _ payload: UnsafeRawBufferPointer, _ session: Session
    ) throws(Failure) {
        switch header.type {
        case .request:
            self.request(header, payload, session)
        case .cancel:
            self.cancel(header.stream, session)
        case .ping:
            guard payload.count <= Limits.pingBytesMax else {
                throw Failure(
                    .invalidArgument, "a PING has \(payload.count) bytes; expected at most 8")
            }
            // Who is in is not read while it does not read; a stranger is not waited for.
            if self.newcomers.contains(session.id),
                session.peer.queuedBytes > Limits.helloFrameBytesMax
            {
                throw Failure(
                    .resourceExhausted, "the connection asks, and does not read, before its hello")
            }
            session.send(.pong, payload: Array(payload))
        case .pong:
            break
        case .response, .data, .end, .goAway:
            throw Failure(
                .invalidArgument,
                "a client sent a frame of type \(header.type.rawValue), which only servers send")
        }
    }

    /// Broken framing, or a peer that may not go on: say why, then close.
    func goAway(_ session: Session, _ failure: Failure) {
        guard session.machine.state != .closed else { return }
        let fields: Logger.Fields = [
            .peer: session.peer.address, .reason: failure.description,
        ]
        if self.newcomers.contains(session.id) {
            self.logStranger("closing a connection", fields)
        } else {
            self.logger.info("closing a connection", fields)
        }
        session.send(failure, as: .goAway, on: .connection)
        _ = session.machine.close()
        for subscriber in session.awake.members {
            self.putToSleep(subscriber, .connectionClosed(failure.message))
        }
        session.peer.closeAfterFlush()
    }

    func closeIfFinished(_ session: Session) {
        guard session.machine.isFinished else { return }
        _ = session.machine.close()
        session.peer.closeAfterFlush()
    }

    // MARK: Looking after

    private func scheduleCheck(_ session: Session) {
        let milliseconds = min(
            self.limits.heartbeatMilliseconds, self.limits.writeMillisecondsMax,
            self.limits.helloMillisecondsMax)
        var next = self.host.now.advanced(byMilliseconds: max(1, milliseconds / 2))
        if self.newcomers.contains(session.id) {
            // Its deadline is absolute.
            let deadline = session.openedAt.advanced(
                byMilliseconds: self.limits.helloMillisecondsMax)
            next = max(self.host.now.advanced(byMilliseconds: 1), min(next, deadline))
        }
        self.add(.session(session.id), at: next)
    }

    func check(_ id: ConnectionID, now: Instant) {
        guard let session = self.sessions[id] else { return }
        if self.isStuck(session, now: now) {
            self.logger.info(
                "closing a connection that takes no bytes",
                [.peer: session.peer.address, .bytes: "\(session.peer.queuedBytes)"])
            return self.drop(session, "it took no bytes for \(self.limits.writeMillisecondsMax) ms")
        }
        // While we do not read, silence says nothing about the peer.
        let silence = session.isPaused ? 0 : now.milliseconds(since: session.lastHeard)
        let age = now.milliseconds(since: session.openedAt)
        switch session.machine.checked(silenceMilliseconds: silence, ageMilliseconds: age) {
        case .none: break
        case .ping: session.send(.ping)
        case .close(let reason):
            self.logStranger(
                "closing a connection", [.peer: session.peer.address, .reason: reason])
            return self.drop(session, reason)
        }
        self.scheduleCheck(session)
    }

    /// Ends a connection that is of no use any more, without a word: nobody would hear it.
    func drop(_ session: Session, _ reason: String) {
        _ = session.machine.close()
        for subscriber in session.awake.members {
            self.putToSleep(subscriber, .connectionClosed(reason))
        }
        session.peer.close()
    }

    private func isStuck(_ session: Session, now: Instant) -> Bool {
        session.peer.queuedBytes > 0
            && now.milliseconds(since: session.peer.lastWriteProgress)
                >= self.limits.writeMillisecondsMax
    }
}
