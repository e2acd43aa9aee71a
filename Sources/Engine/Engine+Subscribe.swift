internal import Core
internal import Diagnostics
internal import Wire

extension Engine {
    // MARK: New subscription

    func subscribe(
        _ request: SubscribeRequest, _ stream: StreamID, _ session: Session
    ) throws(Failure) {
        let exchange = try self.exchange(named: request.config.exchange, for: session)
        let plan = try SubscriptionPlan(request, limits: self.limits)
        try self.checkSubscription(plan, exchange, session)
        // Those that are being opened count, too.
        let streams = session.subscriptions.count + session.streamsOpening
        guard streams < self.limits.streamsMax else {
            throw Failure(
                .resourceExhausted,
                "the connection already has \(streams) subscriptions; use another connection")
        }
        let (id, consumer) = (exchange.id, Consumer(connection: session.id, stream: stream))
        try self.spawn(session, stream) { (engine) async throws(Failure) -> Reply? in
            defer { engine.sessions[consumer.connection]?.streamsOpening -= 1 }
            try await engine.open(plan, for: consumer, in: id)
            return nil
        }
        session.streamsOpening += 1
    }

    private func open(
        _ plan: SubscriptionPlan, for consumer: Consumer, in id: ExchangeID
    ) async throws(Failure) {
        guard let exchange = self.exchanges[id] else { return }
        try self.checkMemory(plan, exchange)
        guard let name = plan.name else {
            let start = try await self.resolve(plan.start, in: exchange)
            let receiver = try await self.manager.receiver(
                plan.config, in: exchange, isDurable: false)
            defer { self.release(receiver, in: exchange) }
            let subscriber = Subscriber(
                name: nil, exchange: exchange, receiver: receiver,
                machine: SubscriberMachine(createdAt: start, now: self.host.wallTime))
            return try self.wake(subscriber, plan, consumer, start: nil)
        }
        try await self.manager.withTurn(of: name, in: exchange) { () async throws(Failure) in
            // Somebody else may have taken the name, or a right may be gone, while this waited.
            guard let session = self.sessions[consumer.connection] else { return }
            try self.checkSubscription(plan, exchange, session)
            let principal = session.permissions.principal
            if let known = exchange.subscribers[name] {
                try await self.adopt(known, by: principal)
                try await self.replaceConfig(of: known, plan)
                try await self.settle(known)
                let start = plan.reposition ? try await self.resolve(plan.start, in: exchange) : nil
                try self.wake(known, plan, consumer, start: start)
            } else {
                let made = try await self.makeSubscriber(name, plan, in: exchange, for: principal)
                try self.wake(made, plan, consumer, start: nil)
            }
        }
    }

    private func makeSubscriber(
        _ name: Name, _ plan: SubscriptionPlan, in exchange: Exchange, for principal: Name?
    ) async throws(Failure) -> Subscriber {
        let start = try await self.resolve(plan.start, in: exchange)
        return try await self.asking(about: exchange) { () async throws(Failure) -> Subscriber in
            let receiver = try await self.manager.receiver(
                plan.config, in: exchange, isDurable: true)
            defer { self.release(receiver, in: exchange) }
            return try await self.manager.makeSubscriber(
                name, receiver: receiver, in: exchange, after: start, principal: principal,
                now: self.host.wallTime)
        }
    }

    private func checkSubscription(
        _ plan: SubscriptionPlan, _ exchange: Exchange, _ session: Session
    ) throws(Failure) {
        try session.permissions.subscribing(
            as: plan.name, to: plan.config, in: exchange.name,
            owner: plan.name.flatMap { exchange.subscribers[$0]?.principal })
    }

    /// A name that is nobody's belongs to the first principal that subscribes with it.
    private func adopt(_ subscriber: Subscriber, by principal: Name?) async throws(Failure) {
        guard let principal, subscriber.principal == nil else { return }
        try await self.asking(about: subscriber.exchange) { () async throws(Failure) in
            try await self.manager.storePrincipal(principal, of: subscriber)
        }
    }

    func settle(_ subscriber: Subscriber) async throws(Failure) {
        try await self.asking(about: subscriber.exchange) { () async throws(Failure) in
            try await self.manager.settle(subscriber)
        }
    }

    private func replaceConfig(of subscriber: Subscriber, _ plan: SubscriptionPlan)
        async throws(Failure)
    {
        let exchange = subscriber.exchange
        guard subscriber.receiver.config != plan.config else { return }
        guard plan.replaceConfig else {
            throw Failure(
                .failedPrecondition,
                "the subscriber exists with another config; subscribe with the stored one, or with replace_config"
            )
        }
        let takenOver = Failure(
            .takenOver, "a newer consumer of this name came with another config")
        self.end(subscriber, takenOver, reason: .takenOver)
        let old = subscriber.receiver
        try await self.asking(about: exchange) { () async throws(Failure) in
            let receiver = try await self.manager.receiver(
                plan.config, in: exchange, isDurable: true)
            defer { self.release(receiver, in: exchange) }
            try await self.manager.move(subscriber, to: receiver)
        }
        self.removeIfUnused(old, in: exchange)
    }

    /// A consumer that remembers more than the log holds must be told: the log is another one.
    private func checkMemory(_ plan: SubscriptionPlan, _ exchange: Exchange) throws(Failure) {
        let isOther =
            !plan.lastIncarnation.isEmpty && plan.lastIncarnation != self.incarnation.bytes
        guard isOther || plan.settings.lastSeen > exchange.head else { return }
        let why =
            isOther
            ? "the log was restored from a backup after this consumer saw it, and may hold other events at "
                + "the same positions"
            : "the log ends at position \(exchange.head), before \(plan.settings.lastSeen), which this "
                + "consumer has seen: it was restored from a backup, or is another one"
        throw Failure(
            .positionLost,
            why
                + "; subscribe without last_seen to go on where the name is, or begin anew with reposition",
            firstPosition: exchange.first, incarnation: self.incarnation.bytes)
    }

    /// The position after which to begin.
    func resolve(_ start: StartPoint, in exchange: Exchange) async throws(Failure) -> Position {
        switch start {
        case .next: return exchange.head
        case .first: return exchange.first.previous
        case .last: return max(exchange.first.previous, exchange.head.previous)
        case .position(let wanted):
            guard wanted <= exchange.head.next else {
                throw Failure(
                    .outOfRange,
                    "position \(wanted) is beyond the next one (\(exchange.head.next)); use NEXT to wait for new events"
                )
            }
            if wanted.previous.next < exchange.first { throw self.positionLost(exchange) }
            return wanted.previous
        case .time(let time):
            // The head as it is now: what is published while the store looks is not older than `time`
            // when the store finds nothing.
            let (id, head) = (exchange.id, exchange.head)
            let found = try await self.asking { () async throws(Failure) -> Position? in
                try await self.log.position(before: time, in: id)
            }
            return found ?? head
        }
    }

    private func wake(
        _ subscriber: Subscriber, _ plan: SubscriptionPlan, _ consumer: Consumer, start: Position?
    ) throws(Failure) {
        let exchange = subscriber.exchange
        // The client may have gone, or cancelled, while rows were written: then the subscriber
        // stays asleep.
        guard let session = self.sessions[consumer.connection], session.isOpen(consumer.stream)
        else { return }
        try self.checkSubscription(plan, exchange, session)
        guard !self.isDraining else {
            throw Failure(.draining, "the server is stopping; connect again")
        }
        guard exchange.log.state != .lost else {
            throw .exchangeLost
        }
        if (start ?? subscriber.machine.confirmed).next < exchange.first {
            throw self.positionLost(exchange)
        }
        let old = subscriber.session
        if let old { self.confirmWhatSocketTook(subscriber, old) }
        let action = subscriber.machine.wake(
            name: subscriber.name, consumer: consumer, settings: plan.settings, start: start,
            now: self.host.wallTime)
        if let replaced = action.replaced, let old {
            self.detach(subscriber, from: old, stream: replaced.stream)
            old.fail(replaced.stream, Failure(.takenOver, "a newer consumer of this name came"))
            self.closeIfFinished(old)
        }
        if let save = action.save {
            self.save(save, exchange)
            self.unsaved.hasten(save.name, in: exchange.id)
        }
        self.attach(subscriber, to: session, stream: consumer.stream)
        session.send(
            DeliveryHeader(after: action.after, upto: action.after, head: exchange.head), nil,
            of: nil,
            on: consumer.stream)
        self.pump(subscriber)
    }

    // MARK: Attaching

    private func attach(_ subscriber: Subscriber, to session: Session, stream: StreamID) {
        subscriber.session = session
        subscriber.wantedPage = nil
        session.subscriptions[stream] = subscriber
        session.awake.add(subscriber)
        subscriber.exchange.woke(subscriber)
    }

    private func detach(_ subscriber: Subscriber, from session: Session, stream: StreamID) {
        let consumer = Consumer(connection: session.id, stream: stream)
        self.deadlines.remove(.acknowledgement(consumer))
        self.deadlines.remove(.socket(consumer))
        subscriber.isDeadlineArmed = false
        subscriber.isSocketArmed = false
        session.subscriptions[stream] = nil
        session.awake.remove(subscriber)
        subscriber.session = nil
        subscriber.wantedPage = nil
    }

    // MARK: Going to sleep

    /// The one way to sleep, whatever the cause. What was not sent stays in the log.
    func putToSleep(_ subscriber: Subscriber, _ reason: SleepReason) {
        if let session = subscriber.session { self.confirmWhatSocketTook(subscriber, session) }
        guard let consumer = subscriber.machine.awake?.consumer,
            subscriber.machine.sleep(consumer: consumer, reason: reason, now: self.host.wallTime)
        else { return }
        if let session = subscriber.session {
            self.detach(subscriber, from: session, stream: consumer.stream)
        }
        subscriber.exchange.fellAsleep(subscriber)
        if let name = subscriber.name {
            self.unsaved.hasten(name, in: subscriber.exchange.id)
        } else {
            self.removeIfUnused(subscriber.receiver, in: subscriber.exchange)
        }
    }

    /// Ends the stream of an awake subscriber with a status, and puts it to sleep.
    func end(_ subscriber: Subscriber, _ failure: Failure, reason: SleepReason) {
        guard let consumer = subscriber.machine.awake?.consumer else { return }
        let session = subscriber.session
        self.putToSleep(subscriber, reason)
        guard let session else { return }
        session.fail(consumer.stream, failure)
        self.closeIfFinished(session)
    }

    // MARK: Receivers nobody uses

    func release(_ receiver: Receiver, in exchange: Exchange) {
        receiver.reservations -= 1
        self.removeIfUnused(receiver, in: exchange)
    }

    func removeIfUnused(_ receiver: Receiver, in exchange: Exchange) {
        guard receiver.isUnused else { return }
        guard receiver.id != nil else {
            exchange.receivers[receiver.config.canonicalBytes] = nil
            return
        }
        let (id, bytes) = (exchange.id, receiver.config.canonicalBytes)
        self.spawn { engine in await engine.removeRow(ofReceiver: bytes, in: id) }
    }

    private func removeRow(ofReceiver bytes: [UInt8], in id: ExchangeID) async {
        guard let exchange = self.exchanges[id], let receiver = exchange.receivers[bytes] else {
            return
        }
        do throws(Failure) {
            try await self.asking(about: exchange) { () async throws(Failure) in
                try await self.manager.removeRow(receiver, in: exchange)
            }
        } catch {
            // If it is still there, unused, it goes with its next last subscriber.
            self.logger.warning(
                "cannot remove an unused receiver",
                [.exchange: exchange.name.text, .error: error.description])
        }
    }
}
