internal import Core
internal import Diagnostics

// Who owns the exchanges. A write or a save that is refused tells at once that another server has
// taken an exchange; one that neither writes nor saves asks from time to time.
//
// Two servers that live must not take the exchanges from each other for ever: only a start takes
// them, and one that was displaced starts anew only when nobody else is there to serve them. So it
// waits while the new owner lives, as a spare, and ends when that one has been gone for a while: then
// it died, maybe even before its own last statement reached the store.

extension Engine {
    func ownershipLoop() async {
        var abandonedSince: Instant?
        while !self.isFinished {
            await self.sleep(milliseconds: self.limits.ownershipMilliseconds)
            guard !self.isFinished else { return }
            let taken: [TakenExchange]
            do throws(Failure) {
                taken = try await self.asking { () throws(Failure) -> [TakenExchange] in
                    try await self.store.exchangesTaken(from: self.owner)
                }
            } catch {
                if error.code != .unavailable {
                    self.logger.error(
                        "cannot see who owns the exchanges", [.error: error.description])
                }
                // While the store is away nobody can show that it lives.
                abandonedSince = nil
                continue
            }
            let ours = taken.filter { self.exchanges[$0.id] != nil }
            for entry in ours { self.exchanges[entry.id].map(self.lost) }
            guard !ours.isEmpty, !ours.contains(where: \.isOwnerAlive) else {
                abandonedSince = nil
                continue
            }
            let since = abandonedSince ?? self.host.now
            abandonedSince = since
            if self.host.now.milliseconds(since: since) >= self.limits.takeoverMilliseconds {
                return self.endAbandoned()
            }
        }
    }

    private func endAbandoned() {
        guard !self.isDraining else { return }
        let names = self.exchanges.values.filter(\.isLost).map(\.name.text).sorted()
        self.ending = Failure(
            .aborted,
            "the server that took \(names.prefix(5).joined(separator: ", ")) shows no sign of life; "
                + "expected it to serve. This one ends: start it again, and it takes the exchanges anew"
        )
        self.logger.error(
            "the owner of exchanges that were taken from here is gone; ending, to be started anew",
            [.exchange: names.prefix(5).joined(separator: " "), .count: "\(names.count)"])
        self.drain()
    }
}
