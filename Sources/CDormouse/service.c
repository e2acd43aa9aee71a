#include "service.h"

#include "dormouse_service.h"

#include <stdlib.h>

/* What a server may have sent ahead of the closures. It has the credit that the program gives it, which is
 * not looked at here. */
#define QUEUE_BYTES_MAX ((size_t)64 << 20)
/* What an empty one costs, about. */
#define DELIVERY_BYTES ((size_t)64)

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
    /* What the program calls it. Never given twice by a handle, while `stream` begins anew with each connection: a late
     * acknowledgement must not meet another subscription. */
    uint32_t number;
    /* Its number on the connection; 0 until it was sent. */
    uint32_t stream;
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
    /* The numbers of the one whose closure runs, and of the one made last; 0 when there is none. */
    uint32_t running;
    uint32_t newest;
    uint32_t last_number;
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
    {"Restored", DM_RESTORED},
    {"List", DM_LIST},
    {"ListReceivers", DM_LIST_RECEIVERS},
    {"Exchanges", DM_EXCHANGES},
    {"CreateExchange", DM_CREATE_EXCHANGE},
    {"Server", DM_SERVER},
    {"ListOutbox", DM_LIST_OUTBOX},
    {"ChangeOutbox", DM_CHANGE_OUTBOX},
    {"AddPrincipal", DM_ADD_PRINCIPAL},
    {"GrantPrincipal", DM_GRANT_PRINCIPAL},
    {"RevokePrincipal", DM_REVOKE_PRINCIPAL},
    {"RotatePrincipal", DM_ROTATE_PRINCIPAL},
    {"ListPrincipals", DM_LIST_PRINCIPALS},
    {"ListConnections", DM_LIST_CONNECTIONS},
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
            dm_not_decoded(&client->failure, unary->service->arena, "the server's answer is not readable");
    }
    unary->closure(reply, unary->data);
    free(unary);
}

static bool call_begin(struct dm_service *service, enum dm_method method,
                       const ProtobufCMessageDescriptor *reply, const ProtobufCMessage *input,
                       bool is_of_connection, ProtobufCClosure closure, void *data)
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
    call->is_of_connection = is_of_connection;
    dm_call_begin(client, call);
    return true;
}

/* ---- streams ---- */

static struct stream *stream_of(const struct dm_service *service, uint32_t number)
{
    for (struct stream *each = service->streams; each != NULL; each = each->next)
        if (each->number == number && !each->is_ended)
            return each;
    return NULL;
}

/* Numbers are for the life of the handle; after 2^32 of them, those that still live are left out. */
static uint32_t next_number(struct dm_service *service)
{
    do {
        service->last_number++;
    } while (service->last_number == 0 || stream_of(service, service->last_number) != NULL);
    return service->last_number;
}

/* Acknowledge and Grant: the same message with the stream's number on this connection in place of the program's. */
static bool bound_begin(struct dm_service *service, enum dm_method method,
                        const ProtobufCMessageDescriptor *reply, const ProtobufCMessage *input,
                        ProtobufCClosure closure, void *data)
{
    const ProtobufCMessageDescriptor *type = input->descriptor;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(type, "stream");
    uint32_t number;
    if (field == NULL || field->type != PROTOBUF_C_TYPE_UINT32) {
        dm_bad(service->client, "the request has no number of a stream; generate the stubs from the installed "
                                "dormouse.proto");
        return false;
    }
    memcpy(&number, (const char *)input + field->offset, sizeof(number));
    const struct stream *stream = stream_of(service, number);
    if (stream == NULL || stream->stream == 0) {
        dm_fail(&service->client->failure, DORMOUSE_BAD_ARGUMENT,
                "stream %u is %s; use dormouse_service_stream inside the closure of the subscription that is meant",
                number, stream == NULL ? "no subscription that lasts" : "not confirmed yet");
        return false;
    }
    char *copy = malloc(type->sizeof_message);
    if (copy == NULL) {
        dm_fail_memory(&service->client->failure);
        return false;
    }
    memcpy(copy, input, type->sizeof_message);
    memcpy(copy + field->offset, &stream->stream, sizeof(stream->stream));
    bool is_begun =
        call_begin(service, method, reply, (const ProtobufCMessage *)(void *)copy, true, closure, data);
    free(copy);
    return is_begun;
}

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
    stream->number = service->newest = next_number(service);
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
    if (stream->queued_bytes + DELIVERY_BYTES + size > QUEUE_BYTES_MAX)
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
    stream->queued_bytes += DELIVERY_BYTES + size;
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
        if (each->stream != 0 || unsent_too)
            stream_end(each, failure);
}

/* ---- turns ---- */

void dm_service_pump(dormouse *client)
{
    if (client->service == NULL)
        return;
    for (struct stream *each = client->service->streams; each != NULL; each = each->next) {
        if (each->stream != 0 || each->is_ended)
            continue;
        each->stream = dm_request_send(&client->session, DM_SUBSCRIBE, DM_KIND_STREAM, each,
                                       each->request.bytes, dm_buffer_size(&each->request));
        if (each->stream == 0)
            return;
        dm_buffer_free(&each->request);
    }
}

bool dm_service_wants_to_send(const dormouse *client)
{
    if (client->service == NULL)
        return false;
    for (const struct stream *each = client->service->streams; each != NULL; each = each->next)
        if (each->stream == 0 && !each->is_ended)
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
        stream->queued_bytes -= DELIVERY_BYTES + delivery->size;
        const ProtobufCMessage *message = dm_message_decode(
            service->arena, stream->reply, delivery->bytes, delivery->size, true);
        free(delivery);
        if (message == NULL) {
            /* What follows would leave a hole. */
            drop_queue(stream);
            dormouse_service_cancel(&service->base, stream->number);
            dm_not_decoded(&stream->failure, service->arena, "a delivery is not readable");
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
    if (service->newest == stream->number)
        service->newest = 0;
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
    dormouse *client = service->client;
    enum dm_method method = DM_HELLO;
    bool is_begun = false;
    if (dm_check_running(client) != DORMOUSE_OK) {
        is_begun = false;
    } else if (index >= base->descriptor->n_methods
               || !method_named(base->descriptor->methods[index].name, &method)) {
        dm_bad(client, "the stub is of a method that this library does not know");
    } else {
        const ProtobufCMessageDescriptor *reply = base->descriptor->methods[index].output;
        if (method == DM_SUBSCRIBE)
            is_begun = stream_begin(service, reply, input, closure, data);
        else if (method == DM_ACKNOWLEDGE || method == DM_GRANT)
            is_begun = bound_begin(service, method, reply, input, closure, data);
        else
            is_begun = call_begin(service, method, reply, input, false, closure, data);
    }
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
    struct stream *stream = stream_of(service, number);
    if (stream == NULL)
        return;
    if (stream->stream != 0)
        dm_request_cancel(&service->client->session, stream->stream);
    struct dm_failure failure;
    dm_fail(&failure, DORMOUSE_CANCELLED, "the subscription was cancelled");
    stream_end(stream, &failure);
    drop_queue(stream);
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
