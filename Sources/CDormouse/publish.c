#include "client.h"

/* How long queued events wait for company while the application only queues. */
#define GATHER_MS 1

static dormouse_status check(dormouse *client, const dormouse_event *events, size_t count)
{
    if (count == 0 || events == NULL)
        return dm_bad(client, "there are no events; give at least one");
    return dm_check_running(client);
}

static bool has_room(dormouse *client, void *context)
{
    const size_t *count = context;
    const struct dm_publisher *publisher = &client->publisher;
    return publisher->event_count == 0
        || (publisher->event_count + *count <= client->options.window_events
            && publisher->event_bytes < client->options.window_bytes);
}

/* Waits for room when there is none and time is left. */
static dormouse_status add(dormouse *client, const dormouse_event *events, size_t count,
                           const struct dm_record *record, int64_t deadline)
{
    for (;;) {
        dormouse_status status = dm_publisher_add(client, events, count, record);
        if (status != DORMOUSE_WINDOW_FULL)
            return status;
        struct dm_failure full = client->failure;
        /* Room for the events, if not for their bytes: then after the next answer. */
        size_t before = client->publisher.event_count;
        status = dm_wait(client, has_room, &count, deadline);
        if (status == DORMOUSE_OK && client->publisher.event_count == before)
            status = dm_wait_for_answer(client, deadline);
        if (status == DORMOUSE_TIMEOUT) {
            client->failure = full;
            return DORMOUSE_WINDOW_FULL;
        }
        if (status != DORMOUSE_OK)
            return status;
    }
}

static bool has_fewer(dormouse *client, void *context)
{
    return client->publisher.event_count < *(const size_t *)context;
}

dormouse_status dm_wait_for_answer(dormouse *client, int64_t deadline)
{
    size_t before = client->publisher.event_count;
    return dm_wait(client, has_fewer, &before, deadline);
}

dormouse_status dormouse_publish_async(dormouse *client, const dormouse_event *events,
                                       size_t count, int timeout_ms,
                                       dormouse_published_callback callback, void *context)
{
    if (client == NULL)
        return DORMOUSE_BAD_ARGUMENT;
    dormouse_status status = check(client, events, count);
    if (status != DORMOUSE_OK)
        return status;
    struct dm_record record = {callback, context, NULL, 0, 0};
    int64_t now = dm_now_about();
    status = add(client, events, count, callback == NULL ? NULL : &record,
                 timeout_ms == 0 ? 0 : dm_deadline(dm_now(), timeout_ms));
    if (status != DORMOUSE_OK)
        return status;
    /*
     * The first goes at once; the next gather until it is answered, are many, or some time is over. A socket that took
     * no more is not asked again for each event.
     */
    const struct dm_publisher *publisher = &client->publisher;
    bool is_many = publisher->newest != publisher->unsent
        && publisher->under_way < DM_GROUPS_UNDER_WAY_MAX;
    if (publisher->under_way == 0 || (is_many && !client->is_blocked)
        || now - client->worked_at > GATHER_MS)
        dm_work(client, dm_now());
    return DORMOUSE_OK;
}

static bool is_told(dormouse *client, void *context)
{
    (void)client;
    return ((const struct dm_waiter *)context)->is_done;
}

dormouse_status dormouse_publish(dormouse *client, const dormouse_event *events, size_t count,
                                 int timeout_ms, dormouse_published *result)
{
    if (client == NULL)
        return DORMOUSE_BAD_ARGUMENT;
    dormouse_status status = check(client, events, count);
    if (status != DORMOUSE_OK)
        return status;
    int64_t deadline = dm_deadline(dm_now(), timeout_ms);
    struct dm_waiter waiter = {0};
    struct dm_record record = {NULL, NULL, &waiter, 0, 0};
    status = add(client, events, count, &record, deadline);
    if (status != DORMOUSE_OK)
        return status;
    status = dm_wait(client, is_told, &waiter, deadline);
    if (!waiter.is_done) {
        dm_publisher_forget(client, &waiter);
        return status == DORMOUSE_TIMEOUT ? dm_timed_out(client, "the publish was not answered") : status;
    }
    if (waiter.failure.status != DORMOUSE_OK)
        client->failure = waiter.failure;
    if (result != NULL) {
        *result = waiter.result;
        result->error = waiter.failure.status == DORMOUSE_OK ? "" : client->failure.text;
    }
    return waiter.failure.status;
}

size_t dormouse_pending_events(const dormouse *client)
{
    return client->publisher.event_count;
}

size_t dormouse_pending_bytes(const dormouse *client)
{
    return client->publisher.event_bytes;
}
