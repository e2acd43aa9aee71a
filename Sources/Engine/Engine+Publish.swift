internal import Channels
internal import Core
internal import Diagnostics
internal import Wire

extension Engine {
    // MARK: Requests

    func publish(_ request: PublishRequest, _ stream: StreamID, _ session: Session) throws(Failure)
    {
        let exchange = try self.exchange(named: request.exchange, for: session)
        let ticket = Ticket(connection: session.id, stream: stream)
        let now = self.host.now
        let action: LogMachine.PublishAction
        var producer: Name?
        do throws(Failure) {
            if !request.producer.isEmpty {
                let name = try Name(bytes: request.producer, what: "producer")
                try self.checkProducer(name, exchange, session)
                producer = name
            }
            if let failure = request.failure { throw failure }
            try self.checkKeys(request, producer, exchange, session)
            guard !request.events.isEmpty else {
                throw Failure(.invalidArgument, "the request holds no events; send at least one")
            }
            action = exchange.log.publish(
                request.events, producer: producer, sequence: request.sequence, ticket: ticket,
                now: now, time: self.host.wallTime)
        } catch {
            action = exchange.log.refuse(
                error, producer: producer, sequence: request.sequence, ticket: ticket, now: now)
        }
        if let producer, let principal = session.permissions.principal {
            exchange.log.claim(producer, for: principal)
        }
        self.carryOut(action, ticket, exchange)
    }

    func askProducer(
        _ request: ProducerRequest, _ stream: StreamID, _ session: Session
    ) throws(Failure) {
        let exchange = try self.exchange(named: request.exchange, for: session)
        let producer = try Name(bytes: request.producer, what: "producer")
        try self.checkProducer(producer, exchange, session)
        let ticket = Ticket(connection: session.id, stream: stream)
        let action = exchange.log.askProducer(producer, ticket: ticket, now: self.host.now)
        self.carryOut(action, ticket, exchange)
    }

    private func carryOut(
        _ action: LogMachine.PublishAction, _ ticket: Ticket, _ exchange: Exchange
    ) {
        switch action {
        case .wait:
            exchange.writerSignal.signal()
            self.armExpiry(exchange)
        case .answer(let answer):
            guard let session = self.sessions[ticket.connection] else { return }
            self.answer(ticket.stream, answer, session)
        }
    }

    /// Answers come in runs of one connection, which is looked up once.
    private func answer(_ answers: [AnsweredTicket]) {
        var connection: ConnectionID?
        var session: Session?
        for answered in answers {
            if answered.ticket.connection != connection {
                connection = answered.ticket.connection
                session = self.sessions[answered.ticket.connection]
            }
            if let session { self.answer(answered.ticket.stream, answered.answer, session) }
        }
        self.makeRoom(after: answers)
    }

    /// Room for more requests, when all of them are answered.
    private func makeRoom(after answers: [AnsweredTicket]) {
        var connection: ConnectionID?
        for answered in answers where answered.ticket.connection != connection {
            connection = answered.ticket.connection
            guard let session = self.sessions[answered.ticket.connection] else { continue }
            if session.isPaused { self.resumeReading(session) }
            self.closeIfFinished(session)
        }
    }

    private func answer(
        _ stream: StreamID, _ answer: PublishAnswer, _ session: Session
    ) {
        switch answer {
        case .published(let first, let last, let duplicates):
            if first > .origin { session.published &+= last.rawValue - first.rawValue + 1 }
            self.counters.add(Int(duplicates), to: .duplicates)
            session.answer(
                stream,
                .publish(
                    PublishReply(
                        firstPosition: first.rawValue, lastPosition: last.rawValue,
                        duplicates: duplicates)))
        case .producer(let sequence, let position):
            session.answer(
                stream, .producer(ProducerReply(sequence: sequence, position: position.rawValue)))
        case .failed(let failure):
            self.counters.add(to: .refusedPublishes)
            session.fail(stream, failure)
        }
    }

    // MARK: Writing

    /// One per exchange: hands to the store whatever has gathered, as soon as an append may start.
    func writeLoop(_ id: ExchangeID) async {
        guard let exchange = self.exchanges[id] else { return }
        await withDiscardingTaskGroup { group in
            while await exchange.writerSignal.wait() {
                while true {
                    let take = exchange.log.take()
                    self.answer(take.answers)
                    guard let append = take.append else { break }
                    exchange.taken.append(append)
                    group.addTask { await self.writeNext(id) }
                }
            }
        }
    }

    /// Appends take effect in the order in which the store is called, and tasks start in any order:
    /// each of them writes the oldest append that was taken.
    private func writeNext(_ id: ExchangeID) async {
        guard let exchange = self.exchanges[id], !exchange.taken.isEmpty else { return }
        await self.write(exchange.taken.removeFirst())
    }

    private func write(_ append: Append) async {
        #if DEBUG
            if self.plantedBug == .deliveryBeforeCommit,
                let exchange = self.exchanges[append.exchange]
            {
                self.carryOut(
                    exchange.log.completed(last: append.last, outcome: .committed), exchange)
            }
        #endif
        let began = self.host.now
        let outcome = await self.log.append(append)
        self.commitTimes.add(microseconds: self.host.now.microseconds(since: began))
        guard let exchange = self.exchanges[append.exchange] else { return }
        switch outcome {
        case .committed:
            self.storeAnswered()
            exchange.recoveries = 0
        case .conflict:
            self.counters.add(to: .commitFailures)
        case .unknown(let failure):
            self.counters.add(to: .commitFailures)
            self.storeFailed(failure)
            if failure.code != .unavailable {
                self.logger.error(
                    "the store refuses to write",
                    [.exchange: exchange.name.text, .error: failure.description])
            }
        }
        self.carryOut(exchange.log.completed(last: append.last, outcome: outcome), exchange)
    }

    private func carryOut(_ action: LogMachine.CompletionAction, _ exchange: Exchange) {
        for chunk in action.chunks {
            exchange.tail.append(chunk)
            self.tailBudget.added(chunk.memoryBytes)
            exchange.bytes &+= UInt64(chunk.bytesCount)
            self.published &+= UInt64(chunk.count)
            self.counters.add(chunk.bytesCount, to: .publishedBytes)
        }
        self.answer(action.answers)
        exchange.movedSignal.signal()
        switch action.next {
        case .none: break
        case .take: exchange.writerSignal.signal()
        case .recover: self.startRecovery(exchange)
        }
        guard let newest = action.chunks.last else { return }
        exchange.isWorthMerging = true
        self.evictTails(now: newest.lastAt)
        self.deliver(action.chunks, exchange)
        self.resumeFetches(of: exchange)
    }

    private func evictTails(now: Timestamp) {
        while let id = self.tailBudget.giver(
            among: self.exchanges.values.lazy.map {
                .init(
                    exchange: $0.id, bytes: $0.tail.bytes, oldestAt: $0.tail.firstAt,
                    canGive: $0.tail.chunksCount > 1)
            }, now: now), let exchange = self.exchanges[id]
        {
            let before = exchange.tail.bytes
            exchange.tail.evictOldest()
            self.tailBudget.evicted(before - exchange.tail.bytes)
        }
    }

    // MARK: Recovery

    private func startRecovery(_ exchange: Exchange) {
        guard !exchange.isRecovering, !self.isFinished else { return }
        exchange.isRecovering = true
        let id = exchange.id
        self.spawn { engine in await engine.recover(id) }
    }

    private func recover(_ id: ExchangeID) async {
        guard let exchange = self.exchanges[id] else { return }
        defer { exchange.isRecovering = false }
        // A store that answers but refuses to write must not be asked in a tight circle.
        exchange.recoveries += 1
        if exchange.recoveries > 1 { await self.backOff(attempt: exchange.recoveries) }
        var attempt = 0
        while !self.isFinished {
            do throws(Failure) {
                let ownership = try await self.asking { () throws(Failure) -> Ownership? in
                    try await self.log.retakeOwnership(of: id, as: self.owner)
                }
                guard let ownership else { return self.lost(exchange) }
                self.logger.info(
                    "writing again",
                    [.exchange: exchange.name.text, .position: "\(ownership.head)"])
                exchange.isRecovering = false
                self.carryOut(exchange.log.recovered(ownership), exchange)
                if exchange.log.state == .lost { self.lost(exchange) }
                return
            } catch {
                await self.backOff(attempt: attempt)
                attempt += 1
            }
        }
    }

    /// Another server has the exchange: nothing is written, delivered or saved for it here any
    /// more.
    func lost(_ exchange: Exchange) {
        guard !exchange.isLost else { return }
        exchange.isLost = true
        self.logger.error(
            "another server has taken this exchange; writing to it has stopped here",
            [.exchange: exchange.name.text])
        self.answer(exchange.log.lostOwnership())
        exchange.movedSignal.signal()
        for receiver in exchange.awakeReceivers.members {
            for subscriber in receiver.awake.members {
                self.end(subscriber, .exchangeLost, reason: .exchangeLost)
            }
        }
        self.resumeFetches(of: exchange)
    }

    // MARK: Waiting too long

    private func armExpiry(_ exchange: Exchange) {
        guard !exchange.isExpiryArmed, let deadline = exchange.log.deadline else { return }
        exchange.isExpiryArmed = true
        self.add(.publish(exchange.id), at: deadline)
    }

    func expirePublishes(_ id: ExchangeID, now: Instant) {
        guard let exchange = self.exchanges[id] else { return }
        exchange.isExpiryArmed = false
        let answers = exchange.log.expire(now: now)
        if !answers.isEmpty {
            self.logger.warning(
                "publishes waited too long for the store and were refused",
                [.exchange: exchange.name.text, .count: "\(answers.count)"])
        }
        self.answer(answers)
        exchange.movedSignal.signal()
        self.armExpiry(exchange)
    }
}
