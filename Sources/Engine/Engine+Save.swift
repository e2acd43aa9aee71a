internal import Channels
internal import Core
internal import Diagnostics

// State saves itself: confirmed positions are marked, and written a little later, the newest of
// each subscriber. When there are many, they wait longer; when to write which, `UnsavedPositions`
// decides.

extension Engine {
    /// 10,000 positions are about 1 MiB of parameters and some tens of milliseconds.
    private static let batchMax = 10_000

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
            while await !self.write(self.takeDue()), !self.isFinished {
                await self.backOff(attempt: attempt)
                attempt += 1
            }
            // Others are held back, or came meanwhile.
            if !self.unsaved.isEmpty { self.unsavedSignal.signal() }
        }
    }

    private func takeDue() -> [UnsavedPositions.Batch] {
        self.unsaved.takeDue(
            now: self.host.now, perSecond: self.limits.savesPerSecondMax, limit: Self.batchMax)
    }

    /// Writes everything that is unsaved now. false: some of it could not be written and waits again.
    @discardableResult
    func flushPositions() async -> Bool {
        await self.write(self.unsaved.take(limit: Self.batchMax))
    }

    private func write(_ batches: [UnsavedPositions.Batch]) async -> Bool {
        var isComplete = true
        for batch in batches {
            guard let exchange = self.exchanges[batch.exchange], exchange.log.state != .lost else {
                continue
            }
            let epoch = exchange.log.epoch
            do throws(Failure) {
                let isSaved = try await self.asking { () throws(Failure) -> Bool in
                    try await self.store.savePositions(
                        batch.positions, of: batch.exchange, owner: epoch)
                }
                if isSaved {
                    self.counters.add(batch.positions.count, to: .saves)
                    continue
                }
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
            self.counters.add(to: .saveFailures)
            self.unsaved.giveBack(batch)
            isComplete = false
        }
        return isComplete
    }
}
