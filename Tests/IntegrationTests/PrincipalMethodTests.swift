import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// What a principal may do, method by method. In these tests "shop" may publish and subscribe to `order.#` in the
    /// exchange "orders" with names that begin with "shop."; "bank" has everything in the exchange "bank" and, in
    /// "orders", what shop has with its own names.
    @Suite(.serialized)
    struct PrincipalMethodTests {
        private static func withTwo(
            _ body: (_ guarded: Guarded, _ shop: TestClient, _ bank: TestClient) throws -> Void
        ) throws {
            try withGuarded { guarded in
                for name in ["orders", "bank"] { try guarded.administrator.createExchange(name) }
                let shop = try guarded.add(
                    "shop", PrincipalGrant(.publish, "orders", "order.#", names: "shop."),
                    PrincipalGrant(.subscribe, "orders", "order.#", names: "shop."))
                let bank = try guarded.add(
                    "bank", PrincipalGrant(.publish, "orders", "order.#"),
                    PrincipalGrant(.subscribe, "orders", "order.#"),
                    PrincipalGrant(.publish, "bank"), PrincipalGrant(.subscribe, "bank"))
                guarded.administrator.exchange = "orders"
                try body(
                    guarded, guarded.connect(shop, exchange: "orders"),
                    guarded.connect(bank, exchange: "orders"))
            }
        }

        private static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

        /// A request of every method that shop may not make. nil: any client may, and it concerns only itself.
        private static func refused(
            _ method: Wire.Method, by client: TestClient
        ) throws -> Request? {
            let (bank, name) = (Self.bytes("bank"), Self.bytes("bank.mail"))
            let everything = ReceiverConfigMessage(exchange: Self.bytes("orders"))
            switch method {
            case .hello, .exchanges, .server: return nil
            // On a stream of the same connection, which was looked at when it was opened.
            case .acknowledge, .grant: return nil
            case .publish: return try client.publishRequest([Event("stock.a", "1")])
            case .producer:
                return .producer(ProducerRequest(exchange: Self.bytes("orders"), producer: name))
            case .subscribe:
                return .subscribe(
                    SubscribeRequest(name: Self.bytes("shop.mail"), config: everything))
            case .stop: return .stop(StopRequest(exchange: Self.bytes("orders"), name: name))
            case .fetch: return .fetch(FetchRequest(config: everything))
            case .seek: return .seek(SeekRequest(exchange: Self.bytes("orders"), name: name))
            case .pause: return .pause(PauseRequest(exchange: Self.bytes("orders"), name: name))
            case .forget:
                return .forget(ForgetRequest(exchange: Self.bytes("orders"), name: name))
            case .list: return .list(ListRequest(exchange: bank))
            case .listReceivers: return .listReceivers(ListReceiversRequest(exchange: bank))
            case .createExchange: return .createExchange(ExchangeRequest(name: Self.bytes("new")))
            case .addPrincipal: return .addPrincipal(AddPrincipalRequest(name: bank))
            case .grantPrincipal:
                return .grantPrincipal(
                    GrantPrincipalRequest(
                        name: Self.bytes("shop"), grants: [PrincipalGrant(.administer, "*")]))
            case .revokePrincipal: return .revokePrincipal(RevokePrincipalRequest(name: bank))
            case .rotatePrincipal: return .rotatePrincipal(RotatePrincipalRequest(name: bank))
            case .listPrincipals: return .listPrincipals(ListPrincipalsRequest())
            case .listConnections: return .listConnections(ListConnectionsRequest())
            case .restored: return .restored(RestoredRequest())
            case .listOutbox: return .listOutbox(ListOutboxRequest())
            case .changeOutbox: return .changeOutbox(ChangeOutboxRequest(isAll: true))
            }
        }

        /// The name was its own when it asked; by the time it is its turn it is another's.
        @Test func whatWaitsIsJudgedAgainWhenItIsItsTurn() throws {
            try Self.withTwo { guarded, shop, bank in
                for name in ["shop.x", "shop.y"] {
                    let stream = try shop.subscribe(name, "order.#")
                    try shop.client.cancel(stream)
                    _ = try shop.end(of: stream)
                }
                let (orders, name) = (Self.bytes("orders"), Self.bytes("shop.x"))
                let lock = try TableLock("chunk", of: guarded.database)
                defer { lock.destroy() }
                // These keep it busy, and what follows waiting: each looks for a time in the log.
                let seek = Request.seek(
                    SeekRequest(
                        exchange: orders, name: Self.bytes("shop.y"), start: .time, startValue: 1))
                for _ in 0..<16 { _ = try shop.client.sendRequest(seek) }
                let waiting: [Request] = [
                    .seek(SeekRequest(exchange: orders, name: name, start: .first)),
                    .pause(PauseRequest(exchange: orders, name: name, until: UInt64(1) << 62)),
                    .forget(ForgetRequest(exchange: orders, name: name)),
                ]
                let streams = try waiting.map { try shop.client.sendRequest($0) }
                _ = try shop.serverReply()
                _ = try guarded.administrator.call(
                    .forget(ForgetRequest(exchange: orders, name: name)))
                let stream = try bank.subscribe("shop.x", "order.#")
                try lock.release()
                for stream in streams {
                    guard case .failure(let failure) = try shop.answer(to: stream) else {
                        throw Problem("it was done to another's subscriber")
                    }
                    #expect(failure.code == .permissionDenied)
                }
                try bank.publish("order.a", "1")
                #expect(try bank.payloads(1, on: stream) == ["1"])
            }
        }

        @Test func everyMethodRefusesWhatWasNotGranted() throws {
            try Self.withTwo { guarded, shop, bank in
                try bank.subscribe("bank.mail", "order.#")
                for method in Wire.Method.allCases {
                    guard let request = try Self.refused(method, by: shop) else { continue }
                    let failure = try Self.failure(of: request, by: shop)
                    #expect(
                        failure?.code == .permissionDenied,
                        "\(method.name): \(failure?.description ?? "allowed")")
                    #expect(failure?.message.contains("'shop'") == true)
                }
                #expect(try bank.subscription("bank.mail").state == .live)
                #expect(
                    try guarded.database.query("SELECT max(head) FROM dormouse.exchange") == "0")
            }
        }

        private static func failure(of request: Request, by client: TestClient) throws -> Failure? {
            guard request.method == .subscribe else {
                do {
                    _ = try client.call(request)
                    return nil
                } catch let failure as Failure {
                    return failure
                }
            }
            return try client.end(of: client.client.sendRequest(request))
        }

        /// What is not there, and what one may not know, look alike.
        @Test func anExchangeWithoutGrantsIsNotThere() throws {
            try Self.withTwo { _, shop, _ in
                for name in ["bank", "nowhere"] {
                    shop.exchange = name
                    for request: Request in [
                        .list(ListRequest(exchange: Self.bytes(name))),
                        .fetch(FetchRequest(config: shop.config())),
                        try shop.publishRequest([Event("order.a", "1")]),
                    ] {
                        #expect(try shop.failure(request).code == .permissionDenied)
                    }
                }
            }
        }

        @Test func publishingIsByKeyAndProducer() throws {
            try Self.withTwo { _, shop, bank in
                try shop.publish(
                    [Event("order.a", "1"), Event("order", "2")], producer: "shop.1", sequence: 1)
                // All keys or none.
                let mixed = [Event("order.b", "3"), Event("stock.b", "4")]
                let request = try shop.publishRequest(mixed, producer: "shop.1", sequence: 3)
                let failure = try shop.failure(request)
                #expect(failure.code == .permissionDenied)
                #expect(failure.message.contains("stock.b"))
                #expect(try shop.producer("shop.1") == ProducerReply(sequence: 2, position: 2))
                try shop.publish([Event("order.b", "3")], producer: "shop.1", sequence: 3)
                // A producer is somebody's, whoever may use the name otherwise.
                let stolen = try bank.publishRequest(
                    [Event("order.c", "9")], producer: "shop.1", sequence: 99)
                #expect(try bank.failure(stolen).message.contains("another principal"))
                let asked = ProducerRequest(
                    exchange: Self.bytes("orders"), producer: Self.bytes("shop.1"))
                #expect(try bank.failure(.producer(asked)).code == .permissionDenied)
                try shop.publish([Event("order.d", "5")], producer: "shop.1", sequence: 4)
                let foreign = try shop.publishRequest(
                    [Event("order.e", "6")], producer: "bank.1", sequence: 1)
                #expect(try shop.failure(foreign).code == .permissionDenied)
            }
        }

        @Test func eachReceivesOnlyWhatItWasGranted() throws {
            try Self.withTwo { guarded, shop, _ in
                let stream = try shop.subscribe("shop.mail", "order.created", "order.*.paid")
                let unnamed = try shop.subscribe("", "order.#")
                let events = ["stock.a", "order.created", "orders", "order.1.paid", "order.1"]
                try guarded.administrator.publish(events.map { Event($0, $0) })
                #expect(try shop.payloads(2, on: stream) == ["order.created", "order.1.paid"])
                #expect(
                    try shop.payloads(3, on: unnamed) == [
                        "order.created", "order.1.paid", "order.1",
                    ])
                let page = FetchRequest(config: shop.config(["order.#"]))
                guard case .fetch(let delivery) = try shop.call(.fetch(page)) else {
                    throw Problem("Fetch was answered by something else")
                }
                #expect(
                    delivery.events.map(\.text) == ["order.created", "order.1.paid", "order.1"])
            }
        }

        @Test func aNameBelongsToWhoMadeIt() throws {
            try Self.withTwo { guarded, shop, bank in
                let stream = try shop.subscribe("shop.mail", "order.#")
                let other = try bank.client.sendRequest(
                    .subscribe(bank.subscribeRequest("shop.mail", ["order.#"])))
                #expect(try bank.end(of: other).message.contains("another principal"))
                let name = Self.bytes("shop.mail")
                let exchange = Self.bytes("orders")
                for request: Request in [
                    .stop(StopRequest(exchange: exchange, name: name)),
                    .seek(SeekRequest(exchange: exchange, name: name, start: .first)),
                    .pause(PauseRequest(exchange: exchange, name: name, until: .max)),
                    .forget(ForgetRequest(exchange: exchange, name: name)),
                ] {
                    #expect(try bank.failure(request).code == .permissionDenied)
                }
                try guarded.administrator.publish("order.a", "1")
                #expect(try shop.payloads(1, on: stream) == ["1"])
                #expect(try guarded.administrator.stop("shop.mail").wasAwake)
                #expect(try shop.end(of: stream).code == .stopped)
                // Its own.
                try shop.subscribe("shop.mail", "order.#")
                #expect(try shop.stop("shop.mail").wasAwake)
            }
        }

        /// Made before there were principals: the first that may have it gets it.
        @Test func aNameThatIsNobodysGoesToTheFirstThatUsesIt() throws {
            try withGuarded { guarded in
                try guarded.administrator.subscribe("old", "order.#")
                let grant = PrincipalGrant(.subscribe, "main", "order.#")
                let shop = try guarded.connect(guarded.add("shop", grant))
                let bank = try guarded.connect(guarded.add("bank", grant))
                let stop = StopRequest(name: Self.bytes("old"))
                #expect(try shop.failure(.stop(stop)).code == .notFound)
                #expect(try shop.list().subscriptions.isEmpty)
                try shop.subscribe("old", "order.#")
                #expect(try bank.failure(.stop(stop)).code == .permissionDenied)
                #expect(
                    try guarded.database.query(
                        "SELECT principal FROM dormouse.subscriber WHERE name = 'old'") == "shop")
            }
        }

        @Test func eachSeesOnlyItsOwn() throws {
            try Self.withTwo { guarded, shop, bank in
                try shop.subscribe("shop.a", "order.a")
                try shop.subscribe("shop.b", "order.b")
                try bank.subscribe("bank.a", "order.a")
                try bank.subscribe("bank.c", "order.c")
                #expect(try shop.list().subscriptions.map(\.name.text) == ["shop.a", "shop.b"])
                #expect(try shop.list(pageSize: 1).subscriptions.map(\.name.text) == ["shop.a"])
                #expect(
                    try shop.list(token: Self.bytes("shop.a")).subscriptions.map(\.name.text)
                        == ["shop.b"])
                #expect(try bank.list(prefix: "shop").subscriptions.isEmpty)
                let all = try guarded.administrator.list().subscriptions
                #expect(all.map(\.principal.text) == ["bank", "bank", "shop", "shop"])
                guard
                    case .listReceivers(let receivers) = try shop.call(
                        .listReceivers(ListReceiversRequest(exchange: Self.bytes("orders")))),
                    case .exchanges(let exchanges) = try shop.call(.exchanges(ExchangesRequest())),
                    case .exchanges(let banks) = try bank.call(.exchanges(ExchangesRequest()))
                else { throw Problem("a list was answered by something else") }
                #expect(
                    receivers.receivers.map { $0.config.patterns.map(\.text) }
                        == [["order.a"], ["order.b"]])
                #expect(receivers.receivers.map(\.awake) == [1, 1], "not bank's")
                #expect(exchanges.exchanges.map(\.name.text) == ["orders"])
                #expect(banks.exchanges.map(\.name.text) == ["bank", "orders"])
                let server = try shop.serverReply()
                #expect(server.storeAvailable && server.connections == 0 && server.published == 0)
                #expect(try guarded.administrator.serverReply().connections == 3)
            }
        }

        @Test func whoAdministersAnExchangeLooksAfterItsNamesAndReadsNothing() throws {
            try Self.withTwo { guarded, shop, _ in
                let stream = try shop.subscribe("shop.mail", "order.#")
                let desk = try guarded.connect(
                    guarded.add("desk", PrincipalGrant(.administer, "orders")), exchange: "orders")
                #expect(try desk.list().subscriptions.map(\.name.text) == ["shop.mail"])
                #expect(try desk.stop("shop.mail").wasAwake)
                #expect(try shop.end(of: stream).code == .stopped)
                let fetch = FetchRequest(config: desk.config())
                #expect(try desk.failure(.fetch(fetch)).code == .permissionDenied)
                #expect(
                    try desk.failure(.listPrincipals(ListPrincipalsRequest())).code
                        == .permissionDenied)
            }
        }

        @Test func principalsAreListed() throws {
            try Self.withTwo { guarded, shop, _ in
                guard
                    case .listPrincipals(let reply) = try guarded.administrator.call(
                        .listPrincipals(ListPrincipalsRequest()))
                else { throw Problem("ListPrincipals was answered by something else") }
                #expect(reply.principals.map(\.name.text) == ["bank", "shop"])
                let entry = try #require(reply.principals.last)
                #expect(entry.connections == 1 && !entry.isRevoked)
                #expect(entry.credentials.count == 1 && entry.credentials[0].kind == .token)
                #expect(
                    entry.grants == [
                        PrincipalGrant(.publish, "orders", "order.#", names: "shop."),
                        PrincipalGrant(.subscribe, "orders", "order.#", names: "shop."),
                    ])
                let audit = try guarded.database.query(
                    "SELECT changed_by, principal, change FROM dormouse.principal_change LIMIT 1")
                #expect(audit.hasPrefix("administrator|shop|added with a token"))
            }
        }
    }
}
