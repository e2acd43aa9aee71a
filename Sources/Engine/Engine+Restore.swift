internal import Channels
internal import Core
internal import Diagnostics
internal import Diagnostics

// Restore: take the exchanges, then load producers, receivers and subscribers, in pages through a
// bounded channel: while one page is put into memory the next one is read. Everybody sleeps. Nobody
// can connect before this is complete.

extension Engine {
    private enum RestoredPage: Sendable {
        case producers([ProducerMark])
        case receivers([ReceiverRecord])
        case subscribers([SubscriberRecord])
    }

    /// 10,000 rows are a few MiB and some tens of milliseconds.
    private static let restorePageRows = 10_000

    func restore() async throws(Failure) {
        self.startedAt = self.host.wallTime
        self.incarnation = try await self.store.incarnation()
        self.principals = PrincipalTable(try await self.store.principals())
        self.awaitNextEnd()
        for record in try await self.store.takeExchanges(as: self.owner) {
            try await self.restore(self.add(record))
        }
        let exchanges = self.exchanges.values
        let receivers = exchanges.reduce(0) { $0 + $1.receivers.count }
        let subscribers = exchanges.reduce(0) { $0 + $1.subscribers.count }
        self.logger.info(
            "restored; exchanges: \(exchanges.count), receivers: \(receivers), "
                + "sleeping subscribers: \(subscribers)")
    }

    @discardableResult
    func add(_ record: ExchangeRecord) -> Exchange {
        let exchange = Exchange(record, limits: self.limits)
        self.exchanges[record.id] = exchange
        self.exchangesByName[record.name] = exchange
        return exchange
    }

    private func restore(_ exchange: Exchange) async throws(Failure) {
        let pages = BoundedChannel<RestoredPage>(capacity: 2)
        let (store, id) = (self.store, exchange.id)
        let outcome = await withTaskGroup(of: Result<Void, Failure>.self) { group in
            group.addTask {
                let outcome = await Self.read(id, from: store, into: pages)
                pages.close()
                return outcome
            }
            var byID: [ReceiverID: Receiver] = [:]
            while let page = await pages.receive() { self.put(page, into: exchange, &byID) }
            return await group.next() ?? .success(())
        }
        try outcome.get()
    }

    private func put(
        _ page: RestoredPage, into exchange: Exchange, _ byID: inout [ReceiverID: Receiver]
    ) {
        switch page {
        case .producers(let marks):
            for mark in marks { exchange.log.restored(mark) }
        case .receivers(let records):
            for record in records {
                let receiver = Receiver(record.config, id: record.id)
                byID[record.id] = receiver
                exchange.receivers[record.config.canonicalBytes] = receiver
            }
        case .subscribers(let records):
            let now = self.host.wallTime
            for record in records {
                guard let receiver = byID[record.receiver] else { continue }
                receiver.named += 1
                let machine = SubscriberMachine(
                    restored: record.position, epoch: record.epoch, pause: record.pause,
                    head: exchange.head, now: now)
                let subscriber = Subscriber(
                    name: record.name, exchange: exchange, receiver: receiver, machine: machine,
                    principal: record.principal)
                exchange.add(subscriber, named: record.name)
                self.schedulePauseEnd(subscriber)
            }
        }
    }

    private static func read(
        _ id: ExchangeID, from store: any StateStore, into pages: BoundedChannel<RestoredPage>
    ) async -> Result<Void, Failure> {
        do throws(Failure) {
            try await Self.readPages {
                (last: ProducerMark?) async throws(Failure) -> [ProducerMark] in
                let page = try await store.producers(
                    of: id, after: last?.name, limit: Self.restorePageRows)
                _ = await pages.send(.producers(page))
                return page
            }
            try await Self.readPages {
                (last: ReceiverRecord?) async throws(Failure) -> [ReceiverRecord] in
                let page = try await store.receivers(
                    of: id, after: last?.id, limit: Self.restorePageRows)
                _ = await pages.send(.receivers(page))
                return page
            }
            try await Self.readPages {
                (last: SubscriberRecord?) async throws(Failure) -> [SubscriberRecord] in
                let page = try await store.subscribers(
                    of: id, after: last?.name, limit: Self.restorePageRows)
                _ = await pages.send(.subscribers(page))
                return page
            }
            return .success(())
        } catch {
            return .failure(error)
        }
    }

    private static func readPages<Row>(
        _ read: (Row?) async throws(Failure) -> [Row]
    ) async throws(Failure) {
        var page = try await read(nil)
        while page.count == Self.restorePageRows { page = try await read(page.last) }
    }
}
