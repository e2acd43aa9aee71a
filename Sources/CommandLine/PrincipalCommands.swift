import Core
import DormouseClient

/// `dormouse principals …`.
enum PrincipalCommands {
    static let all = [Self.add, Self.grant, Self.revoke, Self.rotate, Self.list]

    private static let certificate = CommandOption(
        "certificate", "NAME",
        "by a client certificate with this name, such as DNS:shop.example")
    private static let unixUser = CommandOption(
        "unix-user", "USER", "by the user who connects the unix socket")
    private static let tokenFile = CommandOption(
        "token-file", "FILE", of: .file, "put the token into this new file, for your eyes only"
    )
    private static let rights = [
        CommandOption.exchange,
        CommandOption("everywhere", "in every exchange; with administer, the server, too"),
        CommandOption(
            "pattern", "PATTERN", repeats: true, "of event keys; default all"),
        CommandOption(
            "names", "PREFIX", "what subscribers' or producers' names begin with; default any"),
    ]
    private static let rightKinds: [ValueKind] = [
        .anything, .words(Right.allCases.map(\.name)), .words(Right.allCases.map(\.name)),
        .words(Right.allCases.map(\.name)),
    ]
    private static let place =
        "\n        [--exchange NAME | --everywhere] [--pattern PATTERN]… [--names PREFIX]"

    private static let add = CommandDescription(
        name: "principals add", summary: "let somebody in: make a principal, and its token",
        usage: [
            "principals add NAME [RIGHT…]\(Self.place)\n"
                + "        [--certificate NAME | --unix-user USER | --token-file FILE]"
        ],
        operands: 1...4, operandKinds: Self.rightKinds,
        options: Self.rights + [Self.certificate, Self.unixUser, Self.tokenFile, .json],
        examples: [
            "dormouse principals add boss administer --everywhere --token-file boss.token",
            "dormouse principals add shop publish subscribe --exchange orders --pattern 'order.#'",
        ],
        notes: """
            A RIGHT is publish, subscribe or administer. The token is shown this once; clients take it from
            the address (dormouses://TOKEN@HOST) or from a file (?token_file=FILE). From the first
            principal on, clients must say who they are; the first one must be allowed to administer
            everywhere, unless it is added over the unix socket by the server's own user.
            """,
        run: { invocation throws(CommandFailure) in
            let source = try Self.source(invocation)
            try Self.checkTokenFile(invocation, source)
            let connection = try Connection(invocation)
            let grants = try Self.grants(invocation, connection)
            let name = invocation.operands[0]
            let made = try asking("cannot add '\(name)'") { () throws(DormouseError) in
                try connection.client.addPrincipal(name, source, grants: grants)
            }
            return try Self.tell(made, "added '\(made.name)'", invocation)
        })

    private static let grant = CommandDescription(
        name: "principals grant", summary: "allow a principal more",
        usage: ["principals grant NAME RIGHT…\(Self.place)"], operands: 2...4,
        operandKinds: Self.rightKinds, options: Self.rights + [.json],
        examples: [
            "dormouse principals grant shop subscribe --exchange stock --names shop.",
            "dormouse principals grant boss administer --everywhere",
        ],
        notes: "It holds at once, also for connections that are there.",
        run: { invocation throws(CommandFailure) in
            let connection = try Connection(invocation)
            let grants = try Self.grants(invocation, connection)
            let name = invocation.operands[0]
            let changed = try asking("cannot grant '\(name)' more") { () throws(DormouseError) in
                try connection.client.grantPrincipal(name, grants)
            }
            return try Self.tell(
                changed, "'\(changed.name)' may " + grants.map(Self.text).joined(separator: "; "),
                invocation)
        })

    private static let revoke = CommandDescription(
        name: "principals revoke", summary: "take rights or credentials from a principal, or all",
        usage: [
            "principals revoke NAME RIGHT…\(Self.place)",
            "principals revoke NAME --credential ID…", "principals revoke NAME --yes",
        ],
        operands: 1...4, operandKinds: Self.rightKinds,
        options: Self.rights + [
            CommandOption(
                "credential", "ID", repeats: true, "this credential; list --json shows their ids"),
            .yes, .json,
        ],
        examples: [
            "dormouse principals revoke shop subscribe --exchange stock --names shop.",
            "dormouse principals revoke shop --yes",
        ],
        notes: """
            What rests on it ends at once: subscriptions, and connections of whom it was. The names of a
            revoked principal's subscribers stay its own.
            """,
        run: Self.runRevoke)

    private static func runRevoke(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let name = invocation.operands[0]
        let credentials = invocation.values("credential")
        if invocation.operands.count == 1, credentials.isEmpty {
            try Confirmation.ask(
                invocation,
                "this takes everything from the principal '\(name)' and ends its connections")
        }
        let connection = try Connection(invocation)
        let grants = try Self.grants(invocation, connection)
        let changed = try asking("cannot revoke") { () throws(DormouseError) in
            try connection.client.revokePrincipal(name, grants: grants, credentials: credentials)
        }
        let what = grants.map(Self.text) + credentials.map { "credential \($0)" }
        return try Self.tell(
            changed,
            what.isEmpty
                ? "revoked '\(changed.name)'"
                : "took from '\(changed.name)': " + what.joined(separator: "; "), invocation)
    }

    private static let rotate = CommandDescription(
        name: "principals rotate", summary: "give a principal a new token, or another credential",
        usage: [
            "principals rotate NAME [--grace DURATION]\n"
                + "        [--certificate NAME | --unix-user USER | --token-file FILE]"
        ],
        operands: 1...1,
        options: [
            CommandOption(
                "grace", "DURATION", "how long the old ones go on; default not at all"),
            Self.certificate, Self.unixUser, Self.tokenFile, .json,
        ],
        examples: [
            "dormouse principals rotate shop --grace 1h --token-file new.token",
            "dormouse principals rotate shop --certificate URI:spiffe://example/shop",
        ],
        notes:
            "Credentials of another kind stay; so this is also how a principal gets a second one.",
        run: { invocation throws(CommandFailure) in
            let source = try Self.source(invocation)
            try Self.checkTokenFile(invocation, source)
            let grace = try invocation.duration("grace") ?? 0
            let connection = try Connection(invocation)
            let name = invocation.operands[0]
            let changed = try asking("cannot rotate") { () throws(DormouseError) in
                try connection.client.rotatePrincipal(name, source, graceMilliseconds: grace)
            }
            return try Self.tell(
                changed, "'\(changed.name)' has a new credential", invocation)
        })

    private static let list = CommandDescription(
        name: "principals list", otherNames: ["principals"],
        summary: "list who may come in, and what they may do",
        usage: ["principals list [--json | --names]"], operands: 0...0,
        options: [.json, .names, Watch.option],
        examples: [
            "dormouse principals list", "dormouse principals list --json | jq .credentials",
        ],
        notes: "A line for each grant. Revoked principals keep their names and nothing else.",
        run: { invocation throws(CommandFailure) in
            try Watch.run(invocation) { connection, show throws(CommandFailure) in
                let principals = try connection.ask("cannot list principals") {
                    client throws(DormouseError) in try client.principals()
                }
                if invocation.has("names") { return principals.map(\.name) }
                return invocation.has("json")
                    ? principals.map { Self.json($0) } : Self.table(principals).lines(show)
            }
        })
}

// MARK: What is asked for

extension PrincipalCommands {
    private static func grants(
        _ invocation: Invocation, _ connection: Connection
    ) throws(CommandFailure) -> [DormouseClient.PrincipalGrant] {
        guard !(invocation.has("everywhere") && invocation.has("exchange")) else {
            throw .usage("--everywhere is every exchange; leave out --exchange")
        }
        let exchange = invocation.has("everywhere") ? "*" : connection.exchange ?? "main"
        let patterns = invocation.has("pattern") ? invocation.values("pattern") : ["#"]
        var grants: [DormouseClient.PrincipalGrant] = []
        for text in invocation.operands.dropFirst() {
            guard let right = PrincipalRight.allCases.first(where: { Self.word($0) == text }) else {
                throw .usage("'\(text)' is no right; expected publish, subscribe or administer")
            }
            for pattern in patterns {
                grants.append(
                    PrincipalGrant(
                        right, exchange: exchange, pattern: pattern,
                        namePrefix: invocation.value("names") ?? ""))
            }
        }
        return grants
    }

    private static func source(_ invocation: Invocation) throws(CommandFailure) -> CredentialSource
    {
        switch (invocation.value("certificate"), invocation.value("unix-user")) {
        case (nil, nil): return .token
        case (let name?, nil): return .certificate(name)
        case (nil, let user?):
            guard let number = UInt32(user) ?? OS.number(ofUser: user) else {
                throw .usage("there is no user '\(user)' on this machine; give the number")
            }
            return .unixUser(number)
        case (_?, _?): throw .usage("--certificate and --unix-user are two credentials; give one")
        }
    }

    /// Before the token is made: what cannot be written is lost.
    private static func checkTokenFile(
        _ invocation: Invocation, _ source: CredentialSource
    ) throws(CommandFailure) {
        guard let path = invocation.value("token-file") else { return }
        guard source == .token else {
            throw .usage("--token-file is for a token; a certificate or a unix user has none")
        }
        try SecretFile.check(path)
    }
}

// MARK: What is shown

extension PrincipalCommands {
    private static func tell(
        _ principal: PrincipalInfo, _ line: String, _ invocation: Invocation
    ) throws(CommandFailure) -> ExitCode {
        var line = line
        var token = principal.token
        if let path = invocation.value("token-file") {
            try SecretFile.write(token, to: path)
            line += "; the token is in \(path)"
            token = ""
        } else if !token.isEmpty {
            line += "; this token is shown only now:\n\(token)"
        }
        guard invocation.has("json") else { return try Output.say(line) }
        return try Output.say(Self.json(principal, token: token))
    }

    private static func word(_ right: PrincipalRight) -> String {
        switch right {
        case .publish: "publish"
        case .subscribe: "subscribe"
        case .administer: "administer"
        }
    }

    static func text(_ grant: DormouseClient.PrincipalGrant) -> String {
        let events = grant.right == .administer ? "" : " \(Text.printable(grant.pattern))"
        let names = grant.namePrefix.isEmpty ? "" : ", names \(Text.printable(grant.namePrefix))…"
        return self.word(grant.right) + events
            + (grant.exchange == "*" ? " everywhere" : " in \(Text.printable(grant.exchange))")
            + names
    }

    private static func text(_ credential: CredentialInfo, _ show: Show) -> String {
        let what =
            switch credential.kind {
            case .token: "token"
            case .certificate: Text.printable(credential.subject)
            case .unixUser: "user " + Text.printable(credential.subject)
            }
        return credential.endsAt == 0
            ? what
            : what
                + (credential.endsAt <= show.now
                    ? " (ended)" : " (until " + show.time(credential.endsAt) + ")")
    }

    private static func table(_ principals: [PrincipalInfo]) -> Table {
        var table = Table([
            ("NAME", .left), ("CREDENTIALS", .left), ("CONNECTIONS", .right), ("MAY", .left),
        ])
        let show = Show()
        for principal in principals {
            let credentials = principal.credentials.map { Self.text($0, show) }
            let start = [
                Text.printable(principal.name),
                principal.isRevoked ? "revoked" : credentials.joined(separator: ", "),
                String(principal.connections),
            ]
            if principal.grants.isEmpty { table.add(start + ["-"]) }
            for grant in principal.grants { table.add(start + [Self.text(grant)]) }
        }
        return table
    }

    private static func json(_ principal: PrincipalInfo, token: String = "") -> String {
        let credentials = principal.credentials.map { credential in
            let kind =
                switch credential.kind {
                case .token: "token"
                case .certificate: "certificate"
                case .unixUser: "unix-user"
                }
            return "{\"id\":\(JSONText.quoted(credential.id)),\"kind\":\"\(kind)\","
                + "\"subject\":\(JSONText.quoted(credential.subject)),"
                + "\"created_at\":\"\(TimeText.rfc3339(credential.createdAt))\",\"ends_at\":"
                + (credential.endsAt == 0 ? "null" : "\"\(TimeText.rfc3339(credential.endsAt))\"")
                + "}"
        }
        let grants = principal.grants.map { grant in
            "{\"right\":\"\(Self.word(grant.right))\","
                + "\"exchange\":\(JSONText.quoted(grant.exchange)),"
                + "\"pattern\":\(JSONText.quoted(grant.pattern)),"
                + "\"name_prefix\":\(JSONText.quoted(grant.namePrefix))}"
        }
        return "{\"name\":\(JSONText.quoted(principal.name)),"
            + "\"revoked\":\(principal.isRevoked),"
            + "\"created_at\":\"\(TimeText.rfc3339(principal.createdAt))\","
            + "\"connections\":\(principal.connections),"
            + "\"credentials\":[\(credentials.joined(separator: ","))],"
            + "\"grants\":[\(grants.joined(separator: ","))]"
            + (token.isEmpty ? "" : ",\"token\":\(JSONText.quoted(token))") + "}"
    }
}
