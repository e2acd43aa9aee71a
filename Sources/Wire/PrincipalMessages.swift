import CWire
package import Core

/// A grant as it was sent; `Grant` is the checked one.
package struct PrincipalGrant: Hashable, Sendable {
    package var right: Right
    /// Empty: `main`; `*`: every exchange.
    package var exchange: [UInt8]
    /// Empty: `#`.
    package var pattern: [UInt8]
    package var namePrefix: [UInt8]

    package init(
        right: Right = .publish, exchange: [UInt8] = [], pattern: [UInt8] = [],
        namePrefix: [UInt8] = []
    ) {
        self.right = right
        self.exchange = exchange
        self.pattern = pattern
        self.namePrefix = namePrefix
    }

    private static let everywhere = [UInt8(ascii: "*")]

    package init(_ grant: Grant) {
        self.init(
            right: grant.right,
            exchange: grant.exchange.map { Array($0.text.utf8) } ?? Self.everywhere,
            pattern: Array(grant.pattern.text.utf8), namePrefix: Array(grant.namePrefix.utf8))
    }

    /// Throws `invalidArgument` for names and patterns that are none.
    package func checked() throws(Failure) -> Grant {
        let exchange: Name? =
            if self.exchange == Self.everywhere {
                nil
            } else if self.exchange.isEmpty {
                .main
            } else {
                try Name(bytes: self.exchange, what: "exchange of the grant")
            }
        return try Grant(
            self.right, in: exchange,
            pattern: self.pattern.isEmpty ? .everything : try KeyPattern(bytes: self.pattern),
            namePrefix: self.namePrefix.isEmpty
                ? "" : try Name(bytes: self.namePrefix, what: "name prefix of the grant").text)
    }
}

extension PrincipalGrant: Message {
    static var unpack: Unpack<Dormouse__V1__PrincipalGrant> {
        dormouse__v1__principal_grant__unpack
    }

    init(_ unpacked: Dormouse__V1__PrincipalGrant) throws(Failure) {
        self.init(
            right: try Right(unpacked: unpacked.right.rawValue),
            exchange: [UInt8](unpacked.exchange), pattern: [UInt8](unpacked.pattern),
            namePrefix: [UInt8](unpacked.name_prefix))
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeUInt32(1, UInt32(self.right.rawValue))
        bytes.writeBytes(2, self.exchange)
        bytes.writeBytes(3, self.pattern)
        bytes.writeBytes(4, self.namePrefix)
    }
}

/// What a credential is.
package enum CredentialKind: UInt8, Hashable, Sendable, CaseIterable {
    case token = 0
    case certificate = 1
    case unixUser = 2
}

/// One of a principal's credentials, without anything secret.
package struct CredentialInfo: Hashable, Sendable {
    package var id: [UInt8]
    package var kind: CredentialKind
    /// A certificate's name, or a unix user's number.
    package var subject: [UInt8]
    /// Microseconds since 1970 UTC.
    package var createdAt: UInt64
    /// 0: it has no end.
    package var endsAt: UInt64

    package init(
        id: [UInt8] = [], kind: CredentialKind = .token, subject: [UInt8] = [],
        createdAt: UInt64 = 0, endsAt: UInt64 = 0
    ) {
        self.id = id
        self.kind = kind
        self.subject = subject
        self.createdAt = createdAt
        self.endsAt = endsAt
    }
}

extension CredentialInfo: Message {
    static var unpack: Unpack<Dormouse__V1__CredentialInfo> {
        dormouse__v1__credential_info__unpack
    }

    init(_ unpacked: Dormouse__V1__CredentialInfo) throws(Failure) {
        self.init(
            id: [UInt8](unpacked.id), kind: try CredentialKind(unpacked: unpacked.kind.rawValue),
            subject: [UInt8](unpacked.subject), createdAt: unpacked.created_at,
            endsAt: unpacked.ends_at)
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.id)
        bytes.writeUInt32(2, UInt32(self.kind.rawValue))
        bytes.writeBytes(3, self.subject)
        bytes.writeFixed64(4, self.createdAt)
        bytes.writeFixed64(5, self.endsAt)
    }
}

/// A principal as it is listed.
package struct PrincipalInfo: Hashable, Sendable {
    package var name: [UInt8]
    package var isRevoked: Bool
    package var createdAt: UInt64
    package var credentials: [CredentialInfo]
    package var grants: [PrincipalGrant]
    /// Connections that it has now.
    package var connections: UInt32

    package init(
        name: [UInt8] = [], isRevoked: Bool = false, createdAt: UInt64 = 0,
        credentials: [CredentialInfo] = [], grants: [PrincipalGrant] = [], connections: UInt32 = 0
    ) {
        self.name = name
        self.isRevoked = isRevoked
        self.createdAt = createdAt
        self.credentials = credentials
        self.grants = grants
        self.connections = connections
    }
}

extension PrincipalInfo: Message {
    static var unpack: Unpack<Dormouse__V1__PrincipalInfo> { dormouse__v1__principal_info__unpack }

    init(_ unpacked: Dormouse__V1__PrincipalInfo) throws(Failure) {
        self.init(
            name: [UInt8](unpacked.name), isRevoked: unpacked.revoked != 0,
            createdAt: unpacked.created_at,
            credentials: try CredentialInfo.all(
                unpacked.credentials, count: unpacked.n_credentials),
            grants: try PrincipalGrant.all(unpacked.grants, count: unpacked.n_grants),
            connections: unpacked.connections)
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.name)
        bytes.writeBool(2, self.isRevoked)
        bytes.writeFixed64(3, self.createdAt)
        for each in self.credentials { bytes.writeMessage(4) { each.encode(into: &$0) } }
        for each in self.grants { bytes.writeMessage(5) { each.encode(into: &$0) } }
        bytes.writeUInt32(6, self.connections)
    }
}

/// What adding, granting, revoking and rotating answer: the principal as it is now.
package struct PrincipalReply: Hashable, Sendable {
    package var principal: PrincipalInfo
    /// `id.secret`, when a token was made: nobody can see it again.
    package var token: [UInt8]

    package init(principal: PrincipalInfo = PrincipalInfo(), token: [UInt8] = []) {
        self.principal = principal
        self.token = token
    }
}

extension PrincipalReply: Message {
    static var unpack: Unpack<Dormouse__V1__PrincipalReply> {
        dormouse__v1__principal_reply__unpack
    }

    init(_ unpacked: Dormouse__V1__PrincipalReply) throws(Failure) {
        self.init(token: [UInt8](unpacked.token))
        if let principal = unpacked.principal {
            self.principal = try PrincipalInfo(principal.pointee)
        }
    }

    package func encode(into bytes: inout [UInt8]) {
        if self.principal != PrincipalInfo() {
            bytes.writeMessage(1) { self.principal.encode(into: &$0) }
        }
        bytes.writeBytes(2, self.token)
    }
}
