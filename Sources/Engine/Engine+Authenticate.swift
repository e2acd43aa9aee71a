internal import Channels
internal import Core
internal import Diagnostics
internal import Wire

// Who a client is: found out in its hello, looked at again whenever principals change. A stranger is answered late, so
// that guessing is slow; the wait is a deadline, which costs nobody else anything.

/// Who said hello.
enum SessionIdentity: Hashable, Sendable {
    /// There is no principal yet. The server's user goes on as administrator once there is one, all others do not.
    case everybody(isServersUser: Bool)
    case administrator
    case principal(Name, credential: String)

    var name: String {
        switch self {
        case .everybody: PrincipalTable.everybodysName
        case .administrator: PrincipalTable.administratorsName
        case .principal(let name, _): name.text
        }
    }
}

extension Engine {
    func hello(_ hello: HelloRequest, _ stream: StreamID, _ session: Session)
        throws(Failure)
    {
        guard hello.client.count <= Limits.textBytesMax, hello.library.count <= Limits.textBytesMax
        else {
            throw Failure(
                .invalidArgument,
                "the client's name or library has more than \(Limits.textBytesMax) bytes")
        }
        session.client = String(decoding: hello.client, as: UTF8.self)
        session.library = String(decoding: hello.library, as: UTF8.self)
        session.takesCompressed = hello.features.contains(Feature.lz4Deliveries)
        let identity = self.principals.identify(
            token: hello.token, peer: session.peer.identity, serversUser: self.host.userID,
            at: self.host.wallTime, with: self.host)
        switch identity {
        case .everybody:
            try self.welcome(
                .everybody(isServersUser: self.isServersUser(session)), stream, session)
        case .administrator: try self.welcome(.administrator, stream, session)
        case .principal(let name, let credential):
            let count = self.connectionsOfPrincipal[name] ?? 0
            guard count < self.limits.connectionsPerPrincipalMax else {
                self.counters.add(to: .connectionsRefused)
                throw Failure(
                    .resourceExhausted,
                    "the principal '\(name)' already has \(count) connections; close some, put several subscriptions on one "
                        + "connection, or raise --connections-per-principal")
            }
            self.connectionsOfPrincipal[name] = count + 1
            try self.welcome(.principal(name, credential: credential), stream, session)
        case .unknown(let reason): self.refuse(session, stream, reason)
        }
    }

    private func welcome(
        _ identity: SessionIdentity, _ stream: StreamID, _ session: Session
    ) throws(Failure) {
        session.identity = identity
        session.permissions = try self.permissions(of: identity)
        session.machine.helloAccepted()
        self.newcomers.left(session.id)
        var welcome = Welcome()
        welcome.server = Array("dormoused/\(self.version)".utf8)
        welcome.incarnation = self.incarnation.bytes
        welcome.frameBytesMax = UInt32(clamping: self.limits.frameBytesMax)
        welcome.heartbeatMilliseconds = UInt32(clamping: self.limits.heartbeatMilliseconds)
        welcome.connectionID = session.id.rawValue
        welcome.principal = Array(session.principal.utf8)
        welcome.features = session.takesCompressed ? [Feature.lz4Deliveries] : []
        session.answer(stream, .hello(welcome))
        self.logger.debug(
            "connection opened",
            [
                .peer: session.peer.address, .client: session.client,
                .principal: session.principal,
            ])
    }

    /// The connection is gone.
    func leave(_ identity: SessionIdentity?) {
        guard case .principal(let name, _)? = identity,
            let count = self.connectionsOfPrincipal[name]
        else { return }
        self.connectionsOfPrincipal[name] = count > 1 ? count - 1 : nil
    }

    /// What it may do now, whether its connection is there or not: what somebody asked for goes on when the connection
    /// ends, and may have waited until the right to it was gone.
    func permissions(of identity: SessionIdentity?) throws(Failure) -> Permissions {
        switch identity {
        case .administrator: return .everything
        case .everybody(let isServersUser) where isServersUser || !self.principals.isClosed:
            return .everything
        case .principal(let name, let credential)
        where self.principals.isUsable(credential, of: name, at: self.host.wallTime):
            return self.principals.permissions(of: name)
        case .everybody, .principal, nil:
            throw Failure(
                .unauthenticated,
                "who asked for this was revoked while it waited, or has to say who it is now; connect again"
            )
        }
    }

    /// Who can come in whatever the principals are.
    func isServersUser(_ session: Session) -> Bool {
        guard case .unixUser(let user, _) = session.peer.identity.evidence else { return false }
        return user == 0 || user == self.host.userID
    }

    // MARK: Strangers

    private func refuse(_ session: Session, _ stream: StreamID, _ reason: String) {
        let origin = Newcomers.Origin(session.peer.identity)
        guard self.failedAuthentications.isAnswered(origin, at: self.host.now) else {
            self.logStranger(
                "closing a connection without an answer: too many from there did not show who they are",
                [.peer: session.peer.address])
            return self.drop(session, "too many failed authentications")
        }
        session.refusal = (stream, Failure(.unauthenticated, reason))
        // Whatever it says until then is not heard.
        self.pauseReading(session)
        self.add(
            .identity(session.id),
            at: self.host.now.advanced(byMilliseconds: self.limits.refusalMilliseconds))
    }

    // MARK: Looking again

    /// It is time to tell a stranger, or to see whether a credential is good still.
    func checkIdentity(_ id: ConnectionID) {
        guard let session = self.sessions[id] else { return }
        if let (stream, failure) = session.refusal {
            session.fail(stream, failure)
            return self.goAway(session, failure)
        }
        self.recheck(session)
    }

    /// A change of principals is stored: it holds from now on, for sessions that are there, too.
    func apply(_ principal: Principal) {
        self.principals.apply(principal)
        for id in self.sessions.keys.sorted() {
            if let session = self.sessions[id] { self.recheck(session) }
        }
        self.awaitNextEnd()
    }

    /// Credentials that end do so while nobody looks.
    func awaitNextEnd() {
        let now = self.host.wallTime
        guard let end = self.principals.nextEnd(after: now) else {
            return self.deadlines.remove(.credentials)
        }
        // A day at a time: the wall clock may be set.
        let wait = min((end.rawValue - now.rawValue) / 1000 + 1, 86_400_000)
        self.add(.credentials, at: self.host.now.advanced(byMilliseconds: Int(wait)))
    }

    func checkCredentials() {
        for id in self.sessions.keys.sorted() {
            if let session = self.sessions[id] { self.recheck(session) }
        }
        self.awaitNextEnd()
    }

    private func recheck(_ session: Session) {
        guard let identity = session.identity, session.machine.state != .closed else { return }
        switch identity {
        case .administrator:
            break
        case .everybody(let isServersUser):
            guard self.principals.isClosed else { return }
            // Its connection says who it is: it may go on as what it is.
            if isServersUser { return session.identity = .administrator }
            self.expel(
                session,
                "this server wants to know who connects from now on; connect again as a principal")
        case .principal(let name, let credential):
            guard
                self.principals.isUsable(credential, of: name, at: self.host.wallTime)
            else {
                return self.expel(
                    session, "the credential of '\(name)' was revoked or has ended")
            }
            let permissions = self.principals.permissions(of: name)
            guard permissions != session.permissions else { return }
            session.permissions = permissions
            session.publishGate = nil
            self.endWhatIsNotGranted(to: session)
        }
    }

    /// Its streams end, the connection closes, and what it had asked for and was not begun is not done.
    private func expel(_ session: Session, _ reason: String) {
        session.toStart = Ring()
        let failure = Failure(.unauthenticated, reason)
        for subscriber in session.awake.members {
            self.end(subscriber, failure, reason: .notGranted(reason))
        }
        self.goAway(session, failure)
    }

    private func endWhatIsNotGranted(to session: Session) {
        for subscriber in session.awake.members {
            do throws(Failure) {
                try session.permissions.subscribing(
                    as: subscriber.name, to: subscriber.receiver.config,
                    in: subscriber.exchange.name, owner: subscriber.principal)
            } catch {
                self.end(subscriber, error, reason: .notGranted(error.message))
            }
        }
        // Each of them looks again at what it may fetch.
        for id in session.fetchers.values.sorted() { self.resumeFetch(id) }
    }
}
