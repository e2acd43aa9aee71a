/*
 * What is published and not yet answered.
 *
 * 1. Events are encoded into the payload of a group, which becomes one request. The last group takes more
 *    events until it is sent or large enough: groups form by themselves while the connection is busy.
 * 2. With a producer, each event has an index from 1 on, and its sequence is `base` + index. The server is
 *    asked on every connection how far the producer got before anything is published there.
 * 3. Groups are kept until they are answered. With a producer, they are sent again after a lost connection and after
 *    failures that may pass, always from the oldest on, after another question to the server: it drops what it
 *    has. Without one, what was under way fails: sending again might store it twice.
 *
 *   unknown --ask--> asking --answer--> ready --a group failed--> held --nothing under way--> unknown
 */
#ifndef DM_PUBLISHER_H
#define DM_PUBLISHER_H

#include "buffer.h"
#include "failure.h"

/* For whom a part of a group is; events for nobody have none. */
struct dm_waiter {
    bool is_done;
    struct dm_failure failure;
    dormouse_published result;
};

struct dm_record {
    dormouse_published_callback callback;
    void *context;
    struct dm_waiter *waiter;
    size_t first;
    size_t count;
};

struct dm_group {
    struct dm_group *next;
    struct dm_buffer payload;
    /* Where in the payload the sequence stands. */
    size_t sequence_at;
    uint64_t first_index;
    size_t event_count;
    size_t event_bytes;
    /* Events without a record. */
    size_t silent_count;
    /* 0 while it is not under way. */
    uint32_t stream;
    /* On whatever connection. */
    bool was_sent;
    bool is_answered;
    struct dm_failure failure;
    dormouse_published result;
    struct dm_record *records;
    size_t record_count;
    size_t record_capacity;
    size_t record_told;
};

enum dm_publisher_state { DM_UNKNOWN, DM_ASKING, DM_READY, DM_HELD };

struct dm_publisher {
    enum dm_publisher_state state;
    /* Oldest first; those from `unsent` on are not under way. */
    struct dm_group *oldest;
    struct dm_group *newest;
    struct dm_group *unsent;
    /* Answered, and their callbacks are due. */
    struct dm_group *told;
    struct dm_group *told_last;
    struct dm_group *spare;
    size_t spare_count;
    size_t event_count;
    size_t event_bytes;
    size_t under_way;
    uint64_t next_index;
    bool has_base;
    uint64_t base;
    uint64_t sent_index;
    /* Failures in a row, for pauses and for giving up. */
    unsigned failures;
    int64_t retry_at;
    /* The first that nobody was told of. */
    struct dm_failure failure;
};

/* Requests under way at once: enough to hide any round trip, few enough to gather events meanwhile. */
#define DM_GROUPS_UNDER_WAY_MAX 256
/* A group that is this large is sent: the server's chunks are as large. */
#define DM_GROUP_BYTES ((size_t)256 << 10)

void dm_publisher_init(dormouse *client);
void dm_publisher_free(dormouse *client);
/* publisher_queue.c; the others are in publisher.c. Queues the events for one of callback, waiter or nobody. WINDOW_FULL without room. */
dormouse_status dm_publisher_add(dormouse *client, const dormouse_event *events, size_t count,
                                 const struct dm_record *record);
/* The waiter goes away; its outcome is told by the next flush. */
void dm_publisher_forget(dormouse *client, const struct dm_waiter *waiter);
/* Sends what may be sent. */
void dm_publisher_pump(dormouse *client, int64_t now);
bool dm_publisher_wants_to_send(const dormouse *client);
int64_t dm_publisher_deadline(const dormouse *client);
void dm_publisher_answered(dormouse *client, struct dm_group *group,
                           const struct dm_failure *failure, const uint8_t *bytes, size_t size);
void dm_publisher_asked(dormouse *client, const struct dm_failure *failure, const uint8_t *bytes,
                        size_t size);
/* The connection is gone. */
void dm_publisher_lost(dormouse *client, const struct dm_failure *failure);
/* Nothing will be sent any more. */
void dm_publisher_give_up(dormouse *client, const struct dm_failure *failure);
/* Calls the callbacks that are due. */
void dm_publisher_dispatch(dormouse *client);

/* Between the two files. */
bool dm_has_producer(const dormouse *client);
void dm_group_free(struct dm_group *group);
/* Its buffers may serve another one. */
void dm_group_recycle(struct dm_publisher *publisher, struct dm_group *group);

#endif
