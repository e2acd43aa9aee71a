// The log for people: records unpacked in PL/pgSQL. The form of a record is described in
// EventRecord.swift.

extension Schema {
    static let functions = """
        CREATE FUNCTION dormouse.text_or_hex(bytes bytea) RETURNS text
        LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $body$
        BEGIN
            RETURN convert_from(bytes, 'UTF8');
        EXCEPTION WHEN others THEN
            RETURN '\\x' || encode(bytes, 'hex');
        END $body$;

        CREATE FUNCTION dormouse.json_or_null(bytes bytea) RETURNS jsonb
        LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $body$
        BEGIN
            -- Blank, quote, minus, digit, [ { f n t: how JSON may begin. Anything else is not worth
            -- the cost of an exception.
            IF length(bytes) = 0 OR NOT get_byte(bytes, 0) IN (9, 10, 13, 32, 34, 45, 48, 49, 50,
                51, 52, 53, 54, 55, 56, 57, 91, 102, 110, 116, 123) THEN
                RETURN NULL;
            END IF;
            RETURN convert_from(bytes, 'UTF8')::jsonb;
        EXCEPTION WHEN others THEN
            RETURN NULL;
        END $body$;

        -- Value and end of the base-128 number at a place.
        CREATE FUNCTION dormouse.unpack_number(bytes bytea, INOUT place integer, OUT number integer)
        LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $body$
        DECLARE
            part integer;
            shift integer := 0;
        BEGIN
            number := 0;
            LOOP
                part := get_byte(bytes, place);
                place := place + 1;
                number := number | ((part & 127) << shift);
                EXIT WHEN part < 128;
                shift := shift + 7;
            END LOOP;
        END $body$;

        -- Name and value of a header message.
        CREATE FUNCTION dormouse.unpack_header(bytes bytea) RETURNS text[]
        LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $body$
        DECLARE
            place integer := 0;
            tag integer;
            size integer;
            pair text[] := ARRAY['', ''];
        BEGIN
            WHILE place < length(bytes) LOOP
                tag := get_byte(bytes, place);
                SELECT u.place, u.number INTO place, size
                FROM dormouse.unpack_number(bytes, place + 1) u;
                pair[CASE tag WHEN 10 THEN 1 ELSE 2 END] :=
                    dormouse.text_or_hex(substr(bytes, place + 1, size));
                place := place + size;
            END LOOP;
            RETURN pair;
        END $body$;

        -- An object; where a name comes more than once, its values are an array.
        CREATE FUNCTION dormouse.headers_object(names text[], contents text[]) RETURNS jsonb
        LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $body$
            SELECT coalesce(jsonb_object_agg(name,
                CASE WHEN cardinality(found) = 1 THEN to_jsonb(found[1]) ELSE to_jsonb(found) END),
                '{}')
            FROM (SELECT name, array_agg(content ORDER BY place) AS found
                FROM unnest(names, contents) WITH ORDINALITY AS h (name, content, place)
                GROUP BY name) AS grouped
        $body$;

        CREATE FUNCTION dormouse.unpack(first bigint, data bytea) RETURNS TABLE (
            "position" bigint, published_at timestamptz, key text, id text, content_type text,
            headers jsonb, payload bytea)
        LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE ROWS 1000 AS $body$
        DECLARE
            -- A copy in memory, so that each look at a byte does not fetch the whole chunk.
            bytes bytea := data || ''::bytea;
            total integer := length(bytes);
            place integer := 0;
            finish integer;
            tag integer;
            size integer;
            part integer;
            shift integer;
            field bytea;
            pair text[];
            names text[];
            contents text[];
        BEGIN
            "position" := first - 1;
            WHILE place < total LOOP
                "position" := "position" + 1;
                key := ''; id := ''; content_type := ''; payload := ''; headers := '{}';
                names := NULL; contents := NULL;
                SELECT u.place, u.number INTO place, size
                FROM dormouse.unpack_number(bytes, place + 1) u;
                finish := place + size;
                published_at := timestamptz 'epoch' + interval '1 microsecond' * (
                    get_byte(bytes, place + 10)::bigint
                    | (get_byte(bytes, place + 11)::bigint << 8)
                    | (get_byte(bytes, place + 12)::bigint << 16)
                    | (get_byte(bytes, place + 13)::bigint << 24)
                    | (get_byte(bytes, place + 14)::bigint << 32)
                    | (get_byte(bytes, place + 15)::bigint << 40)
                    | (get_byte(bytes, place + 16)::bigint << 48)
                    | (get_byte(bytes, place + 17)::bigint << 56));
                place := place + 18;
                WHILE place < finish LOOP
                    tag := get_byte(bytes, place);
                    place := place + 1;
                    size := 0;
                    shift := 0;
                    LOOP
                        part := get_byte(bytes, place);
                        place := place + 1;
                        size := size | ((part & 127) << shift);
                        EXIT WHEN part < 128;
                        shift := shift + 7;
                    END LOOP;
                    field := substr(bytes, place + 1, size);
                    place := place + size;
                    CASE tag
                    WHEN 26 THEN key := encode(field, 'escape');
                    WHEN 34 THEN payload := field;
                    WHEN 42 THEN id := dormouse.text_or_hex(field);
                    WHEN 50 THEN content_type := dormouse.text_or_hex(field);
                    WHEN 58 THEN
                        pair := dormouse.unpack_header(field);
                        names := names || pair[1];
                        contents := contents || pair[2];
                    ELSE NULL;
                    END CASE;
                END LOOP;
                IF names IS NOT NULL THEN
                    headers := dormouse.headers_object(names, contents);
                END IF;
                RETURN NEXT;
            END LOOP;
        END $body$;

        """

    static let views = """
        CREATE VIEW dormouse.events AS
            SELECT x.name AS exchange, e."position", e.published_at, e.key, e.id, e.content_type,
                e.headers, e.payload, dormouse.json_or_null(e.payload) AS payload_json
            FROM dormouse.exchange x
            JOIN dormouse.chunk c USING (exchange_id)
            CROSS JOIN LATERAL dormouse.unpack(c."position", c.data) e
            WHERE c.codec = 0;

        CREATE FUNCTION dormouse.events(
            in_exchange text DEFAULT 'main', after bigint DEFAULT 0, max_events bigint DEFAULT 100)
        RETURNS SETOF dormouse.events
        LANGUAGE plpgsql STABLE STRICT AS $body$
        DECLARE
            number bigint := (SELECT x.exchange_id FROM dormouse.exchange x
                WHERE x.name = in_exchange);
            stored record;
            found_events bigint;
        BEGIN
            FOR stored IN
                SELECT c."position" AS first, c.data FROM dormouse.chunk c
                WHERE c.exchange_id = number AND c.codec = 0
                    AND c."position" >= coalesce((SELECT max(p."position") FROM dormouse.chunk p
                        WHERE p.exchange_id = number AND p."position" <= after + 1), 0)
                ORDER BY c."position"
            LOOP
                EXIT WHEN max_events <= 0;
                RETURN QUERY
                    SELECT in_exchange, e."position", e.published_at, e.key, e.id, e.content_type,
                        e.headers, e.payload, dormouse.json_or_null(e.payload)
                    FROM dormouse.unpack(stored.first, stored.data) e
                    WHERE e."position" > after
                    ORDER BY e."position" LIMIT max_events;
                GET DIAGNOSTICS found_events = ROW_COUNT;
                max_events := max_events - found_events;
            END LOOP;
        END $body$;

        CREATE VIEW dormouse.subscriptions AS
            SELECT x.name AS exchange, s.name, r.config, s."position", x.head,
                greatest(x.head - s."position", 0) AS lag,
                CASE WHEN s.paused_until > now() THEN s.paused_until END AS paused_until,
                CASE WHEN s.paused_until > now() THEN s.pause_reason END AS pause_reason,
                s.session_epoch, s.created_at, s.seen_at
            FROM dormouse.subscriber s
            JOIN dormouse.exchange x USING (exchange_id)
            JOIN dormouse.receiver r USING (exchange_id, receiver_id);

        """
}
