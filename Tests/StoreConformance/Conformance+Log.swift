package import Core
import Testing

extension Conformance {
    package static func anAppendIsReadBack(_ make: MakeStore) async throws {
        try await Self.with(make) { store, main in
            let one = try Self.chunk(1, count: 3)
            let more = [try Self.chunk(4, count: 2), try Self.chunk(6, count: 5)]
            #expect(await store.log.append(Self.append(main, after: 0, [one])) == .committed)
            #expect(await store.log.append(Self.append(main, after: 3, more)) == .committed)
            let page = try await store.log.read(main.id, after: .origin, bytesMax: Self.pageBytes)
            #expect(page.chunks.map(\.first.rawValue) == [1, 4, 6])
            #expect(page.chunks.map(\.block.bytes) == ([one] + more).map(\.block.bytes))
            #expect(page.chunks.map(\.firstAt) == ([one] + more).map(\.firstAt))
            let taken = try await store.state.takeExchanges(as: Self.owner)
            #expect(taken.first?.head == Position(10))
            #expect(taken.first?.first == Position(1))
            #expect(main.lastAt == .zero)
            #expect(taken.first?.lastAt == more.last?.lastAt)
            #expect(main.bytes == 0)
            #expect(taken.first?.bytes == UInt64(page.chunks.reduce(0) { $0 + $1.bytesCount }))
        }
    }

    package static func anAppendElsewhereIsAConflict(_ make: MakeStore) async throws {
        try await Self.conflict(make, chunks: 1)
    }

    package static func aLargeAppendElsewhereIsAConflict(_ make: MakeStore) async throws {
        try await Self.conflict(make, chunks: 3)
    }

    /// An append of so many chunks of one event.
    private static func conflict(_ make: MakeStore, chunks count: UInt64) async throws {
        try await Self.with(make) { store, main in
            let chunks = try (1...count).map { try Self.chunk($0, count: 1) }
            let mark = ProducerMark(name: try Name("p"), sequence: 1, position: Position(1))
            let wrongEpoch = Self.append(
                main, after: 0, chunks, producers: [mark],
                epoch: OwnerEpoch(rawValue: main.epoch.rawValue + 1))
            #expect(await store.log.append(wrongEpoch) == .conflict)
            let wrongHead = Self.append(
                main, after: 4, try (5..<5 + count).map { try Self.chunk($0, count: 1) },
                producers: [mark])
            #expect(await store.log.append(wrongHead) == .conflict)
            let page = try await store.log.read(main.id, after: .origin, bytesMax: Self.pageBytes)
            #expect(page.chunks.isEmpty)
            let marks = try await store.state.producers(of: main.id, after: nil, limit: 10)
            #expect(marks.isEmpty)
            let append = Self.append(main, after: 0, chunks, producers: [mark])
            #expect(await store.log.append(append) == .committed)
            #expect(await store.log.append(append) == .conflict, "the second time")
            let stored = try await store.log.read(main.id, after: .origin, bytesMax: Self.pageBytes)
            #expect(stored.chunks.count == Int(count))
        }
    }

    package static func aSecondOwnerFencesTheFirst(_ make: MakeStore) async throws {
        try await Self.with(make) { store, main in
            #expect(
                await store.log.append(Self.append(main, after: 0, [try Self.chunk(1, count: 1)]))
                    == .committed)
            let other = OwnerID(rawValue: 22)
            let taken = try #require(try await store.state.takeExchanges(as: other).first)
            #expect(taken.epoch > main.epoch)
            #expect(taken.head == Position(1))
            let second = [try Self.chunk(2, count: 1)]
            #expect(await store.log.append(Self.append(main, after: 1, second)) == .conflict)
            let lost = try await store.log.retakeOwnership(of: main.id, as: Self.owner)
            #expect(lost == nil)
            #expect(await store.log.append(Self.append(taken, after: 1, second)) == .committed)
        }
    }

    package static func appendsUnderWayTakeEffectInOrder(_ make: MakeStore) async throws {
        try await Self.with(make) { store, main in
            let appends = try (0..<100).map { index in
                Self.append(
                    main, after: UInt64(index), [try Self.chunk(UInt64(index) + 1, count: 1)])
            }
            let outcomes = await Self.outcomes(appends, store.log)
            #expect(outcomes == Array(repeating: .committed, count: 100))
            let bytes = try await Self.everything(store.log, main.id)
            #expect(bytes.count == 100 * (try Self.chunk(1, count: 1)).bytesCount)
        }
    }

    /// Each is conditional on the one before: where one cannot take effect, none behind it does.
    package static func aConflictUnderWayStopsThoseBehindIt(_ make: MakeStore) async throws {
        try await Self.with(make) { store, main in
            let appends = try (0..<40).map { index in
                let epoch = OwnerEpoch(rawValue: main.epoch.rawValue + (index == 20 ? 1 : 0))
                return Self.append(
                    main, after: UInt64(index), [try Self.chunk(UInt64(index) + 1, count: 1)],
                    epoch: epoch)
            }
            let outcomes = await Self.outcomes(appends, store.log)
            #expect(
                outcomes
                    == Array(repeating: .committed, count: 20)
                    + Array(repeating: .conflict, count: 20))
            let bytes = try await Self.everything(store.log, main.id)
            #expect(bytes.count == 20 * (try Self.chunk(1, count: 1)).bytesCount)
        }
    }

    /// Calls with all of them in this order before the first has an outcome.
    package static func outcomes(_ appends: [Append], _ log: any EventLog) async
        -> [AppendOutcome]
    {
        await withTaskGroup(of: (Int, AppendOutcome).self) { group in
            for (index, append) in appends.enumerated() {
                group.addImmediateTask { (index, await log.append(append)) }
            }
            var outcomes = appends.map { _ in AppendOutcome.conflict }
            for await (index, outcome) in group { outcomes[index] = outcome }
            return outcomes
        }
    }

    package static func producersMoveWithTheirAppend(_ make: MakeStore) async throws {
        try await Self.with(make) { store, main in
            let p = try Name("p")
            let q = try Name("Q")
            let first = [
                ProducerMark(name: p, sequence: 7, position: Position(1)),
                ProducerMark(name: q, sequence: .max, position: Position(2)),
            ]
            let second = [ProducerMark(name: p, sequence: 9, position: Position(3))]
            let chunk = try Self.chunk(1, count: 2)
            let next = [try Self.chunk(3, count: 1), try Self.chunk(4, count: 1)]
            #expect(
                await store.log.append(Self.append(main, after: 0, [chunk], producers: first))
                    == .committed)
            #expect(
                await store.log.append(Self.append(main, after: 2, next, producers: second))
                    == .committed)
            let sum = ([chunk] + next).reduce(0) { $0 + $1.bytesCount }
            let taken = try await store.state.takeExchanges(as: Self.owner)
            #expect(taken.first?.bytes == UInt64(sum))
            let marks = try await store.state.producers(of: main.id, after: nil, limit: 10)
            #expect(marks == [first[1], second[0]], "ordered by name, byte by byte")
            let page = try await store.state.producers(of: main.id, after: q, limit: 10)
            #expect(page == second)
        }
    }

    package static func aReadStartsInTheMiddleOfAChunk(_ make: MakeStore) async throws {
        try await Self.with(make) { store, main in
            let chunks = [try Self.chunk(1, count: 5), try Self.chunk(6, count: 5)]
            #expect(await store.log.append(Self.append(main, after: 0, chunks)) == .committed)
            for (after, first) in [(0, 1), (3, 1), (4, 1), (5, 6), (9, 6)] as [(UInt64, UInt64)] {
                let page = try await store.log.read(main.id, after: Position(after), bytesMax: 1)
                #expect(page.chunks.map(\.first.rawValue) == [first], "after \(after)")
            }
            for after in [Position(10), Position(11), Position.last] {
                let page = try await store.log.read(main.id, after: after, bytesMax: 1)
                #expect(page.chunks.isEmpty)
            }
        }
    }

    package static func aPageHoldsWhatFits(_ make: MakeStore) async throws {
        try await Self.with(make) { store, main in
            let chunks = try (0..<20).map { try Self.chunk(UInt64($0) * 2 + 1, count: 2) }
            #expect(await store.log.append(Self.append(main, after: 0, chunks)) == .committed)
            let bytes = chunks[0].bytesCount
            for (bytesMax, expected) in [
                (0, 1), (1, 1), (bytes, 1), (2 * bytes, 2), (3 * bytes - 1, 2), (100 * bytes, 20),
            ] {
                let page = try await store.log.read(main.id, after: .origin, bytesMax: bytesMax)
                #expect(page.chunks.count == expected, "within \(bytesMax) bytes")
            }
            let all = try await Self.everything(store.log, main.id, pageBytes: 3 * bytes)
            #expect(all == chunks.flatMap(\.block.bytes))
        }
    }

    /// What a page says of the next one is where that one really ends.
    package static func aPageKnowsWhereTheNextOneEnds(_ make: MakeStore) async throws {
        try await Self.with(make) { store, main in
            // 20 chunks of two or three events.
            var chunks: [Chunk] = []
            for index in 0..<20 {
                let first = (chunks.last?.last ?? .origin).next
                chunks.append(try Self.chunk(first.rawValue, count: 2 + index % 2))
            }
            let head = try #require(chunks.last?.last)
            #expect(await store.log.append(Self.append(main, after: 0, chunks)) == .committed)
            for bytesMax in [1, chunks[0].bytesCount, 4 * chunks[1].bytesCount] {
                var after = Position.origin
                var expected: Position?
                var known = 0
                while after < head {
                    let page = try await store.log.read(main.id, after: after, bytesMax: bytesMax)
                    after = try #require(page.chunks.last).last
                    if let expected { #expect(after == expected, "within \(bytesMax) bytes") }
                    expected = page.nextEnd
                    if expected != nil { known += 1 }
                    if let expected { #expect(expected > after && expected < head) }
                }
                #expect(known > 2, "within \(bytesMax) bytes")
            }
            let whole = try await store.log.read(main.id, after: .origin, bytesMax: 1 << 20)
            #expect(whole.chunks.count == 20 && whole.nextEnd == nil)
        }
    }

    package static func chunksTellTheirKeys(_ make: MakeStore) async throws {
        try await Self.with(make) { store, main in
            let events = { (keys: [String]) in keys.map { Event(key: Array($0.utf8)) } }
            let chunks = [
                try Self.chunk(1, events(["b", "a.x", "b"])), try Self.chunk(4, events(["c"])),
                try Self.chunk(5, events((0..<65).map { "k.\($0)" })),
            ]
            #expect(await store.log.append(Self.append(main, after: 0, chunks)) == .committed)
            let all = [
                ChunkKeys(first: Position(1), last: Position(3), keys: chunks[0].keys),
                ChunkKeys(first: Position(4), last: Position(4), keys: [Array("c".utf8)]),
                ChunkKeys(first: Position(5), last: Position(69), keys: nil),
            ]
            for (after, limit, expected) in [
                (0, 10, all[...]), (2, 10, all[...]), (0, 2, all[..<2]), (3, 1, all[1...1]),
                (4, 10, all[2...]), (68, 10, all[2...]), (69, 10, []),
            ] as [(UInt64, Int, ArraySlice<ChunkKeys>)] {
                let keys = try await store.log.keys(main.id, after: Position(after), limit: limit)
                #expect(keys == Array(expected), "\(limit) after \(after)")
            }
        }
    }

    package static func timesLeadToPositions(_ make: MakeStore) async throws {
        try await Self.with(make) { store, main in
            let none = try await store.log.position(before: .zero, in: main.id)
            #expect(none == nil)
            // Events 1…40 at 1000…1003, 1100…1103, … : ten chunks of four.
            let start: UInt64 = 1_700_000_000_000_000
            let chunks = try (0..<10).map {
                try Self.chunk(UInt64($0) * 4 + 1, count: 4, at: start + UInt64($0) * 100)
            }
            #expect(await store.log.append(Self.append(main, after: 0, chunks)) == .committed)
            for (time, expected) in [
                (0, 0), (start, 0), (start + 1, 1), (start + 3, 3), (start + 4, 4),
                (start + 100, 4), (start + 502, 22), (start + 903, 39),
            ] as [(UInt64, UInt64)] {
                let position = try await store.log.position(
                    before: Timestamp(rawValue: time), in: main.id)
                #expect(position == Position(expected), "at \(time)")
            }
            let late = try await store.log.position(
                before: Timestamp(rawValue: start + 904), in: main.id)
            #expect(late == nil)
        }
    }

    package static func mergingKeepsEveryByte(_ make: MakeStore) async throws {
        try await Self.with(make) { store, main in
            var after: UInt64 = 0
            for round in 0..<60 {
                // Every twentieth chunk is large: runs end there.
                let payload = round % 20 == 19 ? 3000 : 10
                let count = 1 + round % 3
                let chunk = try Self.chunk(after + 1, count: count, payloadBytes: payload)
                let append = Self.append(main, after: after, [chunk])
                #expect(await store.log.append(append) == .committed)
                after += UInt64(count)
            }
            let before = try await Self.everything(store.log, main.id)
            let upto = Position(after - 5)
            var fewer = 0
            for _ in 0..<100 {
                let step = try await store.log.mergeSmallChunks(
                    main.id, upto: upto, chunkBytesMax: 8000)
                if step == 0 { break }
                fewer += step
                #expect(try await Self.everything(store.log, main.id) == before)
            }
            #expect(fewer >= 40)
            let page = try await store.log.read(main.id, after: .origin, bytesMax: 1 << 20)
            #expect(page.chunks.count == 60 - fewer)
            #expect(page.chunks.allSatisfy { $0.bytesCount <= 8000 || $0.count < 4 })
            let again = try await store.log.mergeSmallChunks(
                main.id, upto: upto, chunkBytesMax: 8000)
            #expect(again == 0)
        }
    }

    package static func retakingGivesAFinalHead(_ make: MakeStore) async throws {
        try await Self.with(make) { store, main in
            #expect(
                await store.log.append(Self.append(main, after: 0, [try Self.chunk(1, count: 4)]))
                    == .committed)
            let retaken = try #require(
                try await store.log.retakeOwnership(of: main.id, as: Self.owner))
            #expect(retaken.head == Position(4))
            #expect(retaken.epoch > main.epoch)
            let next = [try Self.chunk(5, count: 1)]
            #expect(await store.log.append(Self.append(main, after: 4, next)) == .conflict)
            #expect(
                await store.log.append(Self.append(main, after: 4, next, epoch: retaken.epoch))
                    == .committed)
        }
    }
}
