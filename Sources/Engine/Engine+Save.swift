internal import Channels
internal import Core
internal import Diagnostics

// State saves itself: confirmed positions are marked, and written a little later, the newest of
// each subscriber.

extension Engine {
    func save(_ save: PositionSave, _ exchange: Exchange) {
        #if DEBUG
            let isPlanted = self.plantedBug == .positionBeyondSent
            let save =
                isPlanted
                ? PositionSave(name: save.name, position: exchange.head, epoch: save.epoch) : save
        #endif
        self.unsaved.mark(save, in: exchange.id)
        self.unsavedSignal.signal()
    }

    func saveLoop() async {
        while await self.unsavedSignal.wait() {
            await self.sleep(milliseconds: self.limits.saveMilliseconds)
            var attempt = 0
            while await !self.flushPositions(), !self.isFinished {
                await self.backOff(attempt: attempt)
                attempt += 1
            }
        }
    }

    /// Writes what is unsaved now. false: some of it could not be written and waits again.
    @discardableResult
    func flushPositions() async -> Bool {
        var isComplete = true
        // 10,000 positions are about 1 MiB of parameters and some tens of milliseconds.
        for batch in self.unsaved.take(limit: 10_000) {
            guard let exchange = self.exchanges[batch.exchange], exchange.log.state != .lost else {
                continue
            }
            let epoch = exchange.log.epoch
            do throws(Failure) {
                let isSaved = try await self.asking { () throws(Failure) -> Bool in
                    try await self.store.savePositions(
                        batch.positions, of: batch.exchange, owner: epoch)
                }
                if isSaved { continue }
                if exchange.log.epoch == epoch, exchange.log.state == .writing,
                    !exchange.isRecovering
                {
                    self.lost(exchange)
                    continue
                }
            } catch {
                if error.code != .unavailable {
                    self.logger.error("cannot save positions", [.error: error.description])
                }
            }
            self.unsaved.giveBack(batch)
            isComplete = false
        }
        return isComplete
    }
}
