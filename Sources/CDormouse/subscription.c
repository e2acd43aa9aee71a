#include "client.h"
#include "subscribe_request.h"

#include <stdlib.h>

/* Acknowledgements gather for this long. */
#define ACKNOWLEDGE_MS 10

static void free_list(struct dm_delivered *each)
{
    while (each != NULL) {
        struct dm_delivered *next = each->next;
        free(each);
        each = next;
    }
}

static void drop_queue(dormouse_subscription *subscription)
{
    free_list(subscription->oldest);
    subscription->oldest = subscription->newest = NULL;
    subscription->waiting_bytes = 0;
    subscription->waiting_events = 0;
}

void dm_subscription_destroy(dormouse_subscription *subscription)
{
    drop_queue(subscription);
    free(subscription->current);
    free(subscription->events);
    free(subscription->headers);
    dm_subscribe_request_free(subscription->request);
    free(subscription);
}

void dm_subscription_end(dormouse_subscription *subscription, const struct dm_failure *failure)
{
    if (subscription->state == DM_ENDED)
        return;
    if (subscription->stream != 0)
        dm_request_cancel(&subscription->client->session, subscription->stream);
    subscription->stream = 0;
    subscription->state = DM_ENDED;
    subscription->failure = *failure;
    /* A newer consumer, or another place in the log: what was not handed out is not for us. */
    drop_queue(subscription);
}

void dm_subscription_lost(dormouse_subscription *subscription)
{
    if (subscription->state == DM_ENDED)
        return;
    subscription->stream = 0;
    subscription->state = DM_UNSENT;
    drop_queue(subscription);
    subscription->is_stale = true;
    subscription->received = subscription->handed;
    subscription->used_events = 0;
    subscription->used_bytes = 0;
}

void dm_subscription_ended(dormouse_subscription *subscription, const struct dm_failure *failure)
{
    subscription->stream = 0;
    if (failure->status == DORMOUSE_UNAVAILABLE || failure->status == DORMOUSE_DRAINING) {
        dm_subscription_lost(subscription);
        subscription->failures++;
        int64_t pause = dm_back_off(subscription->client, subscription->failures);
        if (pause < failure->retry_after_ms && failure->status != DORMOUSE_DRAINING)
            pause = failure->retry_after_ms;
        subscription->retry_at = dm_now() + pause;
        /* What a wait that ends before then can tell. */
        subscription->failure = *failure;
        return;
    }
    struct dm_failure end = *failure;
    if (end.status == DORMOUSE_OK)
        end.status = DORMOUSE_CANCELLED;
    dm_subscription_end(subscription, &end);
}

/* ---- sending ---- */

static bool is_grant_due(const dormouse_subscription *subscription)
{
    return subscription->used_events >= (subscription->request->credit_events + 1) / 2
        || subscription->used_bytes >= subscription->request->credit_bytes / 2;
}

static uint64_t acknowledgeable(const dormouse_subscription *subscription)
{
    uint64_t upto = subscription->acknowledged;
    if (upto >= subscription->handed_event && upto < subscription->handed)
        upto = subscription->handed;
    /* On a new connection, not before it has come again. */
    return upto < subscription->stream_upto ? upto : subscription->stream_upto;
}

bool dm_subscription_has_unsent(const dormouse_subscription *subscription)
{
    return subscription->state == DM_LIVE && !subscription->request->acknowledge_on_send
        && acknowledgeable(subscription) > subscription->stream_acknowledged;
}

bool dm_subscription_wants_to_send(const dormouse_subscription *subscription, int64_t now)
{
    if (!dm_is_open(subscription->client))
        return false;
    switch (subscription->state) {
    case DM_UNSENT: return subscription->retry_at <= now;
    case DM_LIVE:
        return is_grant_due(subscription)
            || (dm_subscription_has_unsent(subscription)
                && subscription->acknowledged_at + ACKNOWLEDGE_MS <= now);
    case DM_OPENING:
    case DM_ENDED: return false;
    }
    return false;
}

int64_t dm_subscription_deadline(const dormouse_subscription *subscription)
{
    if (!dm_is_open(subscription->client))
        return DM_NEVER;
    if (subscription->state == DM_UNSENT)
        return subscription->retry_at;
    return dm_subscription_has_unsent(subscription)
        ? subscription->acknowledged_at + ACKNOWLEDGE_MS
        : DM_NEVER;
}

static bool send_message(dormouse_subscription *subscription, enum dm_method method,
                         const ProtobufCMessage *message)
{
    struct dm_session *session = &subscription->client->session;
    size_t mark = dm_request_begin(session);
    if (mark != 0 && dm_message_append(&session->out, message))
        return dm_request_finish(session, mark, method, DM_KIND_NONE, NULL) != 0;
    dm_request_drop(session, mark);
    return false;
}

static void send_subscribe(dormouse_subscription *subscription)
{
    struct dm_session *session = &subscription->client->session;
    const struct dm_subscribe_request *request = subscription->request;
    Dormouse__V1__SubscribeRequest message = DORMOUSE__V1__SUBSCRIBE_REQUEST__INIT;
    message.start = (Dormouse__V1__Start)request->start;
    message.start_value = request->start_value;
    message.reposition = request->reposition;
    message.replace_config = request->replace_config && !subscription->was_live;
    message.acknowledgement = request->acknowledge_on_send ? DORMOUSE__V1__ACKNOWLEDGEMENT__ON_SEND
                                                           : DORMOUSE__V1__ACKNOWLEDGEMENT__MANUAL;
    message.credit_events = request->credit_events;
    message.credit_bytes = request->credit_bytes;
    message.acknowledge_within_ms = request->acknowledge_within_ms;
    message.last_seen = subscription->has_start ? subscription->handed : request->last_seen;
    message.last_incarnation.data = subscription->request->last_incarnation;
    message.last_incarnation.len = request->last_incarnation_size;
    /* The server has forgotten one without a name, and one that is repositioned is kept by the
     * application: both go on where they are here. */
    if (subscription->has_start && (!request->has_name || request->reposition)) {
        message.start = DORMOUSE__V1__START__POSITION;
        message.start_value = subscription->handed + 1;
    }
    size_t mark = dm_request_begin(session);
    if (mark == 0
        || !dm_buffer_append(&session->out, request->fixed_part.bytes + request->fixed_part.start,
                             dm_buffer_size(&request->fixed_part))
        || !dm_message_append(&session->out, &message.base)) {
        dm_request_drop(session, mark);
        return;
    }
    subscription->stream =
        dm_request_finish(session, mark, DM_SUBSCRIBE, DM_KIND_SUBSCRIBE, subscription);
    if (subscription->stream == 0)
        return;
    subscription->state = DM_OPENING;
    subscription->stream_has_start = false;
    subscription->stream_upto = 0;
}

static void send_grant(dormouse_subscription *subscription)
{
    Dormouse__V1__GrantRequest grant = DORMOUSE__V1__GRANT_REQUEST__INIT;
    grant.stream = subscription->stream;
    grant.events = subscription->used_events;
    grant.bytes = subscription->used_bytes;
    if (!send_message(subscription, DM_GRANT, &grant.base))
        return;
    subscription->used_events = 0;
    subscription->used_bytes = 0;
}

static void send_acknowledge(dormouse_subscription *subscription, int64_t now)
{
    Dormouse__V1__AcknowledgeRequest acknowledge = DORMOUSE__V1__ACKNOWLEDGE_REQUEST__INIT;
    acknowledge.stream = subscription->stream;
    acknowledge.upto = acknowledgeable(subscription);
    if (!send_message(subscription, DM_ACKNOWLEDGE, &acknowledge.base))
        return;
    subscription->stream_acknowledged = acknowledge.upto;
    subscription->acknowledged_at = now;
}

void dm_subscription_pump(dormouse_subscription *subscription, int64_t now)
{
    if (!dm_subscription_wants_to_send(subscription, now))
        return;
    if (subscription->state == DM_UNSENT) {
        send_subscribe(subscription);
        return;
    }
    if (is_grant_due(subscription))
        send_grant(subscription);
    if (dm_subscription_has_unsent(subscription)
        && subscription->acknowledged_at + ACKNOWLEDGE_MS <= now)
        send_acknowledge(subscription, now);
}

/* ---- receiving ---- */

static void hole(dormouse_subscription *subscription, uint64_t after, uint64_t expected)
{
    struct dm_failure failure;
    dm_fail(&failure, DORMOUSE_HOLE,
            "a delivery begins after position %llu, but what came before it ends at %llu: events may be "
            "missing; subscribe again to go on from where the server is",
            (unsigned long long)after, (unsigned long long)expected);
    dm_subscription_end(subscription, &failure);
}

/* The first delivery of a stream says where it starts. False: it can not start there. */
static bool begin_stream(dormouse_subscription *subscription, const struct dm_delivery *delivery)
{
    const struct dm_welcome *welcome = &subscription->client->session.welcome;
    struct dm_subscribe_request *request = subscription->request;
    if (subscription->has_start && delivery->after > subscription->received) {
        hole(subscription, delivery->after, subscription->received);
        return false;
    }
    if (!subscription->has_start) {
        subscription->has_start = true;
        subscription->received = delivery->after;
        subscription->handed = delivery->after;
        subscription->handed_event = delivery->after;
        subscription->acknowledged = delivery->after;
    }
    memcpy(request->last_incarnation, welcome->incarnation, welcome->incarnation_size);
    request->last_incarnation_size = welcome->incarnation_size;
    subscription->stream_has_start = true;
    subscription->stream_acknowledged = delivery->after;
    subscription->was_live = true;
    subscription->state = DM_LIVE;
    subscription->failures = 0;
    dm_fail_clear(&subscription->failure);
    return true;
}

static bool is_current_read(const dormouse_subscription *subscription)
{
    return subscription->current == NULL || subscription->is_stale
        || subscription->reader.at == subscription->reader.end;
}

/* Nothing matches up to there: it needs no room. */
static void extend(dormouse_subscription *subscription, const struct dm_delivery *delivery)
{
    struct dm_delivered *last = subscription->newest;
    if (last == NULL && !is_current_read(subscription))
        last = subscription->current;
    if (last != NULL) {
        last->delivery.upto = delivery->upto;
        last->delivery.head = delivery->head;
    } else if (delivery->upto > subscription->handed) {
        subscription->handed = delivery->upto;
    }
}

static bool enqueue(dormouse_subscription *subscription, const struct dm_delivery *delivery,
                    const uint8_t *bytes, size_t size)
{
    struct dm_delivered *added = malloc(sizeof(*added) + size);
    if (added == NULL)
        return false;
    added->next = NULL;
    added->delivery = *delivery;
    added->size = size;
    memcpy(added->bytes, bytes, size);
    if (subscription->newest == NULL)
        subscription->oldest = added;
    else
        subscription->newest->next = added;
    subscription->newest = added;
    subscription->waiting_bytes += size;
    subscription->waiting_events += delivery->event_count;
    return true;
}

/* The server may overdraw by one event; more than that, and the double for a mistake of ours, is no mistake. */
static bool is_beyond_credit(const dormouse_subscription *subscription,
                             const struct dm_delivery *delivery, size_t size)
{
    const struct dm_subscribe_request *request = subscription->request;
    return subscription->waiting_events + delivery->event_count
        > 2 * (size_t)request->credit_events + 1
        || subscription->waiting_bytes + size
        > 2 * (size_t)request->credit_bytes + 2 * subscription->client->frame_bytes_max;
}

static void use_credit(dormouse_subscription *subscription, const struct dm_delivery *delivery)
{
    subscription->used_events += (uint32_t)delivery->event_count;
    subscription->used_bytes += (uint32_t)delivery->event_bytes;
}

dormouse_status dm_subscription_delivered(dormouse_subscription *subscription,
                                          const uint8_t *bytes, size_t size,
                                          struct dm_failure *failure)
{
    struct dm_delivery delivery;
    if (!dm_delivery_read(bytes, size, &delivery) || delivery.after > delivery.upto)
        return dm_fail(failure, DORMOUSE_PROTOCOL_ERROR, "the server sent a delivery that is not readable");
    if (!subscription->stream_has_start) {
        if (!begin_stream(subscription, &delivery))
            return DORMOUSE_OK;
    } else if (delivery.after != subscription->stream_upto) {
        hole(subscription, delivery.after, subscription->stream_upto);
        return DORMOUSE_OK;
    }
    subscription->stream_upto = delivery.upto;
    if (delivery.upto <= subscription->received) {
        use_credit(subscription, &delivery);
        return DORMOUSE_OK;
    }
    subscription->received = delivery.upto;
    if (delivery.event_count == 0) {
        extend(subscription, &delivery);
        return DORMOUSE_OK;
    }
    if (is_beyond_credit(subscription, &delivery, size))
        return dm_fail(failure, DORMOUSE_PROTOCOL_ERROR, "the server sent more than it was granted");
    return enqueue(subscription, &delivery, bytes, size) ? DORMOUSE_OK : dm_fail_memory(failure);
}

/* ---- handing out ---- */

static void release_current(dormouse_subscription *subscription)
{
    if (subscription->current == NULL)
        return;
    if (!subscription->is_stale)
        use_credit(subscription, &subscription->current->delivery);
    free(subscription->current);
    subscription->current = NULL;
}

static void next_current(dormouse_subscription *subscription)
{
    struct dm_delivered *taken = subscription->oldest;
    subscription->oldest = taken->next;
    if (subscription->oldest == NULL)
        subscription->newest = NULL;
    subscription->waiting_bytes -= taken->size;
    subscription->waiting_events -= taken->delivery.event_count;
    subscription->current = taken;
    subscription->is_stale = false;
    subscription->reader.at = taken->bytes;
    subscription->reader.end = taken->bytes + taken->size;
    subscription->previous = taken->delivery.after;
}

/* Made for the first batch: a subscription that gets nothing needs no room for it. */
static bool has_room(dormouse_subscription *subscription)
{
    if (subscription->events == NULL)
        subscription->events = malloc(DM_BATCH_EVENTS * sizeof(dormouse_event));
    if (subscription->headers == NULL)
        subscription->headers = malloc(DM_HEADERS_MAX * sizeof(dormouse_header));
    return subscription->events != NULL && subscription->headers != NULL;
}

static void fill_batch(dormouse_subscription *subscription, dormouse_batch *batch, size_t count)
{
    const struct dm_delivery *delivery = &subscription->current->delivery;
    subscription->handed_event = subscription->events[count - 1].position;
    if (subscription->reader.at == subscription->reader.end)
        subscription->handed = delivery->upto;
    memset(batch, 0, sizeof(*batch));
    batch->events = subscription->events;
    batch->event_count = count;
    batch->upto = subscription->handed;
    batch->head = delivery->head;
    batch->replay = delivery->replay;
    batch->redelivered = delivery->redelivered;
}

dormouse_status dm_subscription_take(dormouse_subscription *subscription, dormouse_batch *batch,
                                     bool *has_batch)
{
    *has_batch = false;
    if (subscription->state == DM_ENDED)
        return subscription->failure.status;
    for (;;) {
        if (is_current_read(subscription)) {
            release_current(subscription);
            if (subscription->oldest == NULL)
                return DORMOUSE_OK;
            if (!has_room(subscription))
                return dm_fail_memory(&subscription->client->failure);
            next_current(subscription);
        }
        int count = dm_events_read(&subscription->reader, &subscription->handed,
                                   &subscription->previous, subscription->current->delivery.upto,
                                   subscription->events, DM_BATCH_EVENTS, subscription->headers,
                                   DM_HEADERS_MAX);
        if (count < 0) {
            struct dm_failure failure;
            dm_fail(&failure, DORMOUSE_PROTOCOL_ERROR,
                    "the server sent an event that is not readable, or out of order, after position %llu",
                    (unsigned long long)subscription->previous);
            dm_subscription_end(subscription, &failure);
            return failure.status;
        }
        if (count > 0) {
            fill_batch(subscription, batch, (size_t)count);
            *has_batch = true;
            return DORMOUSE_OK;
        }
        /* All of the rest was handed out before. */
        if (subscription->current->delivery.upto > subscription->handed)
            subscription->handed = subscription->current->delivery.upto;
        subscription->reader.at = subscription->reader.end;
    }
}

bool dm_subscription_dispatch(dormouse_subscription *subscription)
{
    bool was_called = false;
    if (subscription->is_being_made)
        return false;
    while (!subscription->is_freed && subscription->on_events != NULL) {
        dormouse_batch batch;
        bool has_batch;
        if (dm_subscription_take(subscription, &batch, &has_batch) != DORMOUSE_OK || !has_batch)
            break;
        was_called = true;
        subscription->on_events(subscription->context, subscription, &batch);
        /* Credit goes back while the rest is handed out, or the server would wait for us. */
        if (is_grant_due(subscription) && dm_is_open(subscription->client))
            send_grant(subscription);
    }
    if (!subscription->is_freed && subscription->state == DM_ENDED && !subscription->is_end_told) {
        subscription->is_end_told = true;
        if (subscription->on_end != NULL) {
            was_called = true;
            subscription->on_end(subscription->context, subscription, subscription->failure.status,
                                 subscription->failure.text);
        }
    }
    return was_called;
}
