import Core

// What the simulation's Postgres holds: the semantics of the ports, without time and without
// faults. It survives every server. `StoreConnection` is a server's faulty way to it.

struct DurableState {
    struct Exchange {
        let id: ExchangeID
        let name: Name
        var epoch: OwnerEpoch
        var owner: OwnerID
        var head = Position.origin
        var chunks: [Chunk] = []
        var bytes: UInt64 = 0
        var producers: [Name: ProducerMark] = [:]
        var receivers: [ReceiverID: ReceiverConfig] = [:]
        var subscribers: [Name: SubscriberRecord] = [:]
        var lastReceiver: Int64 = 0
        /// Committed by SQL writers, in order of their ids.
        var outbox: [(id: OutboxID, event: Event)] = []

        var lastAt: Timestamp { self.chunks.last?.lastAt ?? .zero }
        var first: Position { self.chunks.first?.first ?? self.head.next }

        var record: ExchangeRecord {
            ExchangeRecord(
                id: self.id, name: self.name, epoch: self.epoch, head: self.head, first: self.first,
                lastAt: self.lastAt, bytes: self.bytes)
        }
    }

    private var principals: [Name: Principal] = [:]
    /// Who did what, oldest first.
    private(set) var audit: [String] = []
    private(set) var incarnation = Incarnation(bytes: Array(repeating: 7, count: 16))
    /// Ordered by id, which is the index plus one.
    var exchanges: [Exchange] = []
    /// Rows of the outbox that were set aside.
    var aside: [(exchange: ExchangeID, row: UnfitRow, event: Event)] = []
    var lastOutbox: Int64 = 0

    static let unknownExchange = Failure(.internal, "there is no such exchange in the store")

    private func index(_ id: ExchangeID) throws(Failure) -> Int {
        guard let index = self.exchanges.firstIndex(where: { $0.id == id }) else {
            throw Self.unknownExchange
        }
        return index
    }

    func exchange(_ id: ExchangeID) -> Exchange? {
        self.exchanges.first { $0.id == id }
    }

    mutating func endIncarnation(_ old: Incarnation) -> Incarnation {
        if self.incarnation == old {
            self.incarnation = Incarnation(bytes: old.bytes.map { $0 &+ 1 })
        }
        return self.incarnation
    }

    // MARK: The log

    mutating func append(_ append: Append) -> AppendOutcome {
        guard let index = self.exchanges.firstIndex(where: { $0.id == append.exchange }),
            self.exchanges[index].epoch == append.epoch,
            self.exchanges[index].head == append.after
        else { return .conflict }
        self.exchanges[index].chunks += append.chunks
        self.exchanges[index].bytes += append.chunks.reduce(0) { $0 + UInt64($1.bytesCount) }
        self.exchanges[index].head = append.last
        self.exchanges[index].outbox.removeAll { append.rows.contains($0.id) }
        for mark in append.producers { self.exchanges[index].producers[mark.name] = mark }
        return .committed
    }

    mutating func retake(_ id: ExchangeID, as owner: OwnerID) throws(Failure) -> Ownership? {
        let index = try self.index(id)
        guard self.exchanges[index].owner == owner else { return nil }
        self.exchanges[index].epoch = self.exchanges[index].epoch.next
        return Ownership(epoch: self.exchanges[index].epoch, head: self.exchanges[index].head)
    }

    func read(_ id: ExchangeID, after: Position, bytesMax: Int) throws(Failure) -> LogPage {
        let chunks = self.exchanges[try self.index(id)].chunks.drop { $0.last <= after }
        let page = Self.page(chunks, bytesMax)
        let next = Self.page(chunks.dropFirst(page.count), bytesMax)
        let isNextWhole = page.count + next.count < chunks.count
        return LogPage(chunks: Array(page), nextEnd: isNextWhole ? next.last?.last : nil)
    }

    private static func page(_ chunks: ArraySlice<Chunk>, _ bytesMax: Int) -> ArraySlice<Chunk> {
        var bytes = 0
        let page = chunks.prefix { chunk in
            bytes += chunk.bytesCount
            return bytes <= bytesMax
        }
        return page.isEmpty ? chunks.prefix(1) : page
    }

    func keys(_ id: ExchangeID, after: Position, limit: Int) throws(Failure) -> [ChunkKeys] {
        self.exchanges[try self.index(id)].chunks.drop { $0.last <= after }.prefix(limit)
            .map { ChunkKeys(first: $0.first, last: $0.last, keys: $0.keys) }
    }

    func position(before time: Timestamp, in id: ExchangeID) throws(Failure) -> Position? {
        for chunk in self.exchanges[try self.index(id)].chunks where chunk.lastAt >= time {
            for index in 0..<chunk.count where chunk.time(at: index) >= time {
                return chunk.position(at: index).previous
            }
        }
        return nil
    }

    /// Joins the first run of small neighbours.
    mutating func merge(_ id: ExchangeID, upto: Position, bytesMax: Int) throws(Failure) -> Int {
        let index = try self.index(id)
        let chunks = self.exchanges[index].chunks
        for start in chunks.indices {
            var end = start
            var bytes = 0
            while end < chunks.count, chunks[end].last <= upto,
                bytes + chunks[end].bytesCount <= bytesMax
            {
                bytes += chunks[end].bytesCount
                end += 1
            }
            guard end - start > 1 else { continue }
            let run = chunks[start..<end]
            let block = ByteBlock(copying: run.flatMap(\.block.bytes))
            let merged = try Chunk(
                first: chunks[start].first, count: run.reduce(0) { $0 + $1.count }, block: block)
            self.exchanges[index].chunks.replaceSubrange(start..<end, with: [merged])
            return end - start - 1
        }
        return 0
    }

    /// Retention by hand: the oldest chunks go, the newest stays.
    mutating func deleteOldest(_ id: ExchangeID, chunks count: Int) -> Int {
        guard let index = self.exchanges.firstIndex(where: { $0.id == id }) else { return 0 }
        let count = min(count, max(0, self.exchanges[index].chunks.count - 1))
        self.exchanges[index].chunks.removeFirst(count)
        return count
    }

    // MARK: Principals

    var sortedPrincipals: [Principal] { self.principals.values.sorted { $0.name < $1.name } }

    mutating func store(_ change: PrincipalChange) {
        self.principals[change.principal.name] = change.principal
        self.audit.append("\(change.by): \(change.principal.name): \(change.text)")
    }

    // MARK: State

    mutating func take(as owner: OwnerID) -> [ExchangeRecord] {
        if self.exchanges.isEmpty { _ = self.add(.main, owner: owner) }
        for index in self.exchanges.indices {
            self.exchanges[index].epoch = self.exchanges[index].epoch.next
            self.exchanges[index].owner = owner
        }
        return self.exchanges.map(\.record)
    }

    mutating func createExchange(_ name: Name, owner: OwnerID) throws(Failure) -> ExchangeRecord {
        guard !self.exchanges.contains(where: { $0.name == name }) else {
            throw Failure(.alreadyExists, "the exchange \(name) exists")
        }
        return self.add(name, owner: owner)
    }

    private mutating func add(_ name: Name, owner: OwnerID) -> ExchangeRecord {
        let exchange = Exchange(
            id: ExchangeID(rawValue: Int64(self.exchanges.count + 1)), name: name,
            epoch: OwnerEpoch(rawValue: 1), owner: owner)
        self.exchanges.append(exchange)
        return exchange.record
    }

    func producers(_ id: ExchangeID, after: Name?, limit: Int) throws(Failure) -> [ProducerMark] {
        let all = self.exchanges[try self.index(id)].producers.values
        return Array(
            all.filter { mark in after.map { mark.name > $0 } ?? true }
                .sorted { $0.name < $1.name }.prefix(limit))
    }

    func receivers(_ id: ExchangeID, after: ReceiverID?, limit: Int) throws(Failure)
        -> [ReceiverRecord]
    {
        let all = self.exchanges[try self.index(id)].receivers
        return all.filter { entry in after.map { entry.key > $0 } ?? true }
            .sorted { $0.key < $1.key }.prefix(limit)
            .map { ReceiverRecord(exchange: id, id: $0.key, config: $0.value) }
    }

    func subscribers(_ id: ExchangeID, after: Name?, limit: Int) throws(Failure)
        -> [SubscriberRecord]
    {
        let all = self.exchanges[try self.index(id)].subscribers.values
        return Array(
            all.filter { record in after.map { record.name > $0 } ?? true }
                .sorted { $0.name < $1.name }.prefix(limit))
    }

    mutating func register(_ config: ReceiverConfig, in id: ExchangeID) throws(Failure)
        -> ReceiverID
    {
        let index = try self.index(id)
        if let found = self.exchanges[index].receivers.first(where: { $0.value == config }) {
            return found.key
        }
        self.exchanges[index].lastReceiver += 1
        let receiver = ReceiverID(rawValue: self.exchanges[index].lastReceiver)
        self.exchanges[index].receivers[receiver] = config
        return receiver
    }

    mutating func removeReceiver(_ receiver: ReceiverID, of id: ExchangeID) throws(Failure) {
        let index = try self.index(id)
        guard !self.exchanges[index].subscribers.values.contains(where: { $0.receiver == receiver })
        else { throw Failure(.internal, "a subscriber still refers to the receiver") }
        self.exchanges[index].receivers[receiver] = nil
    }

    mutating func store(_ record: SubscriberRecord) throws(Failure) {
        let index = try self.index(record.exchange)
        guard self.exchanges[index].receivers[record.receiver] != nil else {
            throw Failure(.internal, "there is no receiver \(record.receiver.rawValue)")
        }
        if let stored = self.exchanges[index].subscribers[record.name],
            stored.epoch > record.epoch
        {
            throw Failure(.aborted, "the subscriber was changed meanwhile")
        }
        self.exchanges[index].subscribers[record.name] = record
    }

    mutating func removeSubscriber(
        _ name: Name, of id: ExchangeID, upto epoch: SessionEpoch
    ) throws(Failure) {
        let index = try self.index(id)
        guard let stored = self.exchanges[index].subscribers[name], stored.epoch <= epoch else {
            return
        }
        self.exchanges[index].subscribers[name] = nil
    }

    /// Returns those that were newer than what was stored; nil when the owner is another one.
    mutating func save(_ positions: [PositionSave], of id: ExchangeID, owner: OwnerEpoch)
        throws(Failure) -> [PositionSave]?
    {
        let index = try self.index(id)
        guard self.exchanges[index].epoch == owner else { return nil }
        var saved: [PositionSave] = []
        for save in positions {
            guard let stored = self.exchanges[index].subscribers[save.name] else { continue }
            let old = PositionSave(
                name: stored.name, position: stored.position, epoch: stored.epoch)
            guard save.isNewer(than: old) else { continue }
            self.exchanges[index].subscribers[save.name] = SubscriberRecord(
                exchange: id, name: save.name, receiver: stored.receiver, position: save.position,
                epoch: save.epoch, pause: stored.pause, principal: stored.principal)
            saved.append(save)
        }
        return saved
    }
}

extension OwnerEpoch {
    fileprivate var next: OwnerEpoch { OwnerEpoch(rawValue: self.rawValue + 1) }
}
