/*
 * Whatever a server sends: to a handle that has subscribed both ways, publishes with a producer and waits for answers,
 * over a socket pair. The input's first byte says how it is cut.
 */
#include "client.h"
#include "dormouse_service.h"

#include "dormouse.pb-c.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_delivery(const Dormouse__V1__Delivery *delivery, void *data)
{
    (void)delivery;
    (*(int *)data)++;
}

static void on_list(const Dormouse__V1__ListReply *reply, void *data)
{
    (void)reply;
    (*(int *)data)++;
}

static void on_events(void *context, dormouse_subscription *subscription,
                      const dormouse_batch *batch)
{
    size_t *sum = context;
    for (size_t i = 0; i < batch->event_count; i++) {
        const dormouse_event *event = &batch->events[i];
        *sum += event->payload.size == 0 ? 0 : ((const uint8_t *)event->payload.data)[event->payload.size - 1];
        for (size_t k = 0; k < event->header_count; k++)
            *sum += event->headers[k].value.size;
    }
    dormouse_acknowledge(subscription, batch->upto);
}

/* A Welcome: frames of 1 MiB, heartbeat 20 s. */
static const uint8_t welcome[] = {0, 0, 0, 14, 2, 0, 0, 0, 0, 0, 0, 1,
                                  0x1A, 4, 'l', 'o', 'g', '1', 0x20, 0x80, 0x80, 0x40,
                                  0x28, 0xA0, 0x9C, 0x01};

static void give(dormouse *client, int fd, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t done = send(fd, bytes, size, MSG_NOSIGNAL);
        if (done <= 0)
            return;
        bytes += done;
        size -= (size_t)done;
        dormouse_process(client);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char *const patterns[] = {"a.#"};
    int calls = 0;
    size_t sum = 0;
    int pair[2];
    if (size == 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
        return 0;
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    fcntl(pair[1], F_SETFL, O_NONBLOCK);
    dormouse *client = dormouse_new();
    dormouse_set_uri(client, "dormouse://127.0.0.1/main?producer=p&reconnect=no");
    client->transport.fd = pair[0];
    client->stage = DM_STAGE_TALKING;
    client->state = DORMOUSE_OPEN;
    dm_session_start(&client->session, "fuzz", "", dm_now());
    give(client, pair[1], welcome, sizeof(welcome));
    if (dormouse_connections(client) != 1)
        abort();

    dormouse_subscribe_options options = {0};
    options.struct_size = sizeof(options);
    options.patterns = patterns;
    options.pattern_count = 1;
    options.on_events = on_events;
    options.context = &sum;
    dormouse_subscription *pushed = NULL;
    dormouse_subscription *pulled = NULL;
    dormouse_subscribe(client, &options, 0, &pushed); /* stream 3: the producer's question is 2 */
    options.on_events = NULL;
    dormouse_subscribe(client, &options, 0, &pulled);
    Dormouse__V1__SubscribeRequest request = DORMOUSE__V1__SUBSCRIBE_REQUEST__INIT;
    dormouse__v1__dormouse__subscribe(dormouse_service(client), &request, on_delivery, &calls);
    Dormouse__V1__ListRequest list = DORMOUSE__V1__LIST_REQUEST__INIT;
    dormouse__v1__dormouse__list(dormouse_service(client), &list, on_list, &calls);
    dormouse_event event = {0};
    event.key = dormouse_text("a.b");
    dormouse_publish_async(client, &event, 1, 0, NULL, NULL);

    size_t cut = 1 + bytes[0] % 64 * 16;
    for (size_t at = 1; at < size; at += cut) {
        give(client, pair[1], bytes + at, size - at < cut ? size - at : cut);
        dormouse_batch batch;
        if (pulled != NULL && dormouse_next_batch(pulled, &batch, 0) == DORMOUSE_OK)
            dormouse_acknowledge(pulled, batch.upto);
    }
    close(pair[1]);
    dormouse_process(client);
    dormouse_free(client);
    return (sum + (size_t)calls) == (size_t)-1 ? -1 : 0;
}
