#include "service.h"

#include <errno.h>
#include <netdb.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* A connection that lived so long was a good one: the next pause is a short one again. */
#define GOOD_MS 1000

/* ---- pauses ---- */

static uint64_t next_random(dormouse *client)
{
    /* xorshift64; only spreads reconnects over time. */
    uint64_t x = client->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    client->random = x;
    return x;
}

int64_t dm_jitter(dormouse *client, int64_t ms)
{
    return ms / 2 + (int64_t)(next_random(client) % (uint64_t)(ms / 2 + 1));
}

int64_t dm_back_off(dormouse *client, unsigned failures)
{
    int64_t pause = client->options.reconnect_min_ms;
    for (unsigned i = 1; i < failures && pause < client->options.reconnect_max_ms; i++)
        pause *= 2;
    if (pause > client->options.reconnect_max_ms)
        pause = client->options.reconnect_max_ms;
    return dm_jitter(client, pause);
}

/* ---- ending ---- */

void dm_connection_forget(dormouse *client)
{
    if (client->addresses != NULL)
        freeaddrinfo(client->addresses);
    client->addresses = client->next_address = NULL;
}

void dm_connection_close(dormouse *client)
{
    dm_transport_close(&client->transport);
    client->stage = DM_STAGE_NONE;
    client->is_blocked = false;
}

static void give_up(dormouse *client)
{
    client->state = DORMOUSE_FAILED;
    dm_connection_forget(client);
    dm_publisher_give_up(client, &client->failure);
    dm_calls_lost(client, &client->failure, true);
    dm_service_lost(client, &client->failure, true);
    for (dormouse_subscription *each = client->subscriptions; each != NULL; each = each->next)
        dm_subscription_end(each, &client->failure);
}

/* What another try will not change. */
static bool is_final(dormouse_status status)
{
    return status == DORMOUSE_UNAUTHENTICATED || status == DORMOUSE_PERMISSION_DENIED
        || status == DORMOUSE_INVALID_ARGUMENT || status == DORMOUSE_UNIMPLEMENTED
        || status == DORMOUSE_FAILED_PRECONDITION || status == DORMOUSE_BAD_ARGUMENT;
}

/* The attempt has failed: the next address, the next host, or a pause after all of them. */
static void attempt_failed(dormouse *client, const struct dm_failure *failure, int64_t now)
{
    struct dm_options *options = &client->options;
    const struct dm_host *host = &options->hosts[client->host_index];
    dm_fail(&client->failure, failure->status, "%s%s%s: %s", host->name,
            host->port == NULL ? "" : ":", dm_text_or_empty(host->port), failure->text);
    dm_connection_close(client);
    dm_session_close(&client->session, client->failure.status, client->failure.text);
    if (is_final(failure->status)) {
        give_up(client);
        return;
    }
    client->retry_at = now;
    if (client->next_address == NULL) {
        dm_connection_forget(client);
        client->host_index = (client->host_index + 1) % options->host_count;
        if (++client->hosts_tried >= options->host_count) {
            if (!options->reconnect) {
                give_up(client);
                return;
            }
            client->hosts_tried = 0;
            client->rounds++;
            client->retry_at = now + dm_back_off(client, client->rounds);
        }
    }
    client->state = DORMOUSE_WAITING;
}

void dm_connection_lost(dormouse *client, const struct dm_failure *failure, int64_t now)
{
    if (client->stage != DM_STAGE_TALKING || client->state == DORMOUSE_CONNECTING) {
        attempt_failed(client, failure, now);
        return;
    }
    struct dm_failure reason = *failure;
    client->failure = reason;
    dm_connection_close(client);
    dm_session_close(&client->session, reason.status, reason.text);
    dm_publisher_lost(client, &reason);
    dm_calls_lost(client, &reason, false);
    dm_service_lost(client, &reason, false);
    for (dormouse_subscription *each = client->subscriptions; each != NULL; each = each->next) {
        /* What comes from one that does not follow the protocol is not trusted a second time. */
        if (reason.status == DORMOUSE_PROTOCOL_ERROR)
            dm_subscription_end(each, &reason);
        else
            dm_subscription_lost(each);
    }
    if (!client->options.reconnect || is_final(reason.status)) {
        give_up(client);
        return;
    }
    if (now - client->opened_at >= GOOD_MS)
        client->rounds = 0;
    client->rounds++;
    dm_connection_forget(client);
    client->hosts_tried = 0;
    client->host_index = (client->host_index + 1) % client->options.host_count;
    client->retry_at = now + dm_back_off(client, client->rounds);
    client->state = DORMOUSE_WAITING;
}

/* ---- connecting ---- */

static void fail_attempt(dormouse *client, int64_t now, dormouse_status status, const char *text)
{
    struct dm_failure failure;
    dm_fail(&failure, status, "%s", text);
    attempt_failed(client, &failure, now);
}

/* The addresses of the next host; may block in the resolver. */
static bool resolve(dormouse *client, int64_t now)
{
    const struct dm_host *host = &client->options.hosts[client->host_index];
    struct addrinfo hints;
    memset(&hints, 0, sizeof(hints));
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    int error = getaddrinfo(host->name, host->port, &hints, &client->addresses);
    if (error == 0) {
        client->next_address = client->addresses;
        return true;
    }
    client->addresses = NULL;
    fail_attempt(client, now, DORMOUSE_CANNOT_CONNECT, gai_strerror(error));
    return false;
}

/*
 * The token, from its file when there is one: a new token there is used by the next connection. false, with the failure set,
 * when the file has none.
 */
static bool find_token(const dormouse *client, char *room, size_t size, const char **token,
                       struct dm_failure *failure)
{
    const char *path = dm_text_or_empty(client->options.token_file);
    *token = client->options.token;
    if (*path == '\0')
        return true;
    FILE *file = fopen(path, "re");
    size_t count = file == NULL ? 0 : fread(room, 1, size - 1, file);
    bool is_read = file != NULL && ferror(file) == 0 && fgetc(file) == EOF;
    if (file != NULL)
        fclose(file);
    room[count] = '\0';
    room[strcspn(room, "\r\n")] = '\0';
    *token = room;
    if (is_read && *room != '\0')
        return true;
    dm_fail(failure, DORMOUSE_BAD_ARGUMENT, "token_file cannot be read, or is not one line of at most %zu bytes",
            size - 1);
    return false;
}

static void secured(dormouse *client, int64_t now)
{
    char room[DM_TOKEN_BYTES_MAX + 2];
    const char *token;
    struct dm_failure failure;
    if (!find_token(client, room, sizeof(room), &token, &failure)) {
        attempt_failed(client, &failure, now);
        return;
    }
    client->stage = DM_STAGE_TALKING;
    dm_connection_forget(client);
    client->session.heartbeat_ms_max = client->options.heartbeat_ms;
    client->session.wants_compressed = client->options.compression;
    if (dm_session_start(&client->session, client->options.client, token, now) != DORMOUSE_OK)
        attempt_failed(client, &client->session.failure, now);
    OPENSSL_cleanse(room, sizeof(room));
}

static void shake_hands(dormouse *client, int64_t now)
{
    switch (dm_transport_handshake(&client->transport)) {
    case DM_IO_DONE: secured(client, now); break;
    case DM_IO_AGAIN: break;
    case DM_IO_ENDED:
    case DM_IO_FAILED: attempt_failed(client, &client->transport.failure, now); break;
    }
}

static void reached(dormouse *client, int64_t now)
{
    const struct dm_host *host = &client->options.hosts[client->host_index];
    if (client->options.tls == DM_TLS_OFF) {
        secured(client, now);
        return;
    }
    client->stage = DM_STAGE_SECURING;
    if (dm_transport_secure(&client->transport, &client->options, host->name) != DORMOUSE_OK)
        attempt_failed(client, &client->transport.failure, now);
    else
        shake_hands(client, now);
}

/* Who reads on the way would be let in as us; on this machine there is no way. */
static bool would_show_token(const dormouse *client, const struct addrinfo *address)
{
    const struct dm_options *options = &client->options;
    return options->tls == DM_TLS_OFF && !options->insecure_token
        && (*dm_text_or_empty(options->token) != '\0' || *dm_text_or_empty(options->token_file) != '\0')
        && !dm_is_loopback(address->ai_addr);
}

void dm_connection_begin(dormouse *client, int64_t now)
{
    const struct dm_host *host = &client->options.hosts[client->host_index];
    enum dm_io outcome;
    client->state = DORMOUSE_CONNECTING;
    if (host->port == NULL) {
        client->next_address = NULL;
        outcome = dm_transport_connect_unix(&client->transport, host->name);
    } else {
        if (client->next_address == NULL && !resolve(client, now))
            return;
        struct addrinfo *address = client->next_address;
        client->next_address = address->ai_next;
        if (would_show_token(client, address)) {
            fail_attempt(client, now, DORMOUSE_BAD_ARGUMENT,
                         "the token is not sent without TLS to another machine; use dormouses:// or tls=require, or "
                         "insecure_token=yes in a network that you trust");
            return;
        }
        outcome = dm_transport_connect(&client->transport, address);
    }
    client->stage = DM_STAGE_CONNECTING;
    client->attempt_deadline = now + client->options.connect_timeout_ms;
    if (outcome == DM_IO_DONE)
        reached(client, now);
    else if (outcome != DM_IO_AGAIN)
        attempt_failed(client, &client->transport.failure, now);
}

void dm_connection_step(dormouse *client, int64_t now)
{
    if (client->state == DORMOUSE_WAITING) {
        if (client->retry_at <= now)
            dm_connection_begin(client, now);
        return;
    }
    if (client->state != DORMOUSE_CONNECTING)
        return;
    if (client->attempt_deadline <= now) {
        fail_attempt(client, now, DORMOUSE_CANNOT_CONNECT,
                     "no connection and no welcome within connect_timeout_ms");
        return;
    }
    switch (client->stage) {
    case DM_STAGE_CONNECTING: {
        enum dm_io outcome = dm_transport_connected(&client->transport);
        if (outcome == DM_IO_DONE)
            reached(client, now);
        else if (outcome != DM_IO_AGAIN)
            attempt_failed(client, &client->transport.failure, now);
        break;
    }
    case DM_STAGE_SECURING: shake_hands(client, now); break;
    case DM_STAGE_NONE:
    case DM_STAGE_TALKING: break;
    }
}

int64_t dm_connection_deadline(const dormouse *client)
{
    switch (client->state) {
    case DORMOUSE_WAITING: return client->retry_at;
    case DORMOUSE_CONNECTING: return client->attempt_deadline;
    case DORMOUSE_OPEN:
    case DORMOUSE_LEAVING: return dm_session_deadline(&client->session);
    case DORMOUSE_IDLE:
    case DORMOUSE_FAILED:
    case DORMOUSE_ENDED: break;
    }
    return DM_NEVER;
}
