package import Core

extension PostgresState {
    package func principals() throws(Failure) -> [Principal] {
        try self.connection.perform { connection throws(Failure) in
            let (credentials, grants) = try (Self.credentials(connection), Self.grants(connection))
            let result = try connection.run(PrincipalStatements.principals)
            return try result.map { row throws(Failure) in
                let name = try result.name(row, 0)
                return Principal(
                    name: name, isRevoked: try result.integer(row, 1) == 1,
                    createdAt: try result.time(row, 2), credentials: credentials[name] ?? [],
                    grants: grants[name] ?? [])
            }
        }
    }

    private static func credentials(
        _ connection: PostgresConnection
    ) throws(Failure) -> [Name: [Credential]] {
        let result = try connection.run(PrincipalStatements.credentials)
        var found: [Name: [Credential]] = [:]
        for row in 0..<result.rowsCount {
            let subject = result.text(row, 3)
            let proof: Proof
            switch result.text(row, 2) {
            case "token": proof = .token(digest: result.bytes(row, 4))
            case "certificate": proof = .certificate(name: subject)
            case "unix-user":
                guard let user = UInt32(subject) else { throw .damaged("a unix user is no number") }
                proof = .unixUser(user)
            case let kind: throw .damaged("there is a credential of the kind '\(kind)'")
            }
            found[try result.name(row, 0), default: []].append(
                Credential(
                    id: result.text(row, 1), proof: proof, createdAt: try result.time(row, 5),
                    endsAt: result.isNull(row, 6) ? nil : try result.time(row, 6)))
        }
        return found
    }

    private static func grants(
        _ connection: PostgresConnection
    ) throws(Failure) -> [Name: [Grant]] {
        let result = try connection.run(PrincipalStatements.grants)
        var found: [Name: [Grant]] = [:]
        for row in 0..<result.rowsCount {
            guard let right = Right(name: result.text(row, 1)) else {
                throw .damaged("there is a grant of '\(result.text(row, 1))'")
            }
            let grant: Grant
            do throws(Failure) {
                grant = try Grant(
                    right, in: try result.optionalName(row, 2),
                    pattern: try KeyPattern(result.text(row, 3)), namePrefix: result.text(row, 4))
            } catch {
                throw .damaged(error.message)
            }
            found[try result.name(row, 0), default: []].append(grant)
        }
        return found
    }

    package func storePrincipal(_ change: PrincipalChange) throws(Failure) {
        let principal = change.principal
        var row = Parameters()
        row.add(principal.name.text)
        row.add(principal.isRevoked ? 1 : 0)
        row.add(principal.createdAt)
        var audit = Parameters()
        audit.add(change.by)
        audit.add(principal.name.text)
        audit.add(change.text)
        try self.connection.perform { connection throws(Failure) in
            try connection.transaction { () throws(Failure) in
                try connection.run(PrincipalStatements.storePrincipal, row)
                try connection.run(PrincipalStatements.removeCredentials, row.prefix(1))
                try connection.run(PrincipalStatements.removeGrants, row.prefix(1))
                for credential in principal.credentials {
                    try connection.run(
                        PrincipalStatements.storeCredential,
                        Self.parameters(credential, of: principal.name))
                }
                for (place, grant) in principal.grants.enumerated() {
                    try connection.run(
                        PrincipalStatements.storeGrant,
                        Self.parameters(grant, at: place, of: principal.name))
                }
                try connection.run(PrincipalStatements.storeChange, audit)
            }
        }
    }

    private static func parameters(_ credential: Credential, of name: Name) -> Parameters {
        var parameters = Parameters()
        parameters.add(name.text)
        parameters.add(credential.id)
        switch credential.proof {
        case .token(let digest):
            parameters.add("token")
            parameters.addNull()
            parameters.add(digest)
        case .certificate(let subject):
            parameters.add("certificate")
            parameters.add(subject)
            parameters.addNull()
        case .unixUser(let user):
            parameters.add("unix-user")
            parameters.add("\(user)")
            parameters.addNull()
        }
        parameters.add(credential.createdAt)
        if let end = credential.endsAt {
            parameters.add(end)
        } else {
            parameters.addNull()
        }
        return parameters
    }

    private static func parameters(_ grant: Grant, at place: Int, of name: Name) -> Parameters {
        var parameters = Parameters()
        parameters.add(name.text)
        parameters.add(Int64(place))
        parameters.add(grant.right.name)
        parameters.add(grant.exchange?.text)
        parameters.add(grant.pattern.text)
        parameters.add(grant.namePrefix)
        return parameters
    }
}

/// The statements of principals.
enum PrincipalStatements {
    static let principals = Statement(
        name: "principals",
        sql: "SELECT name, is_revoked, created_at FROM dormouse.principal ORDER BY name")

    static let credentials = Statement(
        name: "credentials",
        sql: """
            SELECT principal, credential_id, kind, coalesce(subject, ''), digest, created_at, ends_at
            FROM dormouse.credential ORDER BY principal, created_at, credential_id
            """)

    static let grants = Statement(
        name: "grants",
        sql: """
            SELECT principal, action, exchange, pattern, name_prefix
            FROM dormouse.principal_grant ORDER BY principal, place
            """)

    static let storePrincipal = Statement(
        name: "store_principal",
        sql: """
            INSERT INTO dormouse.principal (name, is_revoked, created_at)
            VALUES ($1::text, $2::bigint <> 0, $3::timestamptz)
            ON CONFLICT (name) DO UPDATE SET is_revoked = excluded.is_revoked
            """)

    static let removeCredentials = Statement(
        name: "remove_credentials",
        sql: "DELETE FROM dormouse.credential WHERE principal = $1::text")

    static let removeGrants = Statement(
        name: "remove_grants",
        sql: "DELETE FROM dormouse.principal_grant WHERE principal = $1::text")

    static let storeCredential = Statement(
        name: "store_credential",
        sql: """
            INSERT INTO dormouse.credential
                (principal, credential_id, kind, subject, digest, created_at, ends_at)
            VALUES ($1::text, $2::text, $3::text, $4::text, $5::bytea, $6::timestamptz,
                $7::timestamptz)
            """)

    static let storeGrant = Statement(
        name: "store_grant",
        sql: """
            INSERT INTO dormouse.principal_grant
                (principal, place, action, exchange, pattern, name_prefix)
            VALUES ($1::text, $2::bigint, $3::text, $4::text, $5::text, $6::text)
            """)

    static let storeChange = Statement(
        name: "store_change",
        sql: """
            INSERT INTO dormouse.principal_change (changed_by, principal, change)
            VALUES ($1::text, $2::text, $3::text)
            """)
}
