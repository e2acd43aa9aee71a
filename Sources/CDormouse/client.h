/*
 * The handle: a session, the transport beneath it, and what lives longer than a connection: the publisher, the
 * subscriptions, the calls.
 */
#ifndef DM_CLIENT_H
#define DM_CLIENT_H

#include "call.h"
#include "options.h"
#include "publisher.h"
#include "message.h"
#include "session.h"
#include "subscription.h"
#include "transport.h"

enum dm_stage {
    DM_STAGE_NONE,       /* not connected */
    DM_STAGE_CONNECTING, /* TCP */
    DM_STAGE_SECURING,   /* TLS */
    DM_STAGE_TALKING     /* the session decides */
};

struct dormouse {
    struct dm_options options;
    dormouse_state state;
    enum dm_stage stage;
    struct dm_transport transport;
    struct dm_session session;
    struct dm_publisher publisher;
    dormouse_subscription *subscriptions;
    /* Not answered; and those whose completion is due. */
    struct dm_call *calls;
    size_t call_count;
    struct dm_call *completed;
    struct dm_call *completed_last;
    struct dm_failure failure;
    /* For replies of blocking calls, while their callback runs. */
    dormouse_arena *arena;
    /* For dormouse_service; made when it is asked for. */
    struct dm_service *service;

    /* Connecting. */
    size_t host_index;
    size_t hosts_tried;
    struct addrinfo *addresses;
    struct addrinfo *next_address;
    int64_t attempt_deadline;
    int64_t retry_at;
    unsigned rounds;
    int64_t opened_at;
    uint64_t connections;
    uint64_t random;
    size_t frame_bytes_max; /* of the newest welcome; 0 before the first */
    bool is_closing;

    /* The socket takes no more for now. */
    bool is_blocked;
    int64_t worked_at;
    bool is_dispatching;
};

/* ---- connection.c ---- */
void dm_connection_begin(dormouse *client, int64_t now);
/* Goes on with connecting. */
void dm_connection_step(dormouse *client, int64_t now);
/* The connection is over: tells everybody, and plans the next or gives up. */
void dm_connection_lost(dormouse *client, const struct dm_failure *failure, int64_t now);
void dm_connection_close(dormouse *client);
int64_t dm_connection_deadline(const dormouse *client);
void dm_connection_forget(dormouse *client);
/* From half of `ms` to all of it. */
int64_t dm_jitter(dormouse *client, int64_t ms);
/* A pause that doubles with each failure, jittered. */
int64_t dm_back_off(dormouse *client, unsigned failures);

/* ---- work.c ---- */
/* Connects, reads, decides, writes; calls no callbacks. */
void dm_work(dormouse *client, int64_t now);
/* Writes what is in `out`, as far as the socket takes it. */
void dm_write(dormouse *client, int64_t now);
void dm_dispatch(dormouse *client);
/* Works until `is_done` says so (OK), the time is over (TIMEOUT) or the handle has given up. */
typedef bool (*dm_condition)(dormouse *client, void *context);
dormouse_status dm_wait(dormouse *client, dm_condition is_done, void *context, int64_t deadline);
extern const struct dm_session_owner dm_session_owner_client;
/* TIMEOUT as the handle's failure, and what keeps the connection from being open if it is not. */
dormouse_status dm_timed_out(dormouse *client, const char *what);
/* Not OK, with the failure set, while the handle does not try to be connected. */
dormouse_status dm_check_running(dormouse *client);
/* Destroys the subscriptions that were freed and that nothing uses any more: no callback runs, nobody waits. */
void dm_sweep(dormouse *client);

/* ---- client.c ---- */
/* Everything is answered, told and sent. */
bool dm_is_flushed(dormouse *client, void *context);
/* Everything is answered and sent. */
bool dm_is_answered(dormouse *client, void *context);

/* ---- publish.c ---- */
/* OK when fewer events wait for their answer than now. */
dormouse_status dm_wait_for_answer(dormouse *client, int64_t deadline);

/* ---- call.c ---- */
/* NULL, with the client's failure set, without memory or with too many. */
/* Takes what is in `request` when it succeeds. */
struct dm_call *dm_call_of(dormouse *client, enum dm_method method, struct dm_buffer *request);
struct dm_call *dm_call_new(dormouse *client, enum dm_method method,
                            const ProtobufCMessage *request);
void dm_call_free(struct dm_call *call);
void dm_call_begin(dormouse *client, struct dm_call *call);
/* Begins, waits, and removes it. The reply is in `call`, which is the caller's. */
dormouse_status dm_call_wait(dormouse *client, struct dm_call *call, int timeout_ms);
void dm_calls_pump(dormouse *client);
bool dm_calls_want_to_send(const dormouse *client);
void dm_calls_lost(dormouse *client, const struct dm_failure *failure, bool unsent_too);
/* Whether requests that nobody waits for here, stubs' ones, are not answered yet. */
bool dm_calls_have_closures(const dormouse *client);
void dm_calls_dispatch(dormouse *client);
void dm_calls_free(dormouse *client);
void dm_call_answered(dormouse *client, struct dm_call *call, const struct dm_failure *failure,
                      const uint8_t *bytes, size_t size);
/*
 * The whole of a typed call: sends, waits, and decodes the reply into the client's arena, where it is valid until the
 * next one.
 */
dormouse_status dm_call_typed(dormouse *client, enum dm_method method,
                              const ProtobufCMessage *request,
                              const ProtobufCMessageDescriptor *reply_type, bool is_listing,
                              int timeout_ms, const ProtobufCMessage **reply);
/* The handle's exchange when it is NULL. */
const char *dm_exchange(const dormouse *client, const char *exchange);
/* BAD_ARGUMENT as the handle's failure. */
dormouse_status dm_bad(dormouse *client, const char *text);

/* ---- list.c ---- */
/* A server that gives pages without end is not believed. */
#define DM_PAGE_TOKEN_BYTES_MAX 1024
struct dm_page_token {
    uint8_t bytes[DM_PAGE_TOKEN_BYTES_MAX];
};
/* Asks for the page after one of so many entries; false: that was the last. */
bool dm_take_token(struct dm_page_token *token, ProtobufCBinaryData next, size_t entries,
                   ProtobufCBinaryData *target);
/* A reply in the arena that was the handle's while it came. */
struct dm_lent_reply {
    const ProtobufCMessage *message;
    dormouse_arena *arena;
};
/*
 * Calls a method for a listing. Its reply lies in the handle's arena, which a call made by the callback would overwrite: the
 * handle goes on with another one, and the caller frees that of the reply.
 */
dormouse_status dm_call_lent(dormouse *client, enum dm_method method, const ProtobufCMessage *request,
                             const ProtobufCMessageDescriptor *descriptor, bool is_listing, int timeout_ms,
                             struct dm_lent_reply *reply);
/* BAD_ARGUMENT without a handle or a callback. */
dormouse_status dm_check_listing(dormouse *client, bool has_callback);

static inline bool dm_is_open(const dormouse *client)
{
    return client->stage == DM_STAGE_TALKING && client->session.state == DM_OPEN;
}

#endif
