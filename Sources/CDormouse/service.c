#include "service.h"

#include "dormouse_service.h"

#include <stdlib.h>

/* What a server may have sent ahead of the closures. It has the credit that the program gives it, which is
 * not looked at here. */
#define QUEUE_BYTES_MAX ((size_t)64 << 20)

/* A unary call: the context of its dm_call. */
struct unary {
    struct dm_service *service;
    const ProtobufCMessageDescriptor *reply;
    ProtobufCClosure closure;
    void *data;
};

struct delivery {
    struct delivery *next;
    size_t size;
    uint8_t bytes[];
};

/* A Subscribe. */
struct stream {
    struct stream *next;
    struct dm_service *service;
    const ProtobufCMessageDescriptor *reply;
    ProtobufCClosure closure;
    void *data;
    /* Empty once it was sent. */
    struct dm_buffer request;
    uint32_t number;
    struct delivery *oldest;
    struct delivery *newest;
    size_t queued_bytes;
    bool is_ended;
    struct dm_failure failure;
};

struct dm_service {
    ProtobufCService base;
    dormouse *client;
    struct stream *streams;
    /* For replies while their closure runs: closures may use the handle's own. */
    dormouse_arena *arena;
    uint32_t running;
    uint32_t newest;
};

static const struct {
    const char *name;
    enum dm_method method;
} methods[] = {
    {"Hello", DM_HELLO},
    {"Publish", DM_PUBLISH},
    {"Producer", DM_PRODUCER},
    {"Subscribe", DM_SUBSCRIBE},
    {"Acknowledge", DM_ACKNOWLEDGE},
    {"Grant", DM_GRANT},
    {"Stop", DM_STOP},
    {"Fetch", DM_FETCH},
    {"Seek", DM_SEEK},
    {"Pause", DM_PAUSE},
    {"Forget", DM_FORGET},
    {"List", DM_LIST},
    {"ListReceivers", DM_LIST_RECEIVERS},
    {"Exchanges", DM_EXCHANGES},
    {"CreateExchange", DM_CREATE_EXCHANGE},
    {"Server", DM_SERVER},
};

static bool method_named(const char *name, enum dm_method *method)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (strcmp(methods[i].name, name) == 0) {
            *method = methods[i].method;
            return true;
        }
    return false;
}

/* ---- unary ---- */

static void completed(struct dm_call *call, void *context)
{
    struct unary *unary = context;
    dormouse *client = unary->service->client;
    const ProtobufCMessage *reply = NULL;
    if (call->failure.status != DORMOUSE_OK) {
        client->failure = call->failure;
    } else {
        reply = dm_message_decode(unary->service->arena, unary->reply, call->reply.bytes,
                                  dm_buffer_size(&call->reply), true);
        if (reply == NULL)
            dm_fail(&client->failure, DORMOUSE_PROTOCOL_ERROR,
                    "the server's answer is not readable");
    }
    unary->closure(reply, unary->data);
    free(unary);
}

static bool call_begin(struct dm_service *service, enum dm_method method,
                       const ProtobufCMessageDescriptor *reply, const ProtobufCMessage *input,
                       ProtobufCClosure closure, void *data)
{
    dormouse *client = service->client;
    struct unary *unary = malloc(sizeof(*unary));
    if (unary == NULL) {
        dm_fail_memory(&client->failure);
        return false;
    }
    struct dm_call *call = dm_call_new(client, method, input);
    if (call == NULL) {
        free(unary);
        return false;
    }
    unary->service = service;
    unary->reply = reply;
    unary->closure = closure;
    unary->data = data;
    call->completed = completed;
    call->context = unary;
    dm_call_begin(client, call);
    return true;
}

/* ---- streams ---- */

static bool stream_begin(struct dm_service *service, const ProtobufCMessageDescriptor *reply,
                         const ProtobufCMessage *input, ProtobufCClosure closure, void *data)
{
    dormouse *client = service->client;
    struct stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL || !dm_message_append(&stream->request, input)) {
        free(stream);
        dm_fail_memory(&client->failure);
        return false;
    }
    size_t size = dm_buffer_size(&stream->request);
    size_t size_max = client->frame_bytes_max > 0 ? client->frame_bytes_max : DM_FRAME_BYTES_MAX_MIN;
    if (size > size_max) {
        dm_buffer_free(&stream->request);
        free(stream);
        dm_fail(&client->failure, DORMOUSE_FRAME_TOO_LARGE,
                "the request has %zu bytes; expected at most %zu", size, size_max);
        return false;
    }
    stream->service = service;
    stream->reply = reply;
    stream->closure = closure;
    stream->data = data;
    struct stream **link = &service->streams;
    while (*link != NULL)
        link = &(*link)->next;
    *link = stream;
    service->newest = 0;
    return true;
}

static void drop_queue(struct stream *stream)
{
    while (stream->oldest != NULL) {
        struct delivery *next = stream->oldest->next;
        free(stream->oldest);
        stream->oldest = next;
    }
    stream->newest = NULL;
    stream->queued_bytes = 0;
}

static void stream_free(struct stream *stream)
{
    drop_queue(stream);
    dm_buffer_free(&stream->request);
    free(stream);
}

static void stream_end(struct stream *stream, const struct dm_failure *failure)
{
    if (stream->is_ended)
        return;
    stream->is_ended = true;
    stream->failure = *failure;
    if (stream->failure.text[0] == '\0')
        dm_fail(&stream->failure, failure->status, "the server ended the stream");
}

dormouse_status dm_service_delivered(void *context, const uint8_t *bytes, size_t size,
                                     struct dm_failure *failure)
{
    struct stream *stream = context;
    if (stream->queued_bytes + size > QUEUE_BYTES_MAX)
        return dm_fail(failure, DORMOUSE_PROTOCOL_ERROR,
                       "%zu bytes of deliveries wait for dormouse_process; grant less credit, or process them",
                       stream->queued_bytes);
    struct delivery *delivery = malloc(sizeof(*delivery) + size);
    if (delivery == NULL)
        return dm_fail_memory(failure);
    delivery->next = NULL;
    delivery->size = size;
    if (size > 0)
        memcpy(delivery->bytes, bytes, size);
    if (stream->newest == NULL)
        stream->oldest = delivery;
    else
        stream->newest->next = delivery;
    stream->newest = delivery;
    stream->queued_bytes += size;
    return DORMOUSE_OK;
}

void dm_service_ended(void *context, const struct dm_failure *failure)
{
    stream_end(context, failure);
}

void dm_service_lost(dormouse *client, const struct dm_failure *failure, bool unsent_too)
{
    if (client->service == NULL)
        return;
    for (struct stream *each = client->service->streams; each != NULL; each = each->next)
        if (each->number != 0 || unsent_too)
            stream_end(each, failure);
}

/* ---- turns ---- */

void dm_service_pump(dormouse *client)
{
    if (client->service == NULL)
        return;
    for (struct stream *each = client->service->streams; each != NULL; each = each->next) {
        if (each->number != 0 || each->is_ended)
            continue;
        each->number = dm_request_send(&client->session, DM_SUBSCRIBE, DM_KIND_STREAM, each,
                                       each->request.bytes, dm_buffer_size(&each->request));
        if (each->number == 0)
            return;
        dm_buffer_free(&each->request);
        if (each->next == NULL)
            client->service->newest = each->number;
    }
}

bool dm_service_wants_to_send(const dormouse *client)
{
    if (client->service == NULL)
        return false;
    for (const struct stream *each = client->service->streams; each != NULL; each = each->next)
        if (each->number == 0 && !each->is_ended)
            return true;
    return false;
}

bool dm_service_has_due(const dormouse *client)
{
    if (client->service == NULL)
        return false;
    for (const struct stream *each = client->service->streams; each != NULL; each = each->next)
        if (each->oldest != NULL || each->is_ended)
            return true;
    return false;
}

/* What came before the end is told before it. */
static void dispatch(struct stream *stream)
{
    struct dm_service *service = stream->service;
    service->running = stream->number;
    while (stream->oldest != NULL) {
        struct delivery *delivery = stream->oldest;
        stream->oldest = delivery->next;
        if (stream->oldest == NULL)
            stream->newest = NULL;
        stream->queued_bytes -= delivery->size;
        const ProtobufCMessage *message = dm_message_decode(
            service->arena, stream->reply, delivery->bytes, delivery->size, false);
        free(delivery);
        if (message == NULL) {
            /* What follows would leave a hole. */
            drop_queue(stream);
            dormouse_service_cancel(&service->base, stream->number);
            dm_fail(&stream->failure, DORMOUSE_PROTOCOL_ERROR, "a delivery is not readable");
            break;
        }
        stream->closure(message, stream->data);
    }
    service->running = 0;
}

static void tell_end(struct stream *stream)
{
    struct dm_service *service = stream->service;
    struct stream **link = &service->streams;
    while (*link != stream)
        link = &(*link)->next;
    *link = stream->next;
    service->client->failure = stream->failure;
    service->running = stream->number;
    stream->closure(NULL, stream->data);
    service->running = 0;
    stream_free(stream);
}

void dm_service_dispatch(dormouse *client)
{
    if (client->service == NULL)
        return;
    /* Closures may add streams, behind these; only this function takes one away. */
    struct stream *next;
    for (struct stream *each = client->service->streams; each != NULL; each = next) {
        dispatch(each);
        next = each->next;
        if (each->is_ended && each->oldest == NULL)
            tell_end(each);
    }
}

/* ---- public ---- */

static void invoke(ProtobufCService *base, unsigned index, const ProtobufCMessage *input,
                   ProtobufCClosure closure, void *data)
{
    struct dm_service *service = (struct dm_service *)base;
    const ProtobufCMethodDescriptor *descriptor = &base->descriptor->methods[index];
    dormouse *client = service->client;
    enum dm_method method = DM_HELLO;
    bool is_begun = false;
    if (dm_check_running(client) != DORMOUSE_OK)
        is_begun = false;
    else if (index >= base->descriptor->n_methods || !method_named(descriptor->name, &method))
        dm_bad(client, "the stub is of a method that this library does not know");
    else if (method == DM_SUBSCRIBE)
        is_begun = stream_begin(service, descriptor->output, input, closure, data);
    else
        is_begun = call_begin(service, method, descriptor->output, input, closure, data);
    if (!is_begun)
        closure(NULL, data);
}

/* Stubs may destroy their service; this one is the handle's. */
static void destroy(ProtobufCService *base)
{
    (void)base;
}

ProtobufCService *dormouse_service_for(dormouse *client,
                                       const ProtobufCServiceDescriptor *descriptor)
{
    if (client == NULL || descriptor == NULL)
        return NULL;
    if (strcmp(descriptor->name, "dormouse.v1.Dormouse") != 0) {
        dm_bad(client, "the descriptor is of another service than dormouse.v1.Dormouse");
        return NULL;
    }
    if (client->service == NULL) {
        struct dm_service *service = calloc(1, sizeof(*service));
        if (service != NULL)
            service->arena = dormouse_arena_new();
        if (service == NULL || service->arena == NULL) {
            free(service);
            dm_fail_memory(&client->failure);
            return NULL;
        }
        service->base.invoke = invoke;
        service->base.destroy = destroy;
        service->base.descriptor = descriptor;
        service->client = client;
        client->service = service;
    }
    if (client->service->base.descriptor != descriptor) {
        dm_bad(client, "the handle is a service of another program's descriptor already");
        return NULL;
    }
    return &client->service->base;
}

uint32_t dormouse_service_stream(const ProtobufCService *base)
{
    if (base == NULL)
        return 0;
    const struct dm_service *service = (const struct dm_service *)base;
    return service->running != 0 ? service->running : service->newest;
}

void dormouse_service_cancel(ProtobufCService *base, uint32_t number)
{
    if (base == NULL || number == 0)
        return;
    struct dm_service *service = (struct dm_service *)base;
    for (struct stream *each = service->streams; each != NULL; each = each->next) {
        if (each->number != number || each->is_ended)
            continue;
        dm_request_cancel(&service->client->session, number);
        struct dm_failure failure;
        dm_fail(&failure, DORMOUSE_CANCELLED, "the subscription was cancelled");
        stream_end(each, &failure);
        drop_queue(each);
    }
}

void dm_service_free(dormouse *client)
{
    struct dm_service *service = client->service;
    if (service == NULL)
        return;
    struct dm_failure failure;
    dm_fail(&failure, DORMOUSE_CLOSED, "the handle is freed");
    dm_calls_lost(client, &failure, true);
    dm_calls_dispatch(client);
    dm_service_lost(client, &failure, true);
    for (struct stream *each = service->streams; each != NULL; each = service->streams) {
        drop_queue(each);
        tell_end(each);
    }
    client->service = NULL;
    dormouse_arena_free(service->arena);
    free(service);
}
