import Core
import Testing

extension Conformance {
    package static func principalsAreStoredAndReplaced(_ make: MakeStore) async throws {
        try await Self.with(make) { store, _ in
            let state = store.state
            #expect(try await state.principals() == [])
            let time = Timestamp(rawValue: 1_800_000_000_123_456)
            let later = Timestamp(rawValue: time.rawValue + 1)
            let digest = [UInt8](0..<32)
            let shop = Principal(
                name: try Name("shop"), createdAt: time,
                credentials: [
                    Credential(id: "a1", proof: .token(digest: digest), createdAt: time),
                    Credential(
                        id: "b2", proof: .certificate(name: "URI:spiffe://example/shop"),
                        createdAt: later, endsAt: later),
                ],
                grants: [
                    try Grant(.subscribe, in: .main, pattern: try KeyPattern("order.*.#")),
                    try Grant(.publish, in: nil, namePrefix: "shop."),
                    try Grant(.administer, in: nil),
                ])
            let desk = Principal(
                name: try Name("Desk"), createdAt: later,
                credentials: [Credential(id: "c3", proof: .unixUser(.max), createdAt: time)],
                grants: [])
            for principal in [shop, desk] {
                try await state.storePrincipal(
                    PrincipalChange(principal: principal, by: "me", text: "made"))
            }
            #expect(try await state.principals() == [desk, shop], "ordered by name, byte by byte")
            // A credential may go from one to the other.
            var revoked = shop
            (revoked.isRevoked, revoked.credentials, revoked.grants) = (true, [], [])
            var both = desk
            both.credentials += [shop.credentials[1]]
            both.grants = [shop.grants[1]]
            for principal in [revoked, both] {
                try await state.storePrincipal(
                    PrincipalChange(principal: principal, by: "me", text: "changed"))
            }
            #expect(try await state.principals() == [both, revoked])
        }
    }

    package static func namesHaveOwners(_ make: MakeStore) async throws {
        try await Self.with(make) { store, main in
            let state = store.state
            let shop = try Name("shop")
            let receiver = try await state.registerReceiver(.everything, in: main.id)
            let mine = SubscriberRecord(
                exchange: main.id, name: try Name("mine"), receiver: receiver,
                position: Position(3), epoch: SessionEpoch(rawValue: 2), pause: nil, principal: shop
            )
            try await state.storeSubscriber(mine)
            let save = PositionSave(name: mine.name, position: Position(4), epoch: mine.epoch)
            #expect(try await state.savePositions([save], of: main.id, owner: main.epoch))
            let stored = try await state.subscribers(of: main.id, after: nil, limit: 9)
            #expect(stored.map(\.principal) == [shop])
            #expect(stored.map(\.position) == [save.position])

            let marks = [
                ProducerMark(name: shop, sequence: 1, position: Position(1), principal: shop),
                ProducerMark(name: mine.name, sequence: 1, position: Position(2)),
            ]
            let chunk = try Self.chunk(1, count: 2)
            #expect(
                await store.log.append(Self.append(main, after: 0, [chunk], producers: marks))
                    == .committed)
            let next = [try Self.chunk(3, count: 1), try Self.chunk(4, count: 1)]
            let taken = [
                ProducerMark(name: mine.name, sequence: 2, position: Position(4), principal: shop)
            ]
            #expect(
                await store.log.append(Self.append(main, after: 2, next, producers: taken))
                    == .committed)
            #expect(
                try await state.producers(of: main.id, after: nil, limit: 9)
                    == [taken[0], marks[0]])
        }
    }
}
