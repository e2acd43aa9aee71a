internal import Channels
internal import Core
internal import Diagnostics

// The outbox is one more source of events. When to take rows, and when their move is over, `LogMachine` decides; here
// pages are read, offered to it, and waited for.

extension Engine {
    func outboxLoop() async {
        guard self.limits.outboxMilliseconds > 0 else { return }
        var attempt = 0
        while !self.isFinished, !self.isDraining {
            var pause = self.limits.outboxMilliseconds
            do throws(Failure) {
                if try await self.moveRows() { pause = 0 }
                attempt = 0
            } catch {
                if error.code != .unavailable {
                    self.logger.error("cannot read the outbox", [.error: error.description])
                }
                await self.backOff(attempt: attempt)
                attempt += 1
            }
            if pause > 0 { await self.sleep(milliseconds: pause) }
        }
    }

    /// Moves a page of each exchange that has rows. true: something was moved, so there may be more.
    private func moveRows() async throws(Failure) -> Bool {
        let look = try await self.asking { () throws(Failure) -> OutboxLook in
            try await self.outbox.look()
        }
        if look.unknownRows > 0 {
            self.logger.warning(
                "rows of the outbox name no exchange that there is and were set aside; see 'dormouse outbox list'",
                [.count: "\(look.unknownRows)"])
        }
        // All pages first: their appends are under way at the same time.
        var moving: [Exchange] = []
        for id in look.exchanges {
            guard let exchange = self.exchanges[id], exchange.log.takesRows else { continue }
            if try await self.offerRows(to: exchange) { moving.append(exchange) }
        }
        for exchange in moving {
            while exchange.log.movingRows > 0, await exchange.movedSignal.wait() {}
        }
        return !moving.isEmpty
    }

    /// true: the log has taken some.
    private func offerRows(to exchange: Exchange) async throws(Failure) -> Bool {
        let epoch = exchange.log.epoch
        let page = try await self.asking { () throws(Failure) -> OutboxPage in
            let page = try await self.outbox.read(exchange.id, OutboxPageLimits(self.limits))
            if !page.unfit.isEmpty {
                try await self.outbox.setAside(page.unfit, of: exchange.id, owner: epoch)
            }
            return page
        }
        for row in page.unfit.prefix(Self.unfitLogged) {
            self.logger.warning(
                "a row of the outbox cannot be an event and was set aside; see 'dormouse outbox list'",
                [
                    .exchange: exchange.name.text, .row: "\(row.id.rawValue)", .error: row.reason,
                    .count: "\(page.unfit.count)",
                ])
        }
        guard !page.rows.isEmpty else { return false }
        let isTaken = exchange.log.move(
            page.events, rows: page.rows, now: self.host.now, time: self.host.wallTime)
        if isTaken { exchange.writerSignal.signal() }
        return isTaken
    }

    /// Of a page; a writer that does everything wrong fills no disk with our log.
    private static let unfitLogged = 5
}
