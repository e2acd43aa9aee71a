#include "service.h"

#include <stdlib.h>
#include <unistd.h>

dormouse *dormouse_new(void)
{
    dormouse *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return NULL;
    dm_options_init(&client->options);
    dm_transport_init(&client->transport);
    dm_publisher_init(client);
    client->arena = dormouse_arena_new();
    if (!dm_session_init(&client->session, &dm_session_owner_client, client)
        || client->arena == NULL) {
        dormouse_free(client);
        return NULL;
    }
    client->random = (uint64_t)dm_now() ^ (uint64_t)(uintptr_t)client ^ (uint64_t)getpid() << 32;
    if (client->random == 0)
        client->random = 1;
    return client;
}

void dormouse_free(dormouse *client)
{
    if (client == NULL)
        return;
    dm_connection_close(client);
    struct dm_failure failure;
    dm_fail(&failure, DORMOUSE_CLOSED, "the handle is freed");
    dm_session_close(&client->session, DORMOUSE_CLOSED, failure.text);
    while (client->subscriptions != NULL) {
        dormouse_subscription *next = client->subscriptions->next;
        dm_subscription_destroy(client->subscriptions);
        client->subscriptions = next;
    }
    dm_publisher_free(client);
    client->state = DORMOUSE_ENDED;
    dm_service_free(client);
    dm_calls_free(client);
    dm_connection_forget(client);
    dm_session_free(&client->session);
    dormouse_arena_free(client->arena);
    dm_options_free(&client->options);
    free(client);
}

static dormouse_status check_idle(dormouse *client)
{
    return client->state == DORMOUSE_IDLE
        ? DORMOUSE_OK
        : dm_bad(client, "options are set before dormouse_connect");
}

dormouse_status dormouse_set_uri(dormouse *client, const char *uri)
{
    if (client == NULL)
        return DORMOUSE_BAD_ARGUMENT;
    if (uri == NULL)
        return dm_bad(client, "the URI is NULL");
    dormouse_status status = check_idle(client);
    return status != DORMOUSE_OK ? status
                                 : dm_options_set_uri(&client->options, uri, &client->failure);
}

dormouse_status dormouse_set(dormouse *client, const char *option, const char *value)
{
    if (client == NULL)
        return DORMOUSE_BAD_ARGUMENT;
    if (option == NULL || value == NULL)
        return dm_bad(client, "the option or its value is NULL");
    dormouse_status status = check_idle(client);
    return status != DORMOUSE_OK
        ? status
        : dm_options_set(&client->options, option, value, &client->failure);
}

static bool is_open(dormouse *client, void *context)
{
    (void)context;
    return client->state == DORMOUSE_OPEN;
}

dormouse_status dormouse_connect(dormouse *client, int timeout_ms)
{
    if (client == NULL)
        return DORMOUSE_BAD_ARGUMENT;
    if (client->options.host_count == 0)
        return dm_bad(client, "there is no host; call dormouse_set_uri first");
    if (client->state == DORMOUSE_IDLE || client->state == DORMOUSE_FAILED) {
        dm_fail_clear(&client->failure);
        client->hosts_tried = 0;
        client->rounds = 0;
        client->retry_at = dm_now();
        client->state = DORMOUSE_WAITING;
    }
    dormouse_status status = dm_wait(client, is_open, NULL, dm_deadline(dm_now(), timeout_ms));
    if (status != DORMOUSE_TIMEOUT)
        return status;
    /* What kept it from connecting says more than that time is over. */
    if (client->failure.status != DORMOUSE_OK && client->failure.status != DORMOUSE_TIMEOUT)
        return client->failure.status;
    return dm_fail(&client->failure, DORMOUSE_TIMEOUT, "not connected in time");
}

/* ---- finishing ---- */

bool dm_is_flushed(dormouse *client, void *context)
{
    (void)context;
    if (client->publisher.oldest != NULL || client->publisher.told != NULL
        || dm_calls_have_closures(client) || client->completed != NULL)
        return false;
    for (const dormouse_subscription *each = client->subscriptions; each != NULL; each = each->next)
        if (dm_subscription_has_unsent(each))
            return false;
    return client->state != DORMOUSE_OPEN || dm_buffer_size(&client->session.out) == 0;
}

static void hurry(dormouse *client)
{
    for (dormouse_subscription *each = client->subscriptions; each != NULL; each = each->next)
        dm_subscription_hurry(each);
}

dormouse_status dormouse_flush(dormouse *client, int timeout_ms)
{
    if (client == NULL)
        return DORMOUSE_BAD_ARGUMENT;
    dormouse_status status = dm_check_running(client);
    if (status == DORMOUSE_OK) {
        hurry(client);
        /* Inside a callback, those that are due can not be called before it returns. */
        status = dm_wait(client, client->is_dispatching ? dm_is_answered : dm_is_flushed, NULL,
                         dm_deadline(dm_now(), timeout_ms));
        if (status == DORMOUSE_TIMEOUT)
            status = dm_timed_out(client, "not everything was answered");
    }
    struct dm_failure *failure = &client->publisher.failure;
    if (failure->status == DORMOUSE_OK)
        return status;
    client->failure = *failure;
    dm_fail_clear(failure);
    return client->failure.status;
}

bool dm_is_answered(dormouse *client, void *context)
{
    (void)context;
    return client->publisher.oldest == NULL && !dm_calls_have_closures(client)
        && dm_buffer_size(&client->session.out) == 0;
}

dormouse_status dormouse_close(dormouse *client, int timeout_ms)
{
    if (client == NULL)
        return DORMOUSE_BAD_ARGUMENT;
    if (client->is_dispatching)
        return dm_bad(client, "a handle is not closed inside one of its callbacks; let the callback set a flag");
    dormouse_status status = DORMOUSE_OK;
    int64_t deadline = dm_deadline(dm_now(), timeout_ms);
    if (dm_check_running(client) == DORMOUSE_OK) {
        status = dormouse_flush(client, timeout_ms);
        for (dormouse_subscription *each = client->subscriptions; each != NULL; each = each->next) {
            struct dm_failure failure;
            dm_fail(&failure, DORMOUSE_CLOSED, "the handle was closed");
            dm_subscription_end(each, &failure);
        }
        if (dm_is_open(client) && dm_wait(client, dm_is_flushed, NULL, deadline) != DORMOUSE_OK
            && status == DORMOUSE_OK)
            status = dm_timed_out(client, "not everything was sent");
    }
    dm_connection_close(client);
    struct dm_failure closed;
    dm_fail(&closed, DORMOUSE_CLOSED, "the handle was closed");
    dm_session_close(&client->session, closed.status, closed.text);
    client->state = DORMOUSE_ENDED;
    dm_publisher_lost(client, &closed);
    dm_publisher_give_up(client, &closed);
    dm_calls_lost(client, &closed, true);
    dm_service_lost(client, &closed, true);
    dm_dispatch(client);
    return status;
}

/* ---- looking ---- */

dormouse_state dormouse_get_state(const dormouse *client)
{
    return client->state;
}

const char *dormouse_error(const dormouse *client)
{
    return client == NULL ? "the handle is NULL" : client->failure.text;
}

dormouse_status dormouse_error_status(const dormouse *client)
{
    return client == NULL ? DORMOUSE_BAD_ARGUMENT : client->failure.status;
}

const char *dormouse_server_name(const dormouse *client)
{
    return client->session.welcome.server;
}

size_t dormouse_frame_bytes_max(const dormouse *client)
{
    return client->frame_bytes_max;
}

uint64_t dormouse_connections(const dormouse *client)
{
    return client->connections;
}

dormouse_bytes dormouse_incarnation(const dormouse *client)
{
    dormouse_bytes bytes = {client->session.welcome.incarnation,
                            client->session.welcome.incarnation_size};
    return bytes;
}

dormouse_bytes dormouse_text(const char *text)
{
    dormouse_bytes bytes = {text, text == NULL ? 0 : strlen(text)};
    return bytes;
}
