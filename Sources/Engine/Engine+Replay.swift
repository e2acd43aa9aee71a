internal import Channels
internal import Core
internal import Diagnostics

// Replay: a subscriber that is behind the tail asks for the page of the log that it needs next.
// Requests go in order through a bounded channel to a few readers; a page that arrives is given to
// all that wait for it and kept for others.

extension Engine {
    /// Chunks whose keys are read at once: 64 MiB of full chunks, whose keys are some hundred KiB. A
    /// chunk has at most 64 of 255 bytes.
    private static let keysMax = 256

    /// The subscriber goes on when the page arrives, or the keys, which tell whether it needs one.
    func want(_ after: Position, _ subscriber: Subscriber) {
        let isUnknown = subscriber.receiver.next(inLogAfter: after) == .unknown
        let key = PageKey(exchange: subscriber.exchange.id, after: after, isKeys: isUnknown)
        guard subscriber.wantedPage != key else { return }
        subscriber.wantedPage = key
        if self.mayRequest(key, for: subscriber) { self.request(key, for: subscriber) }
    }

    /// The pages after these ends are read while this one is sent, on several connections at once; not
    /// when so many replay that they would be gone before their use.
    func prefetch(_ ends: [Position?], _ subscriber: Subscriber) {
        let exchange = subscriber.exchange
        for case var end? in ends {
            if case .nothing(let upto)? = subscriber.receiver.next(inLogAfter: end) { end = upto }
            guard end < exchange.head, self.wantedPages.count < self.limits.replayReaders,
                exchange.tail.first.map({ end.next < $0 }) ?? true
            else { return }
            let key = PageKey(exchange: exchange.id, after: end)
            if self.pageWaiters[key] == nil, self.pages.chunk(exchange.id, after: end) == nil {
                self.request(key, for: nil)
            }
        }
    }

    func request(_ key: PageKey, for subscriber: Subscriber?) {
        if self.pageWaiters[key] == nil {
            self.pageWaiters[key] = []
            self.wantedPages.append(key)
        }
        if let subscriber { self.pageWaiters[key]?.append(subscriber) }
        self.feedReaders()
    }

    private func feedReaders() {
        while let key = self.wantedPages.first, self.pageRequests.trySend(key) {
            self.wantedPages.removeFirst()
        }
    }

    /// One of the readers: one page after the other.
    func readLoop() async {
        while let key = await self.pageRequests.receive() {
            self.feedReaders()
            let principal = self.pagePrincipals.removeValue(forKey: key)
            // Whoever asked may be gone; a page that was asked for by nobody is a prefetch.
            let waiters = self.pageWaiters[key] ?? []
            if waiters.isEmpty || waiters.contains(where: { $0.wantedPage == key }) {
                await self.read(key)
            } else {
                _ = self.takeWaiters(key)
            }
            // What came made its subscribers want the next one: they are behind those that waited before.
            if let principal { self.passOn(principal) }
        }
    }

    private func read(_ key: PageKey) async {
        var attempt = 0
        while !self.isFinished {
            do throws(Failure) {
                if key.isKeys { return self.arrived(try await self.keys(key), key) }
                let page = try await self.asking { () throws(Failure) -> LogPage in
                    try await self.log.read(
                        key.exchange, after: key.after, bytesMax: self.limits.pageBytesMax)
                }
                return self.arrived(page, key)
            } catch {
                guard error.code.isRetryable else { return self.failed(error, key) }
                await self.backOff(attempt: attempt)
                attempt += 1
            }
        }
    }

    private func keys(_ key: PageKey) async throws(Failure) -> [ChunkKeys] {
        try await self.asking { () throws(Failure) -> [ChunkKeys] in
            try await self.log.keys(key.exchange, after: key.after, limit: Self.keysMax)
        }
    }

    private func arrived(_ chunks: [ChunkKeys], _ key: PageKey) {
        let waiters = self.takeWaiters(key)
        guard self.exchanges[key.exchange] != nil else { return }
        for subscriber in waiters {
            if subscriber.receiver.next(inLogAfter: key.after) == .unknown {
                subscriber.receiver.learn(after: key.after, chunks, &self.work)
            }
            self.pump(subscriber)
        }
    }

    private func arrived(_ page: LogPage, _ key: PageKey) {
        let waiters = self.takeWaiters(key)
        guard let exchange = self.exchanges[key.exchange] else { return }
        guard let first = page.chunks.first, first.first <= key.after.next else {
            return self.isLost(key, left: page.chunks.first?.first, exchange, waiters)
        }
        self.counters.add(to: .replayPages)
        self.counters.add(page.chunks.reduce(0) { $0 + $1.bytesCount }, to: .replayBytes)
        self.pages.insert(page, of: key.exchange)
        for subscriber in waiters { self.pump(subscriber) }
    }

    /// The position was deleted: never move a subscriber silently.
    private func isLost(
        _ key: PageKey, left: Position?, _ exchange: Exchange, _ waiters: [Subscriber]
    ) {
        exchange.first = left ?? exchange.tail.first ?? exchange.head.next
        for subscriber in waiters where subscriber.machine.awake?.scanned == key.after {
            self.end(
                subscriber, self.positionLost(exchange),
                reason: .failed("its position was deleted from the log"))
        }
    }

    func positionLost(_ exchange: Exchange) -> Failure {
        Failure(
            .positionLost,
            "the position was deleted from the log, which begins at \(exchange.first) now; subscribe with reposition, "
                + "or seek",
            firstPosition: exchange.first, incarnation: self.incarnation.bytes)
    }

    private func failed(_ failure: Failure, _ key: PageKey) {
        self.logger.error(
            "cannot read the log", [.position: "\(key.after)", .error: failure.description])
        for subscriber in self.takeWaiters(key) {
            self.end(subscriber, failure, reason: .failed(failure.message))
        }
    }

    private func takeWaiters(_ key: PageKey) -> [Subscriber] {
        let waiters = self.pageWaiters.removeValue(forKey: key) ?? []
        for subscriber in waiters where subscriber.wantedPage == key { subscriber.wantedPage = nil }
        return waiters
    }

    // MARK: Merging

    /// Small chunks from quiet times become large ones, so that a quiet year replays as fast as a
    /// busy hour.
    func mergeLoop() async {
        guard self.limits.mergeMilliseconds > 0 else { return }
        while !self.isFinished {
            await self.sleep(milliseconds: self.limits.mergeMilliseconds)
            for id in self.exchanges.keys.sorted() {
                guard !self.isFinished, let exchange = self.exchanges[id], exchange.isWorthMerging,
                    exchange.log.state == .writing
                else { continue }
                exchange.isWorthMerging = false
                await self.merge(exchange)
            }
        }
    }

    private func merge(_ exchange: Exchange) async {
        do throws(Failure) {
            while !self.isFinished {
                let (id, upto) = (exchange.id, exchange.head)
                let fewer = try await self.asking { () throws(Failure) -> Int in
                    try await self.log.mergeSmallChunks(
                        id, upto: upto, chunkBytesMax: self.limits.chunkBytesMax)
                }
                if fewer == 0 { return }
            }
        } catch {
            exchange.isWorthMerging = true
            self.logger.warning(
                "merging small chunks failed and will be tried again", [.error: error.description])
        }
    }
}
