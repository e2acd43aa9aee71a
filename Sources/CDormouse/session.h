/*
 * One connection, from the preface to its end, as a machine without a socket: bytes that came go in, bytes to
 * send gather in `out`, and what the server said goes to the owner.
 *
 *   greeting --welcome--> open --GOAWAY--> draining --> closed
 *      |                    |                 |            ^
 *      +--------------------+-----------------+------------+  broken framing, silence, end of file
 *
 * Invariants: nothing that a peer sends grows a buffer beyond one frame and one read; a stream that is open is in
 * `requests`; after `closed` the owner hears nothing more.
 */
#ifndef DM_SESSION_H
#define DM_SESSION_H

#include "arena.h"
#include "buffer.h"
#include "failure.h"
#include "frame.h"
#include "table.h"

enum dm_session_state { DM_GREETING, DM_OPEN, DM_DRAINING, DM_CLOSED };

struct dm_welcome {
    char server[128];
    uint8_t incarnation[64];
    size_t incarnation_size;
    size_t frame_bytes_max;
    uint32_t heartbeat_ms;
};

/* Told by the session; none of these may free or restart it. `request` was removed unless it is a stream's. */
struct dm_session_owner {
    void (*opened)(void *context);
    /* RESPONSE; failure is NULL when it succeeded. Also END of what is no stream. */
    void (*answered)(void *context, const struct dm_request *request,
                     const struct dm_failure *failure, const uint8_t *bytes, size_t size);
    /* DATA. Anything but OK, with the session's failure set, closes the session. */
    dormouse_status (*delivered)(void *context, const struct dm_request *request,
                                 const uint8_t *bytes, size_t size);
    /* END of a stream; failure is never NULL, its status may be OK. */
    void (*ended)(void *context, const struct dm_request *request,
                  const struct dm_failure *failure);
};

struct dm_session {
    enum dm_session_state state;
    struct dm_buffer in;
    struct dm_buffer out;
    /* The newest delivery that came compressed, as it is without that. */
    struct dm_buffer plain;
    /* Deliveries may come compressed. */
    bool wants_compressed;
    struct dm_table requests;
    uint32_t last_stream;
    struct dm_welcome welcome;
    /* At most; 0 = the server's. */
    uint32_t heartbeat_ms_max;
    int64_t heard_at;
    /* A PING was sent, and nothing has come since. A program that was away itself must ask before it
     * gives up. */
    bool is_pinged;
    int64_t pinged_at;
    /* Why it closed; also what a GOAWAY said, from then on. */
    struct dm_failure failure;
    dormouse_arena *arena;
    const struct dm_session_owner *owner;
    void *context;
};

/* False without memory. */
bool dm_session_init(struct dm_session *session, const struct dm_session_owner *owner,
                     void *context);
void dm_session_free(struct dm_session *session);
/* A new connection: forgets the old one and greets. */
dormouse_status dm_session_start(struct dm_session *session, const char *client, const char *token,
                                 int64_t now);
/* Where to put bytes that came: at least some KiB. NULL without memory. */
uint8_t *dm_session_space(struct dm_session *session, size_t *size);
/* So many were put there. Not OK when the session is closed by them. */
dormouse_status dm_session_received(struct dm_session *session, size_t size, int64_t now);
/* Looks at the clock. */
dormouse_status dm_session_tick(struct dm_session *session, int64_t now);
/* When dm_session_tick is due. */
int64_t dm_session_deadline(const struct dm_session *session);
/* The connection ended from outside; what was known of why (a GOAWAY) stays. */
void dm_session_close(struct dm_session *session, dormouse_status status, const char *text);

/*
 * Appends a REQUEST whose payload is written by the caller: begin, append to `out`, finish. Finish gives the stream's
 * number, 0 without memory. DM_KIND_NONE: no answer is wanted unless it fails, and a failure is dropped. What was
 * begun and can not be finished must be dropped, or half a frame would be sent.
 */
size_t dm_request_begin(struct dm_session *session);
void dm_request_drop(struct dm_session *session, size_t mark);
uint32_t dm_request_finish(struct dm_session *session, size_t mark, enum dm_method method,
                           enum dm_kind kind, void *owner);
/* All of it at once, from bytes. */
uint32_t dm_request_send(struct dm_session *session, enum dm_method method, enum dm_kind kind,
                         void *owner, const void *bytes, size_t size);
/* CANCEL; whatever still comes for the stream is dropped. */
void dm_request_cancel(struct dm_session *session, uint32_t stream);

#endif
