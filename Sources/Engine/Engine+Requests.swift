internal import Channels
internal import Core
internal import Diagnostics
internal import Wire

extension Engine {
    /// Enough to hide the store's round trips.
    private static let operationsAtOnce = 16

    /// A REQUEST frame: register it, decode it, perform it.
    func request(_ header: FrameHeader, _ payload: UnsafeRawBufferPointer, _ session: Session) {
        let method = Method(rawValue: header.code)
        let action = session.machine.requestReceived(
            method: header.code, isHello: method == .hello, stream: header.stream,
            isQuiet: header.wantsNoReply, publishBytes: method == .subscribe ? 0 : payload.count)
        switch action {
        case .ignore:
            return
        case .goAway(let failure):
            return self.goAway(session, failure)
        case .refuse(let failure):
            return session.send(
                failure, as: method == .subscribe ? .end : .response, on: header.stream)
        case .hello, .perform:
            break
        }
        guard let method else {
            return session.fail(
                header.stream,
                Failure(
                    .unimplemented,
                    "this server has no method \(header.code); it speaks version 1 of the protocol")
            )
        }
        do throws(Failure) {
            if method == .publish {
                // The hottest one, and the largest: it is not copied into a case and out again.
                return try self.publish(
                    try PublishRequest.decode(payload, eventBytesMax: self.limits.eventBytesMax),
                    header.stream, session)
            }
            let request = try Request.decode(
                method: method, payload: payload, eventBytesMax: self.limits.eventBytesMax,
                arena: self.arena)
            try self.perform(request, header.stream, session)
        } catch {
            if method == .publish { self.counters.add(to: .refusedPublishes) }
            session.fail(header.stream, error)
            if session.machine.state == .introducing { self.goAway(session, error) }
        }
    }

    private func perform(_ request: Request, _ stream: StreamID, _ session: Session) throws(Failure)
    {
        switch request {
        case .hello(let hello): try self.hello(hello, stream, session)
        case .publish(let publish): try self.publish(publish, stream, session)
        case .producer(let producer): try self.askProducer(producer, stream, session)
        case .subscribe(let subscribe): try self.subscribe(subscribe, stream, session)
        case .acknowledge(let acknowledge): try self.acknowledge(acknowledge, stream, session)
        case .grant(let grant): try self.grant(grant, stream, session)
        case .stop(let stop): try self.stop(stop, stream, session)
        case .fetch(let fetch): try self.fetch(fetch, stream, session)
        case .seek(let seek): try self.seek(seek, stream, session)
        case .pause(let pause): try self.pause(pause, stream, session)
        case .forget(let forget): try self.forget(forget, stream, session)
        case .restored(let restored): try self.restored(restored, stream, session)
        case .list(let list): try self.list(list, stream, session)
        case .listReceivers(let list): try self.listReceivers(list, stream, session)
        case .exchanges: self.listExchanges(stream, session)
        case .addPrincipal(let add): try self.addPrincipal(add, stream, session)
        case .grantPrincipal(let grant): try self.grantPrincipal(grant, stream, session)
        case .revokePrincipal(let revoke): try self.revokePrincipal(revoke, stream, session)
        case .rotatePrincipal(let rotate): try self.rotatePrincipal(rotate, stream, session)
        case .listPrincipals(let list): try self.listPrincipals(list, stream, session)
        case .createExchange(let create): try self.createExchange(create, stream, session)
        case .server: self.describeServer(stream, session)
        case .listOutbox(let list): try self.listOutbox(list, stream, session)
        case .changeOutbox(let change): try self.changeOutbox(change, stream, session)
        case .listConnections(let list): try self.listConnections(list, stream, session)
        }
    }

    /// CANCEL: the stream ends; what a request has set in motion may still happen, but is not
    /// answered.
    func cancel(_ stream: StreamID, _ session: Session) {
        let failure = Failure(.cancelled, "cancelled by the client")
        if let subscriber = session.subscriptions[stream] {
            return self.end(subscriber, failure, reason: .cancelled)
        }
        guard session.machine.cancel(stream) else { return }
        session.send(failure, as: .end, on: stream)
        self.forgetFetch(on: stream, session)
    }

    // MARK: Helpers

    /// The exchange of this name; an empty one is `main`.
    func exchange(named bytes: [UInt8]) throws(Failure) -> Exchange {
        if let newest = self.newestExchange, newest.bytes == bytes { return newest.exchange }
        let name = bytes.isEmpty ? Name.main : try Name(bytes: bytes, what: "exchange")
        guard let exchange = self.exchangesByName[name] else {
            throw Failure(
                .notFound, "there is no exchange \(name); create it first, or use 'main'")
        }
        self.newestExchange = (bytes, exchange)
        return exchange
    }

    /// The same for a request of this session. Where nothing was granted to it, it does not learn which
    /// exchanges there are.
    func exchange(named bytes: [UInt8], for session: Session) throws(Failure) -> Exchange {
        if !session.permissions.isUnlimited {
            let name = bytes.isEmpty ? Name.main : try Name(bytes: bytes, what: "exchange")
            _ = try session.permissions.looking(at: name)
        }
        return try self.exchange(named: bytes)
    }

    /// Work for a request that goes on beyond this turn; its number per connection is bounded.
    func spawn(
        _ session: Session, _ stream: StreamID,
        _ operation: @escaping @Sendable (isolated Engine) async throws(Failure) -> Reply?
    ) throws(Failure) {
        guard session.operations < self.limits.requestsMax else {
            throw Failure(
                .resourceExhausted,
                "\(session.operations) requests of this connection are under way; wait for some of them"
            )
        }
        session.operations += 1
        let id = session.id
        session.toStart.append { engine in
            let outcome: Result<Reply?, Failure>
            do throws(Failure) {
                outcome = .success(try await operation(engine))
            } catch {
                outcome = .failure(error)
            }
            engine.finished(outcome, stream, of: id)
        }
        self.startOperations(of: session)
    }

    /// Starts some of a connection's operations. All of them at once would all be ahead of whatever
    /// others ask for next. They go on when the connection is gone: what was asked for is done.
    private func startOperations(of session: Session) {
        while session.started < Self.operationsAtOnce, let operation = session.toStart.popFirst() {
            session.started += 1
            // A session is the engine's, and this runs on it.
            nonisolated(unsafe) let session = session
            self.spawn { engine in
                await operation(engine)
                session.started -= 1
                engine.startOperations(of: session)
            }
        }
    }

    private func finished(
        _ outcome: Result<Reply?, Failure>, _ stream: StreamID, of id: ConnectionID
    ) {
        guard let session = self.sessions[id] else { return }
        session.operations -= 1
        defer { session.machine.workEnded(stream) }
        switch outcome {
        case .success(let reply?): session.answer(stream, reply)
        case .success(nil): break
        case .failure(let failure): session.fail(stream, failure)
        }
        self.resumeReading(session)
        self.closeIfFinished(session)
    }

    /// Notes how the store answered, and passes its answer on.
    func asking<Value>(
        about exchange: Exchange? = nil, _ body: () async throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        do throws(Failure) {
            let value = try await body()
            self.storeAnswered()
            return value
        } catch {
            if error == .exchangeLost, let exchange {
                self.lost(exchange)
            } else {
                self.storeFailed(error)
            }
            throw error
        }
    }

    func storeAnswered() {
        guard self.storeFailure != nil else { return }
        self.storeFailure = nil
        self.logger.info("the store answers again", [:])
    }

    func storeFailed(_ failure: Failure) {
        guard failure.code == .unavailable else { return }
        if self.storeFailure == nil {
            self.logger.warning("the store does not answer", [.error: failure.description])
        }
        self.storeFailure = failure
        self.storeFailedHook()
    }
}
