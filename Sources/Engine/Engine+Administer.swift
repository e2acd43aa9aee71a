internal import Core
internal import Diagnostics
internal import Wire

extension Engine {
    // MARK: Of a consumer

    func acknowledge(
        _ request: AcknowledgeRequest, _ stream: StreamID, _ session: Session
    ) throws(Failure) {
        self.counters.add(to: .acknowledgements)
        let subscriber = try self.subscriber(on: request.stream, session)
        let consumer = Consumer(connection: session.id, stream: StreamID(rawValue: request.stream))
        let action = subscriber.machine.acknowledge(
            name: subscriber.name, consumer: consumer, upto: Position(request.upto),
            now: self.host.now)
        switch action {
        case .refused(let failure): throw failure
        case .unchanged: break
        case .moved(let save):
            if let save { self.save(save, subscriber.exchange) }
            self.armAcknowledgement(subscriber)
        }
        session.answer(
            stream, .acknowledge(AcknowledgeReply(position: subscriber.machine.confirmed.rawValue)))
    }

    func grant(_ request: GrantRequest, _ stream: StreamID, _ session: Session) throws(Failure) {
        let subscriber = try self.subscriber(on: request.stream, session)
        let consumer = Consumer(connection: session.id, stream: StreamID(rawValue: request.stream))
        _ = subscriber.machine.grant(
            consumer: consumer, events: request.events, bytes: request.bytes)
        session.answer(stream, .grant(GrantReply()))
        self.pump(subscriber)
    }

    private func subscriber(on stream: UInt32, _ session: Session) throws(Failure) -> Subscriber {
        guard let subscriber = session.subscriptions[StreamID(rawValue: stream)] else {
            throw Failure(
                .notFound,
                "there is no subscription on stream \(stream) of this connection; it may have ended"
            )
        }
        return subscriber
    }

    // MARK: By name

    func stop(_ request: StopRequest, _ stream: StreamID, _ session: Session) throws(Failure) {
        let subscriber = try self.subscriber(
            named: request.name, in: request.exchange, for: session)
        let wasAwake = subscriber.machine.awake != nil
        self.end(subscriber, Failure(.stopped, "stopped by name"), reason: .stopped)
        session.answer(
            stream,
            .stop(StopReply(wasAwake: wasAwake, position: subscriber.machine.confirmed.rawValue)))
    }

    func seek(_ request: SeekRequest, _ stream: StreamID, _ session: Session) throws(Failure) {
        let name = try self.subscriber(
            named: request.name, in: request.exchange, for: session
        ).name
        let exchange = try self.exchange(named: request.exchange)
        let (id, start) = (exchange.id, StartPoint(request.start, request.startValue))
        let identity = session.identity
        try self.spawn(session, stream) { (engine) async throws(Failure) -> Reply? in
            .seek(try await engine.seek(name, in: id, to: start, by: identity))
        }
    }

    private func seek(
        _ name: Name?, in id: ExchangeID, to start: StartPoint, by identity: SessionIdentity?
    ) async throws(Failure) -> SeekReply {
        guard let name, let exchange = self.exchanges[id] else { throw self.unknownSubscriber }
        return try await self.manager.withTurn(of: name, in: exchange) { () async throws(Failure) in
            let position = try await self.resolve(start, in: exchange)
            let subscriber = try self.subscriber(name, in: exchange, for: identity)
            try await self.settle(subscriber)
            self.end(
                subscriber, Failure(.aborted, "the position was changed by Seek; subscribe again"),
                reason: .moved)
            let previous = subscriber.machine.confirmed
            if let save = subscriber.machine.seek(name: name, to: position) {
                self.save(save, exchange)
            }
            guard await self.flushPositions() else {
                throw Failure(
                    .unavailable,
                    "the position was changed but could not be stored yet; the server goes on trying"
                )
            }
            // What belongs to the next owner was not stored.
            if exchange.isLost { throw .exchangeLost }
            return SeekReply(position: position.rawValue, previous: previous.rawValue)
        }
    }

    func pause(_ request: PauseRequest, _ stream: StreamID, _ session: Session) throws(Failure) {
        let name = try self.subscriber(
            named: request.name, in: request.exchange, for: session
        ).name
        let exchange = try self.exchange(named: request.exchange)
        guard request.reason.count <= Limits.textBytesMax,
            let reason = String(validating: request.reason, as: UTF8.self), !reason.contains("\0")
        else {
            throw Failure(
                .invalidArgument, "the reason is not text of at most \(Limits.textBytesMax) bytes")
        }
        // The furthest time that Postgres can store is as good as for ever.
        let until = Timestamp(rawValue: min(request.until, UInt64(Int64.max)))
        guard until == .zero || until > self.host.wallTime else {
            throw Failure(
                .invalidArgument,
                "the end of the pause is not in the future; expected microseconds since 1970, or 0 to resume"
            )
        }
        let (id, pause) = (exchange.id, until == .zero ? nil : Pause(until: until, reason: reason))
        let identity = session.identity
        try self.spawn(session, stream) { (engine) async throws(Failure) -> Reply? in
            try await engine.setPause(pause, of: name, in: id, by: identity)
            return .pause(PauseReply())
        }
    }

    private func setPause(
        _ pause: Pause?, of name: Name?, in id: ExchangeID, by identity: SessionIdentity?
    ) async throws(Failure) {
        guard let name, let exchange = self.exchanges[id] else { throw self.unknownSubscriber }
        try await self.manager.withTurn(of: name, in: exchange) { () async throws(Failure) in
            let subscriber = try self.subscriber(name, in: exchange, for: identity)
            try await self.asking(about: exchange) { () async throws(Failure) in
                try await self.manager.storePause(pause, of: subscriber)
            }
            self.apply(pause, to: subscriber)
        }
    }

    private func apply(_ pause: Pause?, to subscriber: Subscriber) {
        subscriber.machine.setPause(pause, now: self.host.wallTime)
        self.schedulePauseEnd(subscriber)
        self.pump(subscriber)
    }

    func schedulePauseEnd(_ subscriber: Subscriber) {
        guard let name = subscriber.name, let pause = subscriber.machine.pause else { return }
        let now = self.host.wallTime
        // A day at a time: the wall clock may be set, and an alarm far away is of no use.
        let wait = pause.until > now ? (pause.until.rawValue - now.rawValue) / 1000 + 1 : 0
        let milliseconds = Int(min(wait, 86_400_000))
        self.add(
            .resume(subscriber.exchange.id, name),
            at: self.host.now.advanced(byMilliseconds: milliseconds))
    }

    func resumeIfDue(_ id: ExchangeID, _ name: Name) {
        guard let exchange = self.exchanges[id], let subscriber = exchange.subscribers[name],
            let pause = subscriber.machine.pause
        else { return }
        guard pause.until <= self.host.wallTime else { return self.schedulePauseEnd(subscriber) }
        // The row needs no change: a pause that is over means nothing when it is restored.
        self.apply(nil, to: subscriber)
    }

    func forget(_ request: ForgetRequest, _ stream: StreamID, _ session: Session) throws(Failure) {
        let exchange = try self.exchange(named: request.exchange, for: session)
        let name = try Name(bytes: request.name, what: "subscriber's name")
        try session.permissions.managing(
            name, ownedBy: exchange.subscribers[name]?.principal, in: exchange.name)
        if exchange.isLost { throw .exchangeLost }
        let (id, identity) = (exchange.id, session.identity)
        try self.spawn(session, stream) { (engine) async throws(Failure) -> Reply? in
            .forget(ForgetReply(existed: try await engine.forget(name, in: id, by: identity)))
        }
    }

    private func forget(
        _ name: Name, in id: ExchangeID, by identity: SessionIdentity?
    ) async throws(Failure) -> Bool {
        guard let exchange = self.exchanges[id] else { return false }
        return try await self.manager.withTurn(of: name, in: exchange) {
            () async throws(Failure) -> Bool in
            guard exchange.subscribers[name] != nil else { return false }
            let subscriber = try self.subscriber(name, in: exchange, for: identity)
            self.end(
                subscriber, Failure(.stopped, "the subscriber was forgotten"), reason: .stopped)
            try await self.asking(about: exchange) { () async throws(Failure) in
                try await self.manager.forget(subscriber, named: name)
            }
            self.unsaved.remove(name, in: id)
            self.removeIfUnused(subscriber.receiver, in: exchange)
            return true
        }
    }

    /// One that the session may look after.
    private func subscriber(
        named bytes: [UInt8], in exchange: [UInt8], for session: Session
    ) throws(Failure) -> Subscriber {
        let name = try Name(bytes: bytes, what: "subscriber's name")
        let exchange = try self.exchange(named: exchange, for: session)
        try session.permissions.managing(
            name, ownedBy: exchange.subscribers[name]?.principal, in: exchange.name)
        // What we know of its subscribers is old: they are the next owner's.
        if exchange.isLost { throw .exchangeLost }
        guard let subscriber = exchange.subscribers[name] else { throw self.unknownSubscriber }
        return subscriber
    }

    /// The same when it is its turn: meanwhile the name may be somebody else's, or a right gone.
    private func subscriber(
        _ name: Name, in exchange: Exchange, for identity: SessionIdentity?
    ) throws(Failure) -> Subscriber {
        guard let subscriber = exchange.subscribers[name] else { throw self.unknownSubscriber }
        try self.permissions(of: identity).managing(
            name, ownedBy: subscriber.principal, in: exchange.name)
        return subscriber
    }

    private var unknownSubscriber: Failure {
        Failure(
            .notFound,
            "there is no subscriber of this name in this exchange; 'dormouse subscriptions list' shows them"
        )
    }

    // MARK: Exchanges

    func createExchange(
        _ request: ExchangeRequest, _ stream: StreamID, _ session: Session
    ) throws(Failure) {
        let name = try Name(bytes: request.name, what: "exchange")
        try session.permissions.creating(name)
        let identity = session.identity
        try self.spawn(session, stream) { (engine) async throws(Failure) -> Reply? in
            .createExchange(try await engine.createExchange(name, by: identity))
        }
    }

    private func createExchange(
        _ name: Name, by identity: SessionIdentity?
    ) async throws(Failure) -> ExchangeInfo {
        try await self.manager.withTurn(ofExchange: name) {
            () async throws(Failure) -> ExchangeInfo in
            try self.permissions(of: identity).creating(name)
            guard self.exchangesByName[name] == nil else {
                throw Failure(.alreadyExists, "the exchange \(name) exists")
            }
            guard self.exchanges.count + self.exchangesInMaking < self.limits.exchangesMax else {
                throw Failure(
                    .resourceExhausted,
                    "there are \(self.exchanges.count) exchanges; raise --exchanges")
            }
            self.exchangesInMaking += 1
            defer { self.exchangesInMaking -= 1 }
            let record = try await self.asking { () async throws(Failure) -> ExchangeRecord in
                try await self.store.createExchange(name, owner: self.owner)
            }
            let exchange = self.add(record)
            let id = record.id
            self.spawn { engine in await engine.writeLoop(id) }
            return self.describe(exchange)
        }
    }
}
