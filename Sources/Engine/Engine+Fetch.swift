internal import Core
internal import Wire

// Fetch: one page of matching events after a position, without a subscription. Waits, if asked to,
// until there is one.

extension Engine {
    func fetch(_ request: FetchRequest, _ stream: StreamID, _ session: Session) throws(Failure) {
        let exchange = try self.exchange(named: request.config.exchange)
        let config = try request.config.checked()
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
        let deadline = self.host.now.advanced(byMilliseconds: wait)
        try self.spawn(session, stream) { (engine) async throws(Failure) -> Reply? in
            let reader = FetchReader(
                after: after, filter: EventFilter(config), allowance: allowance)
            return try await engine.fetch(reader, in: id, until: deadline, for: connection, stream)
        }
    }

    private func fetch(
        _ reader: FetchReader, in id: ExchangeID, until deadline: Instant,
        for connection: ConnectionID,
        _ stream: StreamID
    ) async throws(Failure) -> Reply? {
        guard let exchange = self.exchanges[id] else { return nil }
        var reader = reader
        var scannedBytes = 0
        while self.sessions[connection]?.isOpen(stream) == true {
            let isAnswered = try await self.withRoom(for: connection) {
                () async throws(Failure) -> Bool in
                while !reader.isDone, scannedBytes <= self.limits.replayBytes,
                    reader.upto < exchange.head,
                    self.sessions[connection]?.isOpen(stream) == true
                {
                    scannedBytes += try await self.scan(&reader, exchange)
                }
                guard
                    reader.isDone || scannedBytes > self.limits.replayBytes || reader.hasEvents
                        || self.host.now >= deadline || self.isDraining
                else { return false }
                self.answer(reader, in: exchange, to: connection, stream)
                return true
            }
            if isAnswered { break }
            if reader.upto >= exchange.head {
                await self.waitForNews(exchange, until: deadline, for: connection)
            }
        }
        return nil
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
    private func scan(_ reader: inout FetchReader, _ exchange: Exchange) async throws(Failure)
        -> Int
    {
        if let chunk = exchange.tail.chunk(after: reader.upto) {
            reader.add(chunk, upto: exchange.head, fromLog: false)
            return chunk.bytesCount
        }
        let (id, after) = (exchange.id, reader.upto)
        let page = try await self.asking { () async throws(Failure) -> LogPage in
            try await self.log.read(id, after: after, bytesMax: self.limits.pageBytesMax)
        }
        guard let first = page.chunks.first, first.first <= after.next else {
            exchange.first = page.chunks.first?.first ?? exchange.tail.first ?? exchange.head.next
            throw self.positionLost(exchange)
        }
        // The log may already hold more than we were told of: what is not our head yet is not shown.
        for chunk in page.chunks where !reader.isDone && reader.upto < exchange.head {
            reader.add(chunk, upto: exchange.head, fromLog: true)
        }
        return page.chunks.reduce(0) { $0 + $1.bytesCount }
    }

    // MARK: Waiting

    private func waitForNews(
        _ exchange: Exchange, until deadline: Instant, for connection: ConnectionID
    ) async {
        guard let session = self.sessions[connection] else { return }
        self.lastSleeper += 1
        let id = self.lastSleeper
        exchange.fetchers.insert(id)
        session.fetchers.insert(id)
        await withCheckedContinuation { continuation in
            self.sleepers[id] = continuation
            self.add(.sleeper(id), at: deadline)
        }
        exchange.fetchers.remove(id)
        session.fetchers.remove(id)
    }

    /// Nobody may be left to wait for them: each looks whether it is still wanted.
    func wakeFetchers(of session: Session) {
        let fetchers = session.fetchers.sorted()
        session.fetchers = []
        self.wake(fetchers)
    }

    func wakeFetchers(_ exchange: Exchange) {
        let fetchers = exchange.fetchers.sorted()
        exchange.fetchers = []
        self.wake(fetchers)
    }

    private func wake(_ fetchers: [UInt64]) {
        for id in fetchers {
            self.deadlines.remove(.sleeper(id))
            self.sleepers.removeValue(forKey: id)?.resume()
        }
    }
}

/// Gathers what a fetch returns.
private struct FetchReader: Sendable {
    let after: Position
    private(set) var upto: Position
    private(set) var records: [UInt8] = []
    private(set) var isFromLog = false
    /// As much as was asked for.
    private(set) var isDone = false
    private var filter: EventFilter
    private var allowance: Portion.Allowance

    init(after: Position, filter: EventFilter, allowance: Portion.Allowance) {
        self.after = after
        self.upto = after
        self.filter = filter
        self.allowance = allowance
    }

    var hasEvents: Bool { !self.records.isEmpty }

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
