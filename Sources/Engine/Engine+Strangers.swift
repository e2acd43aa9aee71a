package import Core
internal import Diagnostics
internal import Wire

// Those who have not been let in: how many there may be, what they are told, and what is said of
// them in the log, which they must not be able to fill.

extension Engine {
    /// Whoever connects is a newcomer until its hello was accepted. Too many of them, and the oldest
    /// goes.
    func welcome(newcomer session: Session) {
        let origin = Newcomers.Origin(session.peer.identity)
        guard let oldest = self.newcomers.arrived(session.id, from: origin),
            let evicted = self.sessions[oldest]
        else { return }
        self.logStranger(
            "closing a connection that has not said hello for a newer one",
            [.peer: evicted.peer.address, .count: "\(self.newcomers.count)"])
        self.drop(evicted, "too many connections have not said hello")
    }

    /// TLS did not come about; the connection is closing.
    package func handshakeFailed(_ id: ConnectionID, reason: String) {
        guard let session = self.sessions[id] else { return }
        self.logStranger(
            "a TLS handshake failed", [.peer: session.peer.address, .reason: reason])
    }

    /// A connection to a port with TLS began otherwise. It is told so, unsealed, and closed.
    package func spokeWithoutTLS(_ bytes: UnsafeRawBufferPointer, from id: ConnectionID) {
        guard let session = self.sessions[id] else { return }
        self.goAway(
            session,
            Failure(
                .invalidArgument,
                "this port speaks TLS only, and the connection began without (it looks like "
                    + "\(PrefaceDecoder.guess(bytes))); connect with dormouses:// or to another port"
            ))
    }

    func logStranger(_ message: String, _ fields: Logger.Fields) {
        guard let skipped = self.strangerLines.take(now: self.host.now) else { return }
        if skipped > 0 {
            self.logger.info("left out lines like the next one", [.count: "\(skipped)"])
        }
        self.logger.info(message, fields)
    }
}
