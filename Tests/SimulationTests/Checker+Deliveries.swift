import Core
import Wire

@testable import Engine

extension Checker {
    // MARK: Deliveries

    /// The engine sends this now.
    func delivered(_ delivery: Delivery, on record: StreamRecord) {
        let header = delivery.header
        let head = self.head(record.exchange)
        if header.upto > head || header.head > head {
            return self.broke(
                .durableBeforeVisible,
                "a delivery up to \(header.upto) was sent when \(head) was committed")
        }
        if let last = record.sentUpto {
            if header.after != last || header.upto < header.after {
                self.broke(
                    .chain, "(\(header.after), \(header.upto)] follows a delivery up to \(last)")
            }
        } else {
            self.first(header, record)
        }
        record.sentUpto = header.upto
        self.visibleHeads[record.exchange] = max(
            self.visibleHeads[record.exchange] ?? .origin, header.head)
        self.compare(
            delivery.events, with: record.matcher, header, record.exchange,
            "\(record.name?.text ?? "somebody")")
        self.checkCredit(delivery.events, record)
        self.note(delivery, record)
    }

    private func first(_ header: DeliveryHeader, _ record: StreamRecord) {
        if header.upto != header.after {
            self.broke(.chain, "the first delivery is (\(header.after), \(header.upto)]")
        }
        let name = record.name.map { NameKey(exchange: record.exchange, name: $0) }
        let known = name.flatMap { self.names[$0] }
        if name == nil || record.request.reposition {
            self.checkStart(header.after, record)
        } else if let known, let confirmable = known.confirmable, !known.isSought,
            !known.isForgotten, header.after > confirmable
        {
            self.broke(
                .start,
                "\(record.name?.text ?? "") goes on after \(header.after), only \(confirmable) "
                    + "was confirmed")
        }
        if let name {
            self.confirmable(name, header.after)
            self.names[name]?.hasStarted = true
        }
    }

    private func checkStart(_ after: Position, _ record: StreamRecord) {
        let value = record.request.startValue
        let first = self.simulation?.durable.exchange(record.exchange)?.first ?? .last
        // A server that was replaced does not know what the newer one has told.
        let isNewest = record.server == self.simulation?.newestServer
        let known = isNewest ? record.headBefore : .origin
        let isRight: Bool
        switch record.request.start {
        case .next: isRight = after >= known
        case .last: isRight = after >= known.previous
        case .first: isRight = after < first
        case .position: isRight = after.next == Position(max(1, value))
        case .time:
            let log = self.logs[record.exchange] ?? []
            isRight = log.prefix(Int(after.rawValue)).allSatisfy {
                $0.event.publishedAt.rawValue < value || $0.event.position < first
            }
        }
        if !isRight {
            self.broke(
                .start,
                "\(record.request.start) \(value) starts after \(after); the head was "
                    + "\(record.headBefore)")
        }
    }

    private func compare(
        _ events: [Event], with matcher: NaiveMatcher, _ header: DeliveryHeader,
        _ exchange: ExchangeID, _ who: String
    ) {
        guard header.after < header.upto else {
            if !events.isEmpty { self.broke(.matching, "events in an empty range") }
            return
        }
        let log = self.logs[exchange] ?? []
        let expected = log[Int(header.after.rawValue)..<Int(header.upto.rawValue)].filter {
            matcher.matches($0)
        }
        if events != expected.map(\.event) {
            self.broke(
                .matching,
                "\(who) got \(events.map(\.position)) in (\(header.after), \(header.upto)], "
                    + "expected \(expected.map(\.event.position))")
        }
    }

    private func cost(_ events: some Collection<Event>, _ exchange: ExchangeID) -> Int {
        let log = self.logs[exchange] ?? []
        return events.reduce(0) { $0 + log[Int($1.position.rawValue) - 1].cost }
    }

    private func checkCredit(_ events: [Event], _ record: StreamRecord) {
        guard !events.isEmpty, self.broken == nil else { return }
        record.sentEvents += events.count
        let allButLast = self.cost(events.dropLast(), record.exchange)
        if record.sentEvents > record.grantedEvents
            || record.sentCost + allButLast >= record.grantedBytes
        {
            self.broke(
                .credit,
                "\(record.sentEvents) events of \(record.grantedEvents) and "
                    + "\(record.sentCost + allButLast) bytes of \(record.grantedBytes) before "
                    + "the last one")
        }
        record.sentCost += self.cost(events, record.exchange)
    }

    private func note(_ delivery: Delivery, _ record: StreamRecord) {
        let header = delivery.header
        self.simulation?.note(
            .delivery, Int(header.after.rawValue), Int(header.upto.rawValue),
            "\(record.name?.text ?? "somebody") gets (\(header.after), \(header.upto)] with "
                + "\(delivery.events.count) events\(header.replay ? ", replay" : "")"
                + "\(header.redelivered ? ", redelivered" : "")")
        self.simulation?.statistics.deliveries += 1
        self.simulation?.statistics.deliveredEvents += delivery.events.count
        if header.replay { self.simulation?.statistics.replayedDeliveries += 1 }
        if header.redelivered { self.simulation?.statistics.redelivered += 1 }
        if delivery.events.isEmpty, header.after < header.upto {
            self.simulation?.statistics.bookmarks += 1
        }
        guard let name = record.name else { return }
        let key = NameKey(exchange: record.exchange, name: name)
        guard let first = delivery.events.first, let last = delivery.events.last else { return }
        let state = self.names[key] ?? NameState()
        // A server that was replaced cannot know what the newer one has sent.
        if first.position <= state.sent, !header.redelivered, !state.isForgotten,
            record.server == self.simulation?.newestServer
        {
            self.broke(
                .redelivered, "\(name) got \(first.position) again, \(state.sent) was sent before")
        }
        self.names[key, default: NameState()].sent = max(state.sent, last.position)
    }

    func fetched(_ delivery: Delivery, _ record: FetchRecord) {
        let header = delivery.header
        self.simulation?.statistics.fetches += 1
        if header.upto > self.head(record.exchange) {
            return self.broke(.durableBeforeVisible, "a fetch up to \(header.upto)")
        }
        if header.after.rawValue != record.request.after || header.upto < header.after {
            self.broke(.chain, "a fetch after \(record.request.after) got \(header)")
        }
        self.compare(delivery.events, with: record.matcher, header, record.exchange, "a fetch")
        guard self.broken == nil, !delivery.events.isEmpty else { return }
        let allButLast = self.cost(delivery.events.dropLast(), record.exchange)
        if record.request.eventsMax > 0, delivery.events.count > record.request.eventsMax {
            self.broke(.credit, "a fetch got more events than it asked for")
        }
        if record.request.bytesMax > 0, allButLast >= record.request.bytesMax {
            self.broke(.credit, "a fetch got more bytes than it asked for")
        }
    }

    // MARK: Positions

    func confirmable(_ key: NameKey, _ position: Position) {
        var state = self.names[key] ?? NameState()
        state.confirmable = max(state.confirmable ?? .origin, position)
        self.names[key] = state
    }

    /// A client confirms now.
    func confirming(_ record: StreamRecord, _ position: Position) {
        guard let name = record.name else { return }
        self.confirmable(NameKey(exchange: record.exchange, name: name), position)
    }

    func seeking(_ name: Name, in exchange: ExchangeID) {
        self.names[NameKey(exchange: exchange, name: name), default: NameState()].isSought = true
    }

    func forgetting(_ name: Name, in exchange: ExchangeID) {
        self.names[NameKey(exchange: exchange, name: name), default: NameState()].isForgotten = true
    }

    /// A position was stored.
    func saved(_ save: PositionSave, in exchange: ExchangeID) {
        self.simulation?.statistics.savedPositions += 1
        self.checkBound(NameKey(exchange: exchange, name: save.name), save.position)
    }

    /// A whole subscriber was stored, in place of `old`.
    func stored(_ record: SubscriberRecord, replacing old: SubscriberRecord?, isDead: Bool) {
        let key = NameKey(exchange: record.exchange, name: record.name)
        // A subscriber that was stored without its server knowing may be stored anew.
        guard let old, self.names[key]?.hasStarted == true else {
            return self.confirmable(key, record.position)
        }
        self.checkBound(key, record.position)
        if old.epoch == record.epoch, old.position > record.position, !isDead,
            !self.hasSecondServers
        {
            self.broke(
                .positionMonotone,
                "\(record.name) moved from \(old.position) back to \(record.position)")
        }
    }

    private func checkBound(_ key: NameKey, _ position: Position) {
        let state = self.names[key] ?? NameState()
        let isFree = state.isSought || state.isForgotten
        let bound = isFree ? self.head(key.exchange) : state.confirmable ?? .origin
        if position > bound {
            self.broke(
                .positionBound, "\(key.name) is stored at \(position), confirmed was \(bound)")
        }
    }

    // MARK: Memory

    func checkMemory(_ servers: [SimulatedServer], _ limits: Limits) {
        for server in servers {
            server.withEngine { engine in
                let pageMax = (64 << 10) + limits.pageBytesMax + 6 * limits.frameBytesMax
                if engine.pages.bytes > max(limits.replayBytes, pageMax) {
                    self.broke(.memory, "pages hold \(engine.pages.bytes) bytes")
                }
                let tails = engine.exchanges.values.map(\.tail)
                let tailBytes = tails.reduce(0) { $0 + $1.bytes }
                if tailBytes != engine.tailBudget.bytes
                    || tailBytes > limits.tailBytes && tails.contains(where: { $0.chunksCount > 1 })
                {
                    self.broke(
                        .memory,
                        "tails hold \(tailBytes) bytes, counted \(engine.tailBudget.bytes)")
                }
                for id in engine.exchanges.keys.sorted() {
                    guard let exchange = engine.exchanges[id] else { continue }
                    if exchange.log.pendingBytes > limits.pendingBytesMax {
                        self.broke(.memory, "\(exchange.log.pendingBytes) bytes are pending")
                    }
                }
                for id in engine.sessions.keys.sorted() {
                    guard let session = engine.sessions[id] else { continue }
                    if session.machine.requests.count > limits.requestsMax
                        || session.operations > limits.requestsMax
                    {
                        self.broke(.memory, "a session has too many requests")
                    }
                }
            }
        }
    }

    /// A portion, and the answers to what was taken before reading paused.
    func checkQueue(_ bytes: Int, _ limits: Limits) {
        let answers = limits.requestsMax * limits.frameBytesMax
        if bytes > limits.outboundBytesMax + limits.frameBytesMax + answers {
            self.broke(.memory, "\(bytes) bytes wait in a connection's way out")
        }
    }
}
