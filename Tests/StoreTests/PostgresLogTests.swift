import Core
import StoreConformance
import Testing

@testable import Store

/// What only the log in Postgres can show: faults, threads and what the tables hold.
@Suite(.serialized) struct PostgresLogTests {
    private let owner = OwnerID(rawValue: 1)

    @Test func aDamagedChunkIsReported() async throws {
        let settings = try await TestCluster.database()
        try await self.with(settings) { store, main in
            let chunks = [try Conformance.chunk(1, count: 3), try Conformance.chunk(4, count: 3)]
            #expect(
                await store.log.append(Conformance.append(main, after: 0, chunks)) == .committed)
            let connection = try PostgresConnection(settings)
            for damage in [
                "data = substr(data, 1, length(data) - 1)", "count = 2",
                "data = set_byte(data, 3, 9)", "data = ''",
            ] {
                try connection.execute("BEGIN")
                try connection.execute("UPDATE dormouse.chunk SET \(damage) WHERE position = 4")
                try connection.execute("COMMIT")
                do throws(Failure) {
                    _ = try await store.log.read(main.id, after: Position(3), bytesMax: 1)
                    Issue.record("not reported: \(damage)")
                } catch {
                    let failure = error
                    #expect(failure.code == .internal)
                    #expect(failure.message.contains("position 4"))
                }
                let whole = try await store.log.read(main.id, after: Position(0), bytesMax: 1)
                #expect(whole.chunks.map(\.first) == [Position(1)])
                let sql = try #require(Self.restore(chunks[1]))
                try connection.execute(sql)
            }
            try connection.execute("UPDATE dormouse.chunk SET codec = 7 WHERE position = 4")
            await #expect(throws: Failure.self) {
                _ = try await store.log.read(main.id, after: Position(3), bytesMax: 1)
            }
        }
    }

    @Test func keysAreKeptWhileThereAreFew() async throws {
        let settings = try await TestCluster.database()
        try await self.with(settings) { store, main in
            let few = (0..<200).map { Event(key: Array("k.\($0 % 64)".utf8)) }
            let many = (0..<65).map { Event(key: Array("k.\($0)".utf8)) }
            let chunks = [
                try Conformance.chunk(1, few), try Conformance.chunk(201, many),
                try Conformance.chunk(266, [Event(key: Array("a".utf8))]),
            ]
            #expect(
                await store.log.append(Conformance.append(main, after: 0, [chunks[0]]))
                    == .committed)
            #expect(
                await store.log.append(
                    Conformance.append(main, after: 200, Array(chunks.dropFirst()))) == .committed)
            let rows = try PostgresConnection(settings).execute(
                """
                SELECT position, coalesce(cardinality(keys), -1), keys && ARRAY['a']
                FROM dormouse.chunk ORDER BY position
                """)
            #expect((0..<3).map { rows.text($0, 1) } == ["64", "-1", "1"])
            #expect((0..<3).map { rows.text($0, 2) } == ["f", "", "t"])
        }
    }

    /// Nobody has analysed the table yet, and plans are kept: a replay of a long log would gather and
    /// sort all that is left of it for each page.
    @Test func aPageIsReadAlongThePrimaryKey() async throws {
        let settings = try await TestCluster.database()
        try await self.with(settings) { store, main in
            let chunks = try (1...2_000).map { try Conformance.chunk($0, count: 1) }
            #expect(
                await store.log.append(Conformance.append(main, after: 0, chunks)) == .committed)
            let connection = try PostgresConnection(settings)
            try LogReader.prepare(connection)
            try connection.prepare(LogReader.page)
            try connection.prepare(LogReader.keys)
            try connection.execute("SET plan_cache_mode = force_generic_plan")
            for statement in ["page", "keys"] {
                let result = try connection.execute(
                    "EXPLAIN (ANALYZE) EXECUTE \(statement) (\(main.id.rawValue), 100, 300)")
                let plan = (0..<result.rowsCount).map { result.text($0, 0) }
                for costly in ["Sort", "Bitmap", "Seq Scan"] {
                    #expect(
                        !plan.contains { $0.contains(costly) }, "\(plan.joined(separator: "\n"))")
                }
                #expect(plan.contains { $0.contains("Index") })
            }
        }
    }

    @Test func mergedChunksKeepTheirKeys() async throws {
        let settings = try await TestCluster.database()
        try await self.with(settings) { store, main in
            for index in 0..<8 {
                let event = Event(key: Array("k.\(index % 3)".utf8))
                let append = Conformance.append(
                    main, after: UInt64(index),
                    [try Conformance.chunk(UInt64(index) + 1, [event])])
                #expect(await store.log.append(append) == .committed)
            }
            #expect(
                try await store.log.mergeSmallChunks(
                    main.id, upto: Position(8), chunkBytesMax: 1 << 18) == 7)
            let rows = try PostgresConnection(settings).execute(
                "SELECT count, keys FROM dormouse.chunk")
            #expect(rows.rowsCount == 1)
            #expect(rows.text(0, 0) == "8")
            #expect(rows.text(0, 1) == "{k.0,k.1,k.2}")
        }
    }

    /// Whoever merges finds the chunks changed, and does nothing.
    @Test func aMergeThatComesTooLateChangesNothing() async throws {
        let settings = try await TestCluster.database()
        try await self.with(settings) { store, main in
            for index in 0..<9 {
                let append = Conformance.append(
                    main, after: UInt64(index),
                    [try Conformance.chunk(UInt64(index) + 1, count: 1)])
                #expect(await store.log.append(append) == .committed)
            }
            let before = try await Conformance.everything(store.log, main.id)
            let connection = try PostgresConnection(settings)
            let outlines = try ChunkOutline.scan(
                main.id, from: .origin, upto: Position(8), connection)
            let search = ChunkRun.search(outlines, from: .origin, chunkBytesMax: 1 << 18)
            guard case .found(let run) = search else {
                Issue.record("no run in \(outlines)")
                return
            }
            #expect(try run.merge(in: main.id, connection))
            #expect(try run.merge(in: main.id, connection) == false)
            #expect(try await Conformance.everything(store.log, main.id) == before)
        }
    }

    /// The writer's backend is killed again and again while appends are under way.
    @Test func aLostWriterLeavesTheLogDense() async throws {
        let settings = try await TestCluster.database()
        try await self.with(settings) { store, main in
            let killer = try PostgresConnection(settings)
            var ownership = Ownership(epoch: main.epoch, head: main.head)
            var unknown = 0
            var committed: UInt64 = 0
            for round in 0..<30 {
                let append = try self.next(main, ownership)
                async let first = store.log.append(append)
                if round.isMultiple(of: 3) {
                    try killer.execute(
                        """
                        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                        WHERE datname = current_database() AND query LIKE '%WITH moved%'
                            AND pid <> pg_backend_pid()
                        """)
                }
                switch await first {
                case .committed:
                    ownership = Ownership(epoch: ownership.epoch, head: ownership.head.next)
                    committed = ownership.head.rawValue
                case .conflict:
                    Issue.record("a conflict without another owner")
                case .unknown(let failure):
                    #expect(failure.code == .unavailable)
                    unknown += 1
                    ownership = try await self.retake(store, main)
                    #expect(ownership.head.rawValue >= committed, "what was answered is there")
                }
            }
            #expect(unknown > 0)
            let bytes = try await Conformance.everything(store.log, main.id)
            let one = try Conformance.chunk(1, count: 1).bytesCount
            #expect(bytes.count == Int(ownership.head.rawValue) * one)
        }
    }

    /// All of them are sent before the first is answered: its row is held by somebody else.
    @Test @MainActor func asManyAppendsAreUnderWayAsTheLimitSays() async throws {
        let settings = try await TestCluster.database()
        for limit in [1, 2, 7] {
            let store = try await TestCluster.store(settings, appendsInFlightMax: limit)
            let main = try #require(try await store.state.takeExchanges(as: self.owner).first)
            let holder = try PostgresConnection(settings)
            try holder.execute("BEGIN; SELECT FROM dormouse.exchange FOR UPDATE")
            let head = main.head.rawValue
            var tasks: [Task<AppendOutcome, Never>] = []
            for index in 0..<10 {
                let after = head + UInt64(index)
                let append = Conformance.append(
                    main, after: after, [try Conformance.chunk(after + 1, count: 1)])
                tasks.append(Task { @MainActor in await store.log.append(append) })
            }
            let deadline = ContinuousClock.now + .seconds(3)
            while store.log.writer.underWayMost < limit, ContinuousClock.now < deadline {
                await Task.yield()
            }
            try holder.execute("COMMIT")
            for task in tasks { #expect(await task.value == .committed) }
            #expect(store.log.writer.underWayMost == limit)
            await store.close()
        }
    }

    @Test func anAbsentServerIsReportedInTime() async throws {
        let settings = try ConnectionSettings("host=/nonexistent dbname=none")
        let log = PostgresLog(settings, readers: 1, appendsInFlightMax: 2)
        let start = ContinuousClock.now
        let append = Append(
            exchange: ExchangeID(rawValue: 1), epoch: OwnerEpoch(rawValue: 1), after: .origin,
            chunks: [try Conformance.chunk(1, count: 1)], producers: [])
        guard case .unknown(let failure) = await log.append(append) else {
            Issue.record("an append without a server had an outcome")
            return
        }
        #expect(failure.code == .unavailable)
        do throws(Failure) {
            _ = try await log.read(append.exchange, after: .origin, bytesMax: 1)
            Issue.record("a read without a server had a result")
        } catch {
            #expect(error.code == .unavailable)
        }
        await log.close()
        guard case .unknown = await log.append(append) else {
            Issue.record("an append to a closed log had an outcome")
            return
        }
        #expect(ContinuousClock.now - start < .seconds(10))
    }

    @Test func aRowThatIsInTheWayIsOurFault() async throws {
        let settings = try await TestCluster.database()
        try await self.with(settings) { store, main in
            let chunk = try Conformance.chunk(1, count: 1)
            #expect(
                await store.log.append(Conformance.append(main, after: 0, [chunk])) == .committed)
            try PostgresConnection(settings).execute("UPDATE dormouse.exchange SET head = 0")
            let outcome = await store.log.append(Conformance.append(main, after: 0, [chunk]))
            guard case .unknown(let failure) = outcome else {
                Issue.record("\(outcome)")
                return
            }
            #expect(failure.code == .internal)
            #expect(failure.underlying.contains("23505"))
            #expect(!failure.message.contains("chunk_pkey"))
        }
    }

    private func with(
        _ settings: ConnectionSettings,
        _ body: (PostgresStore, ExchangeRecord) async throws -> Void
    ) async throws {
        let store = try await TestCluster.store(settings)
        let main = try #require(try await store.state.takeExchanges(as: self.owner).first)
        do {
            try await body(store, main)
        } catch {
            await store.close()
            throw error
        }
        await store.close()
    }

    private func next(_ main: ExchangeRecord, _ ownership: Ownership) throws -> Append {
        let head = ownership.head
        return Conformance.append(
            main, after: head.rawValue, [try Conformance.chunk(head.next.rawValue, count: 1)],
            epoch: ownership.epoch)
    }

    /// As the engine does: again, until the database is back.
    private func retake(_ store: PostgresStore, _ main: ExchangeRecord) async throws -> Ownership {
        for _ in 0..<20 {
            do {
                return try #require(
                    try await store.log.retakeOwnership(of: main.id, as: self.owner))
            } catch let failure as Failure where failure.code == .unavailable {}
        }
        throw Failure(.unavailable, "not retaken in 20 attempts")
    }

    private static func restore(_ chunk: Chunk) -> String? {
        let digits = Array("0123456789abcdef")
        let hex = chunk.block.bytes.map { "\(digits[Int($0 >> 4)])\(digits[Int($0 & 15)])" }
        return "UPDATE dormouse.chunk SET count = \(chunk.count), "
            + "data = '\\x\(hex.joined())' WHERE position = \(chunk.first)"
    }
}
