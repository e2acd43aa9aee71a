internal import Core
internal import Diagnostics
internal import Wire

// The log was restored from a backup: what clients remember of it may never have been in it, or be
// something else now. Only an administrator knows of it. The new incarnation is stored first; then all
// connections end, since each of them was welcomed with the old one, and whoever comes again with a
// position of the old one is told POSITION_LOST.

extension Engine {
    func restored(
        _ request: RestoredRequest, _ stream: StreamID, _ session: Session
    ) throws(Failure) {
        try session.permissions.administeringEverything()
        guard request.incarnation == self.incarnation.bytes else {
            throw Failure(
                .failedPrecondition,
                "the log has another incarnation than the one that is to end; ask Server for it, and "
                    + "see whether somebody has said this before")
        }
        if self.exchanges.values.contains(where: \.isLost) { throw .exchangeLost }
        try self.spawn(session, stream) { (engine) async throws(Failure) -> Reply? in
            .restored(try await engine.endIncarnation())
        }
    }

    private func endIncarnation() async throws(Failure) -> RestoredReply {
        let old = self.incarnation
        let stored = try await self.asking { () async throws(Failure) -> Incarnation in
            try await self.store.endIncarnation(old)
        }
        // Somebody else, who asked at the same time, may have been first.
        guard self.incarnation == old, stored != old else {
            return RestoredReply(incarnation: self.incarnation.bytes)
        }
        self.incarnation = stored
        self.logger.warning(
            "the log was restored from a backup; it has a new incarnation, all connections end",
            [.incarnation: stored.description, .count: "\(self.sessions.count)"])
        let failure = Failure(
            .draining, "the log was restored from a backup; connect again",
            retryAfterMilliseconds: 100)
        for id in self.sessions.keys.sorted() {
            guard let session = self.sessions[id], session.machine.drain() else { continue }
            session.send(failure, as: .goAway, on: .connection)
            for subscriber in session.awake.members {
                self.end(
                    subscriber, failure, reason: .failed("the log was restored from a backup"))
            }
            self.closeIfFinished(session)
        }
        return RestoredReply(incarnation: stored.bytes)
    }
}
