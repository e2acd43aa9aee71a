/*
 * Nothing but what protoc-c makes of dormouse.proto: publishes, subscribes, acknowledges, lists and stops by the
 * generated stubs. `protoc-c --c_out=. --proto_path=$(pkg-config --variable=protodir dormouse) dormouse.proto`
 * makes dormouse.pb-c.c and dormouse.pb-c.h, which are compiled with it.
 *
 *     stubs dormouse://127.0.0.1:3673/main
 */
#include "dormouse.pb-c.h"

#include <dormouse_service.h>

#include <stdio.h>
#include <string.h>

struct state {
    dormouse *client;
    ProtobufCService *service;
    bool is_subscribed, is_published, has_event, is_acknowledged, is_listed, is_stopped, has_ended;
};

static ProtobufCBinaryData text(const char *bytes)
{
    ProtobufCBinaryData data = {strlen(bytes), (uint8_t *)bytes};
    return data;
}

static void on_acknowledged(const Dormouse__V1__AcknowledgeReply *reply, void *data)
{
    struct state *state = data;
    state->is_acknowledged = reply != NULL;
}

/* For each Delivery, the first of which confirms the subscription; NULL at the end. */
static void on_delivery(const Dormouse__V1__Delivery *delivery, void *data)
{
    struct state *state = data;
    if (delivery == NULL) {
        printf("the stream ended: %s\n", dormouse_error(state->client));
        state->has_ended = true;
        return;
    }
    state->is_subscribed = true;
    for (size_t i = 0; i < delivery->n_events; i++) {
        const Dormouse__V1__Event *event = delivery->events[i];
        printf("event: %.*s %.*s\n", (int)event->key.len, (const char *)event->key.data,
               (int)event->payload.len, (const char *)event->payload.data);
        state->has_event = true;
    }
    if (delivery->n_events == 0)
        return;
    Dormouse__V1__AcknowledgeRequest request = DORMOUSE__V1__ACKNOWLEDGE_REQUEST__INIT;
    request.stream = dormouse_service_stream(state->service);
    request.upto = delivery->upto;
    dormouse__v1__dormouse__acknowledge(state->service, &request, on_acknowledged, state);
}

static void on_published(const Dormouse__V1__PublishReply *reply, void *data)
{
    struct state *state = data;
    if (reply == NULL)
        printf("not published: %s\n", dormouse_error(state->client));
    else
        printf("published %llu event(s)\n",
               (unsigned long long)(reply->last_position - reply->first_position + 1));
    state->is_published = true;
}

static void on_listed(const Dormouse__V1__ListReply *reply, void *data)
{
    struct state *state = data;
    for (size_t i = 0; reply != NULL && i < reply->n_subscriptions; i++)
        printf("subscriber: %.*s\n", (int)reply->subscriptions[i]->name.len,
               (const char *)reply->subscriptions[i]->name.data);
    state->is_listed = true;
}

static void on_stopped(const Dormouse__V1__StopReply *reply, void *data)
{
    struct state *state = data;
    printf("stopped: %s\n", reply != NULL && reply->was_awake ? "it was awake" : "it slept");
    state->is_stopped = true;
}

static void subscribe(struct state *state)
{
    Dormouse__V1__ReceiverConfig config = DORMOUSE__V1__RECEIVER_CONFIG__INIT;
    Dormouse__V1__SubscribeRequest request = DORMOUSE__V1__SUBSCRIBE_REQUEST__INIT;
    ProtobufCBinaryData patterns[] = {text("stubs.*")};
    config.n_patterns = 1;
    config.patterns = patterns;
    request.config = &config;
    request.name = text("stubs-example");
    request.start = DORMOUSE__V1__START__NEXT;
    request.credit_events = 1000; /* more by Grant */
    request.credit_bytes = 1 << 20;
    dormouse__v1__dormouse__subscribe(state->service, &request, on_delivery, state);
}

static void publish(struct state *state)
{
    Dormouse__V1__Event event = DORMOUSE__V1__EVENT__INIT;
    Dormouse__V1__Event *events[] = {&event};
    Dormouse__V1__PublishRequest request = DORMOUSE__V1__PUBLISH_REQUEST__INIT;
    event.key = text("stubs.hello");
    event.payload = text("world");
    request.n_events = 1;
    request.events = events;
    dormouse__v1__dormouse__publish(state->service, &request, on_published, state);
}

/* False, with a message, when it did not happen within 5 seconds. */
static bool wait_for(struct state *state, const bool *flag)
{
    if (dormouse_wait_for(state->client, flag, 5000) == DORMOUSE_OK)
        return true;
    fprintf(stderr, "%s\n", dormouse_error(state->client));
    return false;
}

static int run(struct state *state)
{
    Dormouse__V1__ListRequest list = DORMOUSE__V1__LIST_REQUEST__INIT;
    Dormouse__V1__StopRequest stop = DORMOUSE__V1__STOP_REQUEST__INIT;
    subscribe(state);
    if (!wait_for(state, &state->is_subscribed))
        return 1;
    publish(state);
    if (!wait_for(state, &state->is_published) || !wait_for(state, &state->has_event)
        || !wait_for(state, &state->is_acknowledged))
        return 1;
    list.name_prefix = text("stubs-");
    dormouse__v1__dormouse__list(state->service, &list, on_listed, state);
    if (!wait_for(state, &state->is_listed))
        return 1;
    stop.name = text("stubs-example");
    dormouse__v1__dormouse__stop(state->service, &stop, on_stopped, state);
    return wait_for(state, &state->is_stopped) && wait_for(state, &state->has_ended) ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct state state = {0};
    if (argc != 2) {
        fprintf(stderr, "usage: stubs URI\n");
        return 64;
    }
    state.client = dormouse_new();
    if (state.client == NULL || dormouse_set_uri(state.client, argv[1]) != DORMOUSE_OK
        || dormouse_connect(state.client, 5000) != DORMOUSE_OK) {
        fprintf(stderr, "%s\n", dormouse_error(state.client));
        return 1;
    }
    state.service = dormouse_service(state.client);
    int code = state.service == NULL ? 70 : run(&state);
    dormouse_close(state.client, 1000);
    dormouse_free(state.client);
    return code;
}
