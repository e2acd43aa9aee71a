/// The statements of `PostgresState`.
enum StateStatements {
    static let take = Statement(
        name: "take",
        sql: "UPDATE dormouse.exchange SET epoch = epoch + 1, owner = $1::bigint")

    static let taken = Statement(
        name: "taken",
        sql: """
            SELECT exchange_id, name, epoch, head,
                coalesce((SELECT min(c.position) FROM dormouse.chunk c
                    WHERE c.exchange_id = x.exchange_id), head + 1),
                (SELECT c.last_at FROM dormouse.chunk c
                    WHERE c.exchange_id = x.exchange_id ORDER BY c.position DESC LIMIT 1),
                bytes
            FROM dormouse.exchange x WHERE owner = $1::bigint ORDER BY exchange_id
            """)

    /// Every connection of a server's state holds this for as long as it lives, whatever the server
    /// does meanwhile: it ends with the server's process, without anybody's doing.
    static let showLife = Statement(
        name: "show_life", sql: "SELECT pg_advisory_lock_shared($1::bigint)")

    /// No row while all is ours, so the locks are not looked through. Source of the lock's key:
    /// PostgreSQL documentation, pg_locks: the halves of the number are classid and objid, objsubid
    /// is 1.
    static let takenFrom = Statement(
        name: "taken_from",
        sql: """
            SELECT x.exchange_id, EXISTS (
                SELECT FROM pg_locks l
                WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
                    AND l.database = (SELECT d.oid FROM pg_database d
                        WHERE d.datname = current_database())
                    AND l.classid::bigint = (x.owner >> 32) & 4294967295
                    AND l.objid::bigint = x.owner & 4294967295)
            FROM dormouse.exchange x WHERE x.owner IS DISTINCT FROM $1::bigint
            ORDER BY x.exchange_id
            """)

    static let producers = Statement(
        name: "producers",
        sql: """
            SELECT name, sequence, position, principal FROM dormouse.producer
            WHERE exchange_id = $1::bigint AND name > $2::text ORDER BY name LIMIT $3::bigint
            """)

    static let receivers = Statement(
        name: "receivers",
        sql: """
            SELECT receiver_id, config_key FROM dormouse.receiver
            WHERE exchange_id = $1::bigint AND receiver_id > $2::bigint
            ORDER BY receiver_id LIMIT $3::bigint
            """)

    static let subscribers = Statement(
        name: "subscribers",
        sql: """
            SELECT name, receiver_id, position, session_epoch, paused_until,
                coalesce(pause_reason, ''), principal
            FROM dormouse.subscriber
            WHERE exchange_id = $1::bigint AND name > $2::text ORDER BY name LIMIT $3::bigint
            """)

    static let incarnation = Statement(
        name: "incarnation", sql: "SELECT incarnation FROM dormouse.server")

    static let endIncarnation = Statement(
        name: "end_incarnation",
        sql: """
            UPDATE dormouse.server SET incarnation = gen_random_uuid()
            WHERE incarnation = encode($1::bytea, 'hex')::uuid
            """)

    static let createExchange = Statement(
        name: "create_exchange",
        sql: """
            INSERT INTO dormouse.exchange (name, epoch, owner) VALUES ($1::text, 1, $2::bigint)
            ON CONFLICT (name) DO NOTHING
            RETURNING exchange_id, name, epoch, head, head + 1, NULL::timestamptz, bytes
            """)

    static let findReceiver = Statement(
        name: "find_receiver",
        sql: """
            SELECT receiver_id FROM dormouse.receiver
            WHERE exchange_id = $1::bigint AND sha256(config_key) = sha256($2::bytea)
                AND config_key = $2::bytea
            """)

    /// Another server may make the same one at the same time: then its row is returned, which only
    /// an update can do.
    static let makeReceiver = Statement(
        name: "make_receiver",
        sql: """
            INSERT INTO dormouse.receiver (exchange_id, config_key, config)
            SELECT exchange_id, $2::bytea, $3::text::jsonb FROM dormouse.exchange
            WHERE exchange_id = $1::bigint AND owner = $4::bigint
            ON CONFLICT (exchange_id, sha256(config_key)) DO UPDATE SET config = excluded.config
            RETURNING receiver_id
            """)

    // A server that has lost the exchange changes nothing of it. Each of these answers with one row
    // when the exchange is still ours, and with none otherwise.

    private static let ours = """
        WITH ours AS (
            SELECT exchange_id FROM dormouse.exchange
            WHERE exchange_id = $1::bigint AND owner = $2::bigint)
        """

    static let removeReceiver = Statement(
        name: "remove_receiver",
        sql: """
            \(ours), removed AS (
                DELETE FROM dormouse.receiver r USING ours
                WHERE r.exchange_id = ours.exchange_id AND r.receiver_id = $3::bigint)
            SELECT exchange_id FROM ours
            """)

    /// The row says whether it was stored: not, when the stored session epoch is newer.
    static let storeSubscriber = Statement(
        name: "store_subscriber",
        sql: """
            \(ours), stored AS (
                INSERT INTO dormouse.subscriber AS s (exchange_id, name, receiver_id, position,
                    session_epoch, paused_until, pause_reason, principal)
                SELECT exchange_id, $3::text, $4::bigint, $5::bigint, $6::bigint,
                    $7::timestamptz, $8::text, $9::text
                FROM ours
                ON CONFLICT (exchange_id, name) DO UPDATE SET receiver_id = excluded.receiver_id,
                    position = excluded.position, session_epoch = excluded.session_epoch,
                    paused_until = excluded.paused_until, pause_reason = excluded.pause_reason,
                    principal = excluded.principal, seen_at = now()
                WHERE s.session_epoch <= excluded.session_epoch
                RETURNING 1)
            SELECT (SELECT count(*) FROM stored) FROM ours
            """)

    static let removeSubscriber = Statement(
        name: "remove_subscriber",
        sql: """
            \(ours), removed AS (
                DELETE FROM dormouse.subscriber s USING ours
                WHERE s.exchange_id = ours.exchange_id AND s.name = $3::text
                    AND s.session_epoch <= $4::bigint)
            SELECT exchange_id FROM ours
            """)

    /// No lock on the exchange: a new owner gives its subscribers newer session epochs, so that
    /// what slips through in the same instant still changes nothing of it.
    static let savePositions = Statement(
        name: "save_positions",
        sql: """
            WITH ours AS (
                SELECT exchange_id FROM dormouse.exchange
                WHERE exchange_id = $1::bigint AND epoch = $2::bigint),
            saved AS (
                UPDATE dormouse.subscriber s
                SET position = n.position, session_epoch = n.session_epoch, seen_at = now()
                FROM ours, unnest($3::text[], $4::bigint[], $5::bigint[])
                    AS n (name, position, session_epoch)
                WHERE s.exchange_id = ours.exchange_id AND s.name = n.name
                    AND (n.session_epoch, n.position) > (s.session_epoch, s.position))
            SELECT exchange_id FROM ours
            """)
}
