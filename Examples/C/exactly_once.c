/*
 * Applies each event exactly once to a table of one's own: how many events each key had. The position is kept in the
 * same database and moves in the same transaction as the table, so a crash at any instant neither loses an
 * event nor counts it twice, and neither do two that run at once. What the server remembers of this subscriber does not matter then.
 *
 *     exactly_once dormouse://127.0.0.1:3673/main 'host=… dbname=…' [COUNT]
 */
#include <dormouse.h>
#include <libpq-fe.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const SCHEMA =
    "CREATE TABLE IF NOT EXISTS event_count (key text PRIMARY KEY, count bigint NOT NULL);"
    "CREATE TABLE IF NOT EXISTS event_position (only_one bool PRIMARY KEY DEFAULT true,"
    " position bigint NOT NULL, incarnation bytea NOT NULL);"
    "INSERT INTO event_position (position, incarnation) VALUES (0, '') ON CONFLICT DO NOTHING";

static void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static PGresult *query(PGconn *database, const char *sql, int count, const char *const *values,
                       const int *lengths, const int *formats)
{
    PGresult *result = PQexecParams(database, sql, count, NULL, values, lengths, formats, 0);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        die(sql, PQerrorMessage(database));
    return result;
}

static void execute(PGconn *database, const char *sql)
{
    PGresult *result = PQexec(database, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        die(sql, PQerrorMessage(database));
    PQclear(result);
}

/*
 * All events of a batch and the position behind them, in one transaction. The position moves first, and only from where
 * we know it: its row is locked then, and a second process of this program, which this one may not know of yet, finds
 * another position when its turn comes.
 */
static void apply(PGconn *database, uint64_t known, const dormouse_batch *batch,
                  dormouse_bytes incarnation)
{
    char from[24];
    char upto[24];
    snprintf(from, sizeof(from), "%llu", (unsigned long long)known);
    snprintf(upto, sizeof(upto), "%llu", (unsigned long long)batch->upto);
    const char *moved[3] = {upto, incarnation.data, from};
    int moved_lengths[3] = {0, (int)incarnation.size, 0};
    int moved_formats[3] = {0, 1, 0};
    execute(database, "BEGIN");
    PGresult *result = query(database,
                             "UPDATE event_position SET position = $1, incarnation = $2::bytea"
                             " WHERE position = $3",
                             3, moved, moved_lengths, moved_formats);
    if (strcmp(PQcmdTuples(result), "1") != 0)
        die("cannot apply", "another process moved the position; it goes on there");
    PQclear(result);
    for (size_t i = 0; i < batch->event_count; i++) {
        const dormouse_event *event = &batch->events[i];
        const char *values[1] = {event->key.data};
        int lengths[1] = {(int)event->key.size};
        int formats[1] = {1};
        PQclear(query(database,
                      "INSERT INTO event_count VALUES (convert_from($1::bytea, 'UTF8'), 1)"
                      " ON CONFLICT (key) DO UPDATE SET count = event_count.count + 1",
                      1, values, lengths, formats));
    }
    execute(database, "COMMIT");
}

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: exactly_once URI CONNINFO [COUNT]\n");
        return 64;
    }
    long left = argc == 4 ? strtol(argv[3], NULL, 10) : -1;
    PGconn *database = PQconnectdb(argv[2]);
    if (PQstatus(database) != CONNECTION_OK)
        die("database", PQerrorMessage(database));
    execute(database, "SET client_min_messages = warning");
    execute(database, SCHEMA);
    PGresult *known = query(database, "SELECT position, encode(incarnation, 'hex') FROM event_position",
                            0, NULL, NULL, NULL);
    uint64_t position = strtoull(PQgetvalue(known, 0, 0), NULL, 10);
    unsigned char incarnation[64];
    size_t size = strlen(PQgetvalue(known, 0, 1)) / 2;
    for (size_t i = 0; i < size && i < sizeof(incarnation); i++) {
        unsigned byte = 0;
        sscanf(PQgetvalue(known, 0, 1) + 2 * i, "%2x", &byte);
        incarnation[i] = (unsigned char)byte;
    }
    PQclear(known);

    dormouse *client = dormouse_new();
    if (client == NULL || dormouse_set_uri(client, argv[1]) != DORMOUSE_OK
        || dormouse_connect(client, 5000) != DORMOUSE_OK)
        die("cannot connect", dormouse_error(client));
    dormouse_subscribe_options options = {0};
    options.struct_size = sizeof(options);
    options.name = "exactly-once-example";
    /* From our own position, whatever the server remembers. */
    options.reposition = true;
    options.start = DORMOUSE_POSITION;
    options.start_value = position + 1;
    /* If the log is another one than we know (a restored backup), this says so instead of going wrong. */
    options.last_seen = position;
    options.last_incarnation.data = incarnation;
    options.last_incarnation.size = size;
    dormouse_subscription *subscription;
    if (dormouse_subscribe(client, &options, 5000, &subscription) != DORMOUSE_OK)
        die("cannot subscribe", dormouse_error(client));

    dormouse_batch batch;
    dormouse_status status;
    while (left != 0 && (status = dormouse_next_batch(subscription, &batch, -1)) == DORMOUSE_OK) {
        apply(database, position, &batch, dormouse_incarnation(client));
        position = batch.upto;
        /* So that lists and alarms show how far we are; nothing depends on it. */
        dormouse_acknowledge(subscription, batch.upto);
        if (left > 0)
            left = (long)batch.event_count >= left ? 0 : left - (long)batch.event_count;
    }
    if (left != 0)
        die("the subscription ended", dormouse_end_error(subscription));

    dormouse_unsubscribe(subscription);
    dormouse_close(client, 1000);
    dormouse_free(client);
    PQfinish(database);
    return 0;
}
