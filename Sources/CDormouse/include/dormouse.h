/*
 * libdormouse: publish events to a Dormouse server and subscribe to them.
 *
 *     dormouse *client = dormouse_new();
 *     dormouse_set_uri(client, "dormouse://127.0.0.1:3673/main");
 *     if (dormouse_connect(client, 5000) != DORMOUSE_OK)
 *         fprintf(stderr, "%s\n", dormouse_error(client));
 *
 * 1. A handle connects, and connects again when the connection is lost: producers and subscriptions go
 *    on where they were. It makes no threads, prints nothing, raises no signal, has no global state.
 * 2. A handle and what was made from it are used by one thread at a time; different handles by
 *    different threads. After fork() the child must not touch it.
 * 3. Every wait has `timeout_ms`: milliseconds; 0 = do what can be done now and do not wait;
 *    negative = as long as it takes. Sizes are in bytes, times in microseconds since 1970 UTC.
 * 4. Functions that can fail return a dormouse_status; dormouse_error() has the text. What they give out
 *    through pointers is NULL or untouched when they fail.
 * 5. `const` pointers that are given out are borrowed; each function says for how long. What is passed
 *    in is copied before the function returns.
 * 6. Callbacks are called only inside dormouse_process and functions that wait, and never inside one
 *    another. They may call everything but dormouse_free and dormouse_close of their own handle.
 * 7. In an event loop: watch dormouse_fd for dormouse_wants, call dormouse_process when it is ready or
 *    dormouse_next_timeout has passed, and use timeout 0 elsewhere. Only names are looked up blockingly
 *    (getaddrinfo); use numeric addresses where that matters.
 */
#ifndef DORMOUSE_H
#define DORMOUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define DORMOUSE_API __attribute__((visibility("default")))
#else
#define DORMOUSE_API
#endif

/* ---- version ---- */

#define DORMOUSE_VERSION "0.1.0"
/* major * 10000 + minor * 100 + patch */
#define DORMOUSE_VERSION_NUMBER 100
/* Of the library that is running, which may be newer than the header. Static memory. */
DORMOUSE_API const char *dormouse_version(void);
DORMOUSE_API int dormouse_version_number(void);

/* ---- status ---- */

/* Below 1000: said by the server, with the protocol's numbers. From 1000 on: found by this library. */
typedef enum dormouse_status {
    DORMOUSE_OK = 0,
    DORMOUSE_CANCELLED = 1,
    DORMOUSE_UNKNOWN = 2,
    DORMOUSE_INVALID_ARGUMENT = 3,
    DORMOUSE_DEADLINE_EXCEEDED = 4,
    DORMOUSE_NOT_FOUND = 5,
    DORMOUSE_ALREADY_EXISTS = 6,
    DORMOUSE_PERMISSION_DENIED = 7,
    DORMOUSE_RESOURCE_EXHAUSTED = 8,
    DORMOUSE_FAILED_PRECONDITION = 9,
    DORMOUSE_ABORTED = 10,
    DORMOUSE_OUT_OF_RANGE = 11,
    DORMOUSE_UNIMPLEMENTED = 12,
    DORMOUSE_INTERNAL = 13,
    DORMOUSE_UNAVAILABLE = 14,
    DORMOUSE_UNAUTHENTICATED = 16,
    DORMOUSE_STOPPED = 100,         /* somebody stopped this subscriber by name */
    DORMOUSE_TAKEN_OVER = 101,      /* a newer consumer of this name came */
    DORMOUSE_POSITION_LOST = 102,   /* the log no longer has what follows, or is another log */
    DORMOUSE_DRAINING = 103,        /* the server is stopping */
    DORMOUSE_FRAME_TOO_LARGE = 104, /* more than the server takes at once */
    DORMOUSE_TOO_SLOW = 105,        /* a deadline for writing or acknowledging was missed */
    DORMOUSE_PAUSED = 106,

    DORMOUSE_TIMEOUT = 1000,         /* timeout_ms passed; nothing is wrong otherwise */
    DORMOUSE_WINDOW_FULL = 1001,     /* too much is published and not yet answered */
    DORMOUSE_CONNECTION_LOST = 1002, /* while this was under way: whether it was done is unknown */
    DORMOUSE_CANNOT_CONNECT = 1003,  /* no host could be reached, or TLS refused it */
    DORMOUSE_PROTOCOL_ERROR = 1004,  /* the server sent what it must not send */
    DORMOUSE_HOLE = 1005,            /* deliveries do not join: events may be missing */
    DORMOUSE_BAD_ARGUMENT = 1006,    /* the call is wrong; nothing was sent */
    DORMOUSE_NO_MEMORY = 1007,
    DORMOUSE_CLOSED = 1008           /* dormouse_close was called, or dormouse_connect was not */
} dormouse_status;

/* The status's name, for people: "TAKEN_OVER". Static memory, never NULL. */
DORMOUSE_API const char *dormouse_status_text(dormouse_status status);
/* Whether the same call may succeed later without any change. */
DORMOUSE_API bool dormouse_status_may_retry(dormouse_status status);

/* ---- the handle ---- */

typedef struct dormouse dormouse;

/* NULL only without memory. The caller frees it with dormouse_free. */
DORMOUSE_API dormouse *dormouse_new(void);
/*
 * Closes at once and frees the handle and its subscriptions; pointers to these are no longer valid. Does not
 * wait: call dormouse_close before, or what is queued is lost. NULL is allowed.
 */
DORMOUSE_API void dormouse_free(dormouse *client);

/*
 * dormouse://[TOKEN@]HOST[:PORT][,HOST[:PORT]]…[/EXCHANGE][?OPTION=VALUE&…], dormouses:// for TLS with
 * verification, or unix:/PATH[?OPTION=VALUE&…]. Special characters are written as %XX.
 */
DORMOUSE_API dormouse_status dormouse_set_uri(dormouse *client, const char *uri);
/*
 * Sets one option, by the name that it also has in the URI, before dormouse_connect. Options are text, so
 * that new ones change no structure:
 *
 *   client                 name of this connection, for people
 *   token                  what the server knows you by; without TLS it is sent to this machine only
 *   token_file             a file with the token in it, read anew for each connection
 *   insecure_token         yes: send the token without TLS to other machines, too (no)
 *   exchange               the exchange of this handle (main)
 *   producer               name under which events are published; with it, no event is stored twice
 *   sequence               with a producer: number of the first event that is published here; what the server
 *                          has of them already is counted and not stored again (the next unused)
 *   tls                    off, require (encrypted, unverified) or verify-full (off)
 *   ca_file                PEM file to verify against instead of the system's
 *   cert_file, key_file    PEM files of the client's certificate
 *   tls_name               name to verify instead of the host's
 *   compression            yes: have deliveries compressed where that makes them smaller; for thin lines (no)
 *   connect_timeout_ms     for each address (10000)
 *   heartbeat_ms           silence before a PING; at most what the server asks for (server's)
 *   reconnect              yes or no (yes)
 *   reconnect_min_ms       first pause before connecting again (50)
 *   reconnect_max_ms       longest pause (5000)
 *   window_events          events published and not yet answered (131072)
 *   window_bytes           and their bytes (16777216)
 */
DORMOUSE_API dormouse_status dormouse_set(dormouse *client, const char *option, const char *value);

/*
 * Connects and waits until the server has said welcome. With timeout 0 it begins, and returns
 * DORMOUSE_TIMEOUT unless it is ready; dormouse_process goes on. When the time is over, the result is why the last
 * attempt failed, or DORMOUSE_TIMEOUT; it keeps trying as long as the state is not DORMOUSE_FAILED.
 */
DORMOUSE_API dormouse_status dormouse_connect(dormouse *client, int timeout_ms);
/*
 * Finishes: sends what is queued, waits for its answers and for acknowledgements to leave, ends subscriptions,
 * closes. DORMOUSE_TIMEOUT when not everything was answered. The handle can only be freed after.
 */
DORMOUSE_API dormouse_status dormouse_close(dormouse *client, int timeout_ms);

typedef enum dormouse_state {
    DORMOUSE_IDLE = 0,       /* before dormouse_connect */
    DORMOUSE_CONNECTING = 1, /* TCP, TLS or hello under way */
    DORMOUSE_OPEN = 2,
    DORMOUSE_LEAVING = 3,    /* the server stops: what is under way ends, then connecting again */
    DORMOUSE_WAITING = 4,    /* pause before connecting again */
    DORMOUSE_FAILED = 5,     /* gave up; dormouse_connect tries again */
    DORMOUSE_ENDED = 6       /* after dormouse_close */
} dormouse_state;
DORMOUSE_API dormouse_state dormouse_get_state(const dormouse *client);
/* Text of the last failure of this handle: what was wrong, what was expected, what to do. Valid until the
 * next call; never NULL. */
DORMOUSE_API const char *dormouse_error(const dormouse *client);
/* Its status. A function's own result is the better source. */
DORMOUSE_API dormouse_status dormouse_error_status(const dormouse *client);
/* From the newest welcome; 0 or empty before it. Text is valid until the next call. */
DORMOUSE_API const char *dormouse_server_name(const dormouse *client);
DORMOUSE_API size_t dormouse_frame_bytes_max(const dormouse *client);
/* How often a connection was opened, the first included. */
DORMOUSE_API uint64_t dormouse_connections(const dormouse *client);

/* ---- in an event loop ---- */

#define DORMOUSE_READABLE 1u
#define DORMOUSE_WRITABLE 2u
/* What to watch; -1 while there is no socket. Ask again after each call: it changes when connecting. */
DORMOUSE_API int dormouse_fd(const dormouse *client);
/* DORMOUSE_READABLE | DORMOUSE_WRITABLE: for which of these to watch it now. */
DORMOUSE_API unsigned dormouse_wants(const dormouse *client);
/* Milliseconds until dormouse_process is due even if nothing happens; -1 = never. */
DORMOUSE_API int dormouse_next_timeout(const dormouse *client);
/*
 * Does what can be done now: connects, reads, writes, calls callbacks. Never waits. DORMOUSE_OK also while
 * connecting again; the failure when the handle has given up.
 */
DORMOUSE_API dormouse_status dormouse_process(dormouse *client);
/* Processes and waits until a callback has set `*flag`; for programs without a loop of their own. */
DORMOUSE_API dormouse_status dormouse_wait_for(dormouse *client, const bool *flag, int timeout_ms);

/* ---- events ---- */

typedef struct dormouse_bytes {
    const void *data; /* may be NULL when size is 0 */
    size_t size;
} dormouse_bytes;
/* Of a text that ends with 0; NULL gives no bytes. */
DORMOUSE_API dormouse_bytes dormouse_text(const char *text);

typedef struct dormouse_header {
    dormouse_bytes name;
    dormouse_bytes value;
} dormouse_header;

/* Set what is not needed, `reserved` included, to 0: dormouse_event event = {0}; */
typedef struct dormouse_event {
    uint64_t position;     /* the server sets it: 1, 2, 3 … in its exchange; ignored when publishing */
    uint64_t published_at; /* the server sets it */
    dormouse_bytes key;    /* words of A-Z a-z 0-9 _ - joined by dots, at most 255 bytes */
    dormouse_bytes payload;
    dormouse_bytes id;     /* your own, at most 64 bytes */
    dormouse_bytes content_type;
    const dormouse_header *headers;
    size_t header_count;
    uintptr_t reserved[4]; /* so that later versions can add fields to arrays of events */
} dormouse_event;

/* ---- publishing ---- */

typedef struct dormouse_published {
    dormouse_status status;
    const char *error;       /* empty when status is DORMOUSE_OK */
    uint64_t first_position; /* 0 when unknown: the event was stored by an earlier attempt */
    uint64_t last_position;
    size_t event_count;
    size_t duplicate_count;  /* leading events that were in the log already */
} dormouse_published;

/* `result` and what it points to are valid during the call. */
typedef void (*dormouse_published_callback)(void *context, const dormouse_published *result);

/*
 * Publishes events, all together and in order or none, and waits until they are committed. They are copied. `result`
 * may be NULL; its `error` is valid until the next call. After DORMOUSE_TIMEOUT they are still queued: do not
 * publish them again, but dormouse_flush. Without a producer, DORMOUSE_CONNECTION_LOST and
 * DORMOUSE_UNAVAILABLE do not say whether they were stored; with one, the library sends them again itself.
 */
DORMOUSE_API dormouse_status dormouse_publish(dormouse *client, const dormouse_event *events,
                                              size_t count, int timeout_ms,
                                              dormouse_published *result);
/*
 * The same without waiting for the commit: copies the events into the window and returns. What is queued
 * together is sent together. Waits at most timeout_ms for room, then DORMOUSE_WINDOW_FULL. `callback`
 * may be NULL: then dormouse_flush tells of the first failure. It is called exactly once unless the handle
 * is freed before, and only if DORMOUSE_OK was returned.
 */
DORMOUSE_API dormouse_status dormouse_publish_async(dormouse *client, const dormouse_event *events,
                                                    size_t count, int timeout_ms,
                                                    dormouse_published_callback callback,
                                                    void *context);
/*
 * Sends what is queued, acknowledgements included, and waits until all publishes are answered. The first failure
 * since the last flush of a publish without callback is returned once.
 */
DORMOUSE_API dormouse_status dormouse_flush(dormouse *client, int timeout_ms);
/* Published and not yet answered. */
DORMOUSE_API size_t dormouse_pending_events(const dormouse *client);
DORMOUSE_API size_t dormouse_pending_bytes(const dormouse *client);

/* ---- which events ---- */

typedef enum dormouse_match_kind {
    DORMOUSE_EQUALS = 0, DORMOUSE_PREFIX = 1, DORMOUSE_EXISTS = 2, DORMOUSE_ABSENT = 3
} dormouse_match_kind;

typedef struct dormouse_header_match {
    dormouse_bytes name;
    dormouse_match_kind kind;
    dormouse_bytes value;
} dormouse_header_match;

typedef enum dormouse_start {
    DORMOUSE_NEXT = 0,     /* what is published from now on */
    DORMOUSE_FIRST = 1,
    DORMOUSE_LAST = 2,     /* the newest event, then what follows */
    DORMOUSE_POSITION = 3, /* start_value is the position of the first event wanted */
    DORMOUSE_TIME = 4      /* start_value is a time */
} dormouse_start;

/* ---- subscribing ---- */

typedef struct dormouse_subscription dormouse_subscription;

/*
 * Events as received; borrowed: valid until the next dormouse_next, dormouse_next_batch or
 * dormouse_unsubscribe of this subscription, or until the callback returns.
 */
typedef struct dormouse_batch {
    const dormouse_event *events;
    size_t event_count;
    uint64_t upto;    /* everything that matches, up to here, has been handed out with this batch */
    uint64_t head;    /* newest position of the exchange when it was sent */
    bool replay;      /* read from the log, not live */
    bool redelivered; /* this name may have been sent some of these before */
} dormouse_batch;

typedef void (*dormouse_events_callback)(void *context, dormouse_subscription *subscription,
                                         const dormouse_batch *batch);
/* The subscription is over; called once. It still has to be freed by dormouse_unsubscribe. */
typedef void (*dormouse_end_callback)(void *context, dormouse_subscription *subscription,
                                      dormouse_status status, const char *error);

/* Set struct_size to sizeof(dormouse_subscribe_options) and what is not needed to 0; later versions add
 * fields at the end and see by struct_size that an older program does not know them. */
typedef struct dormouse_subscribe_options {
    size_t struct_size;
    const char *name;     /* NULL or empty: forgotten when it ends */
    const char *exchange; /* NULL: the handle's */
    const char *const *patterns; /* any of them must match; none = all events */
    size_t pattern_count;
    const dormouse_header_match *header_matches; /* all of them must match */
    size_t header_match_count;
    dormouse_start start; /* where a new name begins; a known one goes on where it was */
    uint64_t start_value;
    bool reposition;      /* apply `start` to a known name, too */
    bool replace_config;  /* give a known name these patterns and matches */
    bool acknowledge_on_send; /* the server confirms what it sends; dormouse_acknowledge is not used */
    uint32_t credit_events;   /* received and not yet handed out, at most; 0 = 20000 */
    uint32_t credit_bytes;    /* 0 = 8388608 */
    uint32_t acknowledge_within_ms; /* 0 = no deadline */
    uint64_t last_seen;             /* newest position that was processed before; 0 = unknown */
    dormouse_bytes last_incarnation; /* of the log that last_seen belongs to; see dormouse_incarnation */
    dormouse_events_callback on_events; /* NULL: take them with dormouse_next */
    dormouse_end_callback on_end;       /* may be NULL */
    void *context;                      /* for both */
} dormouse_subscribe_options;

/*
 * Subscribes and waits until the name is durable and everything from its start on will come. The caller frees
 * it with dormouse_unsubscribe; dormouse_free does so, too. With timeout 0, or when the time is over, it
 * returns DORMOUSE_OK and a subscription that is still being opened; a refusal then shows as its end. With
 * another status there is no subscription.
 */
DORMOUSE_API dormouse_status dormouse_subscribe(dormouse *client,
                                                const dormouse_subscribe_options *options,
                                                int timeout_ms,
                                                dormouse_subscription **subscription);
/* Sends what was acknowledged, ends the subscription and frees it; the name falls asleep and keeps its
 * position. May be called in its own callbacks. NULL is allowed. */
DORMOUSE_API void dormouse_unsubscribe(dormouse_subscription *subscription);

/*
 * The next event, in order. It is borrowed like a batch. DORMOUSE_TIMEOUT when there is none in time; any
 * other status is the end of the subscription, and comes again with each call. Not for subscriptions
 * with on_events. Taking the next event does not acknowledge the one before.
 */
DORMOUSE_API dormouse_status dormouse_next(dormouse_subscription *subscription,
                                           const dormouse_event **event, int timeout_ms);
/* The same for as many events as are there, at most 256 and at least 1. */
DORMOUSE_API dormouse_status dormouse_next_batch(dormouse_subscription *subscription,
                                                 dormouse_batch *batch, int timeout_ms);
/*
 * Everything up to and with this position is processed and need not come again. Never waits: acknowledgements
 * are gathered and leave with the next turn of the connection, at most 10 ms later while functions of this
 * handle are called, or by dormouse_flush. DORMOUSE_BAD_ARGUMENT beyond what was handed out.
 */
DORMOUSE_API dormouse_status dormouse_acknowledge(dormouse_subscription *subscription,
                                                  uint64_t upto);

/* Where it is: everything that matches up to here was handed out, or lies before its start. */
DORMOUSE_API uint64_t dormouse_position(const dormouse_subscription *subscription);
/* Whether the server has confirmed it on the present connection. */
DORMOUSE_API bool dormouse_is_live(const dormouse_subscription *subscription);
/* DORMOUSE_OK while it lasts; then why it ended, as text, too. Valid until dormouse_unsubscribe. */
DORMOUSE_API dormouse_status dormouse_end_status(const dormouse_subscription *subscription);
DORMOUSE_API const char *dormouse_end_error(const dormouse_subscription *subscription);
/* The 16 bytes that name the log, from the newest welcome; empty before it. Valid until the next call. */
DORMOUSE_API dormouse_bytes dormouse_incarnation(const dormouse *client);

/* ---- without a subscription ---- */

typedef struct dormouse_fetch_options {
    size_t struct_size; /* as in dormouse_subscribe_options */
    const char *exchange;
    const char *const *patterns;
    size_t pattern_count;
    const dormouse_header_match *header_matches;
    size_t header_match_count;
    uint64_t after;      /* events after this position */
    uint32_t events_max; /* 0 = the server's default */
    uint32_t bytes_max;
    uint32_t wait_ms;    /* how long the server may wait when there is nothing yet */
    bool stored; /* read anew from the server's store, also what it has in memory: to check the store */
} dormouse_fetch_options;

typedef struct dormouse_page dormouse_page;

/* One page of the log. The caller frees it with dormouse_page_free; it stays valid without the handle. */
DORMOUSE_API dormouse_status dormouse_fetch(dormouse *client,
                                            const dormouse_fetch_options *options, int timeout_ms,
                                            dormouse_page **page);
/* The next event of the page, valid until the next call for this page; NULL after the last. */
DORMOUSE_API const dormouse_event *dormouse_page_next(dormouse_page *page);
/* Where the page ends: the `after` of the next one. */
DORMOUSE_API uint64_t dormouse_page_upto(const dormouse_page *page);
DORMOUSE_API uint64_t dormouse_page_head(const dormouse_page *page);
/* Whether its end was read from the server's store, and not from its memory. */
DORMOUSE_API bool dormouse_page_is_stored(const dormouse_page *page);
DORMOUSE_API void dormouse_page_free(dormouse_page *page);

/* Publishes events under sequences of the program: event i is `sequence` + i of `producer`; what is not above the stored one is
 * counted and not stored. After CONNECTION_LOST or TIMEOUT call it again, after ABORTED ask dormouse_producer first. */
DORMOUSE_API dormouse_status dormouse_publish_as(dormouse *client, const char *producer, uint64_t sequence,
                                                 const dormouse_event *events, size_t count,
                                                 int timeout_ms, dormouse_published *result);
#ifdef __cplusplus
}
#endif

#include "dormouse_principals.h"

#include "dormouse_administration.h"

#endif
