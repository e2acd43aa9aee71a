#include "client.h"

#include <stdlib.h>

struct dm_call *dm_call_new(dormouse *client, enum dm_method method,
                            const ProtobufCMessage *request)
{
    struct dm_buffer bytes;
    memset(&bytes, 0, sizeof(bytes));
    if (!dm_message_append(&bytes, request)) {
        dm_buffer_free(&bytes);
        dm_fail_memory(&client->failure);
        return NULL;
    }
    struct dm_call *call = dm_call_of(client, method, &bytes);
    dm_buffer_free(&bytes);
    return call;
}

struct dm_call *dm_call_of(dormouse *client, enum dm_method method, struct dm_buffer *request)
{
    size_t size = dm_buffer_size(request);
    size_t size_max = client->frame_bytes_max > 0 ? client->frame_bytes_max : DM_FRAME_BYTES_MAX_MIN;
    if (client->call_count >= DM_CALLS_MAX) {
        dm_fail(&client->failure, DORMOUSE_RESOURCE_EXHAUSTED,
                "%d requests wait for their answer; wait for some of them", DM_CALLS_MAX);
        return NULL;
    }
    if (size > size_max) {
        dm_fail(&client->failure, DORMOUSE_FRAME_TOO_LARGE,
                "the request has %zu bytes; expected at most %zu", size, size_max);
        return NULL;
    }
    struct dm_call *call = calloc(1, sizeof(*call));
    if (call == NULL) {
        dm_fail_memory(&client->failure);
        return NULL;
    }
    call->method = method;
    call->request = *request;
    memset(request, 0, sizeof(*request));
    return call;
}

void dm_call_free(struct dm_call *call)
{
    if (call == NULL)
        return;
    dm_buffer_free(&call->request);
    dm_buffer_free(&call->reply);
    free(call);
}

void dm_call_begin(dormouse *client, struct dm_call *call)
{
    struct dm_call **link = &client->calls;
    while (*link != NULL)
        link = &(*link)->next;
    call->next = NULL;
    *link = call;
    client->call_count++;
}

static void remove_call(dormouse *client, struct dm_call *call)
{
    struct dm_call **link = &client->calls;
    while (*link != NULL && *link != call)
        link = &(*link)->next;
    if (*link == NULL)
        return;
    *link = call->next;
    call->next = NULL;
    client->call_count--;
}

/* Those that somebody waits for stay in the waiter's hands; the others are completed by dispatch. */
static void finish(dormouse *client, struct dm_call *call)
{
    remove_call(client, call);
    call->is_done = true;
    call->stream = 0;
    if (call->completed == NULL)
        return;
    if (client->completed == NULL)
        client->completed = call;
    else
        client->completed_last->next = call;
    client->completed_last = call;
}

void dm_calls_pump(dormouse *client)
{
    for (struct dm_call *each = client->calls; each != NULL; each = each->next) {
        if (each->stream != 0)
            continue;
        each->stream = dm_request_send(&client->session, each->method, DM_KIND_CALL, each,
                                       each->request.bytes, dm_buffer_size(&each->request));
        if (each->stream == 0)
            return;
        dm_buffer_free(&each->request);
    }
}

bool dm_calls_want_to_send(const dormouse *client)
{
    for (const struct dm_call *each = client->calls; each != NULL; each = each->next)
        if (each->stream == 0)
            return true;
    return false;
}

void dm_call_answered(dormouse *client, struct dm_call *call, const struct dm_failure *failure,
                      const uint8_t *bytes, size_t size)
{
    if (failure != NULL)
        call->failure = *failure;
    else if (!dm_buffer_append(&call->reply, bytes, size))
        dm_fail_memory(&call->failure);
    finish(client, call);
}

void dm_calls_lost(dormouse *client, const struct dm_failure *failure, bool unsent_too)
{
    struct dm_call *next;
    for (struct dm_call *each = client->calls; each != NULL; each = next) {
        next = each->next;
        if (each->stream == 0 && !unsent_too && !each->is_of_connection)
            continue;
        if (failure->status == DORMOUSE_PROTOCOL_ERROR || unsent_too)
            each->failure = *failure;
        else
            dm_fail(&each->failure, DORMOUSE_CONNECTION_LOST,
                    "%s, while the request was under way: it may have been done or not", failure->text);
        finish(client, each);
    }
}

bool dm_calls_have_closures(const dormouse *client)
{
    for (const struct dm_call *each = client->calls; each != NULL; each = each->next)
        if (each->completed != NULL)
            return true;
    return false;
}

void dm_calls_dispatch(dormouse *client)
{
    while (client->completed != NULL) {
        struct dm_call *call = client->completed;
        client->completed = call->next;
        call->completed(call, call->context);
        dm_call_free(call);
    }
}

static void free_calls(struct dm_call *call)
{
    while (call != NULL) {
        struct dm_call *next = call->next;
        dm_call_free(call);
        call = next;
    }
}

void dm_calls_free(dormouse *client)
{
    free_calls(client->calls);
    free_calls(client->completed);
    client->calls = client->completed = NULL;
}

static bool is_done(dormouse *client, void *context)
{
    (void)client;
    return ((struct dm_call *)context)->is_done;
}

dormouse_status dm_call_wait(dormouse *client, struct dm_call *call, int timeout_ms)
{
    dm_call_begin(client, call);
    dormouse_status status =
        dm_wait(client, is_done, call, dm_deadline(dm_now(), timeout_ms));
    if (status == DORMOUSE_OK) {
        if (call->failure.status != DORMOUSE_OK)
            client->failure = call->failure;
        return call->failure.status;
    }
    remove_call(client, call);
    if (status == DORMOUSE_TIMEOUT) {
        if (call->stream != 0)
            dm_request_cancel(&client->session, call->stream);
        return dm_timed_out(client, "the server did not answer");
    }
    return status;
}

dormouse_status dm_call_typed(dormouse *client, enum dm_method method,
                              const ProtobufCMessage *request,
                              const ProtobufCMessageDescriptor *reply_type, bool is_listing,
                              int timeout_ms, const ProtobufCMessage **reply)
{
    dormouse_status status = dm_check_running(client);
    if (status != DORMOUSE_OK)
        return status;
    struct dm_call *call = dm_call_new(client, method, request);
    if (call == NULL)
        return client->failure.status;
    status = dm_call_wait(client, call, timeout_ms);
    if (status == DORMOUSE_OK) {
        /* Bytes are copied into the arena, so the reply may go. */
        *reply = dm_message_decode(client->arena, reply_type, call->reply.bytes,
                                   dm_buffer_size(&call->reply), is_listing);
        if (*reply == NULL)
            status = dm_not_decoded(&client->failure, client->arena,
                                    "the server's answer is not readable");
    }
    dm_call_free(call);
    return status;
}

const char *dm_exchange(const dormouse *client, const char *exchange)
{
    return exchange != NULL ? exchange : client->options.exchange;
}

dormouse_status dm_bad(dormouse *client, const char *text)
{
    return dm_fail(&client->failure, DORMOUSE_BAD_ARGUMENT, "%s", text);
}
