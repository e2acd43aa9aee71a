internal import Channels
internal import Core
internal import Diagnostics
internal import Wire

// Administration of principals. The row is written first; then the change holds here, at once for all sessions. Who
// ordered it is answered in between: it may be the one whose connection ends.

extension Engine {
    func addPrincipal(
        _ request: AddPrincipalRequest, _ stream: StreamID, _ session: Session
    ) throws(Failure) {
        let proof = try Self.proof(request.credential, request.subject)
        let grants = try Self.grants(request.grants)
        try self.change(request.name, stream, session) { engine, name, author throws(Failure) in
            try engine.principals.adding(
                name, proof, grants, by: author, at: engine.host.wallTime, with: engine.host)
        }
    }

    func grantPrincipal(
        _ request: GrantPrincipalRequest, _ stream: StreamID, _ session: Session
    ) throws(Failure) {
        let grants = try Self.grants(request.grants)
        guard !grants.isEmpty else {
            throw Failure(.invalidArgument, "the request grants nothing; name at least one right")
        }
        try self.change(request.name, stream, session) { engine, name, author throws(Failure) in
            try engine.principals.granting(name, grants, by: author, at: engine.host.wallTime)
        }
    }

    func revokePrincipal(
        _ request: RevokePrincipalRequest, _ stream: StreamID, _ session: Session
    ) throws(Failure) {
        let grants = try Self.grants(request.grants)
        let credentials = request.credentials.prefix(Limits.credentialsMax)
            .map { String(decoding: $0, as: UTF8.self) }
        try self.change(request.name, stream, session) { engine, name, author throws(Failure) in
            try engine.principals.revoking(
                name, grants, credentials: credentials, by: author, at: engine.host.wallTime)
        }
    }

    func rotatePrincipal(
        _ request: RotatePrincipalRequest, _ stream: StreamID, _ session: Session
    ) throws(Failure) {
        let proof = try Self.proof(request.credential, request.subject)
        let grace = request.graceMilliseconds
        try self.change(request.name, stream, session) { engine, name, author throws(Failure) in
            try engine.principals.rotating(
                name, proof, graceMilliseconds: grace, by: author, at: engine.host.wallTime,
                with: engine.host)
        }
    }

    func listPrincipals(
        _ request: ListPrincipalsRequest, _ stream: StreamID, _ session: Session
    ) throws(Failure) {
        try session.permissions.administeringEverything()
        let all = self.principals.sorted
        let start = String(decoding: request.namePrefix, as: UTF8.self)
        let after = String(decoding: request.pageToken, as: UTF8.self)
        let first = all.partitioningIndex { $0.name.text >= start && $0.name.text > after }
        var reply = ListPrincipalsReply()
        var bytes = 0
        for principal in all[first...].prefix(while: { $0.name.text.hasPrefix(start) }) {
            guard bytes < self.limits.frameBytesMax / 4,
                reply.principals.count < self.limits.listPageMax
            else {
                reply.nextPageToken = reply.principals.last?.name ?? []
                break
            }
            let info = PrincipalInfo(principal, connections: self.connections(of: principal.name))
            bytes += 256 + 320 * principal.credentials.count + 512 * principal.grants.count
            reply.principals.append(info)
        }
        session.answer(stream, .listPrincipals(reply))
    }

    // MARK: Helpers

    private func connections(of name: Name) -> UInt32 {
        UInt32(clamping: self.connectionsOfPrincipal[name] ?? 0)
    }

    private typealias Change =
        @Sendable (isolated Engine, Name, PrincipalTable.Author) throws(Failure) ->
        PrincipalTable.Order

    private func change(
        _ name: [UInt8], _ stream: StreamID, _ session: Session, _ order: @escaping Change
    ) throws(Failure) {
        try session.permissions.administeringEverything()
        let name = try Name(bytes: name, what: "principal's name")
        let isServersUser = self.isServersUser(session)
        let author = PrincipalTable.Author(
            name: session.identity == .everybody(isServersUser: true)
                ? PrincipalTable.administratorsName : session.principal,
            isServersUser: isServersUser)
        let (connection, identity) = (session.id, session.identity)
        try self.spawn(session, stream) { (engine) async throws(Failure) -> Reply? in
            // One change at a time: each looks at all principals.
            await engine.principalTurns.take(.main)
            defer { engine.principalTurns.release(.main) }
            // What we know of principals is old: another server may have changed them, and only it would heed the change.
            if engine.exchanges.values.contains(where: \.isLost) { throw .exchangeLost }
            try engine.permissions(of: identity).administeringEverything()
            let made = try order(engine, name, author)
            try await engine.asking { () async throws(Failure) in
                try await engine.store.storePrincipal(made.change)
            }
            engine.logger.info(
                "principal changed",
                [.principal: name.text, .owner: author.name, .reason: made.change.text])
            let info = PrincipalInfo(
                made.change.principal,
                connections: engine.connections(of: name))
            engine.sessions[connection]?.answer(
                stream, .principal(PrincipalReply(principal: info, token: made.token)))
            engine.apply(made.change.principal)
            return nil
        }
    }

    private static func grants(_ messages: [PrincipalGrant]) throws(Failure) -> [Grant] {
        guard messages.count <= Limits.grantsMax else {
            throw Failure(
                .invalidArgument,
                "the request has \(messages.count) grants; expected at most \(Limits.grantsMax)")
        }
        var grants: [Grant] = []
        for message in messages { grants.append(try message.checked()) }
        return grants
    }

    private static func proof(
        _ kind: CredentialKind, _ subject: [UInt8]
    ) throws(Failure) -> PrincipalTable.NewProof {
        let text = String(decoding: subject, as: UTF8.self)
        switch kind {
        case .token:
            guard subject.isEmpty else {
                throw Failure(
                    .invalidArgument,
                    "a token is made by the server, and the request brings a subject; leave it empty"
                )
            }
            return .token
        case .certificate: return .certificate(name: text)
        case .unixUser:
            guard let user = UInt32(text) else {
                throw Failure(
                    .invalidArgument,
                    "the unix user is not a number; expected one, such as '1000'")
            }
            return .unixUser(user)
        }
    }
}

extension PrincipalInfo {
    fileprivate init(_ principal: Principal, connections: UInt32) {
        self.init(
            name: Array(principal.name.text.utf8), isRevoked: principal.isRevoked,
            createdAt: principal.createdAt.rawValue,
            credentials: principal.credentials.map { CredentialInfo($0) },
            grants: principal.grants.map { PrincipalGrant($0) }, connections: connections)
    }
}

extension CredentialInfo {
    fileprivate init(_ credential: Credential) {
        let (kind, subject): (CredentialKind, String) =
            switch credential.proof {
            case .token: (.token, "")
            case .certificate(let name): (.certificate, name)
            case .unixUser(let user): (.unixUser, "\(user)")
            }
        self.init(
            id: Array(credential.id.utf8), kind: kind, subject: Array(subject.utf8),
            createdAt: credential.createdAt.rawValue, endsAt: credential.endsAt?.rawValue ?? 0)
    }
}
