extension Client {
    /// Makes a principal. Its `token`, when `source` is one, is nowhere else to be had.
    public func addPrincipal(
        _ name: String, _ source: CredentialSource = .token, grants: [PrincipalGrant] = []
    ) async throws(DormouseError) -> PrincipalInfo {
        try await self.connection.ask { handle, timeout throws(DormouseError) in
            try handle.addPrincipal(name, source, grants, timeout)
        }
    }

    /// Gives a principal more rights.
    @discardableResult
    public func grantPrincipal(
        _ name: String, _ grants: [PrincipalGrant]
    ) async throws(DormouseError) -> PrincipalInfo {
        try await self.connection.ask { handle, timeout throws(DormouseError) in
            try handle.grantPrincipal(name, grants, timeout)
        }
    }

    /// Takes rights and credentials, by their ids, from a principal; with none of both, everything. What rests on
    /// them ends at once.
    @discardableResult
    public func revokePrincipal(
        _ name: String, grants: [PrincipalGrant] = [], credentials: [String] = []
    ) async throws(DormouseError) -> PrincipalInfo {
        try await self.connection.ask { handle, timeout throws(DormouseError) in
            try handle.revokePrincipal(name, grants, credentials: credentials, timeout)
        }
    }

    /// Gives a principal a new credential; those of its kind end after the grace, or at once.
    public func rotatePrincipal(
        _ name: String, _ source: CredentialSource = .token, graceMilliseconds: UInt64 = 0
    ) async throws(DormouseError) -> PrincipalInfo {
        try await self.connection.ask { handle, timeout throws(DormouseError) in
            try handle.rotatePrincipal(name, source, graceMilliseconds: graceMilliseconds, timeout)
        }
    }

    /// By name; `prefix` is of the names.
    public func principals(
        prefix: String = ""
    ) async throws(DormouseError) -> [PrincipalInfo] {
        try await self.connection.ask { handle, timeout throws(DormouseError) in
            try handle.principals(prefix: prefix, timeout)
        }
    }
}
