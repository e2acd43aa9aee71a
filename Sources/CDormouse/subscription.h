/*
 * A subscription, over all its connections.
 *
 *   unsent --SUBSCRIBE--> opening --first DATA--> live --END--> ended
 *     ^                     |                      |
 *     +---------------------+----------------------+  connection lost, or the server says: try again
 *
 * received: the end of the last delivery that came, on whatever connection. handed: what the application
 * got. handed ≤ received. When a connection is lost, what was not handed out is dropped and comes again; what comes
 * again although it was handed out is skipped. A stream must begin at or before `received`, and each delivery
 * where the one before it ended; anything else is a hole.
 */
#ifndef DM_SUBSCRIPTION_H
#define DM_SUBSCRIPTION_H

#include "buffer.h"
#include "failure.h"
#include "wire.h"

enum dm_subscription_state { DM_UNSENT, DM_OPENING, DM_LIVE, DM_ENDED };

/* A delivery that waits to be handed out; its bytes follow. */
struct dm_delivered {
    struct dm_delivered *next;
    struct dm_delivery delivery;
    size_t size;
    uint8_t bytes[];
};

struct dormouse_subscription {
    dormouse_subscription *next;
    dormouse *client;
    enum dm_subscription_state state;
    /* The request, without what changes with each attempt; see dm_subscription_pump. */
    struct dm_subscribe_request *request;
    dormouse_events_callback on_events;
    dormouse_end_callback on_end;
    void *context;
    uint32_t stream;
    bool was_live;
    bool is_end_told;
    /* The program has freed it; dm_sweep destroys it when nothing uses it. */
    bool is_freed;
    /* dormouse_subscribe has not returned it yet: no callback may hear of it before. */
    bool is_being_made;
    /* Calls that wait for its events: it is not destroyed beneath them. */
    unsigned waited_for;
    int64_t retry_at;
    unsigned failures;
    struct dm_failure failure;

    struct dm_delivered *oldest;
    struct dm_delivered *newest;
    size_t waiting_bytes;
    size_t waiting_events;
    /* Being handed out: its bytes are lent. It belongs to a lost connection when is_stale. */
    struct dm_delivered *current;
    bool is_stale;
    struct dm_reader reader;
    uint64_t previous;
    /* Of dormouse_next: the batch it walks through. */
    dormouse_batch batch;
    size_t batch_at;
    dormouse_event *events;
    dormouse_header *headers;

    bool has_start;
    uint64_t received;
    uint64_t handed;
    /* The position of the last event that was handed out: when it is acknowledged, so is what follows without
     * any event. */
    uint64_t handed_event;
    uint64_t acknowledged;
    /* On this connection. */
    bool stream_has_start;
    uint64_t stream_upto;
    uint64_t stream_acknowledged;
    int64_t acknowledged_at;
    /* To be granted again. */
    uint32_t used_events;
    uint32_t used_bytes;
};

/* Decoded at once; with DM_HEADERS_MAX headers together. Small enough to stay in a cache. */
#define DM_BATCH_EVENTS 256

void dm_subscription_pump(dormouse_subscription *subscription, int64_t now);
bool dm_subscription_wants_to_send(const dormouse_subscription *subscription, int64_t now);
int64_t dm_subscription_deadline(const dormouse_subscription *subscription);
dormouse_status dm_subscription_delivered(dormouse_subscription *subscription,
                                          const uint8_t *bytes, size_t size,
                                          struct dm_failure *failure);
void dm_subscription_ended(dormouse_subscription *subscription, const struct dm_failure *failure);
void dm_subscription_lost(dormouse_subscription *subscription);
/* What was acknowledged goes with the next pump, however recent the last one was. */
static inline void dm_subscription_hurry(dormouse_subscription *subscription)
{
    subscription->acknowledged_at = 0;
}
bool dm_subscription_has_unsent(const dormouse_subscription *subscription);
/* Ends it here; later failures change nothing. */
void dm_subscription_end(dormouse_subscription *subscription, const struct dm_failure *failure);
/* The next events, if there are any; OK and true, OK and false, or why it ended. */
dormouse_status dm_subscription_take(dormouse_subscription *subscription, dormouse_batch *batch,
                                     bool *has_batch);
/* Calls the callbacks that are due. True when there were any. */
bool dm_subscription_dispatch(dormouse_subscription *subscription);
void dm_subscription_destroy(dormouse_subscription *subscription);

#endif
