/* Publishes events of 100 bytes and receives them again, in batches; prints how many per second. */
#include "dormouse.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void check(dormouse *client, dormouse_status status, const char *what)
{
    if (status == DORMOUSE_OK)
        return;
    fprintf(stderr, "%s: %s: %s\n", what, dormouse_status_text(status), dormouse_error(client));
    exit(1);
}

int main(int count, char **arguments)
{
    if (count < 3) {
        fprintf(stderr, "usage: %s URI EVENTS\n", arguments[0]);
        return 64;
    }
    size_t total = strtoul(arguments[2], NULL, 10);
    dormouse *client = dormouse_new();
    check(client, dormouse_set_uri(client, arguments[1]), "URI");
    check(client, dormouse_connect(client, 10000), "connect");
    /* Random, and another piece of it for each event: what shrinks would be stored faster. */
    static char noise[1 << 20];
    uint32_t random = 1;
    for (size_t i = 0; i < sizeof(noise); i++) {
        random = random * 1664525 + 1013904223;
        noise[i] = (char)(random >> 24);
    }
    enum { PAYLOAD = 80 };
    dormouse_event event = {0};
    event.key = dormouse_text("orders.1042.paid");
    event.payload.data = noise;
    event.payload.size = PAYLOAD;
    dormouse_subscribe_options options = {0};
    options.struct_size = sizeof(options);
    options.start = DORMOUSE_NEXT;
    dormouse_published first;
    check(client, dormouse_publish(client, &event, 1, 10000, &first), "publish");

    clock_t cpu = clock();
    double began = seconds();
    for (size_t i = 0; i < total; i++) {
        event.payload.data = noise + i * 6011 % (sizeof(noise) - PAYLOAD);
        check(client, dormouse_publish_async(client, &event, 1, -1, NULL, NULL), "publish");
    }
    check(client, dormouse_flush(client, -1), "flush");
    double took = seconds() - began;
    printf("published %zu in %.3f s: %.0f/s; processor %.0f ns each\n", total, took,
           (double)total / took, (double)(clock() - cpu) * 1e9 / CLOCKS_PER_SEC / (double)total);

    options.start = DORMOUSE_POSITION;
    options.start_value = first.first_position + 1;
    dormouse_subscription *subscription;
    check(client, dormouse_subscribe(client, &options, 10000, &subscription), "subscribe");
    cpu = clock();
    began = seconds();
    size_t received = 0;
    size_t bytes = 0;
    while (received < total) {
        dormouse_batch batch;
        check(client, dormouse_next_batch(subscription, &batch, 10000), "next");
        for (size_t i = 0; i < batch.event_count; i++)
            bytes += batch.events[i].key.size + batch.events[i].payload.size;
        received += batch.event_count;
        check(client, dormouse_acknowledge(subscription, batch.upto), "acknowledge");
    }
    took = seconds() - began;
    printf("received %zu (%zu bytes) in %.3f s: %.0f/s; processor %.0f ns each\n", received, bytes,
           took, (double)received / took,
           (double)(clock() - cpu) * 1e9 / CLOCKS_PER_SEC / (double)received);
    dormouse_unsubscribe(subscription);
    check(client, dormouse_close(client, 10000), "close");
    dormouse_free(client);
    return 0;
}
