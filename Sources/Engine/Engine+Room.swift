internal import Core

// Room in the ways out. Each connection has its own bound; all together have one, which keeps thousands of readers that are
// stuck from holding what each of them may.
//
// Answers that are much larger than their requests: pages of a fetch, listings. A peer that asks
// for thousands of them in one packet and reads none must not make us hold them all.

extension Engine {
    /// Whether more may be put into the connection's way out. When not, it is looked at again when there
    /// is.
    func hasRoom(_ session: Session) -> Bool {
        let queued = session.peer.queuedBytes
        guard queued <= self.limits.outboundBytesMax else { return false }
        guard queued > 0, self.host.queuedBytes > self.limits.outboundTotalBytesMax else {
            return true
        }
        if self.pressed.isEmpty {
            self.add(
                .pressure,
                at: self.host.now.advanced(byMilliseconds: Limits.pressureMilliseconds))
        }
        self.pressed.insert(session.id)
        return false
    }

    func easePressure() {
        let waiting = self.pressed.sorted()
        self.pressed = []
        for id in waiting {
            guard let session = self.sessions[id] else { continue }
            for subscriber in session.awake.members { self.pump(subscriber) }
            if self.hasRoom(session) { self.roomCame(session) }
        }
    }

    /// Makes one large answer of a connection at a time, and only when what waits in its way out
    /// leaves room. Whoever waits here holds nothing but its request. When nobody is left to answer, it is not made: who
    /// asks for thousands and hangs up must not keep us busy with them.
    func withRoom<Value>(
        for id: ConnectionID, _ body: () async throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        await self.largeAnswers.take(id)
        defer { self.largeAnswers.release(id) }
        if let session = self.sessions[id], !self.hasRoom(session), !self.isFinished {
            await withCheckedContinuation { session.roomWaiter = $0 }
        }
        guard let session = self.sessions[id], session.machine.state != .closed else {
            throw Failure(.cancelled, "the connection is gone")
        }
        return try await body()
    }

    /// There is room again, or there is nobody left to wait for.
    func roomCame(_ session: Session) {
        session.roomWaiter?.resume()
        session.roomWaiter = nil
    }
}
