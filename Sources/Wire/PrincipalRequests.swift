import CWire
import Core

/// Makes a principal with its first credential.
package struct AddPrincipalRequest: Hashable, Sendable {
    package var name: [UInt8]
    package var credential: CredentialKind
    /// A certificate's name, or a unix user's number; empty for a token, which the server makes.
    package var subject: [UInt8]
    package var grants: [PrincipalGrant]

    package init(
        name: [UInt8] = [], credential: CredentialKind = .token, subject: [UInt8] = [],
        grants: [PrincipalGrant] = []
    ) {
        self.name = name
        self.credential = credential
        self.subject = subject
        self.grants = grants
    }
}

extension AddPrincipalRequest: Message {
    static var unpack: Unpack<Dormouse__V1__AddPrincipalRequest> {
        dormouse__v1__add_principal_request__unpack
    }

    init(_ unpacked: Dormouse__V1__AddPrincipalRequest) throws(Failure) {
        self.init(
            name: [UInt8](unpacked.name),
            credential: try CredentialKind(unpacked: unpacked.credential.rawValue),
            subject: [UInt8](unpacked.subject),
            grants: try PrincipalGrant.all(unpacked.grants, count: unpacked.n_grants))
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.name)
        bytes.writeUInt32(2, UInt32(self.credential.rawValue))
        bytes.writeBytes(3, self.subject)
        for each in self.grants { bytes.writeMessage(4) { each.encode(into: &$0) } }
    }
}

/// Gives a principal more rights.
package struct GrantPrincipalRequest: Hashable, Sendable {
    package var name: [UInt8]
    package var grants: [PrincipalGrant]

    package init(name: [UInt8] = [], grants: [PrincipalGrant] = []) {
        self.name = name
        self.grants = grants
    }
}

extension GrantPrincipalRequest: Message {
    static var unpack: Unpack<Dormouse__V1__GrantPrincipalRequest> {
        dormouse__v1__grant_principal_request__unpack
    }

    init(_ unpacked: Dormouse__V1__GrantPrincipalRequest) throws(Failure) {
        self.init(
            name: [UInt8](unpacked.name),
            grants: try PrincipalGrant.all(unpacked.grants, count: unpacked.n_grants))
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.name)
        for each in self.grants { bytes.writeMessage(2) { each.encode(into: &$0) } }
    }
}

/// Takes rights and credentials from a principal; without any of them, everything.
package struct RevokePrincipalRequest: Hashable, Sendable {
    package var name: [UInt8]
    package var grants: [PrincipalGrant]
    /// Their ids.
    package var credentials: [[UInt8]]

    package init(
        name: [UInt8] = [], grants: [PrincipalGrant] = [], credentials: [[UInt8]] = []
    ) {
        self.name = name
        self.grants = grants
        self.credentials = credentials
    }
}

extension RevokePrincipalRequest: Message {
    static var unpack: Unpack<Dormouse__V1__RevokePrincipalRequest> {
        dormouse__v1__revoke_principal_request__unpack
    }

    init(_ unpacked: Dormouse__V1__RevokePrincipalRequest) throws(Failure) {
        self.init(
            name: [UInt8](unpacked.name),
            grants: try PrincipalGrant.all(unpacked.grants, count: unpacked.n_grants),
            credentials: unpackedBytes(unpacked.credentials, count: unpacked.n_credentials))
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.name)
        for each in self.grants { bytes.writeMessage(2) { each.encode(into: &$0) } }
        for each in self.credentials { bytes.writeElement(3, each) }
    }
}

/// Gives a principal a new credential; those of the same kind end.
package struct RotatePrincipalRequest: Hashable, Sendable {
    package var name: [UInt8]
    package var credential: CredentialKind
    package var subject: [UInt8]
    /// How long the old ones go on; 0: they end at once.
    package var graceMilliseconds: UInt64

    package init(
        name: [UInt8] = [], credential: CredentialKind = .token, subject: [UInt8] = [],
        graceMilliseconds: UInt64 = 0
    ) {
        self.name = name
        self.credential = credential
        self.subject = subject
        self.graceMilliseconds = graceMilliseconds
    }
}

extension RotatePrincipalRequest: Message {
    static var unpack: Unpack<Dormouse__V1__RotatePrincipalRequest> {
        dormouse__v1__rotate_principal_request__unpack
    }

    init(_ unpacked: Dormouse__V1__RotatePrincipalRequest) throws(Failure) {
        self.init(
            name: [UInt8](unpacked.name),
            credential: try CredentialKind(unpacked: unpacked.credential.rawValue),
            subject: [UInt8](unpacked.subject), graceMilliseconds: unpacked.grace_ms)
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.name)
        bytes.writeUInt32(2, UInt32(self.credential.rawValue))
        bytes.writeBytes(3, self.subject)
        bytes.writeFixed64(4, self.graceMilliseconds)
    }
}

/// Asks for a page of principals.
package struct ListPrincipalsRequest: Hashable, Sendable {
    package var namePrefix: [UInt8]
    /// From the page before.
    package var pageToken: [UInt8]

    package init(namePrefix: [UInt8] = [], pageToken: [UInt8] = []) {
        self.namePrefix = namePrefix
        self.pageToken = pageToken
    }
}

extension ListPrincipalsRequest: Message {
    static var unpack: Unpack<Dormouse__V1__ListPrincipalsRequest> {
        dormouse__v1__list_principals_request__unpack
    }

    init(_ unpacked: Dormouse__V1__ListPrincipalsRequest) throws(Failure) {
        self.init(
            namePrefix: [UInt8](unpacked.name_prefix), pageToken: [UInt8](unpacked.page_token))
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.namePrefix)
        bytes.writeBytes(2, self.pageToken)
    }
}

/// A page of principals.
package struct ListPrincipalsReply: Hashable, Sendable {
    package var principals: [PrincipalInfo]
    /// Empty: this was the last page.
    package var nextPageToken: [UInt8]

    package init(principals: [PrincipalInfo] = [], nextPageToken: [UInt8] = []) {
        self.principals = principals
        self.nextPageToken = nextPageToken
    }
}

extension ListPrincipalsReply: Message {
    static var unpack: Unpack<Dormouse__V1__ListPrincipalsReply> {
        dormouse__v1__list_principals_reply__unpack
    }

    init(_ unpacked: Dormouse__V1__ListPrincipalsReply) throws(Failure) {
        self.init(
            principals: try PrincipalInfo.all(unpacked.principals, count: unpacked.n_principals),
            nextPageToken: [UInt8](unpacked.next_page_token))
    }

    package func encode(into bytes: inout [UInt8]) {
        for each in self.principals { bytes.writeMessage(1) { each.encode(into: &$0) } }
        bytes.writeBytes(2, self.nextPageToken)
    }
}
