import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// Who comes in, and what happens to those who do not.
    @Suite(.serialized)
    struct PrincipalTests {
        @Test func withoutPrincipalsEverybodyIsEverybody() throws {
            try withGuarded { guarded in
                let client = try guarded.connect(Array("any.thing".utf8))
                #expect(client.client.welcome.principal.text == "anonymous")
                try client.publish("a", "1")
            }
        }

        @Test func fromTheFirstPrincipalOnClientsMustSayWhoTheyAre() throws {
            try withGuarded { guarded in
                let early = try guarded.connect([])
                let stream = try early.subscribe("early")
                let token = try guarded.add("shop", PrincipalGrant(.publish, "main"))
                #expect(try early.end(of: stream).code == .unauthenticated)
                #expect(try early.goAway().code == .unauthenticated)
                #expect(try guarded.refusal([]).code == .unauthenticated)
                #expect(try guarded.refusal(token + [0]).code == .unauthenticated)
                let shop = try guarded.connect(token)
                #expect(shop.client.welcome.principal.text == "shop")
                try shop.publish("a", "1")
                let mine = try TestClient(guarded.unix)
                #expect(mine.client.welcome.principal.text == "administrator")
                // The same after a restart: it is in the database.
                #expect(try guarded.server.stop() == .exit(0))
                let again = try Server(on: guarded.database)
                defer { again.destroy() }
                let back = try TestClient(again.address(), token: token)
                #expect(back.client.welcome.principal.text == "shop")
                #expect(throws: Failure.self) { try TestClient(again.address()) }
            }
        }

        /// The first one that comes over the network must leave a way in.
        @Test func nobodyLocksEverybodyOut() throws {
            try withGuarded { guarded in
                let client = try guarded.connect([])
                let shop = AddPrincipalRequest(name: Array("shop".utf8))
                #expect(try client.failure(.addPrincipal(shop)).code == .failedPrecondition)
                let boss = AddPrincipalRequest(
                    name: Array("boss".utf8), grants: [PrincipalGrant(.administer, "*")])
                guard case .principal(let reply) = try client.call(.addPrincipal(boss)) else {
                    throw Problem("AddPrincipal was answered by something else")
                }
                #expect(try client.goAway().code == .unauthenticated, "it was nobody")
                let known = try guarded.connect(reply.token)
                _ = try known.call(.addPrincipal(shop))
                let revoke = RevokePrincipalRequest(name: Array("boss".utf8))
                #expect(try known.failure(.revokePrincipal(revoke)).code == .failedPrecondition)
            }
        }

        @Test func aUnixUserIsAPrincipal() throws {
            // Only root can be somebody else.
            guard geteuid() == 0 else { return }
            try withGuarded { guarded in
                _ = try guarded.add("shop")
                try guarded.change(
                    .addPrincipal(
                        AddPrincipalRequest(
                            name: Array("cron".utf8), credential: .unixUser,
                            subject: Array("65534".utf8))))
                guard case .unix(let path) = guarded.unix.endpoint else { return }
                chmod(path, 0o666)
                func principal() throws -> String {
                    try TestClient(guarded.unix).client.welcome.principal.text
                }
                #expect(try principal() == "administrator")
                #expect(seteuid(65534) == 0)
                defer { seteuid(0) }
                #expect(try principal() == "cron")
                seteuid(0)
                #expect(seteuid(65533) == 0)
                #expect(throws: Failure.self) { try principal() }
            }
        }

        /// Somebody guesses all the time; a client that is known notices nothing.
        @Test func failedAuthenticationsInARowAreNobodysBusiness() throws {
            try withGuarded { guarded in
                let token = try guarded.add(
                    "shop", PrincipalGrant(.publish, "main"), PrincipalGrant(.subscribe, "main"))
                let shop = try guarded.connect(token)
                let stream = try shop.subscribe("shop")
                var strangers: [RawConnection] = []
                for round in 0..<200 {
                    let stranger = try RawConnection(guarded.tcp)
                    let hello = HelloRequest(token: Array("0123.guess\(round)".utf8))
                    try stranger.send(Preface.bytes)
                    try stranger.send(.hello(hello), stream: 1)
                    strangers.append(stranger)
                    try shop.publish("a", "\(round)")
                    #expect(try shop.payloads(1, on: stream) == ["\(round)"])
                }
                // Known clients get in meanwhile, too.
                let other = try guarded.connect(token)
                other.close()
                try guarded.server.waitForLog("did not show who they are")
                for stranger in strangers { stranger.close() }
            }
        }

        /// The answer comes late, and its reason does not say what was wrong.
        @Test func aStrangerWaitsForTheAnswer() throws {
            try withGuarded { guarded in
                let token = try guarded.add("shop")
                let id = token.prefix { $0 != UInt8(ascii: ".") }
                let before = uptime
                let wrongSecret = try guarded.refusal(Array(id) + Array(".wrong".utf8))
                #expect(uptime - before >= 0.5)
                #expect(
                    try guarded.refusal(Array("nobody.wrong".utf8)).message == wrongSecret.message)
            }
        }

        // MARK: Revoking

        @Test func aRevokedPrincipalIsGoneAtOnce() throws {
            try withGuarded { guarded in
                let token = try guarded.add("shop", PrincipalGrant(.subscribe, "main"))
                let shop = try guarded.connect(token)
                let stream = try shop.subscribe("shop.mail")
                let before = uptime
                try guarded.change(
                    .revokePrincipal(RevokePrincipalRequest(name: Array("shop".utf8))))
                #expect(try shop.end(of: stream).code == .unauthenticated)
                #expect(try shop.goAway().code == .unauthenticated)
                #expect(uptime - before < 10, "at once, on a machine that is not")
                #expect(try guarded.refusal(token).code == .unauthenticated)
                let entry = try guarded.administrator.subscription("shop.mail")
                #expect(entry.state == .sleeping)
                #expect(entry.principal.text == "shop", "its names stay its own")
                #expect(entry.reason.text.contains("lost the right"))
            }
        }

        /// It has ordered much, one order waits for the other, and it is revoked meanwhile: nothing of what waits behind
        /// that is done, or a stolen token could not be taken back.
        @Test func whatARevokedAdministratorHadOrderedIsNotDone() throws {
            try withGuarded { guarded in
                let boss = try guarded.connect(
                    try guarded.add("boss", PrincipalGrant(.administer, "*")))
                func add(_ name: String) throws {
                    let grants = [PrincipalGrant(.administer, "*")]
                    _ = try boss.client.sendRequest(
                        .addPrincipal(AddPrincipalRequest(name: Array(name.utf8), grants: grants)))
                }
                let lock = try TableLock("principal", of: guarded.database)
                defer { lock.destroy() }
                try add("before")
                _ = try boss.serverReply()
                let revoke = try guarded.administrator.client.sendRequest(
                    .revokePrincipal(RevokePrincipalRequest(name: Array("boss".utf8))))
                _ = try guarded.administrator.serverReply()
                for number in 0..<40 { try add("after-\(number)") }
                _ = try boss.serverReply()
                try lock.release()
                _ = try guarded.administrator.answer(to: revoke).get()
                #expect(try boss.goAway().code == .unauthenticated)
                _ = try guarded.add("last")
                let names = try guarded.database.query(
                    "SELECT string_agg(name, ' ' ORDER BY name) FROM dormouse.principal")
                #expect(names == "before boss last")
            }
        }

        /// Whoever connects may do everything until there is a first principal, and nothing from then on.
        @Test func whatWaitsWhenTheFirstPrincipalIsAddedIsNotDone() throws {
            try withGuarded { guarded in
                let stranger = try TestClient(guarded.tcp)
                try stranger.client.cancel(try stranger.subscribe("mail", "#"))
                try stranger.publish("order.a", "1")
                let (main, mail) = (Array("main".utf8), Array("mail".utf8))
                func seek(_ start: Start, _ value: UInt64 = 0) -> Request {
                    .seek(SeekRequest(exchange: main, name: mail, start: start, startValue: value))
                }
                _ = try stranger.call(seek(.next))
                let lock = try TableLock("chunk", of: guarded.database)
                defer { lock.destroy() }
                // The first looks for a time in the log, the second waits for the first.
                _ = try stranger.client.sendRequest(seek(.time, 1))
                _ = try stranger.client.sendRequest(
                    .forget(ForgetRequest(exchange: main, name: mail)))
                _ = try stranger.serverReply()
                _ = try guarded.add("shop")
                #expect(try stranger.goAway().code == .unauthenticated)
                try lock.release()
                // Behind both.
                guard case .seek(let reply) = try guarded.administrator.call(seek(.next)) else {
                    throw Problem("Seek was answered by something else")
                }
                #expect(reply.previous == 1)
            }
        }

        @Test func aRevokedGrantEndsTheStreamsThatNeedIt() throws {
            try withGuarded { guarded in
                let order = PrincipalGrant(.subscribe, "main", "order.#")
                let stock = PrincipalGrant(.subscribe, "main", "stock.#")
                let token = try guarded.add("shop", order, stock)
                let shop = try guarded.connect(token)
                let orders = try shop.subscribe("orders", "order.#")
                let stocks = try shop.subscribe("stocks", "stock.a")
                let fetch = try shop.client.sendRequest(
                    .fetch(
                        FetchRequest(config: shop.config(["order.#"]), waitMilliseconds: 30_000)))
                try guarded.change(
                    .revokePrincipal(
                        RevokePrincipalRequest(name: Array("shop".utf8), grants: [order])))
                let end = try shop.end(of: orders)
                #expect(end.code == .permissionDenied)
                #expect(end.message.contains("order.#"))
                guard case .failure(let aborted) = try shop.answer(to: fetch) else {
                    throw Problem("the fetch was answered")
                }
                #expect(aborted.code == .aborted)
                try guarded.administrator.publish("order.a", "1")
                try guarded.administrator.publish("stock.a", "2")
                #expect(try shop.payloads(1, on: stocks) == ["2"])
                try shop.expectNothing(on: orders)
            }
        }

        @Test func anOldTokenWorksDuringTheGrace() throws {
            try withGuarded { guarded in
                let old = try guarded.add("shop", PrincipalGrant(.publish, "main"))
                let shop = try guarded.connect(old)
                let new = try guarded.change(
                    .rotatePrincipal(
                        RotatePrincipalRequest(
                            name: Array("shop".utf8), graceMilliseconds: 5_000))
                ).token
                _ = try guarded.connect(old)
                _ = try guarded.connect(new)
                #expect(try shop.goAway().code == .unauthenticated, "when the grace is over")
                #expect(try guarded.refusal(old).code == .unauthenticated)
                let last = try guarded.change(
                    .rotatePrincipal(RotatePrincipalRequest(name: Array("shop".utf8)))
                ).token
                #expect(try guarded.refusal(new).code == .unauthenticated)
                _ = try guarded.connect(last)
            }
        }

        /// Publishers and subscribers of two principals at full speed: one is revoked and gone, the other
        /// misses nothing.
        @Test func revokingUnderLoad() throws {
            try withGuarded { guarded in
                let grants = [PrincipalGrant(.publish, "main"), PrincipalGrant(.subscribe, "main")]
                let (good, bad) = try (
                    guarded.add("good", grants[0], grants[1]),
                    guarded.add("bad", grants[0], grants[1])
                )
                let reader = try guarded.connect(good)
                let stream = try reader.subscribe("good")
                let writer = try guarded.connect(good)
                let bads = try (0..<10).map { _ in try guarded.connect(bad) }
                for (index, client) in bads.enumerated() { try client.subscribe("bad\(index)") }
                let events = (0..<100).map { Event("a.b", "\($0)") }
                for round in 0..<20 {
                    try writer.publish(events)
                    if round == 10 {
                        try guarded.change(
                            .revokePrincipal(RevokePrincipalRequest(name: Array("bad".utf8))))
                        for client in bads {
                            #expect(try client.goAway().code == .unauthenticated)
                            client.close()
                        }
                    }
                    #expect(try reader.events(100, on: stream).count == 100)
                    try reader.acknowledge(UInt64(round + 1) * 100, on: stream)
                    try reader.grant(events: 100, bytes: 1 << 20, on: stream)
                }
            }
        }
    }
}
