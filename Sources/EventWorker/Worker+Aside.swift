import DormouseClient

/// Events that were set aside, on their turn.
extension Worker {
    func lookAside() throws {
        guard let database = self.database else { return }
        let isOld =
            self.asideSeen == .min
            || self.asideCount > 0
                && self.now >= self.asideSeen + self.options.limits.lookMilliseconds
        guard isOld else { return }
        let (count, due) = try self.store(database).aside()
        self.asideCount = count
        self.asideDue = due.map { self.now + max(0, $0) }
        self.asideSeen = self.now
    }

    func retry() throws {
        let (store, place) = try self.opened()
        self.asideSeen = .min
        guard let aside = try store.due() else { return }
        let position = aside.event.position
        let before = self.undone?.position == position ? self.undone : nil
        let attempts = before?.attempts ?? aside.attempts
        self.undone = (position, attempts, before?.reason ?? "")
        guard attempts < self.options.limits.attemptsMax else {
            var reason = before?.reason ?? ""
            if reason.isEmpty {
                reason = "the worker ended \(attempts) times while it applied this"
            }
            try store.postpone(
                aside, milliseconds: nil, reason: reason, attempts: attempts, waits: aside.waits,
                holdsKey: true, place)
            return
        }
        try store.count(position, attempts: attempts + 1, place)
        let transaction = Transaction(
            store.database, store, replayUpto: aside.isReplay ? .max : 0)
        do {
            try store.database.transaction { _ in
                try store.hold(place)
                guard
                    try store.release(position, orderingKey: aside.orderingKey, state: "waiting")
                else { return }
                try self.observe([aside.event], in: transaction)
            }
            if transaction.hasPublished { self.outgoing.mayBeLeft = true }
        } catch let error where !Self.isOurs(error) {
            let missing = error as? CauseMissing
            let isWaiting = missing != nil
            let failures = isWaiting ? attempts : attempts + 1
            let verdict = self.machine.verdict(
                isWaiting ? .cause : .event, attempts: failures, waits: aside.waits + 1,
                luck: self.luck)
            let milliseconds: Int64? =
                if case .later(let later) = verdict { later } else { nil }
            // What failed may have ended the connection, too.
            self.undone = (position, failures, "\(error)")
            try store.postpone(
                aside, milliseconds: milliseconds, reason: "\(error)", attempts: failures,
                waits: aside.waits + 1, holdsKey: missing?.holdsKey ?? true, place)
            if milliseconds == nil {
                self.options.log("parked the event at position \(position): \(error)")
            }
        }
        self.undone = nil
    }
}
