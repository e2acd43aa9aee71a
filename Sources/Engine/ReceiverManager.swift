internal import Core

// The receiver manager: finds the receiver of a config or starts it, makes subscribers, moves and
// forgets them. Rows come first, memory follows; whoever else wants the same receiver or the same
// name meanwhile waits for its turn.

final class ReceiverManager {
    private enum Key: Hashable, Sendable {
        case receiver(ExchangeID, [UInt8])
        case subscriber(ExchangeID, Name)
        case exchange(Name)
    }

    private let store: any StateStore
    private let limits: Limits
    private let turns = Turns<Key>()

    init(store: any StateStore, limits: Limits) {
        self.store = store
        self.limits = limits
    }

    // MARK: Turns

    /// One change to a subscriber at a time.
    func withTurn<Value>(
        of name: Name, in exchange: Exchange, _ body: () async throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let key = Key.subscriber(exchange.id, name)
        await self.turns.take(key)
        defer { self.turns.release(key) }
        return try await body()
    }

    func withTurn<Value>(
        ofExchange name: Name, _ body: () async throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        await self.turns.take(.exchange(name))
        defer { self.turns.release(.exchange(name)) }
        return try await body()
    }

    // MARK: Receivers

    /// Finds the receiver of this config or starts it. It is reserved: the caller
    /// ends the reservation by `Engine.release`.
    func receiver(
        _ config: ReceiverConfig, in exchange: Exchange, isDurable: Bool
    ) async throws(Failure) -> Receiver {
        let bytes = config.canonicalBytes
        if let found = exchange.receivers[bytes], found.id != nil || !isDurable {
            found.reservations += 1
            return found
        }
        let key = Key.receiver(exchange.id, bytes)
        await self.turns.take(key)
        defer { self.turns.release(key) }
        let receiver = try self.findOrMakeReceiver(config, in: exchange)
        receiver.reservations += 1
        do throws(Failure) {
            if isDurable, receiver.id == nil {
                receiver.id = try await self.store.registerReceiver(config, in: exchange.id)
            }
        } catch {
            receiver.reservations -= 1
            if receiver.isUnused { exchange.receivers[bytes] = nil }
            throw error
        }
        return receiver
    }

    private func findOrMakeReceiver(
        _ config: ReceiverConfig, in exchange: Exchange
    ) throws(Failure) -> Receiver {
        if let found = exchange.receivers[config.canonicalBytes] { return found }
        guard exchange.receivers.count < self.limits.receiversMax else {
            throw Failure(
                .resourceExhausted,
                "the exchange already has \(exchange.receivers.count) receivers; use an existing config, or raise "
                    + "--receivers")
        }
        let receiver = Receiver(config, id: nil)
        exchange.receivers[config.canonicalBytes] = receiver
        return receiver
    }

    /// Removes the row of a receiver that nobody uses, unless somebody does by the time it is our
    /// turn.
    func removeRow(_ receiver: Receiver, in exchange: Exchange) async throws(Failure) {
        let bytes = receiver.config.canonicalBytes
        let key = Key.receiver(exchange.id, bytes)
        await self.turns.take(key)
        defer { self.turns.release(key) }
        guard receiver.isUnused, exchange.receivers[bytes] === receiver, let id = receiver.id else {
            return
        }
        // From here on nobody finds it; who wants the config waits for our turn to end and then
        // makes a new row. After a failure, too: the row may be gone nevertheless, so its id must
        // not be used again; if it is still there, the next registration finds it.
        exchange.receivers[bytes] = nil
        try await self.store.removeReceiver(id, of: exchange.id)
    }

    // MARK: Subscribers

    /// Makes a durable subscriber that begins after `position`: its row first.
    func makeSubscriber(
        _ name: Name, receiver: Receiver, in exchange: Exchange, after position: Position,
        principal: Name?, now: Timestamp
    ) async throws(Failure) -> Subscriber {
        guard exchange.subscribers.count + exchange.subscribersInMaking < self.limits.subscribersMax
        else {
            throw Failure(
                .resourceExhausted,
                "the exchange already has \(exchange.subscribers.count) subscribers; forget some, or raise --subscribers"
            )
        }
        let subscriber = Subscriber(
            name: name, exchange: exchange, receiver: receiver,
            machine: SubscriberMachine(createdAt: position, now: now), principal: principal)
        exchange.subscribersInMaking += 1
        defer { exchange.subscribersInMaking -= 1 }
        if let record = subscriber.record { try await self.overwrite(record) }
        exchange.add(subscriber, named: name)
        receiver.named += 1
        return subscriber
    }

    /// Memory is right, whatever row is there: it was left by a change whose outcome nobody knew, and
    /// looks newer when the clock was set back meanwhile.
    private func overwrite(_ record: SubscriberRecord) async throws(Failure) {
        do throws(Failure) {
            try await self.store.storeSubscriber(record)
        } catch {
            guard error.code == .aborted else { throw error }
            try await self.store.removeSubscriber(record.name, of: record.exchange, upto: .last)
            try await self.store.storeSubscriber(record)
        }
    }

    /// Gives a sleeping subscriber another receiver; its position stays.
    func move(_ subscriber: Subscriber, to receiver: Receiver) async throws(Failure) {
        guard let id = receiver.id else { return }
        try await self.changing(subscriber) { () async throws(Failure) in
            guard let record = subscriber.record else { return }
            try await self.store.storeSubscriber(
                SubscriberRecord(
                    exchange: record.exchange, name: record.name, receiver: id,
                    position: record.position, epoch: record.epoch, pause: record.pause,
                    principal: record.principal))
        }
        subscriber.receiver.named -= 1
        subscriber.receiver = receiver
        receiver.named += 1
    }

    func storePause(_ pause: Pause?, of subscriber: Subscriber) async throws(Failure) {
        try await self.changing(subscriber) { () async throws(Failure) in
            guard let record = subscriber.record else { return }
            try await self.store.storeSubscriber(
                SubscriberRecord(
                    exchange: record.exchange, name: record.name, receiver: record.receiver,
                    position: record.position, epoch: record.epoch, pause: pause,
                    principal: record.principal))
        }
    }

    /// A name that was nobody's belongs to this principal from now on.
    func storePrincipal(
        _ principal: Name, of subscriber: Subscriber
    ) async throws(Failure) {
        try await self.changing(subscriber) { () async throws(Failure) in
            guard let record = subscriber.record else { return }
            try await self.store.storeSubscriber(
                SubscriberRecord(
                    exchange: record.exchange, name: record.name, receiver: record.receiver,
                    position: record.position, epoch: record.epoch, pause: record.pause,
                    principal: principal))
        }
        subscriber.exchange.give(subscriber, to: principal)
    }

    /// Before a subscriber is used again whose last change had an unknown outcome: its row becomes
    /// what memory says, in a newer session epoch, so that the change has no effect if it is still
    /// under way.
    func settle(_ subscriber: Subscriber) async throws(Failure) {
        guard subscriber.isRowUnsure else { return }
        subscriber.machine.renew()
        if let record = subscriber.record { try await self.overwrite(record) }
        subscriber.isRowUnsure = false
    }

    /// Changes the row; until the store has said that it did, it is not known what the row holds.
    private func changing(
        _ subscriber: Subscriber, _ change: () async throws(Failure) -> Void
    ) async throws(Failure) {
        try await self.settle(subscriber)
        subscriber.isRowUnsure = true
        try await change()
        subscriber.isRowUnsure = false
    }

    /// Removes a sleeping subscriber, its row first.
    func forget(_ subscriber: Subscriber, named name: Name) async throws(Failure) {
        let exchange = subscriber.exchange
        try await self.changing(subscriber) { () async throws(Failure) in
            try await self.store.removeSubscriber(
                name, of: exchange.id, upto: subscriber.machine.epoch)
        }
        exchange.remove(named: name)
        subscriber.receiver.named -= 1
    }
}
