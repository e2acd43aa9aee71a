/// What a grant allows.
package enum Right: UInt8, Hashable, Sendable, CaseIterable {
    case publish = 0
    case subscribe = 1
    case administer = 2

    package var name: String {
        switch self {
        case .publish: "publish"
        case .subscribe: "subscribe"
        case .administer: "administer"
        }
    }

    package init?(name: String) {
        guard let right = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = right
    }
}

/// One thing that a principal may do.
package struct Grant: Hashable, Sendable {
    package let right: Right
    /// nil: in every exchange, and for `administer` the server itself.
    package let exchange: Name?
    /// The events that may be published or received. `administer` is not about events: `#`.
    package let pattern: KeyPattern
    /// What names of producers or subscribers begin with; empty: any name. Whoever uses no name is not
    /// bound by it.
    package let namePrefix: String

    package init(
        _ right: Right, in exchange: Name?, pattern: KeyPattern = .everything,
        namePrefix: String = ""
    ) throws(Failure) {
        if !namePrefix.isEmpty { _ = try Name(namePrefix, what: "name prefix of the grant") }
        guard right != .administer || pattern.matchesEverything else {
            throw Failure(
                .invalidArgument,
                "a grant of 'administer' has the pattern '\(pattern)', but it is not about events; leave it out"
            )
        }
        self.right = right
        self.exchange = exchange
        self.pattern = pattern
        self.namePrefix = namePrefix
    }

    func isFor(_ exchange: Name) -> Bool { self.exchange.map { $0 == exchange } ?? true }
    func allows(_ name: Name?) -> Bool { name.map { $0.text.hasPrefix(self.namePrefix) } ?? true }
}

extension Grant: CustomStringConvertible {
    /// Such as "subscribe to order.# in main, names shop.…".
    package var description: String {
        let place = self.exchange.map { "in \($0)" } ?? "everywhere"
        let names = self.namePrefix.isEmpty ? "" : ", names \(self.namePrefix)…"
        return switch self.right {
        case .publish: "publish \(self.pattern) \(place)\(names)"
        case .subscribe: "subscribe to \(self.pattern) \(place)\(names)"
        case .administer: "administer \(place)\(names)"
        }
    }
}

/// How a client shows which principal it is.
package enum Proof: Hashable, Sendable {
    /// SHA-256 of the secret half of a token; its other half is the credential's id.
    case token(digest: [UInt8])
    /// A subject alternative name of the client's certificate, as `DNS:name` or `URI:name`; it must be
    /// equal, byte for byte.
    case certificate(name: String)
    /// Who connects over the unix socket, as the kernel says.
    case unixUser(UInt32)
}

/// One of a principal's ways to show who it is.
package struct Credential: Hashable, Sendable {
    /// Public: it is listed, logged, and the first half of a token.
    package let id: String
    package let proof: Proof
    package let createdAt: Timestamp
    /// From then on it is worth nothing; nil: until it is revoked.
    package let endsAt: Timestamp?

    package init(id: String, proof: Proof, createdAt: Timestamp, endsAt: Timestamp? = nil) {
        self.id = id
        self.proof = proof
        self.createdAt = createdAt
        self.endsAt = endsAt
    }

    package func isUsable(at now: Timestamp) -> Bool { self.endsAt.map { now < $0 } ?? true }

    func ending(at time: Timestamp) -> Credential {
        Credential(
            id: self.id, proof: self.proof, createdAt: self.createdAt,
            endsAt: min(time, self.endsAt ?? time))
    }
}

/// Who may come in: a name, ways to show that one is it, and what it may do. As it is stored.
package struct Principal: Hashable, Sendable {
    package let name: Name
    /// A revoked one has neither credentials nor grants. Its name stays, so that the subscribers it made
    /// do not fall to somebody else, and so that the server stays closed when it was the last one.
    package var isRevoked: Bool
    package let createdAt: Timestamp
    package var credentials: [Credential]
    package var grants: [Grant]

    package init(
        name: Name, isRevoked: Bool = false, createdAt: Timestamp, credentials: [Credential],
        grants: [Grant]
    ) {
        self.name = name
        self.isRevoked = isRevoked
        self.createdAt = createdAt
        self.credentials = credentials
        self.grants = grants
    }
}

/// A change of a principal, for the store: what it is from now on, and the line for the audit.
package struct PrincipalChange: Hashable, Sendable {
    package let principal: Principal
    /// Who ordered it.
    package let by: String
    /// What was done, for people; never a secret.
    package let text: String

    package init(principal: Principal, by: String, text: String) {
        self.principal = principal
        self.by = by
        self.text = text
    }
}
