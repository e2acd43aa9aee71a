internal import Core
internal import Wire

// Fetch: one page of matching events after a position, without a subscription. Waits, if asked to,
// until there is one: as a record, not as a task, since many may wait for long.

extension Engine {
    func fetch(_ request: FetchRequest, _ stream: StreamID, _ session: Session) throws(Failure) {
        let exchange = try self.exchange(named: request.config.exchange, for: session)
        let config = try request.config.checked()
        try session.permissions.subscribing(as: nil, to: config, in: exchange.name)
        guard request.after <= exchange.head.rawValue else {
            throw Failure(
                .outOfRange,
                "position \(request.after) is beyond the newest one (\(exchange.head)); fetch after that one at most"
            )
        }
        let frameBytes = self.limits.frameBytesMax - DeliveryHeader.encodedBytesMax
        let allowance = Portion.Allowance(
            events: request.eventsMax == 0
                ? Int(self.limits.creditEventsDefault) : Int(request.eventsMax),
            cost: request.bytesMax == 0 ? frameBytes : Int(request.bytesMax), frameBytes: frameBytes
        )
        let wait = min(Int(request.waitMilliseconds), self.limits.fetchWaitMillisecondsMax)
        let (id, after, connection) = (exchange.id, Position(request.after), session.id)
        let reader = FetchReader(
            after: after, filter: EventFilter(config), allowance: allowance,
            isStored: request.stored)
        try self.start(
            WaitingFetch(
                reader: reader, permissions: session.permissions, exchange: id,
                connection: connection, stream: stream,
                deadline: self.host.now.advanced(byMilliseconds: wait)), session)
    }

    private func start(_ fetch: WaitingFetch, _ session: Session) throws(Failure) {
        try self.checkUnchanged(fetch)
        try self.spawn(session, fetch.stream) { (engine) async throws(Failure) -> Reply? in
            try await engine.fetch(fetch)
            return nil
        }
    }

    /// Looks at what there is; answers, or waits for more.
    private func fetch(_ fetch: WaitingFetch) async throws(Failure) {
        guard let exchange = self.exchanges[fetch.exchange] else { return }
        let (connection, stream) = (fetch.connection, fetch.stream)
        var fetch = fetch
        try await self.withRoom(for: connection) { () async throws(Failure) in
            var scannedBytes = 0
            while !fetch.reader.isDone, scannedBytes <= self.limits.replayBytes,
                fetch.reader.upto < exchange.head,
                self.sessions[connection]?.isOpen(stream) == true
            {
                do throws(Failure) {
                    scannedBytes += try await self.scan(
                        &fetch.reader, exchange, for: fetch.permissions.principal)
                } catch {
                    // What is before it is good; whoever asks on is told.
                    guard fetch.reader.upto > fetch.reader.after else { throw error }
                    return self.answer(fetch.reader, in: exchange, to: connection, stream)
                }
            }
            guard
                fetch.reader.isDone || scannedBytes > self.limits.replayBytes
                    || fetch.reader.hasEvents || self.host.now >= fetch.deadline || self.isDraining
            else { return self.wait(fetch, exchange) }
            try self.checkUnchanged(fetch)
            self.answer(fetch.reader, in: exchange, to: connection, stream)
        }
    }

    /// What was granted when it began may be gone by now; whoever asks again is told whether it is.
    private func checkUnchanged(_ fetch: WaitingFetch) throws(Failure) {
        guard let session = self.sessions[fetch.connection],
            session.permissions != fetch.permissions
        else { return }
        throw Failure(
            .aborted, "what the principal may do was changed while this waited; fetch again")
    }

    private func answer(
        _ reader: FetchReader, in exchange: Exchange, to connection: ConnectionID,
        _ stream: StreamID
    ) {
        let header = DeliveryHeader(
            after: reader.after, upto: reader.upto, head: exchange.head,
            replay: reader.isFromLog)
        self.sessions[connection]?.answer(stream, header, records: reader.records)
    }

    /// Looks at the next chunks; returns how many bytes that was.
    private func scan(
        _ reader: inout FetchReader, _ exchange: Exchange, for principal: Name?
    ) async throws(Failure) -> Int {
        if !reader.isStored, let chunk = exchange.tail.chunk(after: reader.upto) {
            let before = reader.work
            reader.add(chunk, upto: exchange.head, fromLog: false)
            await self.restAfter(reader.work - before)
            return chunk.bytesCount
        }
        let (id, after) = (exchange.id, reader.upto)
        let page = try await self.withReplayShare(of: principal) {
            () async throws(Failure) -> LogPage in
            try await self.asking { () async throws(Failure) -> LogPage in
                try await self.log.read(id, after: after, bytesMax: self.limits.pageBytesMax)
            }
        }
        guard let first = page.chunks.first, first.first <= after.next else {
            if reader.isStored { throw Self.hole(after, page.chunks.first?.first, exchange) }
            exchange.first = page.chunks.first?.first ?? exchange.tail.first ?? exchange.head.next
            throw self.positionLost(exchange)
        }
        // The log may already hold more than we were told of: what is not our head yet is not shown.
        let before = reader.work
        for chunk in page.chunks where !reader.isDone && reader.upto < exchange.head {
            reader.add(chunk, upto: exchange.head, fromLog: true)
        }
        await self.restAfter(reader.work - before)
        return page.chunks.reduce(0) { $0 + $1.bytesCount }
    }

    /// Whoever wants to see what is stored is told what is not; nothing is concluded from it.
    private static func hole(
        _ after: Position, _ next: Position?, _ exchange: Exchange
    ) -> Failure {
        let last = next?.previous ?? exchange.head
        let first = max(after.next, Position(1))
        return Failure(
            .internal,
            "positions \(first) to \(last) are not in dormouse.chunk; restore it from a backup")
    }

    /// Others have their turn when this, and what was done besides, was much.
    private func restAfter(_ work: Int) async {
        self.work += work + 1
        if self.work >= self.limits.turnWorkMax {
            self.work = 0
            await Task.yield()
        }
    }

    // MARK: Waiting

    private func wait(_ fetch: WaitingFetch, _ exchange: Exchange) {
        guard let session = self.sessions[fetch.connection], session.isOpen(fetch.stream) else {
            return
        }
        self.lastFetch += 1
        let id = self.lastFetch
        self.waitingFetches[id] = fetch
        self.waitingFetches[id]?.reader.forget()
        exchange.fetchers.insert(id)
        session.fetchers[fetch.stream] = id
        self.add(.fetch(id), at: fetch.deadline)
    }

    /// There may be something for it, or its time is over, or the server stops.
    func resumeFetch(_ id: UInt64) {
        guard let fetch = self.endWaiting(id), let session = self.sessions[fetch.connection] else {
            return
        }
        do throws(Failure) {
            try self.start(fetch, session)
        } catch {
            session.fail(fetch.stream, error)
        }
    }

    func resumeFetches(of exchange: Exchange) {
        guard !exchange.fetchers.isEmpty else { return }
        for id in exchange.fetchers.sorted() { self.resumeFetch(id) }
    }

    /// Nobody waits for its answer any more.
    func forgetFetch(on stream: StreamID, _ session: Session) {
        guard let id = session.fetchers[stream] else { return }
        _ = self.endWaiting(id)
        session.machine.workEnded(stream)
    }

    func forgetFetches(of session: Session) {
        for id in session.fetchers.values.sorted() { _ = self.endWaiting(id) }
    }

    private func endWaiting(_ id: UInt64) -> WaitingFetch? {
        guard let fetch = self.waitingFetches.removeValue(forKey: id) else { return nil }
        self.deadlines.remove(.fetch(id))
        self.exchanges[fetch.exchange]?.fetchers.remove(id)
        self.sessions[fetch.connection]?.fetchers[fetch.stream] = nil
        return fetch
    }
}

/// A fetch that has found nothing yet.
struct WaitingFetch: Sendable {
    var reader: FetchReader
    /// What its session could do when it began.
    let permissions: Permissions
    let exchange: ExchangeID
    let connection: ConnectionID
    let stream: StreamID
    let deadline: Instant
}

/// Gathers what a fetch returns.
struct FetchReader: Sendable {
    let after: Position
    /// Nothing is taken from memory.
    let isStored: Bool
    private(set) var upto: Position
    private(set) var records: [UInt8] = []
    private(set) var isFromLog = false
    /// As much as was asked for.
    private(set) var isDone = false
    private var filter: EventFilter
    private var allowance: Portion.Allowance

    init(
        after: Position, filter: EventFilter, allowance: Portion.Allowance, isStored: Bool = false
    ) {
        self.after = after
        self.upto = after
        self.isStored = isStored
        self.filter = filter
        self.allowance = allowance
    }

    /// Gives back what is only there to be faster.
    mutating func forget() { self.filter.forget() }

    var hasEvents: Bool { !self.records.isEmpty }
    /// What was done, in the unit of `EventFilter.work`.
    var work: Int { self.filter.work }

    mutating func add(_ chunk: Chunk, upto end: Position, fromLog: Bool) {
        let portion = Portion(
            of: chunk, after: self.upto, upto: end, matches: self.filter.matches(chunk),
            allowance: self.allowance)
        chunk.block.withUnsafeBytes { bytes in
            for range in portion.ranges { self.records.append(contentsOf: bytes[range]) }
        }
        self.upto = portion.upto
        self.isFromLog = fromLog
        self.allowance.events -= portion.events
        self.allowance.cost -= portion.cost
        self.allowance.frameBytes -= portion.bytes
        self.isDone =
            portion.upto < min(end, chunk.last) || self.allowance.events <= 0
            || self.allowance.cost <= 0
            || self.allowance.frameBytes <= 0
    }
}
