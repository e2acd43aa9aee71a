/// The statements of the outbox. What they hold is short, and a connection that uses them has no other plans than the
/// indexes (`LogReader.prepare`): the table is empty when it is analyzed, and may be large the next moment.
enum OutboxStatements {
    /// The writer's: rows leave the outbox in the transaction that has moved the head, or stay. $3 and $4 are the first and
    /// the last of the ids: one walk through that part of the index costs a third of a search for each of them. Rows between
    /// them that are not among the ids were committed since, and stay.
    static let leave = Statement(
        name: "append_leave",
        sql: """
            DELETE FROM dormouse.outbox o USING unnest($2::bigint[]) AS moved (id)
            WHERE o.exchange_id = $1::bigint AND o.id BETWEEN $3::bigint AND $4::bigint
                AND o.id = moved.id
                AND EXISTS (SELECT FROM dormouse.exchange
                    WHERE exchange_id = $1::bigint AND xmin = pg_current_xact_id()::xid)
            """)

    /// Hops from exchange to exchange, so that rows are not counted.
    static let waiting = Statement(
        name: "outbox_waiting",
        sql: """
            WITH RECURSIVE waiting (exchange_id) AS (
                (SELECT exchange_id FROM dormouse.outbox ORDER BY exchange_id, id LIMIT 1)
                UNION ALL
                SELECT (SELECT o.exchange_id FROM dormouse.outbox o
                    WHERE o.exchange_id > w.exchange_id ORDER BY o.exchange_id, o.id LIMIT 1)
                FROM waiting w WHERE w.exchange_id IS NOT NULL)
            SELECT exchange_id FROM waiting WHERE exchange_id IS NOT NULL
            """)

    /// Of exchange $1 at most $2 rows and $3 bytes, at least one row. A row that is larger than $4 bytes comes without
    /// its content. Headers come as the bytes of each name and value behind their lengths.
    ///
    /// Sizes are summed first, without the contents, which a window would copy. The sum is one of `integer`s: that of
    /// `bigint`s is `numeric`, and takes longer than all the rest.
    static let page = Statement(
        name: "outbox_page",
        sql: """
            WITH fitting AS MATERIALIZED (
                SELECT max(id) AS last FROM (
                    SELECT id, bytes, sum(bytes) OVER (ROWS UNBOUNDED PRECEDING) AS total
                    FROM (
                        SELECT id, least(\(bytes), 1000000000)::integer AS bytes
                        FROM dormouse.outbox WHERE exchange_id = $1::bigint
                        ORDER BY id LIMIT $2::bigint) AS near) AS summed
                WHERE total - bytes < $3::bigint)
            SELECT id, bytes,
                CASE WHEN bytes <= $4::bigint THEN key END,
                CASE WHEN bytes <= $4::bigint THEN payload END,
                CASE WHEN bytes <= $4::bigint THEN message_id END,
                CASE WHEN bytes <= $4::bigint THEN content_type END,
                CASE WHEN bytes <= $4::bigint THEN jsonb_typeof(headers) END,
                CASE WHEN bytes <= $4::bigint AND jsonb_typeof(headers) = 'object' THEN (
                    SELECT string_agg(
                        int4send(octet_length(name)) || convert_to(name, 'UTF8')
                            || int4send(octet_length(coalesce(value, '')))
                            || convert_to(coalesce(value, ''), 'UTF8'), ''::bytea)
                    FROM jsonb_each_text(headers) AS h (name, value)) END
            FROM (
                SELECT *, \(bytes) AS bytes FROM dormouse.outbox
                WHERE exchange_id = $1::bigint AND id <= (SELECT last FROM fitting)
                ORDER BY id LIMIT $2::bigint) AS page
            ORDER BY id
            """)

    /// A row's size; values are not compressed, so it is known without reading them.
    private static let bytes = """
        (coalesce(octet_length(key), 0)::bigint + coalesce(octet_length(payload), 0)
            + coalesce(octet_length(message_id), 0) + coalesce(octet_length(content_type), 0)
            + coalesce(pg_column_size(headers), 0))
        """

    static let size = Statement(
        name: "outbox_size", sql: "SELECT pg_relation_size('dormouse.outbox')")

    /// Neither waits for another vacuum, nor takes the lock that shortening the file needs. A role that does not own the
    /// table gets a warning.
    static let vacuum = "VACUUM (SKIP_LOCKED, TRUNCATE FALSE, INDEX_CLEANUP ON) dormouse.outbox"

    /// Only the owner of the exchange judges its rows. The lock lets nobody take the exchange before this is committed.
    static let setAside = Statement(
        name: "outbox_set_aside",
        sql: """
            WITH owned AS MATERIALIZED (
                SELECT exchange_id FROM dormouse.exchange
                WHERE exchange_id = $1::bigint AND epoch = $2::bigint FOR SHARE),
            gone AS (
                DELETE FROM dormouse.outbox o
                USING unnest($3::bigint[], $4::text[]) AS unfit (id, reason)
                WHERE o.exchange_id = (SELECT exchange_id FROM owned) AND o.id = unfit.id
                RETURNING \(columns("o")), unfit.reason)
            INSERT INTO dormouse.outbox_aside (\(columns), reason) SELECT * FROM gone
            """)

    /// Exchanges may have been created since. $1: how many rows at most; a million of them in one statement would take longer
    /// than a statement may.
    static let adopt = Statement(
        name: "outbox_adopt",
        sql: """
            UPDATE dormouse.outbox o SET exchange_id = known.exchange_id
            FROM (SELECT w.id, x.exchange_id
                FROM dormouse.outbox w JOIN dormouse.exchange x ON x.name = w.exchange
                WHERE w.exchange_id = 0 ORDER BY w.id LIMIT $1::bigint) AS known
            WHERE o.exchange_id = 0 AND o.id = known.id
            RETURNING o.id
            """)

    static let setAsideUnknown = Statement(
        name: "outbox_set_aside_unknown",
        sql: """
            WITH unknown AS MATERIALIZED (
                SELECT w.id FROM dormouse.outbox w
                WHERE w.exchange_id = 0
                    AND NOT EXISTS (SELECT FROM dormouse.exchange x WHERE x.name = w.exchange)
                ORDER BY w.id LIMIT $1::bigint),
            gone AS (
                DELETE FROM dormouse.outbox o USING unknown
                WHERE o.exchange_id = 0 AND o.id = unknown.id RETURNING \(columns("o")))
            INSERT INTO dormouse.outbox_aside (\(columns), reason)
            SELECT gone.*, CASE WHEN exchange IS NULL THEN 'the exchange is null; expected its name'
                ELSE format('there is no exchange ''%s''; create it and retry', left(exchange, 128)) END
            FROM gone
            RETURNING id
            """)

    static let aside = Statement(
        name: "outbox_aside",
        sql: """
            SELECT id, coalesce(left(exchange, 128), ''), coalesce(left(key, 255), ''),
                coalesce(octet_length(payload), 0)::bigint, reason, inserted_at
            FROM dormouse.outbox_aside WHERE id > $1::bigint ORDER BY id LIMIT $2::bigint
            """)

    static let asideIDs = Statement(
        name: "outbox_aside_ids",
        sql:
            "SELECT id FROM dormouse.outbox_aside WHERE id > $1::bigint ORDER BY id LIMIT $2::bigint"
    )

    /// $1: the ids.
    static let retry = Statement(
        name: "outbox_retry", sql: "SELECT dormouse.retry_outbox($1::bigint[])")
    static let drop = Statement(
        name: "outbox_drop", sql: "SELECT dormouse.drop_outbox($1::bigint[])")

    private static let names = [
        "id", "exchange", "key", "payload", "headers", "content_type", "message_id", "inserted_at",
    ]
    private static let columns = Self.names.joined(separator: ", ")

    private static func columns(_ table: String) -> String {
        Self.names.map { "\(table).\($0)" }.joined(separator: ", ")
    }
}
