// Who may come in. These tables are of the server, not of an exchange.

extension Schema {
    /// The fourth version.
    static let principals = """
        CREATE TABLE dormouse.principal (
            name text COLLATE "C" PRIMARY KEY,
            is_revoked boolean NOT NULL DEFAULT false,
            created_at timestamptz NOT NULL DEFAULT now()
        );

        CREATE TABLE dormouse.credential (
            credential_id text COLLATE "C" PRIMARY KEY,
            principal text COLLATE "C" NOT NULL REFERENCES dormouse.principal,
            kind text NOT NULL CHECK (kind IN ('token', 'certificate', 'unix-user')),
            subject text COLLATE "C" CHECK ((subject IS NULL) = (kind = 'token')),
            digest bytea CHECK ((digest IS NULL) = (kind <> 'token')),
            created_at timestamptz NOT NULL,
            ends_at timestamptz,
            UNIQUE (kind, subject)
        );
        CREATE INDEX credential_principal ON dormouse.credential (principal);

        CREATE TABLE dormouse.principal_grant (
            principal text COLLATE "C" NOT NULL REFERENCES dormouse.principal,
            place integer NOT NULL,
            action text NOT NULL CHECK (action IN ('publish', 'subscribe', 'administer')),
            exchange text COLLATE "C",
            pattern text COLLATE "C" NOT NULL,
            name_prefix text COLLATE "C" NOT NULL,
            PRIMARY KEY (principal, place)
        );

        CREATE TABLE dormouse.principal_change (
            change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            changed_at timestamptz NOT NULL DEFAULT now(),
            changed_by text NOT NULL,
            principal text COLLATE "C" NOT NULL,
            change text NOT NULL
        );

        ALTER TABLE dormouse.subscriber ADD COLUMN principal text COLLATE "C";
        ALTER TABLE dormouse.producer ADD COLUMN principal text COLLATE "C";

        COMMENT ON TABLE dormouse.principal IS
            'Who may come in. While this is empty, everybody who can connect may do everything.';
        COMMENT ON COLUMN dormouse.principal.is_revoked IS
            'It may do nothing; its name stays, with the subscribers that it made.';
        COMMENT ON TABLE dormouse.credential IS 'How principals show who they are.';
        COMMENT ON COLUMN dormouse.credential.subject IS
            'A certificate''s subject alternative name (DNS:… or URI:…), or a unix user''s number.';
        COMMENT ON COLUMN dormouse.credential.digest IS
            'SHA-256 of the secret half of a token; the secret itself is nowhere.';
        COMMENT ON COLUMN dormouse.credential.ends_at IS 'Worth nothing from then on; null: no end.';
        COMMENT ON TABLE dormouse.principal_grant IS 'What principals may do.';
        COMMENT ON COLUMN dormouse.principal_grant.exchange IS 'Null: in every exchange.';
        COMMENT ON COLUMN dormouse.principal_grant.pattern IS 'The event keys that it is about.';
        COMMENT ON COLUMN dormouse.principal_grant.name_prefix IS
            'What the names of subscribers or producers begin with.';
        COMMENT ON TABLE dormouse.principal_change IS
            'Every change of principals, and who ordered it. Nothing deletes from here.';
        COMMENT ON COLUMN dormouse.subscriber.principal IS 'Whose name it is; null: nobody''s.';
        COMMENT ON COLUMN dormouse.producer.principal IS 'Whose name it is; null: nobody''s.';

        """
}
