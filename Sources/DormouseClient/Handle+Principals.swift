internal import CDormouse

extension Handle {
    func addPrincipal(
        _ name: String, _ source: CredentialSource, _ grants: [PrincipalGrant], _ timeout: Int32
    ) throws(DormouseError) -> PrincipalInfo {
        let loan = Loan()
        defer { loan.end() }
        let (kind, subject) = source.code
        return try self.changed { list in
            dormouse_add_principal(
                self.pointer, name, kind, subject, loan.grants(grants), grants.count, timeout,
                Self.take, list)
        }
    }

    func grantPrincipal(
        _ name: String, _ grants: [PrincipalGrant], _ timeout: Int32
    ) throws(DormouseError) -> PrincipalInfo {
        let loan = Loan()
        defer { loan.end() }
        return try self.changed { list in
            dormouse_grant_principal(
                self.pointer, name, loan.grants(grants), grants.count, timeout, Self.take, list)
        }
    }

    func revokePrincipal(
        _ name: String, _ grants: [PrincipalGrant], credentials: [String], _ timeout: Int32
    ) throws(DormouseError) -> PrincipalInfo {
        let loan = Loan()
        defer { loan.end() }
        return try self.changed { list in
            dormouse_revoke_principal(
                self.pointer, name, loan.grants(grants), grants.count,
                loan.array(credentials.map { loan.text($0) }), credentials.count, timeout,
                Self.take, list)
        }
    }

    func rotatePrincipal(
        _ name: String, _ source: CredentialSource, graceMilliseconds: UInt64, _ timeout: Int32
    ) throws(DormouseError) -> PrincipalInfo {
        let (kind, subject) = source.code
        return try self.changed { list in
            dormouse_rotate_principal(
                self.pointer, name, kind, subject, graceMilliseconds, timeout, Self.take, list)
        }
    }

    func principals(prefix: String, _ timeout: Int32) throws(DormouseError) -> [PrincipalInfo] {
        try self.list { list in
            dormouse_list_principals(self.pointer, prefix, timeout, Self.take, list)
        }
    }

    private static let take: dormouse_principal_callback = { context, info in
        List<PrincipalInfo>.add(context, info) { PrincipalInfo($0) }
    }

    private func changed(
        _ body: (UnsafeMutableRawPointer) -> dormouse_status
    ) throws(DormouseError) -> PrincipalInfo {
        let told: [PrincipalInfo] = try self.list(body)
        guard let changed = told.first else {
            throw DormouseError(.internal, "the server did not say what became of the principal")
        }
        return changed
    }
}

extension Loan {
    fileprivate func grants(_ grants: [PrincipalGrant]) -> UnsafePointer<dormouse_grant>? {
        self.array(
            grants.map { grant in
                dormouse_grant(
                    right: grant.right.code, exchange: self.text(grant.exchange),
                    pattern: self.text(grant.pattern), name_prefix: self.text(grant.namePrefix))
            })
    }
}
