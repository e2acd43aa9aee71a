#include "session.h"

#include "message.h"
#include "wire.h"

#include <stdio.h>

/* One read takes at least this much, and the buffer doubles up to READ_BYTES_MAX when reads fill it. */
#define READ_BYTES_MIN ((size_t)64 << 10)
#define READ_BYTES_MAX ((size_t)1 << 20)
/* A server that sends PINGs and takes no bytes gets no more answers than this. */
#define PONG_BACKLOG_BYTES ((size_t)1 << 20)
/* So that a server can not make us busy with heartbeats. */
#define HEARTBEAT_MS_MIN 100u
#define HEARTBEAT_MS_DEFAULT 20000u

bool dm_session_init(struct dm_session *session, const struct dm_session_owner *owner,
                     void *context)
{
    memset(session, 0, sizeof(*session));
    session->state = DM_CLOSED;
    session->owner = owner;
    session->context = context;
    session->arena = dormouse_arena_new();
    return session->arena != NULL;
}

void dm_session_free(struct dm_session *session)
{
    dm_buffer_free(&session->in);
    dm_buffer_free(&session->out);
    dm_buffer_free(&session->plain);
    dm_table_free(&session->requests);
    dormouse_arena_free(session->arena);
    session->arena = NULL;
}

static dormouse_status fail(struct dm_session *session, dormouse_status status, const char *text)
{
    session->state = DM_CLOSED;
    return dm_fail(&session->failure, status, "%s", text);
}

static dormouse_status broken(struct dm_session *session, const char *text)
{
    session->state = DM_CLOSED;
    return dm_fail(&session->failure, DORMOUSE_PROTOCOL_ERROR,
                   "the server does not follow the protocol: %s; is this a dormoused?", text);
}

dormouse_status dm_session_start(struct dm_session *session, const char *client, const char *token,
                                 int64_t now)
{
    dm_buffer_clear(&session->in);
    dm_buffer_clear(&session->out);
    dm_table_free(&session->requests);
    dm_fail_clear(&session->failure);
    session->state = DM_GREETING;
    session->last_stream = 0;
    session->heard_at = now;
    session->is_pinged = false;
    /* What the welcome before it said is the newest that is known. */
    session->welcome.frame_bytes_max = DM_HELLO_FRAME_BYTES_MAX;

    Dormouse__V1__HelloRequest hello = DORMOUSE__V1__HELLO_REQUEST__INIT;
    hello.client = dm_binary(client);
    hello.library = dm_binary("libdormouse/" DORMOUSE_VERSION);
    hello.token = dm_binary(token);
    uint32_t features[] = {DORMOUSE__V1__FEATURE__LZ4_DELIVERIES};
    if (session->wants_compressed) {
        hello.features = features;
        hello.n_features = 1;
    }
    bool fits = dm_buffer_append(&session->out, DM_PREFACE, DM_PREFACE_BYTES);
    size_t mark = dm_request_begin(session);
    if (!fits || mark == 0 || !dm_message_append(&session->out, &hello.base)
        || dm_request_finish(session, mark, DM_HELLO, DM_KIND_HELLO, NULL) == 0) {
        session->state = DM_CLOSED;
        return dm_fail_memory(&session->failure);
    }
    return DORMOUSE_OK;
}

void dm_session_close(struct dm_session *session, dormouse_status status, const char *text)
{
    if (session->state == DM_CLOSED)
        return;
    /* What a GOAWAY said is a better reason than the end that followed it. */
    if (session->state == DM_DRAINING && session->failure.status != DORMOUSE_OK)
        session->state = DM_CLOSED;
    else
        fail(session, status, text);
}

/* ---- sending ---- */

size_t dm_request_begin(struct dm_session *session)
{
    if (!dm_buffer_reserve(&session->out, DM_FRAME_HEADER_BYTES))
        return 0;
    session->out.end += DM_FRAME_HEADER_BYTES;
    /* Distance from the start, because the buffer may move; never 0. */
    return session->out.end - session->out.start;
}

void dm_request_drop(struct dm_session *session, size_t mark)
{
    if (mark != 0)
        session->out.end = session->out.start + mark - DM_FRAME_HEADER_BYTES;
}

uint32_t dm_request_finish(struct dm_session *session, size_t mark, enum dm_method method,
                           enum dm_kind kind, void *owner)
{
    struct dm_buffer *out = &session->out;
    uint8_t *payload = out->bytes + out->start + mark;
    do {
        session->last_stream++;
    } while (session->last_stream == 0
             || dm_table_find(&session->requests, session->last_stream) != NULL);
    struct dm_request request = {session->last_stream, kind, owner};
    if (kind != DM_KIND_NONE && !dm_table_add(&session->requests, request)) {
        dm_request_drop(session, mark);
        return 0;
    }
    struct dm_frame frame = {0};
    frame.length = (uint32_t)(out->bytes + out->end - payload);
    frame.type = DM_REQUEST;
    frame.flags = kind == DM_KIND_NONE ? DM_FLAG_NO_REPLY : 0;
    frame.code = (uint16_t)method;
    frame.stream = session->last_stream;
    dm_frame_write(payload - DM_FRAME_HEADER_BYTES, &frame);
    return session->last_stream;
}

uint32_t dm_request_send(struct dm_session *session, enum dm_method method, enum dm_kind kind,
                         void *owner, const void *bytes, size_t size)
{
    if (!dm_buffer_reserve(&session->out, DM_FRAME_HEADER_BYTES + size))
        return 0;
    size_t mark = dm_request_begin(session);
    dm_buffer_append(&session->out, bytes, size);
    return dm_request_finish(session, mark, method, kind, owner);
}

static void send_frame(struct dm_session *session, enum dm_frame_type type, uint32_t stream,
                       const void *bytes, size_t size)
{
    uint8_t header[DM_FRAME_HEADER_BYTES];
    struct dm_frame frame = {(uint32_t)size, (uint8_t)type, 0, 0, stream};
    dm_frame_write(header, &frame);
    /* Without memory it is not sent: a PING is missed, and a cancelled stream is dropped here. */
    if (dm_buffer_reserve(&session->out, sizeof(header) + size)) {
        dm_buffer_append(&session->out, header, sizeof(header));
        dm_buffer_append(&session->out, bytes, size);
    }
}

void dm_request_cancel(struct dm_session *session, uint32_t stream)
{
    struct dm_request *request = dm_table_find(&session->requests, stream);
    if (request == NULL || session->state == DM_CLOSED)
        return;
    request->kind = DM_KIND_ABANDONED;
    request->owner = NULL;
    send_frame(session, DM_CANCEL, stream, NULL, 0);
}

/* ---- receiving ---- */

uint8_t *dm_session_space(struct dm_session *session, size_t *size)
{
    struct dm_buffer *in = &session->in;
    size_t wanted = READ_BYTES_MIN;
    /* Reads that fill a whole buffer of complete frames are worth a larger one. */
    if (in->start == in->end && in->capacity >= READ_BYTES_MIN)
        wanted = in->capacity;
    if (!dm_buffer_reserve(in, wanted))
        return NULL;
    *size = in->capacity - in->end;
    return in->bytes + in->end;
}

static dormouse_status welcomed(struct dm_session *session, const uint8_t *bytes, size_t size)
{
    const Dormouse__V1__Welcome *message = (const Dormouse__V1__Welcome *)dm_message_decode(
        session->arena, &dormouse__v1__welcome__descriptor, bytes, size, false);
    if (message == NULL && dormouse_arena_starved(session->arena)) {
        session->state = DM_CLOSED;
        return dm_fail_memory(&session->failure);
    }
    if (message == NULL)
        return broken(session, "its welcome is not readable");
    struct dm_welcome *welcome = &session->welcome;
    if (message->incarnation.len > sizeof(welcome->incarnation))
        return broken(session, "its incarnation has more than 64 bytes");
    dm_text_copy(welcome->server, sizeof(welcome->server), message->server.data,
                 message->server.len);
    if (message->incarnation.len > 0)
        memcpy(welcome->incarnation, message->incarnation.data, message->incarnation.len);
    welcome->incarnation_size = message->incarnation.len;
    welcome->frame_bytes_max = message->frame_bytes_max;
    if (welcome->frame_bytes_max < DM_FRAME_BYTES_MAX_MIN)
        welcome->frame_bytes_max = DM_FRAME_BYTES_MAX_MIN;
    if (welcome->frame_bytes_max > DM_FRAME_BYTES_MAX_MAX)
        welcome->frame_bytes_max = DM_FRAME_BYTES_MAX_MAX;
    uint32_t heartbeat = message->heartbeat_ms == 0 ? HEARTBEAT_MS_DEFAULT : message->heartbeat_ms;
    if (session->heartbeat_ms_max > 0 && heartbeat > session->heartbeat_ms_max)
        heartbeat = session->heartbeat_ms_max;
    welcome->heartbeat_ms = heartbeat < HEARTBEAT_MS_MIN ? HEARTBEAT_MS_MIN : heartbeat;
    session->state = DM_OPEN;
    session->owner->opened(session->context);
    return DORMOUSE_OK;
}

static dormouse_status answered(struct dm_session *session, const struct dm_frame *frame,
                                const uint8_t *bytes)
{
    struct dm_failure failure;
    bool has_failed = frame->code != DORMOUSE_OK;
    if (has_failed)
        dm_failure_decode(&failure, session->arena, frame->code, bytes, frame->length);
    struct dm_request *found = dm_table_find(&session->requests, frame->stream);
    if (found == NULL) {
        /* A request that wanted no answer may fail, and says nothing then that a stream's END does not. */
        if (has_failed && frame->stream != 0 && frame->stream <= session->last_stream)
            return DORMOUSE_OK;
        return broken(session, "it answered a request that was not sent");
    }
    struct dm_request request = *found;
    bool is_stream = request.kind == DM_KIND_SUBSCRIBE || request.kind == DM_KIND_STREAM;
    if (is_stream && frame->type == DM_RESPONSE)
        return broken(session, "it answered a subscribe with a RESPONSE");
    dm_table_remove(&session->requests, frame->stream);
    switch (request.kind) {
    case DM_KIND_NONE:
    case DM_KIND_ABANDONED:
        return DORMOUSE_OK;
    case DM_KIND_HELLO:
        if (has_failed) {
            session->failure = failure;
            session->state = DM_CLOSED;
            return failure.status;
        }
        if (frame->type != DM_RESPONSE)
            return broken(session, "it answered Hello with an END");
        return welcomed(session, bytes, frame->length);
    case DM_KIND_SUBSCRIBE:
    case DM_KIND_STREAM:
        if (!has_failed)
            dm_fail(&failure, DORMOUSE_OK, "the server ended the stream");
        session->owner->ended(session->context, &request, &failure);
        return DORMOUSE_OK;
    case DM_KIND_CALL:
    case DM_KIND_PUBLISH:
    case DM_KIND_PRODUCER:
        if (frame->type == DM_END && !has_failed) {
            dm_fail(&failure, DORMOUSE_CANCELLED, "the server ended the request without an answer");
            has_failed = true;
        }
        session->owner->answered(session->context, &request, has_failed ? &failure : NULL, bytes,
                                 frame->length);
        return DORMOUSE_OK;
    }
    return DORMOUSE_OK;
}

static dormouse_status delivered(struct dm_session *session, const struct dm_frame *frame,
                                 const uint8_t *bytes)
{
    const struct dm_request *request = dm_table_find(&session->requests, frame->stream);
    if (request != NULL && request->kind == DM_KIND_ABANDONED)
        return DORMOUSE_OK;
    if (request == NULL
        || (request->kind != DM_KIND_SUBSCRIBE && request->kind != DM_KIND_STREAM))
        return broken(session, "it sent a delivery on a stream that is no subscription");
    size_t size = frame->length;
    switch (dm_delivery_expand(bytes, size, session->welcome.frame_bytes_max, &session->plain)) {
    case DM_EXPANDED_NOT: break;
    case DM_EXPANDED:
        bytes = session->plain.bytes + session->plain.start;
        size = dm_buffer_size(&session->plain);
        break;
    case DM_EXPANDED_BROKEN:
        return broken(session, "it sent a delivery that is not readable");
    case DM_EXPANDED_NO_MEMORY:
        session->state = DM_CLOSED;
        return dm_fail_memory(&session->failure);
    }
    dormouse_status status = session->owner->delivered(session->context, request, bytes, size);
    if (status != DORMOUSE_OK)
        session->state = DM_CLOSED;
    return status;
}

static dormouse_status handle(struct dm_session *session, const struct dm_frame *frame,
                              const uint8_t *bytes)
{
    switch (frame->type) {
    case DM_RESPONSE:
    case DM_END:
        return answered(session, frame, bytes);
    case DM_DATA:
        return delivered(session, frame, bytes);
    case DM_PING:
        if (frame->length > DM_PING_BYTES_MAX)
            return broken(session, "its PING has more than 8 bytes");
        if (dm_buffer_size(&session->out) < PONG_BACKLOG_BYTES)
            send_frame(session, DM_PONG, 0, bytes, frame->length);
        return DORMOUSE_OK;
    case DM_PONG:
        return DORMOUSE_OK;
    case DM_GOAWAY:
        dm_failure_decode(&session->failure, session->arena, frame->code, bytes, frame->length);
        if (session->state == DM_GREETING) {
            session->state = DM_CLOSED;
            return session->failure.status == DORMOUSE_OK
                ? fail(session, DORMOUSE_UNAVAILABLE, "the server closed the connection")
                : session->failure.status;
        }
        session->state = DM_DRAINING;
        return DORMOUSE_OK;
    default:
        if (frame->type & 0x80)
            return DORMOUSE_OK;
        return broken(session, "it sent a frame of a type that servers do not send");
    }
}

dormouse_status dm_session_received(struct dm_session *session, size_t size, int64_t now)
{
    struct dm_buffer *in = &session->in;
    in->end += size;
    if (session->state == DM_CLOSED)
        return session->failure.status;
    session->heard_at = now;
    session->is_pinged = false;
    bool was_filled = in->end == in->capacity;
    while (in->end - in->start >= DM_FRAME_HEADER_BYTES) {
        struct dm_frame frame;
        dm_frame_read(in->bytes + in->start, &frame);
        if (frame.length > session->welcome.frame_bytes_max)
            return broken(session, "a frame is longer than allowed");
        if (in->end - in->start - DM_FRAME_HEADER_BYTES < frame.length)
            break;
        const uint8_t *payload = in->bytes + in->start + DM_FRAME_HEADER_BYTES;
        in->start += DM_FRAME_HEADER_BYTES + frame.length;
        dormouse_status status = handle(session, &frame, payload);
        if (status != DORMOUSE_OK)
            return status;
    }
    dm_buffer_take(in, 0);
    if (was_filled && in->start == in->end && in->capacity < READ_BYTES_MAX) {
        /* Without memory the old size will do. */
        dm_buffer_reserve(in, in->capacity * 2);
    }
    return DORMOUSE_OK;
}

/* ---- time ---- */

int64_t dm_session_deadline(const struct dm_session *session)
{
    if (session->state != DM_OPEN && session->state != DM_DRAINING)
        return DM_NEVER;
    int64_t heartbeat = session->welcome.heartbeat_ms;
    return session->is_pinged ? session->pinged_at + 2 * heartbeat : session->heard_at + heartbeat;
}

dormouse_status dm_session_tick(struct dm_session *session, int64_t now)
{
    if (dm_session_deadline(session) > now)
        return DORMOUSE_OK;
    if (session->is_pinged) {
        session->state = DM_CLOSED;
        return dm_fail(&session->failure, DORMOUSE_CONNECTION_LOST,
                       "the server has said nothing for %lld ms",
                       (long long)(now - session->heard_at));
    }
    session->is_pinged = true;
    session->pinged_at = now;
    send_frame(session, DM_PING, 0, NULL, 0);
    return DORMOUSE_OK;
}
