import Core
import Wire

extension Samples {
    private static let grants = [
        PrincipalGrant(
            right: .subscribe, exchange: bytes("orders"), pattern: bytes("order.*.paid"),
            namePrefix: bytes("billing.")),
        PrincipalGrant(right: .administer, exchange: bytes("*"), pattern: bytes("#")),
    ]

    private static let principal = PrincipalInfo(
        name: bytes("billing"), isRevoked: true, createdAt: 1_767_225_600_000_000,
        credentials: [
            CredentialInfo(
                id: bytes("0a1b2c3d4e5f6071"), createdAt: 1_767_225_600_000_001,
                endsAt: 1_767_225_600_000_002),
            CredentialInfo(
                id: bytes("0a1b2c3d4e5f6072"), kind: .certificate,
                subject: bytes("DNS:billing.example"), createdAt: 1_767_225_600_000_003),
        ],
        grants: Self.grants, connections: 300)

    static let principalRequests: [Request] = [
        .addPrincipal(
            AddPrincipalRequest(
                name: bytes("billing"), credential: .certificate,
                subject: bytes("URI:spiffe://example/billing"), grants: Self.grants)),
        .grantPrincipal(GrantPrincipalRequest(name: bytes("billing"), grants: Self.grants)),
        .revokePrincipal(
            RevokePrincipalRequest(
                name: bytes("billing"), grants: Self.grants,
                credentials: [bytes("0a1b2c3d4e5f6071"), bytes("0a1b2c3d4e5f6072")])),
        .rotatePrincipal(
            RotatePrincipalRequest(
                name: bytes("billing"), credential: .unixUser, subject: bytes("1042"),
                graceMilliseconds: 3_600_000)),
        .listPrincipals(
            ListPrincipalsRequest(namePrefix: bytes("bill"), pageToken: bytes("billing"))),
    ]

    private static let changes: [Wire.Method] = [
        .addPrincipal, .grantPrincipal, .revokePrincipal, .rotatePrincipal,
    ]

    static let principalReplies: [(Wire.Method, Reply)] =
        Self.changes.map {
            (
                $0,
                .principal(
                    PrincipalReply(
                        principal: Self.principal, token: bytes("0a1b2c3d4e5f6071.secret")))
            )
        } + [
            (
                .listPrincipals,
                .listPrincipals(
                    ListPrincipalsReply(
                        principals: [Self.principal], nextPageToken: bytes("billing")))
            )
        ]

    static let defaultPrincipalRequests: [Request] = [
        .addPrincipal(AddPrincipalRequest()), .grantPrincipal(GrantPrincipalRequest()),
        .revokePrincipal(RevokePrincipalRequest()), .rotatePrincipal(RotatePrincipalRequest()),
        .listPrincipals(ListPrincipalsRequest()),
    ]

    static let defaultPrincipalReplies: [(Wire.Method, Reply)] =
        Self.changes.map { ($0, .principal(PrincipalReply())) }
        + [(.listPrincipals, .listPrincipals(ListPrincipalsReply()))]
}
