extension BlockingClient {
    /// Makes a principal. Its `token`, when `source` is one, is nowhere else to be had.
    public func addPrincipal(
        _ name: String, _ source: CredentialSource = .token, grants: [PrincipalGrant] = []
    ) throws(DormouseError) -> PrincipalInfo {
        try self.handle.addPrincipal(name, source, grants, self.answerMilliseconds)
    }

    /// Gives a principal more rights.
    @discardableResult
    public func grantPrincipal(
        _ name: String, _ grants: [PrincipalGrant]
    ) throws(DormouseError) -> PrincipalInfo {
        try self.handle.grantPrincipal(name, grants, self.answerMilliseconds)
    }

    /// Takes rights and credentials, by their ids, from a principal; with none of both, everything. What rests on
    /// them ends at once.
    @discardableResult
    public func revokePrincipal(
        _ name: String, grants: [PrincipalGrant] = [], credentials: [String] = []
    ) throws(DormouseError) -> PrincipalInfo {
        try self.handle.revokePrincipal(
            name, grants, credentials: credentials, self.answerMilliseconds)
    }

    /// Gives a principal a new credential; those of its kind end after the grace, or at once.
    public func rotatePrincipal(
        _ name: String, _ source: CredentialSource = .token, graceMilliseconds: UInt64 = 0
    ) throws(DormouseError) -> PrincipalInfo {
        try self.handle.rotatePrincipal(
            name, source, graceMilliseconds: graceMilliseconds, self.answerMilliseconds)
    }

    /// By name; `prefix` is of the names.
    public func principals(
        prefix: String = ""
    ) throws(DormouseError) -> [PrincipalInfo] {
        try self.handle.principals(prefix: prefix, self.answerMilliseconds)
    }
}
