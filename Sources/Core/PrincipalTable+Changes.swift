// What administrators order. Each of these checks the order and says what would be; nothing has changed until the store
// has it and `apply` was called.

extension PrincipalTable {
    /// Who orders a change.
    package struct Author: Hashable, Sendable {
        /// For the audit.
        package let name: String
        /// The server's own user cannot lock itself out.
        package let isServersUser: Bool

        package init(name: String, isServersUser: Bool) {
            self.name = name
            self.isServersUser = isServersUser
        }
    }

    /// What a credential is to be made of.
    package enum NewProof: Hashable, Sendable {
        case token
        case certificate(name: String)
        case unixUser(UInt32)
    }

    /// A change, and the token that it made: `id.secret`, nowhere else to be had.
    package struct Order: Sendable {
        package let change: PrincipalChange
        package let token: [UInt8]
    }

    // MARK: Orders

    /// A new principal, or one that was revoked and comes back without what it was granted.
    package func adding(
        _ name: Name, _ proof: NewProof, _ grants: [Grant], by author: Author, at now: Timestamp,
        with cryptography: some Cryptography
    ) throws(Failure) -> Order {
        let old = self.principals[name]
        guard old?.isRevoked ?? true else {
            throw Failure(
                .alreadyExists,
                "there is a principal '\(name)'; use rotate to give it another credential, and grant for more rights"
            )
        }
        let reserved = [Self.everybodysName, Self.administratorsName]
        guard !reserved.contains(name.text) else {
            throw Failure(
                .invalidArgument, "no principal may be called '\(name)'; choose another name")
        }
        guard old != nil || self.principals.count < Limits.principalsMax else {
            throw Failure(
                .resourceExhausted,
                "there are \(self.principals.count) principals, which is the most there may be")
        }
        let (credential, token) = try self.credential(proof, at: now, with: cryptography)
        let principal = Principal(
            name: name, createdAt: old?.createdAt ?? now, credentials: [credential],
            grants: try Self.checked(grants))
        return Order(
            change: try self.change(
                principal, by: author, at: now,
                "added with \(Self.text(credential)); "
                    + (grants.isEmpty ? "nothing granted" : "may " + Self.text(grants))),
            token: token)
    }

    package func granting(
        _ name: Name, _ grants: [Grant], by author: Author, at now: Timestamp
    ) throws(Failure) -> Order {
        var principal = try self.active(name)
        principal.grants = try Self.checked(principal.grants + grants)
        return Order(
            change: try self.change(principal, by: author, at: now, "granted " + Self.text(grants)),
            token: [])
    }

    /// Takes these grants and credentials away; without any, the principal itself.
    package func revoking(
        _ name: Name, _ grants: [Grant], credentials: [String], by author: Author, at now: Timestamp
    ) throws(Failure) -> Order {
        var principal = try self.active(name)
        for grant in grants {
            guard let index = principal.grants.firstIndex(of: grant) else {
                throw Failure(
                    .notFound, "'\(name)' was not granted '\(grant)'; list shows what it was")
            }
            principal.grants.remove(at: index)
        }
        for id in credentials {
            guard let index = principal.credentials.firstIndex(where: { $0.id == id }) else {
                throw Failure(
                    .notFound, "'\(name)' has no credential of this id; list shows those it has")
            }
            principal.credentials.remove(at: index)
        }
        if grants.isEmpty, credentials.isEmpty {
            principal.isRevoked = true
            principal.credentials = []
            principal.grants = []
        }
        let what = grants.map(\.description) + credentials.map { "credential \($0)" }
        return Order(
            change: try self.change(
                principal, by: author, at: now,
                what.isEmpty ? "revoked" : "revoked: " + what.joined(separator: "; ")),
            token: [])
    }

    /// A new credential. Those of the same kind that it had end after `graceMilliseconds`.
    package func rotating(
        _ name: Name, _ proof: NewProof, graceMilliseconds: UInt64, by author: Author,
        at now: Timestamp, with cryptography: some Cryptography
    ) throws(Failure) -> Order {
        var principal = try self.active(name)
        let (made, token) = try self.credential(
            proof, at: now, with: cryptography, replacing: principal)
        let grace = min(graceMilliseconds, Limits.graceMillisecondsMax)
        let end = Timestamp(rawValue: now.rawValue + grace * 1000)
        principal.credentials = principal.credentials.filter { $0.isUsable(at: now) }.compactMap {
            guard $0.proof.isSameKind(as: made.proof) else { return $0 }
            return grace == 0 || $0.proof == made.proof ? nil : $0.ending(at: end)
        }
        principal.credentials.append(made)
        guard principal.credentials.count <= Limits.credentialsMax else {
            throw Failure(
                .resourceExhausted,
                "'\(name)' would have \(principal.credentials.count) credentials; expected at most "
                    + "\(Limits.credentialsMax). Revoke some, or rotate without a grace")
        }
        return Order(
            change: try self.change(
                principal, by: author, at: now,
                "rotated to \(Self.text(made)); the old ones end "
                    + (grace == 0 ? "at once" : "in \(grace / 1000) s")),
            token: token)
    }

    // MARK: Helpers

    private func active(_ name: Name) throws(Failure) -> Principal {
        guard let principal = self.principals[name], !principal.isRevoked else {
            throw Failure(
                .notFound, "there is no principal '\(name)'; 'dormouse principals list' shows them")
        }
        return principal
    }

    /// Nobody locks everybody out.
    private func change(
        _ principal: Principal, by author: Author, at now: Timestamp, _ text: String
    ) throws(Failure) -> PrincipalChange {
        guard author.isServersUser || self.hasAdministrator(with: principal, at: now) else {
            throw Failure(
                .failedPrecondition,
                "nobody could administer this server any more; keep a principal that may 'administer --everywhere' and has "
                    + "a credential without an end, or do this over the unix socket as the server's own user"
            )
        }
        return PrincipalChange(principal: principal, by: author.name, text: text)
    }

    /// Each of them once, or one that is taken away would still be there.
    private static func checked(_ all: [Grant]) throws(Failure) -> [Grant] {
        var grants: [Grant] = []
        for grant in all where !grants.contains(grant) { grants.append(grant) }
        guard grants.count <= Limits.grantsMax else {
            throw Failure(
                .resourceExhausted,
                "the principal would have \(grants.count) grants; expected at most \(Limits.grantsMax)"
            )
        }
        for right in Right.allCases {
            // As many as a receiver config may have: they are judged in the same way.
            _ = try ReceiverConfig(
                patterns: grants.filter { $0.right == right }.map(\.pattern), headers: [])
        }
        return grants
    }

    /// 256 bits, as long as nobody can guess; the id is only there to find it.
    private static let secretBytes = 32
    private static let idBytes = 8

    private func credential(
        _ wanted: NewProof, at now: Timestamp, with cryptography: some Cryptography,
        replacing owner: Principal? = nil
    ) throws(Failure) -> (Credential, token: [UInt8]) {
        let id = Self.hexadecimal(try cryptography.randomBytes(Self.idBytes))
        var token: [UInt8] = []
        let proof: Proof
        switch wanted {
        case .token:
            let secret = Array(
                Self.hexadecimal(try cryptography.randomBytes(Self.secretBytes)).utf8)
            proof = .token(digest: cryptography.sha256(secret))
            token = Array(id.utf8) + [UInt8(ascii: ".")] + secret
        case .certificate(let name):
            try Self.check(certificate: name)
            proof = .certificate(name: name)
        case .unixUser(let user):
            guard user != 0 else {
                throw Failure(
                    .invalidArgument,
                    "root is the administrator already; name another user")
            }
            proof = .unixUser(user)
        }
        if let other = self.owner(of: proof), other != owner?.name {
            throw Failure(
                .alreadyExists, "\(Self.text(proof)) belongs to the principal '\(other)' already")
        }
        return (Credential(id: id, proof: proof, createdAt: now), token)
    }

    private static func check(certificate name: String) throws(Failure) {
        let value =
            ["DNS:", "URI:"].lazy.filter { name.hasPrefix($0) }.map { name.dropFirst($0.count) }
            .first
        guard let value, !value.isEmpty, name.utf8.count <= Limits.textBytesMax,
            value.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else {
            throw Failure(
                .invalidArgument,
                "the certificate's name is not 'DNS:name' or 'URI:name' of at most \(Limits.textBytesMax) visible "
                    + "characters; give a subject alternative name as it is in the certificate")
        }
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private static func text(_ proof: Proof) -> String {
        switch proof {
        case .token: "a token"
        case .certificate(let name): "the certificate name '\(name)'"
        case .unixUser(let user): "the unix user \(user)"
        }
    }

    private static func text(_ credential: Credential) -> String {
        "\(self.text(credential.proof)) (\(credential.id))"
    }

    private static func text(_ grants: [Grant]) -> String {
        grants.map(\.description).joined(separator: "; ")
    }
}

extension Proof {
    fileprivate func isSameKind(as other: Proof) -> Bool {
        switch (self, other) {
        case (.token, .token), (.certificate, .certificate), (.unixUser, .unixUser): true
        case (.token, _), (.certificate, _), (.unixUser, _): false
        }
    }
}
