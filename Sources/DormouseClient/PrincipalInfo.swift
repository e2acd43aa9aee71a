internal import CDormouse

/// What a grant allows.
public enum PrincipalRight: Hashable, Sendable, CaseIterable {
    case publish, subscribe, administer

    var code: dormouse_right {
        switch self {
        case .publish: DORMOUSE_RIGHT_PUBLISH
        case .subscribe: DORMOUSE_RIGHT_SUBSCRIBE
        case .administer: DORMOUSE_RIGHT_ADMINISTER
        }
    }

    init(_ code: dormouse_right) {
        self = Self.allCases.first { $0.code == code } ?? .publish
    }
}

/// One thing that a principal may do.
public struct PrincipalGrant: Hashable, Sendable {
    /// What it allows.
    public let right: PrincipalRight
    /// An exchange, or `*` for every one.
    public let exchange: String
    /// Of the keys of events.
    public let pattern: String
    /// What names of subscribers or producers begin with; empty: any name.
    public let namePrefix: String

    /// A grant to give or to take away.
    public init(
        _ right: PrincipalRight, exchange: String, pattern: String = "#", namePrefix: String = ""
    ) {
        self.right = right
        self.exchange = exchange
        self.pattern = pattern
        self.namePrefix = namePrefix
    }

    init(_ info: dormouse_grant_info) {
        self.init(
            PrincipalRight(info.right), exchange: String(info.exchange),
            pattern: String(info.pattern), namePrefix: String(info.name_prefix))
    }
}

/// What a credential is to be made of.
public enum CredentialSource: Hashable, Sendable {
    /// The server makes a token.
    case token
    /// A name in the client's certificate, as `DNS:name` or `URI:name`.
    case certificate(String)
    /// The number of who connects the unix socket.
    case unixUser(UInt32)

    var code: (kind: dormouse_credential_kind, subject: String?) {
        switch self {
        case .token: (DORMOUSE_TOKEN, nil)
        case .certificate(let name): (DORMOUSE_CERTIFICATE, name)
        case .unixUser(let user): (DORMOUSE_UNIX_USER, "\(user)")
        }
    }
}

/// One of a principal's ways to show who it is; without anything secret.
public struct CredentialInfo: Hashable, Sendable {
    /// What a credential is.
    public enum Kind: Hashable, Sendable {
        case token, certificate, unixUser
    }

    /// Public: the first half of a token.
    public let id: String
    /// What it is.
    public let kind: Kind
    /// A certificate's name or a unix user's number; empty for a token.
    public let subject: String
    /// Microseconds since 1970 UTC.
    public let createdAt: UInt64
    /// Worth nothing from then on; 0 = it has no end.
    public let endsAt: UInt64

    init(_ info: dormouse_credential_info) {
        self.id = String(info.id)
        self.kind =
            switch info.kind {
            case DORMOUSE_CERTIFICATE: .certificate
            case DORMOUSE_UNIX_USER: .unixUser
            default: .token
            }
        self.subject = String(info.subject)
        self.createdAt = info.created_at
        self.endsAt = info.ends_at
    }
}

/// A principal as the server describes it.
public struct PrincipalInfo: Hashable, Sendable {
    /// Unique in its server.
    public let name: String
    /// It may do nothing; its name stays.
    public let isRevoked: Bool
    /// Microseconds since 1970 UTC.
    public let createdAt: UInt64
    /// How it shows who it is.
    public let credentials: [CredentialInfo]
    /// What it may do.
    public let grants: [PrincipalGrant]
    /// How many it has now.
    public let connections: UInt32
    /// `id.secret`, when the call has made one: it cannot be had again.
    public let token: String

    init(_ info: dormouse_principal_info) {
        self.name = String(info.name)
        self.isRevoked = info.revoked
        self.createdAt = info.created_at
        self.credentials = UnsafeBufferPointer(
            start: info.credentials, count: info.credential_count
        ).map { CredentialInfo($0) }
        self.grants = UnsafeBufferPointer(start: info.grants, count: info.grant_count)
            .map { PrincipalGrant($0) }
        self.connections = info.connections
        self.token = String(info.token)
    }
}
