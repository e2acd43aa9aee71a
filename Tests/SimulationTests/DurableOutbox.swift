import Core

extension DurableState {
    /// A row is numbered when it is inserted and seen when it is committed.
    mutating func nextOutboxID() -> OutboxID {
        self.lastOutbox += 1
        return OutboxID(rawValue: self.lastOutbox)
    }

    mutating func commit(_ id: OutboxID, _ event: Event, to exchange: ExchangeID) {
        guard let index = self.exchanges.firstIndex(where: { $0.id == exchange }) else { return }
        let rows = self.exchanges[index].outbox
        let place = rows.firstIndex { $0.id > id } ?? rows.endIndex
        self.exchanges[index].outbox.insert((id, event), at: place)
    }

    var waiting: [ExchangeID] { self.exchanges.filter { !$0.outbox.isEmpty }.map(\.id) }

    func readOutbox(_ id: ExchangeID, _ limits: OutboxPageLimits) -> OutboxPage {
        var page = OutboxPage()
        for (id, event) in (self.exchange(id)?.outbox ?? []).prefix(limits.rowsMax) {
            if !page.rows.isEmpty, page.events.bytes.count >= limits.bytesMax { break }
            do throws(Failure) {
                try page.events.append(event, eventBytesMax: limits.eventBytesMax)
                page.rows.append(id)
            } catch {
                page.unfit.append(UnfitRow(id: id, reason: error.message))
            }
        }
        return page
    }

    mutating func setAside(_ rows: [UnfitRow], of id: ExchangeID, owner: OwnerEpoch) {
        guard let index = self.exchanges.firstIndex(where: { $0.id == id }),
            self.exchanges[index].epoch == owner
        else { return }
        for row in rows {
            guard let place = self.exchanges[index].outbox.firstIndex(where: { $0.id == row.id })
            else { continue }
            let event = self.exchanges[index].outbox.remove(at: place).event
            self.aside.append((id, row, event))
        }
        self.aside.sort { $0.row.id < $1.row.id }
    }

    func asideRows(after id: OutboxID?, limit: Int) -> [AsideRow] {
        self.aside.filter { entry in id.map { entry.row.id > $0 } ?? true }.prefix(limit).map {
            AsideRow(
                id: $0.row.id, exchange: self.exchange($0.exchange)?.name.text ?? "",
                key: String(decoding: $0.event.key, as: UTF8.self), bytes: $0.event.payload.count,
                reason: $0.row.reason, insertedAt: .zero)
        }
    }

    /// Takes these rows, or all, from those that were set aside; back to the outbox with `isRetry`.
    mutating func takeAside(_ ids: [OutboxID]?, isRetry: Bool) -> Int {
        let taken = self.aside.filter { ids?.contains($0.row.id) ?? true }
        self.aside.removeAll { ids?.contains($0.row.id) ?? true }
        if isRetry {
            for entry in taken { self.commit(entry.row.id, entry.event, to: entry.exchange) }
        }
        return taken.count
    }
}

extension StoreConnection: Outbox {
    func look() async throws(Failure) -> OutboxLook {
        try await self.reading { OutboxLook(exchanges: self.simulation.durable.waiting) }
    }

    func read(_ exchange: ExchangeID, _ limits: OutboxPageLimits) async throws(Failure)
        -> OutboxPage
    {
        try await self.reading { self.simulation.durable.readOutbox(exchange, limits) }
    }

    func setAside(_ rows: [UnfitRow], of exchange: ExchangeID, owner: OwnerEpoch)
        async throws(Failure)
    {
        try await self.changing("sets \(rows.map(\.id.rawValue)) aside") {
            self.simulation.durable.setAside(rows, of: exchange, owner: owner)
            self.simulation.statistics.rowsSetAside += rows.count
        }
    }

    func aside(after id: OutboxID?, limit: Int) async throws(Failure) -> [AsideRow] {
        try await self.reading { self.simulation.durable.asideRows(after: id, limit: limit) }
    }

    func retry(_ ids: [OutboxID]?) async throws(Failure) -> Int {
        try await self.changing("retries rows of the outbox") {
            self.simulation.durable.takeAside(ids, isRetry: true)
        }
    }

    func drop(_ ids: [OutboxID]?) async throws(Failure) -> Int {
        try await self.changing("drops rows of the outbox") {
            self.simulation.durable.takeAside(ids, isRetry: false)
        }
    }
}
