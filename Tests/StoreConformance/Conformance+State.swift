import Core
import Testing

extension Conformance {
    package static func exchangesAreTakenInOrder(_ make: MakeStore) async throws {
        try await Self.with(make) { store, main in
            #expect(main.name == Name.main)
            #expect(main.head == .origin)
            #expect(main.first == Position(1))
            let orders = try await store.state.createExchange(try Name("orders"), owner: Self.owner)
            #expect(orders.id > main.id)
            let chunk = try Self.chunk(1, count: 1)
            #expect(await store.log.append(Self.append(orders, after: 0, [chunk])) == .committed)
            await #expect(throws: Failure.self) {
                _ = try await store.state.createExchange(try Name("orders"), owner: Self.owner)
            }
            let taken = try await store.state.takeExchanges(as: OwnerID(rawValue: -5))
            #expect(taken.map(\.name.text) == ["main", "orders"])
            #expect(taken.map(\.head.rawValue) == [0, 1])
            #expect(taken.map(\.first.rawValue) == [1, 1])
            #expect(taken[0].epoch > main.epoch)
            #expect(taken[1].epoch > orders.epoch)
        }
    }

    package static func whatOthersTookIsSeen(_ make: MakeStore) async throws {
        try await Self.with(make) { store, main in
            #expect(try await store.state.exchangesTaken(from: Self.owner) == [])
            let orders = try await store.state.createExchange(try Name("orders"), owner: Self.owner)
            #expect(try await store.state.exchangesTaken(from: Self.owner) == [])
            // As if from another server, over the only connection that there is: the first owner is
            // alive no more, the second one is.
            let other = OwnerID(rawValue: .max)
            _ = try await store.state.takeExchanges(as: other)
            let taken = [main, orders].map { TakenExchange(id: $0.id, isOwnerAlive: true) }
            #expect(try await store.state.exchangesTaken(from: Self.owner) == taken)
            #expect(try await store.state.exchangesTaken(from: other) == [])
            let third = try await store.state.createExchange(try Name("third"), owner: Self.owner)
            let dead = [TakenExchange(id: third.id, isOwnerAlive: false)]
            #expect(try await store.state.exchangesTaken(from: other) == dead)
        }
    }

    package static func theIncarnationStays(_ make: MakeStore) async throws {
        try await Self.with(make) { store, _ in
            let incarnation = try await store.state.incarnation()
            #expect(incarnation.bytes.count == 16)
            #expect(try await store.state.incarnation() == incarnation)
        }
    }

    package static func anIncarnationEndsOnce(_ make: MakeStore) async throws {
        try await Self.with(make) { store, _ in
            let old = try await store.state.incarnation()
            let new = try await store.state.endIncarnation(old)
            #expect(new != old)
            #expect(new.bytes.count == 16)
            #expect(try await store.state.incarnation() == new)
            // Whoever says it again, for example after a lost answer, ends no other one.
            #expect(try await store.state.endIncarnation(old) == new)
            #expect(try await store.state.incarnation() == new)
        }
    }

    package static func aConfigIsRegisteredOnce(_ make: MakeStore) async throws {
        try await Self.with(make) { store, main in
            let configs = try (0..<20).map { index in
                try ReceiverConfig(
                    patterns: [try KeyPattern("order.\(index / 4).#"), try KeyPattern("a.*")],
                    headers: [
                        try HeaderMatch(name: [0xFF, 0], kind: .equals, value: [34, 92, 10]),
                        try HeaderMatch(name: Array("trace".utf8), kind: .exists, value: []),
                    ])
            }
            let ids = try await withThrowingTaskGroup(of: ReceiverID.self) { group in
                for config in configs {
                    group.addTask { try await store.state.registerReceiver(config, in: main.id) }
                }
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
            #expect(ids.count == 5)
            let long = try ReceiverConfig(
                patterns: (0..<64).map {
                    try KeyPattern(String(repeating: "x", count: 200) + ".\($0)")
                }, headers: [])
            let longID = try await store.state.registerReceiver(long, in: main.id)
            var records: [ReceiverRecord] = []
            while true {
                let page = try await store.state.receivers(
                    of: main.id, after: records.last?.id, limit: 4)
                if page.isEmpty { break }
                records += page
            }
            #expect(records.map(\.id) == (ids.union([longID])).sorted())
            #expect(Set(records.map(\.config)) == Set(configs + [long]))
            try await store.state.removeReceiver(longID, of: main.id)
            try await store.state.removeReceiver(longID, of: main.id)
            let left = try await store.state.receivers(of: main.id, after: nil, limit: 100)
            #expect(Set(left.map(\.id)) == ids)
        }
    }

    package static func subscribersAreStoredAndReplaced(_ make: MakeStore) async throws {
        try await Self.with(make) { store, main in
            let state = store.state
            let receiver = try await state.registerReceiver(.everything, in: main.id)
            let filter = try ReceiverConfig(patterns: [try KeyPattern("a.#")], headers: [])
            let other = try await state.registerReceiver(filter, in: main.id)
            let first = try Self.subscriber("s1", main.id, receiver, position: 5, epoch: 2)
            let pause = Pause(until: Timestamp(rawValue: 1_800_000_000_123_456), reason: "обед")
            let paused = SubscriberRecord(
                exchange: main.id, name: first.name, receiver: other, position: Position(3),
                epoch: SessionEpoch(rawValue: 2), pause: pause)
            try await state.storeSubscriber(first)
            #expect(try await state.subscribers(of: main.id, after: nil, limit: 9) == [first])
            try await state.storeSubscriber(paused)
            #expect(try await state.subscribers(of: main.id, after: nil, limit: 9) == [paused])
            let late = try Self.subscriber("s1", main.id, receiver, position: 9, epoch: 1)
            do {
                try await state.storeSubscriber(late)
                Issue.record("an older session's record was stored")
            } catch let failure as Failure {
                #expect(failure.code == .aborted)
            }
            #expect(try await state.subscribers(of: main.id, after: nil, limit: 9) == [paused])
            // A late removal, of what the name was before.
            try await state.removeSubscriber(first.name, of: main.id, upto: late.epoch)
            #expect(try await state.subscribers(of: main.id, after: nil, limit: 9) == [paused])
            try await state.removeSubscriber(first.name, of: main.id, upto: first.epoch)
            try await state.removeSubscriber(first.name, of: main.id, upto: first.epoch)
            #expect(try await state.subscribers(of: main.id, after: nil, limit: 9) == [])
        }
    }

    package static func onlyNewerPositionsAreSaved(_ make: MakeStore) async throws {
        try await Self.with(make) { store, main in
            let state = store.state
            let receiver = try await state.registerReceiver(.everything, in: main.id)
            let name = try Name("s")
            try await state.storeSubscriber(
                try Self.subscriber("s", main.id, receiver, position: 10, epoch: 5))
            // (session epoch, position) → what is stored afterwards.
            let steps: [(Int64, UInt64, Int64, UInt64)] = [
                (5, 9, 5, 10), (5, 10, 5, 10), (4, 99, 5, 10), (5, 11, 5, 11), (6, 2, 6, 2),
                (5, 50, 6, 2), (6, 3, 6, 3),
            ]
            for (epoch, position, storedEpoch, storedPosition) in steps {
                let save = PositionSave(
                    name: name, position: Position(position), epoch: SessionEpoch(rawValue: epoch))
                let isOurs = try await state.savePositions(
                    [save], of: main.id, owner: main.epoch)
                #expect(isOurs)
                let stored = try await state.subscribers(of: main.id, after: nil, limit: 1)
                #expect(stored.first?.epoch.rawValue == storedEpoch)
                #expect(stored.first?.position.rawValue == storedPosition)
            }
            _ = try await state.takeExchanges(as: OwnerID(rawValue: 99))
            let save = PositionSave(
                name: name, position: Position(70), epoch: SessionEpoch(rawValue: 70))
            #expect(
                try await state.savePositions([save], of: main.id, owner: main.epoch) == false)
            let stored = try await state.subscribers(of: main.id, after: nil, limit: 1)
            #expect(stored.first?.position == Position(3))
        }
    }

    package static func tenThousandPositionsAreSavedAtOnce(_ make: MakeStore) async throws {
        try await Self.with(make) { store, main in
            let state = store.state
            let receiver = try await state.registerReceiver(.everything, in: main.id)
            let count = 10_000
            for index in 0..<count {
                try await state.storeSubscriber(
                    try Self.subscriber("s\(index)", main.id, receiver, position: 0, epoch: 1))
            }
            var saves: [PositionSave] = []
            for index in 0..<count {
                saves.append(
                    PositionSave(
                        name: try Name("s\(index)"), position: Position(UInt64(index) + 1),
                        epoch: SessionEpoch(rawValue: 1)))
            }
            // One name comes twice, one is unknown.
            saves.append(
                PositionSave(
                    name: saves[0].name, position: Position(500),
                    epoch: SessionEpoch(rawValue: 1)))
            saves.append(
                PositionSave(
                    name: try Name("nobody"), position: Position(1),
                    epoch: SessionEpoch(rawValue: 1)))
            #expect(try await state.savePositions(saves, of: main.id, owner: main.epoch))
            #expect(try await state.savePositions([], of: main.id, owner: main.epoch))
            var records: [SubscriberRecord] = []
            while true {
                let page = try await state.subscribers(
                    of: main.id, after: records.last?.name, limit: 999)
                if page.isEmpty { break }
                records += page
            }
            #expect(records.count == count)
            #expect(records.map(\.name.text) == records.map(\.name.text).sorted())
            let wrong = records.filter { record in
                let index = UInt64(record.name.text.dropFirst()) ?? 0
                return record.position.rawValue != (index == 0 ? 500 : index + 1)
            }
            #expect(wrong.isEmpty)
        }
    }

    private static func subscriber(
        _ name: String, _ exchange: ExchangeID, _ receiver: ReceiverID, position: UInt64,
        epoch: Int64
    ) throws -> SubscriberRecord {
        SubscriberRecord(
            exchange: exchange, name: try Name(name), receiver: receiver,
            position: Position(position), epoch: SessionEpoch(rawValue: epoch), pause: nil)
    }
}
