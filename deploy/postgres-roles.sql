-- Roles and the database for dormoused in a Postgres of yours (15 or later). As a superuser:
--
--     sudo -u postgres psql -f postgres-roles.sql
--
-- May be run again. On this machine `dormouse` logs in through the unix socket as the system's user of that name (peer);
-- from another one give it a password: \password dormouse

\set ON_ERROR_STOP on

SELECT 'CREATE ROLE dormouse LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'dormouse') \gexec

-- Reads the views dormouse.events and dormouse.subscriptions. To give it to somebody: GRANT dormouse_reader TO alice;
SELECT 'CREATE ROLE dormouse_reader NOLOGIN'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'dormouse_reader') \gexec

SELECT 'CREATE DATABASE dormouse OWNER dormouse ENCODING ''UTF8'' TEMPLATE template0'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'dormouse') \gexec

REVOKE ALL ON DATABASE dormouse FROM PUBLIC;
GRANT CONNECT ON DATABASE dormouse TO dormouse, dormouse_reader;

\connect dormouse
REVOKE ALL ON SCHEMA public FROM PUBLIC;
-- dormoused makes its schema with its first start; run this file once more after that. Only the views: the tables hold
-- what proves who somebody is.
SELECT 'GRANT USAGE ON SCHEMA dormouse TO dormouse_reader' WHERE to_regnamespace('dormouse') IS NOT NULL \gexec
SELECT 'GRANT SELECT ON dormouse.events, dormouse.subscriptions TO dormouse_reader'
WHERE to_regclass('dormouse.events') IS NOT NULL \gexec
