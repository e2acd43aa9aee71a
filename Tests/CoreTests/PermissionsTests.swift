import Testing

@testable import Core

@Suite struct PermissionsTests {
    private static func grant(
        _ right: Right, _ exchange: String?, _ pattern: String = "#", names: String = ""
    ) throws -> Grant {
        try Grant(
            right, in: exchange.map { try name($0) }, pattern: KeyPattern(pattern),
            namePrefix: names)
    }

    private static func shop(_ grants: Grant...) throws -> Permissions {
        Permissions(try name("shop"), grants)
    }

    private static func config(_ patterns: String...) throws -> ReceiverConfig {
        try ReceiverConfig(patterns: patterns.map { try KeyPattern($0) }, headers: [])
    }

    /// The code of the refusal; nil: allowed.
    private static func code(_ body: () throws -> Void) -> StatusCode? {
        failure(of: body)?.code
    }

    @Test func withoutAPrincipalEverythingIsAllowed() throws {
        let all = Permissions.everything
        #expect(try all.publishing(as: name("p"), in: .main) == .any)
        try all.subscribing(as: name("s"), to: .everything, in: .main, owner: name("other"))
        try all.managing(name("s"), ownedBy: name("other"), in: .main)
        #expect(try all.looking(at: .main) == .all)
        try all.administeringEverything()
        try all.creating(name("new"))
    }

    @Test func withoutGrantsNothingIsAllowed() throws {
        let none = try Self.shop()
        let x = try name("x")
        #expect(
            Self.code { _ = try none.publishing(as: nil, in: .main) }
                == .permissionDenied)
        #expect(
            Self.code {
                try none.subscribing(as: nil, to: .everything, in: .main)
            } == .permissionDenied)
        #expect(
            Self.code { try none.managing(x, ownedBy: nil, in: .main) }
                == .permissionDenied)
        #expect(
            Self.code { _ = try none.looking(at: .main) }
                == .permissionDenied)
        #expect(
            Self.code { try none.administeringEverything() }
                == .permissionDenied)
        #expect(Self.code { try none.creating(x) } == .permissionDenied)
        #expect(!none.sees(.main))
    }

    @Test func publishingIsByExchangeKeyAndProducer() throws {
        let shop = try Self.shop(
            Self.grant(.publish, "orders", "order.#", names: "shop."),
            Self.grant(.publish, "orders", "stock.*"), Self.grant(.publish, "audit"),
            Self.grant(.subscribe, "secret"))
        let (orders, audit, secret) = try (name("orders"), name("audit"), name("secret"))
        let (order, stock) = try (KeyPattern("order.#"), KeyPattern("stock.*"))
        #expect(
            try shop.publishing(as: name("shop.1"), in: orders) == .matching([order, stock]))
        #expect(try shop.publishing(as: name("other"), in: orders) == .matching([stock]))
        #expect(try shop.publishing(as: nil, in: orders) == .matching([order, stock]))
        #expect(try shop.publishing(as: nil, in: audit) == .any)
        #expect(
            Self.code { _ = try shop.publishing(as: nil, in: secret) }
                == .permissionDenied)
    }

    @Test func aSubscriptionIsWithinWhatWasGranted() throws {
        let shop = try Self.shop(
            Self.grant(.subscribe, "main", "order.#", names: "shop."),
            Self.grant(.subscribe, nil, "news.*"), Self.grant(.publish, "main"))
        let mine = try name("shop.mail")
        let elsewhere = try name("elsewhere")
        try shop.subscribing(as: mine, to: Self.config("order.created", "news.*"), in: .main)
        try shop.subscribing(as: nil, to: Self.config("order.#"), in: .main)
        try shop.subscribing(as: elsewhere, to: Self.config("news.eu"), in: elsewhere)
        for config in try [Self.config("#"), Self.config("order.a", "*.a"), .everything] {
            #expect(
                Self.code {
                    try shop.subscribing(as: mine, to: config, in: .main)
                } == .permissionDenied)
        }
        let order = try Self.config("order.#")
        #expect(
            Self.code {
                try shop.subscribing(as: elsewhere, to: order, in: .main)
            } == .permissionDenied, "the name is not one of those that were granted")
        #expect(
            Self.code {
                try shop.subscribing(as: nil, to: order, in: elsewhere)
            } == .permissionDenied)
    }

    @Test func aNameBelongsToWhoMadeIt() throws {
        let shop = try Self.shop(Self.grant(.subscribe, "main"))
        let (mine, other) = try (name("shop"), name("other"))
        let subscriber = try name("mail")
        try shop.subscribing(as: subscriber, to: .everything, in: .main, owner: mine)
        try shop.subscribing(as: subscriber, to: .everything, in: .main, owner: nil)
        try shop.managing(subscriber, ownedBy: mine, in: .main)
        let codes = [
            Self.code {
                try shop.subscribing(as: subscriber, to: .everything, in: .main, owner: other)
            },
            Self.code {
                try shop.managing(subscriber, ownedBy: other, in: .main)
            },
            Self.code {
                try shop.managing(subscriber, ownedBy: nil, in: .main)
            },
        ]
        #expect(codes == [.permissionDenied, .permissionDenied, .notFound])
    }

    @Test func whoAdministersSeesNamesAndNoEvents() throws {
        let desk = try Self.shop(Self.grant(.administer, "main", names: "mail."))
        let (mail, other) = try (name("mail.1"), name("other"))
        try desk.managing(mail, ownedBy: other, in: .main)
        #expect(
            Self.code { try desk.managing(other, ownedBy: other, in: .main) }
                == .permissionDenied)
        #expect(
            Self.code {
                try desk.subscribing(as: mail, to: .everything, in: .main)
            } == .permissionDenied)
        #expect(try desk.looking(at: .main) == .own(name("shop"), administered: ["mail."]))
        #expect(!desk.administersEverything)
        #expect(
            Self.code { try desk.creating(other) } == .permissionDenied)
        let all = try Self.shop(Self.grant(.administer, nil))
        try all.administeringEverything()
        try all.creating(other)
        #expect(try all.looking(at: other) == .all)
    }

    @Test func aRefusalSaysWhatWasGrantedAndWhatToAskFor() throws {
        let shop = try Self.shop(Self.grant(.subscribe, "main", "order.#", names: "shop."))
        let subscriber = try name("shop.mail")
        let refusal = failure {
            try shop.subscribing(as: subscriber, to: .everything, in: .main)
        }
        #expect(
            refusal?.message
                == "'shop' may not subscribe as 'shop.mail' to '#' in 'main'; it was granted there: subscribe to order.# "
                + "in main, names shop.…. An administrator can allow it: dormouse principals grant shop subscribe "
                + "--exchange main --pattern '#' --names shop.mail")
    }

    @Test func grantsAreChecked() throws {
        let order = try KeyPattern("order.#")
        #expect(
            failure { _ = try Grant(.administer, in: .main, pattern: order) }?.code
                == .invalidArgument)
        #expect(
            failure { _ = try Grant(.publish, in: .main, namePrefix: "a b") }?.code
                == .invalidArgument)
    }

    @Test func theFirstRefusedKeyIsFound() throws {
        let events = try encoded(["order.a", "order.b", "stock.a"].map { Event(key: bytes($0)) })
        var filter = EventFilter(try Self.config("order.#"))
        #expect(events.firstKey { filter.passes($0) } == bytes("stock.a"))
        var all = EventFilter(.everything)
        #expect(events.firstKey { all.passes($0) } == nil)
    }
}
