/*
 * Part of dormouse.h, which includes it: what an administrator asks of a server and its subscribers.
 */
#ifndef DORMOUSE_ADMINISTRATION_H
#define DORMOUSE_ADMINISTRATION_H

#include "dormouse.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Each waits for the answer; exchange NULL is the handle's. Results that are NULL are not wanted. */

DORMOUSE_API dormouse_status dormouse_seek(dormouse *client, const char *exchange, const char *name,
                                           dormouse_start start, uint64_t start_value,
                                           int timeout_ms, uint64_t *position);
/* `until` is a time, or UINT64_MAX until dormouse_resume; `reason` may be NULL. */
DORMOUSE_API dormouse_status dormouse_pause(dormouse *client, const char *exchange,
                                            const char *name, uint64_t until, const char *reason,
                                            int timeout_ms);
DORMOUSE_API dormouse_status dormouse_resume(dormouse *client, const char *exchange,
                                             const char *name, int timeout_ms);
/* Ends the stream of the name's consumer, wherever it is; name and position stay. */
DORMOUSE_API dormouse_status dormouse_stop(dormouse *client, const char *exchange, const char *name,
                                           int timeout_ms, bool *was_awake, uint64_t *position);
/* Removes the name and its position. */
DORMOUSE_API dormouse_status dormouse_forget(dormouse *client, const char *exchange,
                                             const char *name, int timeout_ms, bool *existed);
/* Sequence and position of the newest stored event of a producer; 0 for a name never seen. */
DORMOUSE_API dormouse_status dormouse_producer(dormouse *client, const char *exchange,
                                               const char *producer, int timeout_ms,
                                               uint64_t *sequence, uint64_t *position);
DORMOUSE_API dormouse_status dormouse_create_exchange(dormouse *client, const char *exchange,
                                                      int timeout_ms);
/*
 * The log was restored from a backup: it gets a new incarnation, all connections end, and whoever comes again with a
 * position of the old one is told DORMOUSE_POSITION_LOST. `incarnation` is the one that is to end, as
 * dormouse_describe_server tells it; when it has ended already, DORMOUSE_FAILED_PRECONDITION.
 */
DORMOUSE_API dormouse_status dormouse_restored(dormouse *client, dormouse_bytes incarnation,
                                               int timeout_ms);

/* The following are lent to a callback, valid until it returns. It returns false to hear no more. */

typedef enum dormouse_subscriber_state {
    DORMOUSE_SLEEPING = 0, DORMOUSE_LIVE = 1, DORMOUSE_REPLAYING = 2,
    DORMOUSE_WAITING_FOR_CREDIT = 3, DORMOUSE_PAUSED_BY_HAND = 4
} dormouse_subscriber_state;

typedef struct dormouse_config_info {
    dormouse_bytes exchange;
    const dormouse_bytes *patterns;
    size_t pattern_count;
    const dormouse_header_match *header_matches;
    size_t header_match_count;
} dormouse_config_info;

typedef struct dormouse_subscriber_info {
    dormouse_bytes name;
    dormouse_config_info config;
    dormouse_subscriber_state state;
    dormouse_bytes reason; /* why it sleeps, waits or is paused */
    uint64_t position, sent, head;
    uint64_t since;             /* in this state since */
    uint64_t oldest_waiting_at; /* publish time of the oldest event not yet confirmed; 0 = none */
    dormouse_bytes peer, client, principal;
    uint64_t delivered, acknowledged; /* since the server started */
    uint64_t paused_until;            /* while it is paused; 0 = it is not */
} dormouse_subscriber_info;

typedef struct dormouse_receiver_info {
    uint64_t id;
    dormouse_config_info config;
    uint32_t awake, sleeping;
} dormouse_receiver_info;

typedef struct dormouse_exchange_info {
    dormouse_bytes name;
    uint64_t first, head, bytes, epoch;
    uint32_t receivers, subscribers;
} dormouse_exchange_info;

typedef struct dormouse_connection_info {
    uint64_t id;
    dormouse_bytes peer, client, library, principal; /* all but the first are empty before its hello */
    uint64_t since;
    uint32_t subscription_count; /* that it consumes, those without a name too */
    const dormouse_bytes *names; /* of the first of them, as exchange/name */
    size_t name_count;
    uint64_t published, delivered; /* events */
    uint64_t queued_bytes;         /* on their way to it, not taken by its socket yet */
    uint64_t sent_bytes, received_bytes;
} dormouse_connection_info;

typedef struct dormouse_server_info {
    dormouse_bytes server, incarnation;
    uint64_t started_at, published, delivered;
    uint32_t connections;
    bool store_available;
    dormouse_bytes store_reason;
} dormouse_server_info;

typedef bool (*dormouse_subscriber_callback)(void *context, const dormouse_subscriber_info *info);
typedef bool (*dormouse_receiver_callback)(void *context, const dormouse_receiver_info *info);
typedef bool (*dormouse_exchange_callback)(void *context, const dormouse_exchange_info *info);
typedef bool (*dormouse_connection_callback)(void *context, const dormouse_connection_info *info);
typedef bool (*dormouse_server_callback)(void *context, const dormouse_server_info *info);

/* `prefix` of their names may be NULL. Asks for as many pages as there are. */
DORMOUSE_API dormouse_status dormouse_list_subscribers(dormouse *client, const char *exchange,
                                                       const char *prefix, int timeout_ms,
                                                       dormouse_subscriber_callback callback,
                                                       void *context);
DORMOUSE_API dormouse_status dormouse_list_receivers(dormouse *client, const char *exchange,
                                                     int timeout_ms,
                                                     dormouse_receiver_callback callback,
                                                     void *context);
DORMOUSE_API dormouse_status dormouse_list_exchanges(dormouse *client, int timeout_ms,
                                                     dormouse_exchange_callback callback,
                                                     void *context);
/* Every connection of the server, by number; asks for as many pages as there are. */
DORMOUSE_API dormouse_status dormouse_list_connections(dormouse *client, int timeout_ms,
                                                       dormouse_connection_callback callback,
                                                       void *context);
DORMOUSE_API dormouse_status dormouse_describe_server(dormouse *client, int timeout_ms,
                                                      dormouse_server_callback callback,
                                                      void *context);

#ifdef __cplusplus
}
#endif

#endif
