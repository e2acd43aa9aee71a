// All principals of the server, in memory: they are few, and every hello asks for one.
//
// 1. While there is none, the server is open: whoever can connect may do everything. From the first one on it is closed,
//    for good: a revoked principal stays as a name.
// 2. Who has a unix socket's peer credentials of the server's own user or of root, and shows no token, is the
//    administrator: they can do everything to the server anyway, so nobody is locked out.
// 3. A token counts when it is shown, whatever else is known of the client; a wrong one is not made good by a certificate.
// 4. A change is a value: it is stored first, and takes effect here by `apply`.
//
// Invariant: a credential's id and what it proves belong to one principal; secrets are here as SHA-256 only.

/// Random numbers and hashes, which come from a library.
package protocol Cryptography {
    /// From the system's generator for keys.
    func randomBytes(_ count: Int) throws(Failure) -> [UInt8]
    func sha256(_ bytes: [UInt8]) -> [UInt8]
    /// In a time that does not depend on where they differ.
    func isSame(_ left: [UInt8], _ right: [UInt8]) -> Bool
}

package struct PrincipalTable: Sendable {
    package private(set) var principals: [Name: Principal] = [:]
    private var tokens: [String: Name] = [:]
    private var certificates: [String: Name] = [:]
    private var users: [UInt32: Name] = [:]

    /// What clients without a principal are called.
    package static let everybodysName = "anonymous"
    package static let administratorsName = "administrator"

    package init() {}

    package init(_ principals: [Principal]) {
        for principal in principals { self.apply(principal) }
    }

    /// Whether clients must say who they are.
    package var isClosed: Bool { !self.principals.isEmpty }

    /// By name.
    package var sorted: [Principal] { self.principals.values.sorted { $0.name < $1.name } }

    // MARK: Who is it

    package enum Identity: Hashable, Sendable {
        /// There are no principals.
        case everybody
        /// The server's own user, or root.
        case administrator
        case principal(Name, credential: String)
        /// Nobody knows who it is; for people.
        case unknown(String)
    }

    /// What a client shows: `token` is empty when it shows none.
    package func identify(
        token: [UInt8], peer: PeerIdentity, serversUser: UInt32, at now: Timestamp,
        with cryptography: some Cryptography
    ) -> Identity {
        guard self.isClosed else { return .everybody }
        if !token.isEmpty {
            guard peer.isEncrypted || peer.isLocal else {
                return .unknown(
                    "a token came without TLS from another machine, where others may have read it; rotate it, and use TLS"
                )
            }
            return self.identify(token, at: now, with: cryptography)
        }
        switch peer.evidence {
        case .unixUser(let user, _):
            if user == serversUser || user == 0 { return .administrator }
            return self.identify(self.users[user], "the unix user \(user)", at: now) {
                $0 == .unixUser(user)
            }
        case .certificate(let names):
            var identity = Identity.unknown("no name of the certificate belongs to a principal")
            for name in names where self.certificates[name] != nil {
                identity = self.identify(self.certificates[name], "the certificate", at: now) {
                    $0 == .certificate(name: name)
                }
                // While names change, a certificate has the old one, which has ended, and the new one.
                if case .principal = identity { return identity }
            }
            return identity
        case .none:
            return .unknown(
                "this server wants to know who connects: show a token, a certificate, or use the unix socket"
            )
        }
    }

    private func identify(
        _ name: Name?, _ what: String, at now: Timestamp, _ isIt: (Proof) -> Bool
    ) -> Identity {
        guard let name, let principal = self.principals[name],
            let credential = principal.credentials.first(where: {
                isIt($0.proof) && $0.isUsable(at: now)
            })
        else { return .unknown("\(what) belongs to no principal") }
        return .principal(name, credential: credential.id)
    }

    /// The text is the same for whatever is wrong: a stranger learns nothing of which ids there are.
    private func identify(
        _ token: [UInt8], at now: Timestamp, with cryptography: some Cryptography
    ) -> Identity {
        let unknown = Identity.unknown(
            "the token is not known: it is wrong, was revoked, or has ended")
        let halves = token.split(
            separator: UInt8(ascii: "."), maxSplits: 1, omittingEmptySubsequences: false)
        guard halves.count == 2 else { return unknown }
        let id = String(decoding: halves[0], as: UTF8.self)
        let digest = cryptography.sha256(Array(halves[1]))
        let known = self.tokens[id].flatMap { self.principals[$0] }
        let credential = known?.credentials.first { $0.id == id }
        // Compared in any case, so that an unknown id takes as long as a wrong secret.
        let expected: [UInt8] =
            if case .token(let expected)? = credential?.proof { expected } else {
                [UInt8](repeating: 0, count: digest.count)
            }
        let isSame = cryptography.isSame(digest, expected)
        guard isSame, let known, let credential, credential.isUsable(at: now) else {
            return unknown
        }
        return .principal(known.name, credential: id)
    }

    /// Whether this credential is good still.
    package func isUsable(_ credential: String, of name: Name, at now: Timestamp) -> Bool {
        self.principals[name]?.credentials.contains {
            $0.id == credential && $0.isUsable(at: now)
        } ?? false
    }

    package func permissions(of name: Name) -> Permissions {
        Permissions(name, self.principals[name]?.grants ?? [])
    }

    /// When the next credential ends.
    package func nextEnd(after now: Timestamp) -> Timestamp? {
        self.principals.values.lazy.flatMap(\.credentials).compactMap(\.endsAt)
            .filter { $0 > now }.min()
    }

    // MARK: Changes

    /// The change was stored, or restored.
    package mutating func apply(_ principal: Principal) {
        for credential in self.principals[principal.name]?.credentials ?? [] {
            switch credential.proof {
            case .token: self.tokens[credential.id] = nil
            case .certificate(let name): self.certificates[name] = nil
            case .unixUser(let user): self.users[user] = nil
            }
        }
        self.principals[principal.name] = principal
        for credential in principal.credentials {
            switch credential.proof {
            case .token: self.tokens[credential.id] = principal.name
            case .certificate(let name): self.certificates[name] = principal.name
            case .unixUser(let user): self.users[user] = principal.name
            }
        }
    }

    /// Whose credential proves the same.
    func owner(of proof: Proof) -> Name? {
        switch proof {
        case .token: nil
        case .certificate(let name): self.certificates[name]
        case .unixUser(let user): self.users[user]
        }
    }

    /// Whether somebody may change principals when `changed` is as it will be.
    func hasAdministrator(with changed: Principal, at now: Timestamp) -> Bool {
        var all = self.principals
        all[changed.name] = changed
        return all.values.contains { principal in
            principal.credentials.contains { $0.isUsable(at: now) && $0.endsAt == nil }
                && Permissions(principal.name, principal.grants).administersEverything
        }
    }
}
