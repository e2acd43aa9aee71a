import Core
import StoreConformance
import Testing

@testable import Store

/// Rows that SQL writers commit, and how they come to the log.
@Suite(.serialized) struct OutboxTests {
    private struct Fixture {
        let settings: ConnectionSettings
        let store: PostgresStore
        let writer: PostgresConnection
        let main: ExchangeRecord

        /// A page of one row does not hold the others.
        var limits: OutboxPageLimits {
            var limits = Limits()
            limits.appendBytesMax = 64 << 20
            return OutboxPageLimits(limits)
        }

        init() async throws {
            self.settings = try await TestCluster.database()
            self.store = try await TestCluster.store(self.settings)
            self.writer = try PostgresConnection(self.settings)
            self.main = try #require(
                try await self.store.state.takeExchanges(as: Conformance.owner).first)
        }

        func publish(_ arguments: String) throws {
            try self.writer.execute("SELECT dormouse.publish(\(arguments))")
        }

        func page() async throws -> OutboxPage {
            try await self.store.outbox.read(self.main.id, self.limits)
        }

        func append(_ page: OutboxPage, after: UInt64, epoch: Int64 = 0) async -> AppendOutcome {
            var builder = ChunkBuilder(after: Position(after), chunkBytesMax: 1 << 20)
            builder.append(page.events, skipping: 0, at: Timestamp(rawValue: 1_000_000))
            return await self.store.log.append(
                Append(
                    exchange: self.main.id,
                    epoch: OwnerEpoch(rawValue: self.main.epoch.rawValue + epoch),
                    after: Position(after), chunks: builder.finish(), producers: [],
                    rows: page.rows))
        }

        func text(_ sql: String) throws -> String { try self.writer.execute(sql).text(0, 0) }
    }

    private func with(_ body: (Fixture) async throws -> Void) async throws {
        let fixture = try await Fixture()
        do {
            try await body(fixture)
        } catch {
            await fixture.store.close()
            throw error
        }
        await fixture.store.close()
    }

    @Test func rowsLeaveWithTheirAppendAndOnlyThen() async throws {
        try await self.with { it in
            #expect(try await it.store.outbox.look().exchanges.isEmpty)
            try it.publish("'main', 'a.b', 'one'")
            try it.publish("'main', 'a.c', 'two'")
            #expect(try await it.store.outbox.look().exchanges == [it.main.id])
            let page = try await it.page()
            #expect(page.rows.count == 2 && page.events.count == 2 && page.unfit.isEmpty)
            #expect(await it.append(page, after: 0, epoch: 1) == .conflict)
            #expect(await it.append(page, after: 3) == .conflict)
            #expect(try await it.page().rows == page.rows)
            #expect(await it.append(page, after: 0) == .committed)
            #expect(try await it.page().rows.isEmpty)
            #expect(try await it.store.outbox.look().exchanges.isEmpty)
            #expect(
                try it.text(
                    "SELECT string_agg(key || '=' || convert_from(payload, 'UTF8'), ' ' ORDER BY position) "
                        + "FROM dormouse.events") == "a.b=one a.c=two")
        }
    }

    @Test func anAppendOfManyChunksTakesItsRowsAlong() async throws {
        try await self.with { it in
            try it.writer.execute(
                "SELECT count(dormouse.publish('main', 'k', repeat('x', 1000))) FROM generate_series(1, 3000)"
            )
            let page = try await it.page()
            #expect(page.rows.count == 3_000)
            #expect(await it.append(page, after: 0) == .committed)
            #expect(try it.text("SELECT count(*) FROM dormouse.outbox") == "0")
            #expect(try it.text("SELECT count(*) > 1 FROM dormouse.chunk") == "t")
        }
    }

    @Test func onlyWhatIsCommittedIsSeenAndALateCommitIsNotLost() async throws {
        try await self.with { it in
            let late = try PostgresConnection(it.settings)
            try late.execute("BEGIN; SELECT dormouse.publish('main', 'late', 'x')")
            try it.publish("'main', 'early', 'x'")
            let first = try await it.page()
            #expect(first.rows.count == 1)
            #expect(await it.append(first, after: 0) == .committed)
            try late.execute("COMMIT")
            let second = try await it.page()
            #expect(second.rows.count == 1 && second.rows[0] < first.rows[0])
            #expect(await it.append(second, after: 1) == .committed)
        }
    }

    @Test func aRowThatIsCommittedBetweenThoseThatMoveStays() async throws {
        try await self.with { it in
            try it.publish("'main', 'first', 'x'")
            let late = try PostgresConnection(it.settings)
            try late.execute("BEGIN; SELECT dormouse.publish('main', 'between', 'x')")
            try it.publish("'main', 'last', 'x'")
            let page = try await it.page()
            #expect(page.rows.count == 2)
            try late.execute("COMMIT")
            #expect(await it.append(page, after: 0) == .committed)
            #expect(try it.text("SELECT string_agg(key, ' ') FROM dormouse.outbox") == "between")
        }
    }

    /// Rows that have left lie in the way of every look, and Postgres' own vacuum comes once a minute.
    @Test func aBusyOutboxIsVacuumed() async throws {
        try await self.with { it in
            let outbox = PostgresOutbox(it.settings, rowsPerVacuum: 20)
            let vacuums =
                "SELECT vacuum_count FROM pg_stat_all_tables WHERE relid = 'dormouse.outbox'::regclass"
            for (round, expected) in ["0", "1"].enumerated() {
                try it.writer.execute(
                    "SELECT count(dormouse.publish('main', 'k', 'x'::text)) FROM generate_series(1, 10)"
                )
                let page = try await outbox.read(it.main.id, it.limits)
                #expect(await it.append(page, after: UInt64(round) * 10) == .committed)
                #expect(try await outbox.look().exchanges.isEmpty)
                #expect(try it.text(vacuums) == expected)
            }
            await outbox.close()
        }
    }

    @Test func everyKindOfPayloadAndItsHeadersAreCarried() async throws {
        try await self.with { it in
            try it.publish(#"'main', 'a', 'ż'::text, headers => '{"n": 1, "ü": "v", "e": null}'"#)
            try it.publish(#"'main', 'b', '{"a": 1}'::jsonb, id => 'my-id'"#)
            try it.publish(#"'main', 'c', '\x00ff'::bytea, content_type => 'image/x'"#)
            try it.publish("'main', 'd', NULL::text")
            #expect(await it.append(try await it.page(), after: 0) == .committed)
            let page = try await it.store.log.read(it.main.id, after: .origin, bytesMax: 1 << 20)
            let all = try #require(page.chunks.first).block.bytes
            let text = String(decoding: all, as: UTF8.self)
            for part in ["ż", "ü", "application/json", "my-id", #"{"a": 1}"#, "image/x"] {
                #expect(text.contains(part), "\(part)")
            }
            #expect(
                try it.text("SELECT encode(payload, 'hex') FROM dormouse.events WHERE key = 'c'")
                    == "00ff")
            #expect(
                try it.text("SELECT length(payload) FROM dormouse.events WHERE key = 'd'") == "0")
            #expect(
                try it.text("SELECT headers FROM dormouse.events WHERE key = 'a'").contains(
                    #""n": "1""#))
        }
    }

    @Test func whatCannotBeAnEventIsTold() async throws {
        try await self.with { it in
            try it.publish("'main', NULL, 'x'")
            try it.publish("'main', 'no good', 'x'")
            try it.publish("'main', 'large', repeat('x', 5000000)")
            try it.publish("'main', 'headers', 'x', headers => '[1]'")
            try it.publish("'main', 'id', 'x', id => repeat('x', 65)")
            try it.publish("'main', 'just.too.large', repeat('x', \(it.limits.eventBytesMax))")
            try it.publish("'main', 'good', 'x', headers => 'null'")
            let page = try await it.page()
            #expect(page.rows.count == 1)
            let expected = [
                "the event key is empty", "the event key has a byte 32",
                "the row has 5000005 bytes", "the headers are a JSON array",
                "the event id has 65 bytes", "an event has \(it.limits.eventBytesMax + 38) bytes",
            ]
            try #require(page.unfit.count == expected.count)
            for (row, text) in zip(page.unfit, expected) {
                #expect(row.reason.hasPrefix(text), "\(row.reason)")
            }
        }
    }

    @Test func rowsAreSetAsideRetriedAndDropped() async throws {
        try await self.with { it in
            let outbox = it.store.outbox
            try it.publish("'main', 'bad key', 'x'")
            try it.publish("'main', 'worse key', 'xyz'")
            let unfit = try await it.page().unfit
            try await outbox.setAside(
                unfit, of: it.main.id, owner: OwnerEpoch(rawValue: it.main.epoch.rawValue - 1))
            #expect(try await it.page().unfit == unfit, "not by somebody else than the owner")
            try await outbox.setAside(unfit, of: it.main.id, owner: it.main.epoch)
            #expect(try await it.page().unfit.isEmpty)
            let rows = try await outbox.aside(after: nil, limit: 10)
            #expect(rows.map(\.id) == unfit.map(\.id) && rows.map(\.bytes) == [1, 3])
            #expect(rows.map(\.reason) == unfit.map(\.reason))
            #expect(rows[0].exchange == "main" && rows[0].key == "bad key")
            let next = try await outbox.aside(after: rows[0].id, limit: 10)
            #expect(next == [rows[1]])
            #expect(try await outbox.retry([rows[0].id]) == 1)
            #expect(try await it.page().unfit == [unfit[0]])
            #expect(try await outbox.drop([rows[0].id]) == 0, "it is not set aside any more")
            #expect(try await outbox.drop(nil) == 1)
            #expect(try await outbox.aside(after: nil, limit: 10).isEmpty)
        }
    }

    @Test func anExchangeThatDoesNotExistCanBeCreatedLater() async throws {
        try await self.with { it in
            try it.publish("'later', 'k', 'x'")
            try it.publish("NULL, 'k', 'x'")
            #expect(try await it.store.outbox.look() == OutboxLook(exchanges: [], unknownRows: 2))
            let aside = try await it.store.outbox.aside(after: nil, limit: 10)
            #expect(aside.count == 2 && aside[0].reason.hasPrefix("there is no exchange 'later'"))
            let later = try await it.store.state.createExchange(
                Name("later"), owner: Conformance.owner)
            #expect(try await it.store.outbox.retry(nil) == 2)
            #expect(try await it.store.outbox.look().exchanges == [later.id])
        }
    }

    /// However many rows name no exchange: each statement takes a part, and what is moved later keeps its order.
    @Test func manyRowsWithoutAnExchangeHoldUpNobody() async throws {
        try await self.with { it in
            let publish =
                "SELECT count(dormouse.publish('later', 'k', n::text)) FROM generate_series"
            try it.writer.execute("\(publish)(1, 25000) n")
            try it.publish("'main', 'k', 'x'")
            #expect(try await it.store.outbox.look().exchanges == [it.main.id])
            #expect(try it.text("SELECT count(*) FROM dormouse.outbox_aside") == "10000")
            let later = try await it.store.state.createExchange(
                Name("later"), owner: Conformance.owner)
            #expect(try await it.store.outbox.look().exchanges == [it.main.id, later.id])
            #expect(try it.text("SELECT count(*) FROM dormouse.outbox_aside") == "10000")
            let waiting =
                "SELECT count(*) FROM dormouse.outbox WHERE exchange_id = \(later.id.rawValue)"
            #expect(try it.text(waiting) == "15000")
            #expect(try await it.store.outbox.retry(nil) == 10_000)
            #expect(try it.text(waiting) == "25000")
        }
    }

    /// The role that an application gets: it may publish, and can neither read nor write anything else.
    @Test func aRoleMayOnlyPublish() async throws {
        try await self.with { it in
            try it.writer.execute(
                "DROP ROLE IF EXISTS shop; CREATE ROLE shop; SELECT dormouse.allow_publish('shop')")
            try it.writer.execute("SET ROLE shop")
            try it.publish("'main', 'k', 'x'")
            for sql in [
                "SELECT * FROM dormouse.outbox", "SELECT * FROM dormouse.exchange",
                "INSERT INTO dormouse.outbox (exchange_id) VALUES (1)",
                "DELETE FROM dormouse.outbox", "SELECT dormouse.allow_publish('shop')",
                "SELECT * FROM dormouse.events", "CREATE TABLE dormouse.mine ()",
            ] {
                #expect(throws: Failure.self, "\(sql)") { try it.writer.execute(sql) }
            }
            try it.writer.execute("RESET ROLE")
            #expect(try await it.page().rows.count == 1)
            try it.writer.execute(
                "CREATE ROLE stranger; GRANT USAGE ON SCHEMA dormouse TO stranger; SET ROLE stranger"
            )
            #expect(throws: Failure.self) { try it.publish("'main', 'k', 'x'") }
            try it.writer.execute(
                "RESET ROLE; DROP OWNED BY shop, stranger; DROP ROLE shop, stranger")
        }
    }
}
