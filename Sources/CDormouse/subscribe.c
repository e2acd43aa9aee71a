#include "client.h"
#include "subscribe_request.h"

#include <stdlib.h>

/* A consumer that finds its queue full for long must still answer heartbeats. */
#define WORK_MS 10

/* Fields that came later are at the end: an older program's structure ends before them. */
#define LEAST_SIZE \
    (offsetof(dormouse_subscribe_options, context) + sizeof(((dormouse_subscribe_options *)0)->context))

static bool is_decided(dormouse *client, void *context)
{
    (void)client;
    const dormouse_subscription *subscription = context;
    return subscription->state == DM_LIVE || subscription->state == DM_ENDED;
}

/* Now, or when nothing that is still running uses it: see dm_sweep. */
static void release(dormouse_subscription *subscription)
{
    subscription->is_freed = true;
    dm_sweep(subscription->client);
}

static dormouse_subscription *make(dormouse *client, const dormouse_subscribe_options *options)
{
    dormouse_subscription *subscription = calloc(1, sizeof(*subscription));
    if (subscription == NULL) {
        dm_fail_memory(&client->failure);
        return NULL;
    }
    subscription->client = client;
    subscription->is_being_made = true;
    subscription->on_events = options->on_events;
    subscription->on_end = options->on_end;
    subscription->context = options->context;
    subscription->request = dm_subscribe_request_new(
        options, dm_exchange(client, options->exchange), &client->failure);
    if (subscription->request == NULL) {
        free(subscription);
        return NULL;
    }
    /* At the end, so that all of them get their turn in the order in which they came. */
    dormouse_subscription **link = &client->subscriptions;
    while (*link != NULL)
        link = &(*link)->next;
    *link = subscription;
    return subscription;
}

dormouse_status dormouse_subscribe(dormouse *client, const dormouse_subscribe_options *options,
                                   int timeout_ms, dormouse_subscription **subscription)
{
    if (client == NULL)
        return DORMOUSE_BAD_ARGUMENT;
    if (options == NULL || subscription == NULL || options->struct_size < LEAST_SIZE)
        return dm_bad(client, "the options or the result are NULL, or struct_size is not set to the size "
                              "of dormouse_subscribe_options");
    *subscription = NULL;
    dormouse_status status = dm_check_running(client);
    if (status != DORMOUSE_OK)
        return status;
    dormouse_subscription *made = make(client, options);
    if (made == NULL)
        return client->failure.status;
    status = dm_wait(client, is_decided, made, dm_deadline(dm_now(), timeout_ms));
    made->is_being_made = false;
    if (status == DORMOUSE_OK && made->state == DM_ENDED) {
        client->failure = made->failure;
        status = made->failure.status;
    }
    if (status == DORMOUSE_OK || status == DORMOUSE_TIMEOUT) {
        *subscription = made;
        return DORMOUSE_OK;
    }
    made->on_end = NULL;
    release(made);
    return status;
}

void dormouse_unsubscribe(dormouse_subscription *subscription)
{
    if (subscription == NULL || subscription->is_freed)
        return;
    dormouse *client = subscription->client;
    struct dm_failure failure;
    dm_fail(&failure, DORMOUSE_CANCELLED, "the subscription was freed");
    dm_subscription_hurry(subscription);
    if (subscription->state == DM_LIVE)
        dm_subscription_pump(subscription, dm_now());
    dm_subscription_end(subscription, &failure);
    release(subscription);
    dm_write(client, dm_now());
}

/* ---- taking ---- */

struct taking {
    dormouse_subscription *subscription;
    dormouse_batch *batch;
    bool has_batch;
    dormouse_status status;
};

static bool take(dormouse *client, void *context)
{
    (void)client;
    struct taking *taking = context;
    taking->status =
        dm_subscription_take(taking->subscription, taking->batch, &taking->has_batch);
    return taking->has_batch || taking->status != DORMOUSE_OK;
}

static dormouse_status take_batch(dormouse_subscription *subscription, dormouse_batch *batch,
                                  int timeout_ms)
{
    dormouse *client = subscription->client;
    struct taking taking = {subscription, batch, false, DORMOUSE_OK};
    if (take(client, &taking)) {
        int64_t now = dm_now_about();
        if (now - client->worked_at > WORK_MS || dm_subscription_wants_to_send(subscription, now))
            dm_work(client, dm_now());
        return taking.status;
    }
    subscription->waited_for++;
    dormouse_status status = dm_wait(client, take, &taking, dm_deadline(dm_now(), timeout_ms));
    subscription->waited_for--;
    /* Another one's callback may have freed it meanwhile. */
    if (subscription->is_freed)
        dm_sweep(client);
    if (taking.has_batch || taking.status != DORMOUSE_OK)
        return taking.status;
    return status == DORMOUSE_TIMEOUT ? dm_timed_out(client, "there was no event") : status;
}

static dormouse_status check_taking(dormouse_subscription *subscription, const void *result)
{
    if (result == NULL)
        return dm_bad(subscription->client, "the result is NULL");
    if (subscription->on_events != NULL)
        return dm_bad(subscription->client, "this subscription hands its events to on_events");
    return DORMOUSE_OK;
}

dormouse_status dormouse_next_batch(dormouse_subscription *subscription, dormouse_batch *batch,
                                    int timeout_ms)
{
    if (subscription == NULL)
        return DORMOUSE_BAD_ARGUMENT;
    dormouse_status status = check_taking(subscription, batch);
    if (status != DORMOUSE_OK)
        return status;
    dormouse_batch *walked = &subscription->batch;
    if (subscription->batch_at < walked->event_count && subscription->state != DM_ENDED) {
        /* What dormouse_next has left. */
        *batch = *walked;
        batch->events += subscription->batch_at;
        batch->event_count -= subscription->batch_at;
        subscription->batch_at = walked->event_count;
        return DORMOUSE_OK;
    }
    subscription->batch_at = walked->event_count = 0;
    return take_batch(subscription, batch, timeout_ms);
}

dormouse_status dormouse_next(dormouse_subscription *subscription, const dormouse_event **event,
                              int timeout_ms)
{
    if (subscription == NULL)
        return DORMOUSE_BAD_ARGUMENT;
    dormouse_status status = check_taking(subscription, event);
    if (status != DORMOUSE_OK)
        return status;
    *event = NULL;
    if (subscription->state == DM_ENDED)
        return subscription->failure.status;
    dormouse_batch *walked = &subscription->batch;
    if (subscription->batch_at >= walked->event_count) {
        subscription->batch_at = walked->event_count = 0;
        status = take_batch(subscription, walked, timeout_ms);
        if (status != DORMOUSE_OK)
            return status;
    } else if (dm_now_about() - subscription->client->worked_at > WORK_MS) {
        dm_work(subscription->client, dm_now());
    }
    *event = &walked->events[subscription->batch_at++];
    return DORMOUSE_OK;
}

uint64_t dormouse_position(const dormouse_subscription *subscription)
{
    const dormouse_batch *walked = &subscription->batch;
    if (subscription->batch_at < walked->event_count && subscription->batch_at > 0)
        return walked->events[subscription->batch_at - 1].position;
    return subscription->handed;
}

dormouse_status dormouse_acknowledge(dormouse_subscription *subscription, uint64_t upto)
{
    if (subscription == NULL)
        return DORMOUSE_BAD_ARGUMENT;
    dormouse *client = subscription->client;
    if (subscription->state == DM_ENDED)
        return subscription->failure.status;
    if (upto > dormouse_position(subscription))
        return dm_fail(&client->failure, DORMOUSE_BAD_ARGUMENT,
                       "position %llu was not handed out yet; the last is %llu",
                       (unsigned long long)upto,
                       (unsigned long long)dormouse_position(subscription));
    if (subscription->request->acknowledge_on_send)
        return dm_bad(client, "the server acknowledges by itself: acknowledge_on_send was asked for");
    if (upto <= subscription->acknowledged)
        return DORMOUSE_OK;
    subscription->acknowledged = upto;
    int64_t now = dm_now_about();
    if (dm_subscription_wants_to_send(subscription, now)) {
        dm_subscription_pump(subscription, now);
        dm_write(client, now);
    }
    return DORMOUSE_OK;
}

bool dormouse_is_live(const dormouse_subscription *subscription)
{
    return subscription->state == DM_LIVE;
}

dormouse_status dormouse_end_status(const dormouse_subscription *subscription)
{
    return subscription->state == DM_ENDED ? subscription->failure.status : DORMOUSE_OK;
}

const char *dormouse_end_error(const dormouse_subscription *subscription)
{
    return subscription->state == DM_ENDED ? subscription->failure.text : "";
}
