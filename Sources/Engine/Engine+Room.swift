internal import Core

// Answers that are much larger than their requests: pages of a fetch, listings. A peer that asks
// for thousands of them in one packet and reads none must not make us hold them all.

extension Engine {
    /// Makes one large answer of a connection at a time, and only when what waits in its way out
    /// leaves room. Whoever waits here holds nothing but its request.
    func withRoom<Value>(
        for id: ConnectionID, _ body: () async throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        await self.largeAnswers.take(id)
        defer { self.largeAnswers.release(id) }
        if let session = self.sessions[id], self.isCongested(session), !self.isFinished {
            await withCheckedContinuation { session.roomWaiter = $0 }
        }
        return try await body()
    }

    /// There is room again, or there is nobody left to wait for.
    func roomCame(_ session: Session) {
        session.roomWaiter?.resume()
        session.roomWaiter = nil
    }
}
