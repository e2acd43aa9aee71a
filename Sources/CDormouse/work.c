#include "service.h"

#include <poll.h>

/* In one turn, so that a fast server can not keep us from everything else. */
#define TURN_BYTES_MAX ((size_t)4 << 20)
/* Rounds of filling and writing in one turn. */
#define TURN_ROUNDS_MAX 16

/* ---- what the session tells ---- */

static void opened(void *context)
{
    dormouse *client = context;
    client->state = DORMOUSE_OPEN;
    client->connections++;
    client->opened_at = client->worked_at;
    client->hosts_tried = 0;
    client->frame_bytes_max = client->session.welcome.frame_bytes_max;
    client->publisher.state = DM_UNKNOWN;
    dm_fail_clear(&client->failure);
}

static void answered(void *context, const struct dm_request *request,
                     const struct dm_failure *failure, const uint8_t *bytes, size_t size)
{
    dormouse *client = context;
    if (request->kind == DM_KIND_PUBLISH)
        dm_publisher_answered(client, request->owner, failure, bytes, size);
    else if (request->kind == DM_KIND_PRODUCER)
        dm_publisher_asked(client, failure, bytes, size);
    else if (request->kind == DM_KIND_CALL)
        dm_call_answered(client, request->owner, failure, bytes, size);
}

static dormouse_status delivered(void *context, const struct dm_request *request,
                                 const uint8_t *bytes, size_t size)
{
    dormouse *client = context;
    struct dm_failure *failure = &client->session.failure;
    return request->kind == DM_KIND_STREAM
        ? dm_service_delivered(request->owner, bytes, size, failure)
        : dm_subscription_delivered(request->owner, bytes, size, failure);
}

static void ended(void *context, const struct dm_request *request,
                  const struct dm_failure *failure)
{
    (void)context;
    if (request->kind == DM_KIND_STREAM)
        dm_service_ended(request->owner, failure);
    else
        dm_subscription_ended(request->owner, failure);
}

const struct dm_session_owner dm_session_owner_client = {opened, answered, delivered, ended};

/* ---- reading and writing ---- */

/* False when the connection is lost. */
static bool read_all(dormouse *client, int64_t now)
{
    for (size_t total = 0; total < TURN_BYTES_MAX;) {
        size_t space;
        size_t done = 0;
        uint8_t *bytes = dm_session_space(&client->session, &space);
        if (bytes == NULL) {
            struct dm_failure failure;
            dm_fail_memory(&failure);
            dm_connection_lost(client, &failure, now);
            return false;
        }
        switch (dm_transport_read(&client->transport, bytes, space, &done)) {
        case DM_IO_AGAIN: return true;
        case DM_IO_ENDED:
        case DM_IO_FAILED: {
            /* The session may know better why: a GOAWAY came before. */
            const struct dm_failure *reason = &client->transport.failure;
            if (client->session.failure.status != DORMOUSE_OK)
                reason = &client->session.failure;
            dm_connection_lost(client, reason, now);
            return false;
        }
        case DM_IO_DONE: break;
        }
        if (dm_session_received(&client->session, done, now) != DORMOUSE_OK) {
            dm_connection_lost(client, &client->session.failure, now);
            return false;
        }
        total += done;
        if (done < space && client->transport.tls == NULL)
            return true;
    }
    return true;
}

void dm_write(dormouse *client, int64_t now)
{
    struct dm_buffer *out = &client->session.out;
    client->is_blocked = false;
    while (client->stage == DM_STAGE_TALKING && dm_buffer_size(out) > 0) {
        size_t done = 0;
        switch (dm_transport_write(&client->transport, out->bytes + out->start, dm_buffer_size(out),
                                   &done)) {
        case DM_IO_DONE: dm_buffer_take(out, done); break;
        case DM_IO_AGAIN: client->is_blocked = true; return;
        case DM_IO_ENDED:
        case DM_IO_FAILED: {
            struct dm_failure failure = client->transport.failure;
            /* It has often said why before it closed. */
            if (read_all(client, now))
                dm_connection_lost(client, &failure, now);
            return;
        }
        }
    }
}

/* ---- turns ---- */

static bool wants_to_send(const dormouse *client)
{
    if (!dm_is_open(client))
        return false;
    if (dm_calls_want_to_send(client) || dm_publisher_wants_to_send(client)
        || dm_service_wants_to_send(client))
        return true;
    for (const dormouse_subscription *each = client->subscriptions; each != NULL; each = each->next)
        if (dm_subscription_wants_to_send(each, client->worked_at))
            return true;
    return false;
}

static void pump(dormouse *client, int64_t now)
{
    if (!dm_is_open(client))
        return;
    dm_calls_pump(client);
    dm_service_pump(client);
    for (dormouse_subscription *each = client->subscriptions; each != NULL; each = each->next)
        dm_subscription_pump(each, now);
    dm_publisher_pump(client, now);
}

/* The server is leaving: so do we when everything that was asked is answered. */
static void leave(dormouse *client, int64_t now)
{
    client->state = DORMOUSE_LEAVING;
    if (client->publisher.under_way > 0 || client->publisher.state == DM_ASKING)
        return;
    for (const struct dm_call *each = client->calls; each != NULL; each = each->next)
        if (each->stream != 0)
            return;
    struct dm_failure reason = client->session.failure;
    if (reason.status == DORMOUSE_OK)
        dm_fail(&reason, DORMOUSE_DRAINING, "the server is stopping");
    dm_connection_lost(client, &reason, now);
}

void dm_work(dormouse *client, int64_t now)
{
    client->worked_at = now;
    dm_connection_step(client, now);
    if (client->stage != DM_STAGE_TALKING)
        return;
    if (!read_all(client, now))
        return;
    if (dm_session_tick(&client->session, now) != DORMOUSE_OK) {
        dm_connection_lost(client, &client->session.failure, now);
        return;
    }
    for (int round = 0; round < TURN_ROUNDS_MAX; round++) {
        pump(client, now);
        dm_write(client, now);
        if (client->stage != DM_STAGE_TALKING || client->is_blocked || !wants_to_send(client))
            break;
    }
    if (client->stage == DM_STAGE_TALKING && client->session.state == DM_DRAINING)
        leave(client, now);
}

void dm_sweep(dormouse *client)
{
    if (client->is_dispatching)
        return;
    dormouse_subscription **link = &client->subscriptions;
    while (*link != NULL) {
        dormouse_subscription *each = *link;
        if (!each->is_freed || each->waited_for > 0) {
            link = &each->next;
            continue;
        }
        *link = each->next;
        dm_subscription_destroy(each);
    }
}

void dm_dispatch(dormouse *client)
{
    if (client->is_dispatching)
        return;
    client->is_dispatching = true;
    dm_calls_dispatch(client);
    dm_service_dispatch(client);
    dm_publisher_dispatch(client);
    for (dormouse_subscription *each = client->subscriptions; each != NULL; each = each->next)
        dm_subscription_dispatch(each);
    client->is_dispatching = false;
    dm_sweep(client);
}

/* ---- waiting ---- */

dormouse_status dm_check_running(dormouse *client)
{
    switch (client->state) {
    case DORMOUSE_IDLE:
        return dm_fail(&client->failure, DORMOUSE_CLOSED, "not connected; call dormouse_connect first");
    case DORMOUSE_ENDED:
        return dm_fail(&client->failure, DORMOUSE_CLOSED, "the handle was closed; make another one");
    case DORMOUSE_FAILED:
        return client->failure.status == DORMOUSE_OK ? DORMOUSE_CLOSED : client->failure.status;
    case DORMOUSE_CONNECTING:
    case DORMOUSE_OPEN:
    case DORMOUSE_LEAVING:
    case DORMOUSE_WAITING: break;
    }
    return DORMOUSE_OK;
}

dormouse_status dm_timed_out(dormouse *client, const char *what)
{
    if (client->state == DORMOUSE_OPEN || client->failure.status == DORMOUSE_OK
        || client->failure.status == DORMOUSE_TIMEOUT)
        return dm_fail(&client->failure, DORMOUSE_TIMEOUT, "%s in time", what);
    return dm_fail(&client->failure, DORMOUSE_TIMEOUT, "%s in time; there is no connection: %s", what,
                   client->failure.text);
}

dormouse_status dm_wait(dormouse *client, dm_condition is_done, void *context, int64_t deadline)
{
    for (;;) {
        dm_work(client, dm_now());
        dm_dispatch(client);
        if (is_done(client, context))
            return DORMOUSE_OK;
        dormouse_status status = dm_check_running(client);
        if (status != DORMOUSE_OK)
            return status;
        int64_t now = dm_now();
        if (now >= deadline)
            return DORMOUSE_TIMEOUT;
        int timeout = dm_timeout(now, deadline);
        int next = dormouse_next_timeout(client);
        if (timeout < 0 || (next >= 0 && next < timeout))
            timeout = next;
        unsigned wants = dormouse_wants(client);
        struct pollfd one = {dormouse_fd(client), 0, 0};
        one.events = (short)(((wants & DORMOUSE_READABLE) ? POLLIN : 0)
                             | ((wants & DORMOUSE_WRITABLE) ? POLLOUT : 0));
        /* An interruption by a signal is only a turn that comes early. */
        (void)poll(&one, one.fd >= 0 ? 1 : 0, timeout);
    }
}

/* ---- for the application's loop ---- */

int dormouse_fd(const dormouse *client)
{
    return client->transport.fd;
}

unsigned dormouse_wants(const dormouse *client)
{
    switch (client->stage) {
    case DM_STAGE_NONE: return 0;
    case DM_STAGE_CONNECTING: return DORMOUSE_WRITABLE;
    case DM_STAGE_SECURING:
        return client->transport.read_wants_write ? DORMOUSE_WRITABLE : DORMOUSE_READABLE;
    case DM_STAGE_TALKING: break;
    }
    unsigned wants = DORMOUSE_READABLE;
    bool has_output = dm_buffer_size(&client->session.out) > 0 && !client->transport.write_wants_read;
    if (has_output || client->transport.read_wants_write
        || (!client->is_blocked && wants_to_send(client)))
        wants |= DORMOUSE_WRITABLE;
    return wants;
}

static bool has_callbacks_due(const dormouse *client)
{
    if (client->is_dispatching)
        return false;
    if (client->publisher.told != NULL || client->completed != NULL || dm_service_has_due(client))
        return true;
    for (const dormouse_subscription *each = client->subscriptions; each != NULL; each = each->next)
        if (!each->is_being_made && !each->is_freed
            && ((each->on_events != NULL && each->oldest != NULL)
                || (each->state == DM_ENDED && each->on_end != NULL && !each->is_end_told)))
            return true;
    return false;
}

int dormouse_next_timeout(const dormouse *client)
{
    int64_t deadline = dm_connection_deadline(client);
    if (has_callbacks_due(client) || dm_tls_has_more(&client->transport))
        return 0;
    int64_t other = dm_publisher_deadline(client);
    deadline = other < deadline ? other : deadline;
    for (const dormouse_subscription *each = client->subscriptions; each != NULL; each = each->next) {
        other = dm_subscription_deadline(each);
        deadline = other < deadline ? other : deadline;
    }
    return dm_timeout(dm_now(), deadline);
}

dormouse_status dormouse_process(dormouse *client)
{
    if (client == NULL)
        return DORMOUSE_BAD_ARGUMENT;
    dm_work(client, dm_now());
    dm_dispatch(client);
    return client->state == DORMOUSE_IDLE ? DORMOUSE_OK : dm_check_running(client);
}

static bool is_true(dormouse *client, void *context)
{
    (void)client;
    return *(const bool *)context;
}

dormouse_status dormouse_wait_for(dormouse *client, const bool *flag, int timeout_ms)
{
    if (client == NULL)
        return DORMOUSE_BAD_ARGUMENT;
    if (flag == NULL)
        return dm_bad(client, "the flag to wait for is NULL");
    dormouse_status status = dm_check_running(client);
    if (status != DORMOUSE_OK)
        return status;
    union {
        const bool *flag;
        void *context;
    } unconst = {flag};
    status = dm_wait(client, is_true, unconst.context, dm_deadline(dm_now(), timeout_ms));
    return status == DORMOUSE_TIMEOUT ? dm_timed_out(client, "what is waited for did not happen")
                                      : status;
}
