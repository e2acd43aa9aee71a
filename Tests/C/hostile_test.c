/*
 * Servers that do not follow the protocol: bytes are written into the other end of a connection, and the library
 * must answer with a status and a closed connection.
 */
#include "script.h"

#include <sys/wait.h>

static dormouse_subscription *subscribe(struct script *script, const char *name)
{
    dormouse_subscribe_options options = {0};
    dormouse_subscription *subscription;
    options.struct_size = sizeof(options);
    options.name = name;
    options.credit_events = 100;
    CHECK_STATUS(script->client, dormouse_subscribe(script->client, &options, 0, &subscription), DORMOUSE_OK);
    CHECK(subscription->stream > 0);
    return subscription;
}

static void another_protocol_is_named(void)
{
    struct script script = begin("");
    static const char text[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    dm_buffer_append(&script.bytes, text, strlen(text));
    finish(&script, DORMOUSE_PROTOCOL_ERROR);
}

static void a_refusal_is_told(void)
{
    struct script script = begin("");
    Dormouse__V1__Failure failure = DORMOUSE__V1__FAILURE__INIT;
    struct dm_buffer payload = {0};
    failure.message = dm_binary("who\nare you");
    CHECK(dm_message_append(&payload, &failure.base));
    add_frame(&script, DM_RESPONSE, DORMOUSE_UNAUTHENTICATED, 1, payload.bytes, dm_buffer_size(&payload));
    dm_buffer_free(&payload);
    send_bytes(&script);
    CHECK(strstr(dormouse_error(script.client), "who?are you") != NULL);
    finish(&script, DORMOUSE_UNAUTHENTICATED);
}

static void a_length_that_lies_allocates_nothing(void)
{
    struct script script = begin_open("");
    struct dm_frame frame = {0xffffffffu, DM_DATA, 0, 0, 2};
    uint8_t header[DM_FRAME_HEADER_BYTES];
    dm_frame_write(header, &frame);
    dm_buffer_append(&script.bytes, header, sizeof(header));
    finish(&script, DORMOUSE_PROTOCOL_ERROR);
}

static void wrong_frames_close_the_connection(void)
{
    static const struct {
        uint8_t type;
        uint32_t stream;
        size_t size;
    } wrong[] = {
        {DM_DATA, 77, 0},    {DM_RESPONSE, 77, 0}, {DM_END, 77, 0}, {DM_REQUEST, 1, 0},
        {DM_CANCEL, 1, 0},   {DM_PING, 0, 9},      {99, 0, 0},      {0, 0, 0},
        {DM_RESPONSE, 0, 0},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct script script = begin_open("");
        add_frame(&script, wrong[i].type, 0, wrong[i].stream, "123456789", wrong[i].size);
        finish(&script, DORMOUSE_PROTOCOL_ERROR);
    }
    struct script script = begin_open("");
    add_frame(&script, 0x81, 0, 5, "future", 6);
    send_bytes(&script);
    CHECK(dormouse_get_state(script.client) == DORMOUSE_OPEN);
    add_frame(&script, DM_DATA, 0, 0, NULL, 0);
    finish(&script, DORMOUSE_PROTOCOL_ERROR);
}

static void a_hole_is_an_error_of_its_subscription(void)
{
    struct script script = begin_open("");
    dormouse_subscription *one = subscribe(&script, "one");
    dormouse_subscription *two = subscribe(&script, "two");
    const dormouse_event *event;
    add_delivery(&script, one->stream, 10, 10, 0, 0);
    add_delivery(&script, two->stream, 10, 10, 0, 0);
    add_delivery(&script, one->stream, 10, 12, 2, 11);
    add_delivery(&script, two->stream, 10, 12, 2, 11);
    send_bytes(&script);
    CHECK_STATUS(script.client, dormouse_next(one, &event, 0), DORMOUSE_OK);
    CHECK(event->position == 11);
    add_delivery(&script, one->stream, 13, 14, 1, 14);
    send_bytes(&script);
    CHECK_STATUS(script.client, dormouse_next(one, &event, 0), DORMOUSE_HOLE);
    CHECK(dormouse_end_status(one) == DORMOUSE_HOLE && strstr(dormouse_end_error(one), "13") != NULL);
    CHECK_STATUS(script.client, dormouse_next(two, &event, 0), DORMOUSE_OK);
    CHECK_STATUS(script.client, dormouse_next(two, &event, 0), DORMOUSE_OK);
    CHECK(dormouse_end_status(two) == DORMOUSE_OK && event->position == 12);
    /* What still comes for the one that has ended is dropped. */
    add_delivery(&script, 2, 14, 15, 1, 15);
    send_bytes(&script);
    CHECK(dormouse_get_state(script.client) == DORMOUSE_OPEN);
    add_frame(&script, DM_PING, 0, 0, "x", 1);
    add_frame(&script, DM_DATA, 0, two->stream, "\x09", 1);
    finish(&script, DORMOUSE_PROTOCOL_ERROR);
}

static void events_out_of_order_are_refused(void)
{
    static const struct {
        uint64_t upto;
        uint64_t first;
    } wrong[] = {{20, 10}, {20, 20}, {20, 0}, {9, 8}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct script script = begin_open("");
        dormouse_subscription *subscription = subscribe(&script, "order");
        const dormouse_event *event;
        add_delivery(&script, subscription->stream, 10, 10, 0, 0);
        add_delivery(&script, subscription->stream, 10, wrong[i].upto, 2, wrong[i].first);
        send_bytes(&script);
        CHECK_STATUS(script.client, dormouse_next(subscription, &event, 0), DORMOUSE_PROTOCOL_ERROR);
        dormouse_free(script.client);
        close(script.fd);
        dm_buffer_free(&script.bytes);
    }
}

static void more_than_the_credit_is_refused(void)
{
    struct script script = begin_open("");
    dormouse_subscription *subscription = subscribe(&script, "credit");
    uint32_t stream = subscription->stream;
    add_delivery(&script, stream, 0, 0, 0, 0);
    for (uint64_t i = 0; i < 100; i++)
        add_delivery(&script, stream, i * 100, i * 100 + 100, 100, i * 100 + 1);
    finish(&script, DORMOUSE_PROTOCOL_ERROR);
}

/* A delivery after position 10 with two events, compressed by hand: one run of literals. */
static void add_compressed(struct script *script, uint32_t stream, uint32_t codec, uint32_t events_bytes, int cut)
{
    static const uint8_t events[] = {0x7a, 12, 0x09, 11, 0, 0, 0, 0, 0, 0, 0, 0x1a, 1, 'a',
                                     0x7a, 12, 0x09, 12, 0, 0, 0, 0, 0, 0, 0, 0x1a, 1, 'b'};
    uint8_t block[2 + sizeof(events)] = {0xf0, sizeof(events) - 15};
    memcpy(block + 2, events, sizeof(events));
    struct dm_buffer payload = {0};
    Dormouse__V1__Delivery delivery = DORMOUSE__V1__DELIVERY__INIT;
    delivery.after = 10;
    delivery.upto = 12;
    delivery.head = 12;
    delivery.codec = codec;
    delivery.events_bytes = events_bytes == 0 ? sizeof(events) : events_bytes;
    delivery.compressed.data = block;
    delivery.compressed.len = sizeof(block) - (size_t)cut;
    CHECK(dm_message_append(&payload, &delivery.base));
    add_frame(script, DM_DATA, 0, stream, payload.bytes, dm_buffer_size(&payload));
    dm_buffer_free(&payload);
}

static void compressed_deliveries_are_taken_apart(void)
{
    struct script script = begin_open("&compression=yes");
    dormouse_subscription *subscription = subscribe(&script, "compressed");
    const dormouse_event *event;
    add_delivery(&script, subscription->stream, 10, 10, 0, 0);
    add_compressed(&script, subscription->stream, 1, 0, 0);
    add_delivery(&script, subscription->stream, 12, 13, 1, 13);
    send_bytes(&script);
    for (uint64_t position = 11; position <= 13; position++) {
        CHECK_STATUS(script.client, dormouse_next(subscription, &event, 0), DORMOUSE_OK);
        CHECK(event->position == position && event->key.size == (position == 13 ? 3 : 1));
    }
    CHECK(script.client->session.plain.capacity <= (64 << 10));
    dormouse_free(script.client);
    close(script.fd);
    dm_buffer_free(&script.bytes);
}

/* Also by a library that did not ask for any: to pass over their events would be a hole. */
static void compressed_deliveries_that_lie_are_refused(void)
{
    static const struct {
        uint32_t codec;
        uint32_t events_bytes;
        int cut;
    } wrong[] = {{0, 0, 0}, {2, 0, 0}, {1, 27, 0}, {1, 29, 0}, {1, 2000000, 0},
                 {1, UINT32_MAX, 0}, {1, 0, 1}, {1, 0, 30}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct script script = begin_open(i % 2 == 0 ? "" : "&compression=yes");
        dormouse_subscription *subscription = subscribe(&script, "lies");
        add_delivery(&script, subscription->stream, 10, 10, 0, 0);
        add_compressed(&script, subscription->stream, wrong[i].codec, wrong[i].events_bytes, wrong[i].cut);
        finish(&script, DORMOUSE_PROTOCOL_ERROR);
    }
}

static void bookmarks_and_pings_without_end_take_no_memory(void)
{
    struct script script = begin_open("");
    dormouse_subscription *subscription = subscribe(&script, "bookmarks");
    add_delivery(&script, subscription->stream, 0, 0, 0, 0);
    for (uint64_t i = 0; i < 20000; i++) {
        add_delivery(&script, subscription->stream, i, i + 1, 0, 0);
        add_frame(&script, DM_PING, 0, 0, "12345678", 8);
    }
    send_bytes(&script);
    CHECK(subscription->oldest == NULL && dormouse_position(subscription) == 20000);
    CHECK(dm_buffer_size(&script.client->session.out) < (2 << 20));
    CHECK(script.client->session.in.capacity <= (2 << 20));
    add_frame(&script, DM_GOAWAY, DORMOUSE_INVALID_ARGUMENT, 0, NULL, 0);
    finish(&script, DORMOUSE_INVALID_ARGUMENT);
}

static void a_server_that_never_answers_is_a_timeout(void)
{
    struct script script = begin_open("&heartbeat_ms=100");
    dormouse_event event = {0};
    event.key = dormouse_text("a");
    CHECK_STATUS(script.client, dormouse_create_exchange(script.client, "x", 50), DORMOUSE_TIMEOUT);
    CHECK_STATUS(script.client, dormouse_publish(script.client, &event, 1, 50, NULL), DORMOUSE_TIMEOUT);
    /* After the heartbeats, it is given up, and what was published is unknown. */
    CHECK_STATUS(script.client, dormouse_flush(script.client, 5000), DORMOUSE_CONNECTION_LOST);
    CHECK(strstr(dormouse_error(script.client), "said nothing") != NULL);
    finish(&script, DORMOUSE_CONNECTION_LOST);
}

/* A connection's worth of good bytes, some of them changed, in pieces: any status will do. */
static void any_bytes_at_any_split_are_survived(void)
{
    uint64_t random = 88172645463325252u;
    for (int round = 0; round < 400; round++) {
        struct script script = begin("&producer=p");
        dormouse_subscription *subscription = NULL;
        dormouse_subscribe_options options = {0};
        dormouse_event event = {0};
        options.struct_size = sizeof(options);
        event.key = dormouse_text("a");
        dormouse_publish_async(script.client, &event, 1, 0, NULL, NULL);
        dormouse_subscribe(script.client, &options, 0, &subscription);
        add_welcome(&script);
        size_t safe = dm_buffer_size(&script.bytes);
        for (uint32_t stream = 2; stream < 4; stream++) {
            add_delivery(&script, stream, 5, 5, 0, 0);
            add_delivery(&script, stream, 5, 9, 3, 6);
        }
        add_frame(&script, DM_RESPONSE, 0, 3, "\x09\x01\0\0\0\0\0\0\0", 9);
        add_frame(&script, DM_RESPONSE, 0, 4, "\x09\x01\0\0\0\0\0\0\0", 9);
        add_frame(&script, DM_END, 101, 2, "\x0a\x03why", 5);
        add_frame(&script, DM_GOAWAY, 103, 0, "\x0a\x03why", 5);
        size_t size = dm_buffer_size(&script.bytes);
        if (round % 8 == 0)
            safe = 0;
        for (int flips = round % 4; flips > 0; flips--) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            script.bytes.bytes[safe + (random >> 33) % (size - safe)] = (uint8_t)(random >> 25);
        }
        for (size_t at = 0; at < size && script.client->stage != DM_STAGE_NONE;) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            size_t part = 1 + (size_t)(random >> 33) % 60;
            part = part > size - at ? size - at : part;
            send(script.fd, script.bytes.bytes + at, part, MSG_NOSIGNAL);
            at += part;
            dormouse_process(script.client);
            const dormouse_event *got;
            if (subscription != NULL)
                while (dormouse_next(subscription, &got, 0) == DORMOUSE_OK)
                    dormouse_acknowledge(subscription, got->position);
        }
        dormouse_free(script.client);
        close(script.fd);
        dm_buffer_free(&script.bytes);
    }
}

/* Sends what the script has once the client has sent something more: from another process, while it waits. */
static pid_t answer_the_next(struct script *script)
{
    char bytes[4096];
    while (recv(script->fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        ;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid > 0) {
        dm_buffer_clear(&script->bytes);
        return pid;
    }
    if (recv(script->fd, bytes, sizeof(bytes), 0) > 0)
        send(script->fd, script->bytes.bytes, dm_buffer_size(&script->bytes), MSG_NOSIGNAL);
    _exit(0);
}

struct freed {
    int batches;
    int ends;
    dormouse_subscription *other;
};

static void free_on_events(void *context, dormouse_subscription *subscription, const dormouse_batch *batch)
{
    struct freed *freed = context;
    CHECK(batch->event_count > 0);
    freed->batches++;
    dormouse_unsubscribe(freed->other == NULL ? subscription : freed->other);
    freed->other = NULL;
}

static void free_on_end(void *context, dormouse_subscription *subscription, dormouse_status status,
                        const char *error)
{
    (void)status;
    CHECK(error[0] != 0);
    ((struct freed *)context)->ends++;
    dormouse_unsubscribe(subscription);
}

static dormouse_subscribe_options options_that_free(struct freed *freed)
{
    dormouse_subscribe_options options = {0};
    options.struct_size = sizeof(options);
    options.on_events = free_on_events;
    options.on_end = free_on_end;
    options.context = freed;
    return options;
}

static void end(struct script *script, pid_t pid)
{
    CHECK(waitpid(pid, NULL, 0) == pid);
    dormouse_free(script->client);
    close(script->fd);
    dm_buffer_free(&script->bytes);
}

/* The caller of dormouse_subscribe gets the subscription first, and callbacks only then. */
static void a_subscription_may_be_freed_by_its_first_callback(void)
{
    struct freed freed = {0};
    dormouse_subscribe_options options = options_that_free(&freed);
    dormouse_subscription *subscription;
    struct script script = begin_open("");
    add_delivery(&script, 2, 0, 0, 0, 0);
    add_delivery(&script, 2, 0, 2, 2, 1);
    pid_t pid = answer_the_next(&script);
    CHECK_STATUS(script.client, dormouse_subscribe(script.client, &options, 5000, &subscription), DORMOUSE_OK);
    CHECK(freed.batches == 0 && dormouse_is_live(subscription));
    CHECK(dormouse_next_timeout(script.client) == 0);
    CHECK_STATUS(script.client, dormouse_process(script.client), DORMOUSE_OK);
    CHECK(freed.batches == 1 && freed.ends == 0 && script.client->subscriptions == NULL);
    end(&script, pid);
}

static void a_refused_subscription_has_no_end(void)
{
    struct freed freed = {0};
    dormouse_subscribe_options options = options_that_free(&freed);
    dormouse_subscription *subscription;
    struct script script = begin_open("");
    add_frame(&script, DM_END, DORMOUSE_NOT_FOUND, 2, NULL, 0);
    pid_t pid = answer_the_next(&script);
    CHECK_STATUS(script.client, dormouse_subscribe(script.client, &options, 5000, &subscription), DORMOUSE_NOT_FOUND);
    CHECK(subscription == NULL && freed.ends == 0 && script.client->subscriptions == NULL);
    end(&script, pid);
}

static void a_subscription_may_be_freed_while_its_next_event_is_waited_for(void)
{
    struct freed freed = {0};
    struct script script = begin_open("");
    dormouse_subscription *waited = subscribe(&script, "waited");
    dormouse_subscribe_options options = options_that_free(&freed);
    dormouse_subscription *other;
    const dormouse_event *event;
    CHECK_STATUS(script.client, dormouse_subscribe(script.client, &options, 0, &other), DORMOUSE_OK);
    freed.other = waited;
    add_delivery(&script, waited->stream, 0, 0, 0, 0);
    add_delivery(&script, other->stream, 0, 0, 0, 0);
    send_bytes(&script);
    add_delivery(&script, other->stream, 0, 2, 2, 1);
    CHECK(send(script.fd, script.bytes.bytes, dm_buffer_size(&script.bytes), MSG_NOSIGNAL) > 0);
    CHECK_STATUS(script.client, dormouse_next(waited, &event, 5000), DORMOUSE_CANCELLED);
    CHECK(freed.batches == 1 && script.client->subscriptions == other);
    dormouse_free(script.client);
    close(script.fd);
    dm_buffer_free(&script.bytes);
}

int main(void)
{
    listen_somewhere();
    TEST(another_protocol_is_named);
    TEST(a_refusal_is_told);
    TEST(a_length_that_lies_allocates_nothing);
    TEST(wrong_frames_close_the_connection);
    TEST(a_hole_is_an_error_of_its_subscription);
    TEST(events_out_of_order_are_refused);
    TEST(more_than_the_credit_is_refused);
    TEST(compressed_deliveries_are_taken_apart);
    TEST(compressed_deliveries_that_lie_are_refused);
    TEST(bookmarks_and_pings_without_end_take_no_memory);
    TEST(a_server_that_never_answers_is_a_timeout);
    TEST(any_bytes_at_any_split_are_survived);
    TEST(a_subscription_may_be_freed_by_its_first_callback);
    TEST(a_refused_subscription_has_no_end);
    TEST(a_subscription_may_be_freed_while_its_next_event_is_waited_for);
    close(listener);
    return 0;
}
