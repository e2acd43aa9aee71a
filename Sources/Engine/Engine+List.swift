internal import Core
internal import Wire

extension Engine {
    // MARK: Subscriptions

    func list(_ request: ListRequest, _ stream: StreamID, _ session: Session) throws(Failure) {
        let exchange = try self.exchange(named: request.exchange, for: session)
        let sight = try session.permissions.looking(at: exchange.name)
        let size = self.limits.pageSize(request.pageSize)
        let (id, connection) = (exchange.id, session.id)
        try self.spawn(session, stream) { (engine) async throws(Failure) -> Reply? in
            try await engine.withRoom(for: connection) { () async throws(Failure) -> Reply in
                .list(
                    try await engine.list(
                        in: id, sight, prefix: request.namePrefix, after: request.pageToken,
                        size: size))
            }
        }
    }

    /// A page, by name. `after` is the last name of the page before; listings see what comes and
    /// goes meanwhile.
    private func list(
        in id: ExchangeID, _ sight: Permissions.Sight, prefix: [UInt8], after token: [UInt8],
        size: Int
    ) async throws(Failure) -> ListReply {
        guard let exchange = self.exchanges[id] else { return ListReply() }
        let names = exchange.names(in: sight)
        let after = String(decoding: token, as: UTF8.self)
        let start = String(decoding: prefix, as: UTF8.self)
        var reply = ListReply()
        var bytes = 0
        var waiting = WaitingTimes()
        for name in names[
            names.partitioningIndex(where: { $0.text >= start && $0.text > after })...]
        {
            guard name.text.hasPrefix(start) else { break }
            guard reply.subscriptions.count < size, bytes < self.limits.frameBytesMax / 2 else {
                reply.nextPageToken = reply.subscriptions.last?.name ?? []
                break
            }
            guard let subscriber = exchange.subscribers[name] else { continue }
            var entry = self.describe(subscriber, name)
            entry.oldestWaitingAt = await self.oldestWaiting(
                after: subscriber.machine.confirmed, exchange, &waiting)
            bytes +=
                256 + entry.config.patterns.reduce(0) { $0 + $1.count + 4 }
                + entry.config.headers.reduce(0) { $0 + $1.name.count + $1.value.count + 12 }
            reply.subscriptions.append(entry)
        }
        return reply
    }

    /// What one listing has found out; sleeping subscribers often share a position.
    private struct WaitingTimes {
        var known: [Position: UInt64] = [:]
        var storeIsAway = false
    }

    /// Publish time of the first event after `position`; 0 when there is none or the store is away.
    private func oldestWaiting(
        after position: Position, _ exchange: Exchange, _ times: inout WaitingTimes
    ) async -> UInt64 {
        guard position < exchange.head else { return 0 }
        if let chunk = exchange.tail.chunk(after: position) {
            return chunk.time(at: chunk.index(after: position)).rawValue
        }
        if let known = times.known[position] { return known }
        guard !times.storeIsAway else { return 0 }
        let id = exchange.id
        do throws(Failure) {
            let page = try await self.asking { () async throws(Failure) -> LogPage in
                try await self.log.read(id, after: position, bytesMax: 1)
            }
            let time = page.chunks.first.map { chunk in
                chunk.time(at: min(chunk.count - 1, chunk.index(after: position))).rawValue
            }
            times.known[position] = time ?? 0
            return time ?? 0
        } catch {
            times.storeIsAway = true
            return 0
        }
    }

    private func describe(_ subscriber: Subscriber, _ name: Name) -> Subscription {
        let machine = subscriber.machine
        var entry = Subscription()
        entry.exchange = Array(subscriber.exchange.name.text.utf8)
        entry.name = Array(name.text.utf8)
        entry.config = ReceiverConfigMessage(exchange: entry.exchange, subscriber.receiver.config)
        let (state, reason) = self.state(of: machine)
        entry.state = state
        entry.reason = Array(reason.utf8)
        entry.position = machine.confirmed.rawValue
        entry.sent = (machine.awake?.announced ?? machine.confirmed).rawValue
        entry.head = subscriber.exchange.head.rawValue
        entry.since = machine.since.rawValue
        entry.delivered = machine.delivered
        entry.acknowledged = machine.acknowledged
        entry.pausedUntil = machine.pause?.until.rawValue ?? 0
        entry.principal = Array((subscriber.principal?.text ?? "").utf8)
        if let session = subscriber.session {
            entry.peer = Array(session.peer.address.utf8)
            entry.client = Array(session.client.utf8)
            entry.principal = Array(session.principal.utf8)
        }
        return entry
    }

    private func state(of machine: SubscriberMachine) -> (SubscriberState, String) {
        if let pause = machine.pause { return (.paused, pause.reason) }
        switch machine.state {
        case .sleeping(let reason):
            return (.sleeping, reason.text)
        case .awake(let awake):
            if awake.creditEvents <= 0 || awake.creditBytes <= 0 {
                return (.waitingForCredit, "its consumer has not granted more credit")
            }
            return awake.isReplaying ? (.replaying, "") : (.live, "")
        }
    }

    // MARK: Receivers

    func listReceivers(
        _ request: ListReceiversRequest, _ stream: StreamID, _ session: Session
    ) throws(Failure) {
        let exchange = try self.exchange(named: request.exchange, for: session)
        let sight = try session.permissions.looking(at: exchange.name)
        let (id, connection) = (exchange.id, session.id)
        try self.spawn(session, stream) { (engine) async throws(Failure) -> Reply? in
            try await engine.withRoom(for: connection) { () async throws(Failure) -> Reply in
                .listReceivers(try engine.listReceivers(in: id, sight))
            }
        }
    }

    private func listReceivers(
        in id: ExchangeID, _ sight: Permissions.Sight
    ) throws(Failure) -> ListReceiversReply {
        var reply = ListReceiversReply()
        guard let exchange = self.exchanges[id] else { return reply }
        var bytes = 0
        for (receiver, awake, sleeping) in exchange.receivers(in: sight) {
            bytes += receiver.config.canonicalBytes.count + 64
            guard bytes < self.limits.frameBytesMax / 2 else {
                throw Failure(
                    .resourceExhausted,
                    "the exchange has \(exchange.receivers.count) receivers, more than fit into a reply; read them with "
                        + "SQL from dormouse.receiver")
            }
            reply.receivers.append(
                ReceiverInfo(
                    exchange: Array(exchange.name.text.utf8),
                    id: UInt64(clamping: receiver.id?.rawValue ?? 0),
                    config: ReceiverConfigMessage(
                        exchange: Array(exchange.name.text.utf8), receiver.config),
                    awake: UInt32(clamping: awake), sleeping: UInt32(clamping: sleeping)))
        }
        return reply
    }

    // MARK: Exchanges and the server

    func listExchanges(_ stream: StreamID, _ session: Session) {
        let exchanges = self.exchanges.values.filter { session.permissions.sees($0.name) }
            .sorted { $0.name < $1.name }
        session.answer(stream, .exchanges(ExchangesReply(exchanges: exchanges.map(self.describe))))
    }

    func describe(_ exchange: Exchange) -> ExchangeInfo {
        ExchangeInfo(
            name: Array(exchange.name.text.utf8), first: exchange.first.rawValue,
            head: exchange.head.rawValue,
            bytes: exchange.bytes,
            epoch: UInt64(clamping: exchange.log.epoch.rawValue),
            receivers: UInt32(clamping: exchange.receivers.count),
            subscribers: UInt32(clamping: exchange.subscribers.count))
    }

    /// What all do together is for administrators: to others it would tell what they were not granted.
    func describeServer(_ stream: StreamID, _ session: Session) {
        let seesAll = session.permissions.administersEverything
        session.answer(
            stream,
            .server(
                ServerReply(
                    server: Array("dormoused/\(self.version)".utf8),
                    incarnation: self.incarnation.bytes,
                    startedAt: self.startedAt.rawValue,
                    connections: seesAll ? UInt32(clamping: self.sessions.count) : 0,
                    published: seesAll ? self.published : 0,
                    delivered: seesAll ? self.delivered : 0,
                    storeAvailable: self.storeFailure == nil,
                    storeReason: Array((self.storeFailure?.message ?? "").utf8))))
    }
}
