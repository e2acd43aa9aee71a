import Testing

@testable import Core

/// Hashes and random numbers that tests can follow.
private struct PlainCryptography: Cryptography {
    var next: UInt8 = 1

    func randomBytes(_ count: Int) throws(Failure) -> [UInt8] {
        [UInt8](repeating: self.next, count: count)
    }

    func sha256(_ bytes: [UInt8]) -> [UInt8] { bytes.reversed() + [0] }
    func isSame(_ left: [UInt8], _ right: [UInt8]) -> Bool { left == right }
}

@Suite struct PrincipalTableTests {
    private static let start = Timestamp(rawValue: 1_000_000)
    private static let root = PrincipalTable.Author(name: "administrator", isServersUser: true)
    private static let remote = PrincipalTable.Author(name: "boss", isServersUser: false)
    private static let serversUser: UInt32 = 105

    private static let network = PeerIdentity(isLocal: false, network: nil)
    private static let tls = PeerIdentity(isEncrypted: true, isLocal: false, network: nil)
    private static let local = PeerIdentity(isLocal: true, network: nil)

    private static func unix(_ user: UInt32) -> PeerIdentity {
        PeerIdentity(evidence: .unixUser(uid: user, gid: 9), isLocal: true, network: nil)
    }

    private static func certificate(_ names: String...) -> PeerIdentity {
        PeerIdentity(
            evidence: .certificate(names: names), isEncrypted: true, isLocal: false, network: nil)
    }

    private static func identify(
        _ table: PrincipalTable, _ peer: PeerIdentity, at now: Timestamp = start
    ) -> PrincipalTable.Identity {
        self.identify(table, [], peer, at: now)
    }

    private static func identify(
        _ table: PrincipalTable, _ token: [UInt8], _ peer: PeerIdentity,
        at now: Timestamp = start
    ) -> PrincipalTable.Identity {
        table.identify(
            token: token, peer: peer, serversUser: Self.serversUser, at: now,
            with: PlainCryptography())
    }

    private static func isUnknown(_ identity: PrincipalTable.Identity) -> Bool {
        if case .unknown = identity { return true }
        return false
    }

    /// A table with one principal that has a token, and that token.
    private static func table(
        _ grants: [Grant] = []
    ) throws -> (PrincipalTable, token: [UInt8], id: String) {
        var table = PrincipalTable()
        let order = try table.adding(
            name("shop"), .token, grants, by: Self.root, at: Self.start,
            with: PlainCryptography())
        table.apply(order.change.principal)
        return (table, order.token, order.change.principal.credentials[0].id)
    }

    // MARK: Who is it

    @Test func withoutPrincipalsEverybodyIsEverybody() {
        let table = PrincipalTable()
        #expect(!table.isClosed)
        #expect(Self.identify(table, bytes("x.y"), Self.network) == .everybody)
        #expect(Self.identify(table, Self.unix(0)) == .everybody)
    }

    @Test func aTokenIsKnownOverTLSAndOnThisMachine() throws {
        let (table, token, id) = try Self.table()
        let shop = PrincipalTable.Identity.principal(try name("shop"), credential: id)
        #expect(
            text(token) == String(repeating: "01", count: 8) + "."
                + String(repeating: "01", count: 32))
        #expect(Self.identify(table, token, Self.tls) == shop)
        #expect(Self.identify(table, token, Self.local) == shop)
        #expect(Self.isUnknown(Self.identify(table, token, Self.network)))
        #expect(Self.isUnknown(Self.identify(table, Self.tls)))
    }

    @Test func aWrongTokenIsUnknownWhateverElseIsShown() throws {
        let (table, token, id) = try Self.table()
        let wrong: [[UInt8]] = [
            bytes("nonsense"), bytes("."), bytes(id + "."), bytes(id), bytes("." + id),
            token + [0], token.dropLast(), bytes("0101." + id),
        ]
        for token in wrong.map({ Array($0) }) {
            #expect(Self.isUnknown(Self.identify(table, token, Self.tls)), "\(text(token))")
            #expect(Self.isUnknown(Self.identify(table, token, Self.unix(0))))
        }
    }

    @Test func theServersUserAndRootAreAdministrators() throws {
        let (table, _, _) = try Self.table()
        #expect(Self.identify(table, Self.unix(0)) == .administrator)
        #expect(Self.identify(table, Self.unix(Self.serversUser)) == .administrator)
        #expect(Self.isUnknown(Self.identify(table, Self.unix(1))))
    }

    @Test func certificatesAreComparedExactly() throws {
        var (table, _, _) = try Self.table()
        let order = try table.adding(
            name("bank"), .certificate(name: "DNS:bank.example"), [], by: Self.root, at: Self.start,
            with: PlainCryptography(next: 2))
        #expect(order.token.isEmpty)
        table.apply(order.change.principal)
        let id = order.change.principal.credentials[0].id
        #expect(
            Self.identify(table, Self.certificate("DNS:other.example", "DNS:bank.example"))
                == .principal(try name("bank"), credential: id))
        for other in ["DNS:Bank.example", "DNS:bank.example.", "URI:bank.example", "bank.example"] {
            #expect(Self.isUnknown(Self.identify(table, Self.certificate(other))))
        }
    }

    /// A name is changed with a grace, and the certificate has both for a while.
    @Test func aCertificateWithANameThatHasEndedIsKnownByItsOther() throws {
        var (table, _, _) = try Self.table()
        let bank = try name("bank")
        let old = try table.adding(
            bank, .certificate(name: "DNS:old.example"), [], by: Self.root, at: Self.start,
            with: PlainCryptography(next: 2))
        table.apply(old.change.principal)
        let new = try table.rotating(
            bank, .certificate(name: "DNS:new.example"), graceMilliseconds: 1_000, by: Self.root,
            at: Self.start, with: PlainCryptography(next: 3))
        table.apply(new.change.principal)
        let ids = new.change.principal.credentials.map(\.id)
        let both = Self.certificate("DNS:old.example", "DNS:new.example")
        #expect(Self.identify(table, both) == .principal(bank, credential: ids[0]))
        let later = Timestamp(rawValue: Self.start.rawValue + 1_000_000)
        #expect(Self.identify(table, both, at: later) == .principal(bank, credential: ids[1]))
        let oldOnly = Self.certificate("DNS:old.example")
        #expect(
            Self.identify(table, oldOnly, at: later)
                == .unknown("the certificate belongs to no principal"))
    }

    @Test func aUnixUserIsAPrincipal() throws {
        var (table, _, _) = try Self.table()
        let order = try table.adding(
            name("cron"), .unixUser(7), [], by: Self.root, at: Self.start,
            with: PlainCryptography(next: 2))
        table.apply(order.change.principal)
        let id = order.change.principal.credentials[0].id
        #expect(
            Self.identify(table, Self.unix(7)) == .principal(try name("cron"), credential: id))
    }

    // MARK: Changes

    @Test func aRevokedPrincipalIsUnknownAndTheServerStaysClosed() throws {
        var (table, token, id) = try Self.table()
        let shop = try name("shop")
        let order = try table.revoking(shop, [], credentials: [], by: Self.root, at: Self.start)
        #expect(Self.identify(table, token, Self.tls) == .principal(shop, credential: id))
        table.apply(order.change.principal)
        #expect(Self.isUnknown(Self.identify(table, token, Self.tls)))
        #expect(!table.isUsable(id, of: shop, at: Self.start))
        #expect(table.isClosed)
        // It may come back, without anything that it had.
        let back = try table.adding(
            shop, .token, [], by: Self.root, at: Self.start, with: PlainCryptography(next: 3))
        table.apply(back.change.principal)
        #expect(Self.isUnknown(Self.identify(table, token, Self.tls)))
        #expect(!Self.isUnknown(Self.identify(table, back.token, Self.tls)))
    }

    @Test func anOldTokenEndsAfterTheGrace() throws {
        var (table, old, id) = try Self.table()
        let shop = try name("shop")
        let order = try table.rotating(
            shop, .token, graceMilliseconds: 1_000, by: Self.root, at: Self.start,
            with: PlainCryptography(next: 2))
        table.apply(order.change.principal)
        let end = Timestamp(rawValue: Self.start.rawValue + 1_000_000)
        let before = Timestamp(rawValue: end.rawValue - 1)
        #expect(table.nextEnd(after: Self.start) == end)
        #expect(!Self.isUnknown(Self.identify(table, old, Self.tls, at: before)))
        #expect(table.isUsable(id, of: shop, at: before))
        #expect(Self.isUnknown(Self.identify(table, old, Self.tls, at: end)))
        #expect(!table.isUsable(id, of: shop, at: end))
        #expect(!Self.isUnknown(Self.identify(table, order.token, Self.tls, at: end)))
        // Without a grace it ends at once, and those that had ended are cleared away.
        let last = try table.rotating(
            shop, .token, graceMilliseconds: 0, by: Self.root, at: end,
            with: PlainCryptography(next: 3))
        table.apply(last.change.principal)
        #expect(table.principals[shop]?.credentials.count == 1)
        #expect(Self.isUnknown(Self.identify(table, order.token, Self.tls, at: end)))
    }

    @Test func rotatingToAnotherKindKeepsWhatThereIs() throws {
        var (table, token, _) = try Self.table()
        let order = try table.rotating(
            name("shop"), .certificate(name: "URI:x"), graceMilliseconds: 0, by: Self.root,
            at: Self.start, with: PlainCryptography(next: 2))
        table.apply(order.change.principal)
        #expect(!Self.isUnknown(Self.identify(table, token, Self.tls)))
        #expect(!Self.isUnknown(Self.identify(table, Self.certificate("URI:x"))))
    }

    @Test func grantsComeAndGo() throws {
        var (table, _, _) = try Self.table()
        let shop = try name("shop")
        let grant = try Grant(.publish, in: .main)
        for _ in 0..<2 {
            table.apply(
                try table.granting(shop, [grant, grant], by: Self.root, at: Self.start)
                    .change.principal)
        }
        #expect(table.permissions(of: shop) == Permissions(shop, [grant]))
        table.apply(
            try table.revoking(shop, [grant], credentials: [], by: Self.root, at: Self.start)
                .change.principal)
        #expect(table.permissions(of: shop) == Permissions(shop, []))
        #expect(
            failure {
                _ = try table.revoking(
                    shop, [grant], credentials: [], by: Self.root, at: Self.start)
            }?.code == .notFound)
    }

    @Test func nobodyLocksEverybodyOut() throws {
        var table = PrincipalTable()
        let all = try Grant(.administer, in: nil)
        let boss = try name("boss")
        func add(_ name: Name, _ grants: [Grant], next: UInt8) throws {
            table.apply(
                try table.adding(
                    name, .token, grants, by: Self.remote, at: Self.start,
                    with: PlainCryptography(next: next)
                ).change.principal)
        }
        #expect(
            failure { try add(boss, [], next: 1) }?.code == .failedPrecondition,
            "the first one is an administrator")
        try add(boss, [all], next: 1)
        try add(name("shop"), [], next: 2)
        let codes = [
            failure {
                _ = try table.revoking(boss, [], credentials: [], by: Self.remote, at: Self.start)
            },
            failure {
                _ = try table.revoking(
                    boss, [all], credentials: [], by: Self.remote, at: Self.start)
            },
            failure {
                let id = table.principals[boss]?.credentials.first?.id ?? ""
                _ = try table.revoking(
                    boss, [], credentials: [id], by: Self.remote, at: Self.start)
            },
        ].map { $0?.code }
        #expect(codes == [.failedPrecondition, .failedPrecondition, .failedPrecondition])
        // The server's own user comes in anyway.
        _ = try table.revoking(boss, [], credentials: [], by: Self.root, at: Self.start)
    }

    @Test func ordersAreChecked() throws {
        let (table, _, _) = try Self.table()
        func code(_ name: String, _ proof: PrincipalTable.NewProof, _ grants: [Grant] = [])
            -> StatusCode?
        {
            failure {
                _ = try table.adding(
                    Name(name), proof, grants, by: Self.root, at: Self.start,
                    with: PlainCryptography(next: 5))
            }?.code
        }
        #expect(code("shop", .token) == .alreadyExists)
        #expect(code("anonymous", .token) == .invalidArgument)
        #expect(code("administrator", .token) == .invalidArgument)
        #expect(code("a", .unixUser(0)) == .invalidArgument)
        for name in ["", "bank", "DNS:", "EMAIL:x", "DNS:a b", "URI:ä"] {
            #expect(code("a", .certificate(name: name)) == .invalidArgument, "\(name)")
        }
        let many = try (0...Limits.grantsMax).map {
            try Grant(.publish, in: .main, namePrefix: "p\($0)")
        }
        #expect(code("a", .token, many) == .resourceExhausted)
        #expect(code("a", .token, Array(many.dropLast())) == nil)
        let none = try name("none")
        #expect(
            failure { _ = try table.granting(none, [], by: Self.root, at: Self.start) }?.code
                == .notFound)
    }

    @Test func aProofBelongsToOne() throws {
        var (table, _, _) = try Self.table()
        func add(_ name: String, next: UInt8) throws -> Principal {
            try table.adding(
                Name(name), .unixUser(7), [], by: Self.root, at: Self.start,
                with: PlainCryptography(next: next)
            ).change.principal
        }
        table.apply(try add("one", next: 2))
        #expect(failure { _ = try add("two", next: 3) }?.code == .alreadyExists)
    }

    @Test func theSecretIsInNoAudit() throws {
        let table = PrincipalTable()
        let order = try table.adding(
            name("shop"), .token, [], by: Self.root, at: Self.start, with: PlainCryptography())
        let secret = text(order.token).split(separator: ".")[1]
        #expect(!order.change.text.contains(secret))
        #expect(!"\(order.change)".contains(secret))
    }
}
