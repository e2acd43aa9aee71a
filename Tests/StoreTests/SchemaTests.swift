import Core
import StoreConformance
import Testing

@testable import Store

/// The tables and views as people see them.
@Suite(.serialized) struct SchemaTests {
    @Test func theEventsViewShowsWhatWasAppended() async throws {
        let settings = try await TestCluster.database()
        let store = try await TestCluster.store(settings)
        let main = try #require(
            try await store.state.takeExchanges(as: OwnerID(rawValue: 1)).first)
        let events = Self.events
        let chunks = [
            try Conformance.chunk(1, Array(events[..<2])),
            try Conformance.chunk(3, Array(events[2...])),
        ]
        #expect(await store.log.append(Conformance.append(main, after: 0, chunks)) == .committed)
        let connection = try PostgresConnection(settings)
        let columns = """
            exchange, position, extract(epoch FROM published_at) * 1000000, key, id, content_type,
            headers::text, encode(payload, 'hex'), coalesce(payload_json::text, '-')
            """
        let view = try connection.execute(
            "SELECT \(columns) FROM dormouse.events ORDER BY position")
        #expect(view.rowsCount == events.count)
        for row in 0..<view.rowsCount {
            #expect((0..<9).map { view.text(row, $0) } == Self.expected[row])
        }
        let some = try connection.execute(
            "SELECT \(columns) FROM dormouse.events('main', 1, 2)")
        #expect(some.rowsCount == 2)
        #expect(some.text(0, 1) == "2")
        #expect(some.text(1, 1) == "3")
        let none = try connection.execute("SELECT * FROM dormouse.events('nobody')")
        #expect(none.rowsCount == 0)
        await store.close()
    }

    @Test func theSubscriptionsViewShowsTheLag() async throws {
        let settings = try await TestCluster.database()
        let store = try await TestCluster.store(settings)
        let main = try #require(
            try await store.state.takeExchanges(as: OwnerID(rawValue: 1)).first)
        let chunk = try Conformance.chunk(1, count: 9)
        #expect(await store.log.append(Conformance.append(main, after: 0, [chunk])) == .committed)
        let config = try ReceiverConfig(
            patterns: [try KeyPattern("a.#")],
            headers: [try HeaderMatch(name: Array("n\"\n".utf8), kind: .prefix, value: [0xFF])])
        let receiver = try await store.state.registerReceiver(config, in: main.id)
        let pause = Pause(until: Timestamp(rawValue: 4_000_000_000_000_000), reason: "why\0not")
        try await store.state.storeSubscriber(
            SubscriberRecord(
                exchange: main.id, name: try Name("s"), receiver: receiver, position: Position(4),
                epoch: SessionEpoch(rawValue: 1), pause: pause))
        let row = try PostgresConnection(settings).execute(
            """
            SELECT exchange, name, lag, paused_until, pause_reason, config
            FROM dormouse.subscriptions
            """)
        #expect(row.rowsCount == 1)
        #expect(row.text(0, 0) == "main")
        #expect(row.text(0, 2) == "5")
        #expect(row.text(0, 3) == "2096-10-02 07:06:40+00")
        #expect(row.text(0, 4) == "why\u{FFFD}not")
        #expect(
            row.text(0, 5) == #"{"headers": [{"kind": "prefix", "name": "n\"\n", "#
                + #""value": "\\xff"}], "patterns": ["a.#"]}"#)
        await store.close()
    }

    /// As the first version of this program left it, and with it all that came since.
    @Test func aLogOfTheFirstVersionGetsItsSize() async throws {
        let settings = try await TestCluster.database()
        try PostgresConnection(settings).execute(
            """
            CREATE SCHEMA dormouse;
            CREATE TABLE dormouse.server (
                only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), version integer NOT NULL,
                incarnation uuid NOT NULL DEFAULT gen_random_uuid(),
                migrated_at timestamptz NOT NULL DEFAULT now());
            INSERT INTO dormouse.server (version) VALUES (1);
            \(Schema.migrations[0])
            INSERT INTO dormouse.exchange (name) VALUES ('empty');
            INSERT INTO dormouse.chunk (exchange_id, position, count, first_at, last_at, data)
            VALUES (1, 1, 9, now(), now(), repeat('x', 90)::bytea),
                (1, 10, 2, now(), now(), repeat('x', 20)::bytea)
            """)
        let store = try await TestCluster.store(settings)
        let sizes = try await store.state.takeExchanges(as: OwnerID(rawValue: 1)).map(\.bytes)
        #expect(sizes == [110, 0])
        await store.close()
    }

    @Test func whatShrinksIsStoredSmall() async throws {
        let settings = try await TestCluster.database()
        let store = try await TestCluster.store(settings)
        let main = try #require(
            try await store.state.takeExchanges(as: OwnerID(rawValue: 1)).first)
        let orders = (0..<300).map { number in
            let text = #"{"order": \#(number), "status": "paid", "currency": "EUR"}"#
            return Event(key: Array("orders.paid".utf8), payload: Array(text.utf8))
        }
        var random = SystemRandomNumberGenerator()
        let noise = (0..<300).map { _ in
            Event(
                key: [0x6E],
                payload: (0..<100).map { _ in UInt8.random(in: 0...255, using: &random) })
        }
        let chunks = [try Conformance.chunk(1, orders), try Conformance.chunk(301, noise)]
        #expect(await store.log.append(Conformance.append(main, after: 0, chunks)) == .committed)
        let sizes = try PostgresConnection(settings).execute(
            """
            SELECT octet_length(data), pg_column_size(data) FROM dormouse.chunk ORDER BY position
            """)
        for (row, chunk) in chunks.enumerated() {
            #expect(sizes.text(row, 0) == "\(chunk.bytesCount)")
        }
        let stored = (0..<2).map { Int(sizes.text($0, 1)) ?? 0 }
        #expect(stored[0] > 0 && stored[0] < chunks[0].bytesCount / 3)
        #expect(stored[1] <= chunks[1].bytesCount)
        let page = try await store.log.read(main.id, after: .origin, bytesMax: 1 << 20)
        #expect(page.chunks.map(\.block.bytes) == chunks.map(\.block.bytes))
        let view = try PostgresConnection(settings).execute(
            "SELECT payload_json->>'order' FROM dormouse.events WHERE position = 300")
        #expect(view.text(0, 0) == "299")
        await store.close()
    }

    @Test func migrationsThatStartAtOnceRunOnce() async throws {
        let settings = try await TestCluster.database()
        try await withThrowingTaskGroup(of: Incarnation.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    let store = try await TestCluster.store(settings)
                    let incarnation = try await store.state.incarnation()
                    await store.close()
                    return incarnation
                }
            }
            let incarnations = try await group.reduce(into: Set()) { $0.insert($1) }
            #expect(incarnations.count == 1)
        }
    }

    @Test func aNewerSchemaIsRefused() async throws {
        let settings = try await TestCluster.database()
        await (try await TestCluster.store(settings)).close()
        try PostgresConnection(settings).execute("UPDATE dormouse.server SET version = 99")
        let store = PostgresStore(settings, limits: Limits()) { _ in }
        do throws(Failure) {
            try await store.start()
            Issue.record("started on a newer schema")
        } catch {
            #expect(error.code == .failedPrecondition)
            #expect(error.message.contains("99"))
        }
        await store.close()
    }

    @Test func everyTableAndViewIsExplained() async throws {
        let settings = try await TestCluster.database()
        await (try await TestCluster.store(settings)).close()
        let rows = try PostgresConnection(settings).execute(
            """
            SELECT relname FROM pg_class
            WHERE relnamespace = 'dormouse'::regnamespace AND relkind IN ('r', 'v')
                AND obj_description(oid, 'pg_class') IS NULL
            """)
        #expect(rows.rowsCount == 0)
    }

    private static let events: [Event] = [
        Event(
            publishedAt: Timestamp(rawValue: 1_700_000_000_123_456), key: Array("order.new".utf8),
            payload: Array(#"{"a": [1, 2]}"#.utf8), id: Array("id-1".utf8),
            contentType: Array("application/json".utf8),
            headers: [
                Header(name: Array("tenant".utf8), value: Array("ünï".utf8)),
                Header(name: Array("tag".utf8), value: Array("x".utf8)),
                Header(name: Array("tag".utf8), value: Array("y".utf8)),
            ]),
        Event(publishedAt: Timestamp(rawValue: 1), key: Array("a".utf8), payload: [0, 1, 0xFF]),
        Event(
            publishedAt: Timestamp(rawValue: 2), key: Array("b".utf8),
            payload: Array("{not json".utf8), id: [0],
            headers: [
                Header(name: Array("raw".utf8), value: [0xFE]), Header(name: [65], value: []),
            ]
        ),
        Event(publishedAt: Timestamp(rawValue: 3), key: Array("c".utf8)),
        Event(
            publishedAt: Timestamp(rawValue: 4), key: Array("d".utf8),
            payload: Array(repeating: UInt8(ascii: "7"), count: 300)),
    ]

    private static let expected: [[String]] = [
        [
            "main", "1", "1700000000123456.000000", "order.new", "id-1", "application/json",
            #"{"tag": ["x", "y"], "tenant": "ünï"}"#, "7b2261223a205b312c20325d7d",
            #"{"a": [1, 2]}"#,
        ],
        ["main", "2", "1.000000", "a", "", "", "{}", "0001ff", "-"],
        [
            "main", "3", "2.000000", "b", #"\x00"#, "", #"{"A": "", "raw": "\\xfe"}"#,
            "7b6e6f74206a736f6e", "-",
        ],
        ["main", "4", "3.000000", "c", "", "", "{}", "", "-"],
        [
            "main", "5", "4.000000", "d", "", "", "{}",
            String(repeating: "37", count: 300), String(repeating: "7", count: 300),
        ],
    ]
}
