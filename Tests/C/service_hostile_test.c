/* Stubs and a server that does not follow the protocol: each closure is called as often as it should, and no crash. */
#include "dormouse_service.h"
#include "script.h"

struct heard {
    dormouse *client;
    int replies;
    int ends;
    size_t events;
    dormouse_status status;
    bool cancels;
};

static void note(struct heard *heard, const void *message)
{
    if (message != NULL) {
        heard->replies++;
        return;
    }
    heard->ends++;
    heard->status = dormouse_error_status(heard->client);
    CHECK(dormouse_error(heard->client)[0] != 0);
}

static void on_delivery(const Dormouse__V1__Delivery *delivery, void *data)
{
    struct heard *heard = data;
    ProtobufCService *service = dormouse_service(heard->client);
    note(heard, delivery);
    if (delivery == NULL)
        return;
    heard->events += delivery->n_events;
    if (heard->cancels)
        dormouse_service_cancel(service, dormouse_service_stream(service));
}

static void on_seen(const Dormouse__V1__SeekReply *reply, void *data)
{
    note(data, reply);
}

static void on_granted(const Dormouse__V1__GrantReply *reply, void *data)
{
    note(data, reply);
}

static uint32_t begin_subscribe(struct script *script, struct heard *heard)
{
    Dormouse__V1__SubscribeRequest request = DORMOUSE__V1__SUBSCRIBE_REQUEST__INIT;
    ProtobufCService *service = dormouse_service(script->client);
    memset(heard, 0, sizeof(*heard));
    heard->client = script->client;
    dormouse__v1__dormouse__subscribe(service, &request, on_delivery, heard);
    dormouse_process(script->client);
    return dormouse_service_stream(service);
}

static void begin_seek(struct script *script, struct heard *heard)
{
    Dormouse__V1__SeekRequest request = DORMOUSE__V1__SEEK_REQUEST__INIT;
    memset(heard, 0, sizeof(*heard));
    heard->client = script->client;
    dormouse__v1__dormouse__seek(dormouse_service(script->client), &request, on_seen, heard);
    dormouse_process(script->client);
}

static void end(struct script *script)
{
    dormouse_free(script->client);
    close(script->fd);
    dm_buffer_free(&script->bytes);
}

static void a_reply_that_is_not_one_is_null(void)
{
    struct script script = begin_open("");
    struct heard heard;
    begin_seek(&script, &heard);
    add_frame(&script, DM_RESPONSE, 0, 2, "\x09\x01", 2);
    send_bytes(&script);
    CHECK(heard.replies == 0 && heard.ends == 1 && heard.status == DORMOUSE_PROTOCOL_ERROR);
    /* A second answer to it is a breach; nobody is called for it. */
    add_frame(&script, DM_RESPONSE, 0, 2, NULL, 0);
    finish(&script, DORMOUSE_PROTOCOL_ERROR);
    CHECK(heard.ends == 1);
}

static void an_end_without_an_answer_is_null(void)
{
    struct script script = begin_open("");
    struct heard heard;
    begin_seek(&script, &heard);
    add_frame(&script, DM_END, 0, 2, NULL, 0);
    send_bytes(&script);
    CHECK(heard.replies == 0 && heard.ends == 1 && heard.status == DORMOUSE_CANCELLED);
    end(&script);
    CHECK(heard.ends == 1);
}

static void a_delivery_that_is_not_one_ends_its_stream(void)
{
    struct script script = begin_open("");
    struct heard heard;
    begin_subscribe(&script, &heard);
    add_delivery(&script, 2, 0, 2, 2, 1);
    add_frame(&script, DM_DATA, 0, 2, "\x7a\x7f", 2);
    add_delivery(&script, 2, 2, 4, 2, 3);
    send_bytes(&script);
    /* What follows would leave a hole. */
    CHECK(heard.replies == 1 && heard.events == 2);
    CHECK(heard.ends == 1 && heard.status == DORMOUSE_PROTOCOL_ERROR);
    CHECK(dormouse_get_state(script.client) == DORMOUSE_OPEN);
    end(&script);
    CHECK(heard.ends == 1);
}

/* The smallest events that a server may send, with all that it may add to them, in a delivery of the largest size. */
static void deliveries_of_the_smallest_events_are_read(void)
{
    enum { events_count = 2000, headers_count = 20 };
    static Dormouse__V1__Header headers[headers_count];
    static Dormouse__V1__Header *header_pointers[headers_count];
    static Dormouse__V1__Event events[events_count];
    static Dormouse__V1__Event *event_pointers[events_count];
    for (size_t with = 0; with <= headers_count; with += headers_count) {
        for (size_t i = 0; i < headers_count; i++) {
            dormouse__v1__header__init(&headers[i]);
            headers[i].name = dm_binary("h");
            header_pointers[i] = &headers[i];
        }
        for (size_t i = 0; i < events_count; i++) {
            dormouse__v1__event__init(&events[i]);
            events[i].position = i + 1;
            events[i].published_at = 1;
            events[i].key = dm_binary("k");
            events[i].payload = dm_binary("p");
            events[i].id = dm_binary("i");
            events[i].content_type = dm_binary("t");
            events[i].n_headers = with;
            events[i].headers = header_pointers;
            event_pointers[i] = &events[i];
        }
        Dormouse__V1__Delivery delivery = DORMOUSE__V1__DELIVERY__INIT;
        delivery.upto = delivery.head = events_count;
        delivery.n_events = events_count;
        delivery.events = event_pointers;
        struct dm_buffer payload = {0};
        CHECK(dm_message_append(&payload, &delivery.base));
        struct script script = begin_open("");
        struct heard heard;
        begin_subscribe(&script, &heard);
        add_frame(&script, DM_DATA, 0, 2, payload.bytes, dm_buffer_size(&payload));
        dm_buffer_free(&payload);
        send_bytes(&script);
        CHECK(heard.ends == 0 && heard.events == events_count);
        end(&script);
    }
}

static void a_closure_may_cancel_its_own_stream(void)
{
    struct script script = begin_open("");
    struct heard heard;
    begin_subscribe(&script, &heard);
    heard.cancels = true;
    for (uint64_t i = 0; i < 50; i++)
        add_delivery(&script, 2, i, i + 1, 1, i + 1);
    send_bytes(&script);
    CHECK(heard.replies == 1 && heard.ends == 1 && heard.status == DORMOUSE_CANCELLED);
    end(&script);
}

static void numbers_of_streams_are_not_those_of_the_wire(void)
{
    struct script script = begin_open("");
    struct heard first;
    struct heard second;
    struct heard granted = {0};
    uint32_t one = begin_subscribe(&script, &first);
    uint32_t two = begin_subscribe(&script, &second);
    CHECK(one != 0 && two != 0 && one != two);
    dormouse_service_cancel(dormouse_service(script.client), one);
    settle(script.client);
    CHECK(first.ends == 1 && second.ends == 0);
    Dormouse__V1__GrantRequest grant = DORMOUSE__V1__GRANT_REQUEST__INIT;
    granted.client = script.client;
    grant.stream = one;
    dormouse__v1__dormouse__grant(dormouse_service(script.client), &grant, on_granted, &granted);
    CHECK(granted.ends == 1 && granted.status == DORMOUSE_BAD_ARGUMENT);
    grant.stream = two;
    dormouse__v1__dormouse__grant(dormouse_service(script.client), &grant, on_granted, &granted);
    CHECK(granted.ends == 1);
    settle(script.client);
    /* The preface, Hello and all the rest: the last frame is the Grant, for stream 3. */
    uint8_t bytes[4096];
    ssize_t size = recv(script.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    CHECK(size > 2 && bytes[size - 2] == 0x08 && bytes[size - 1] == 3);
    end(&script);
    CHECK(granted.ends == 2 && second.ends == 1 && second.status == DORMOUSE_CLOSED);
}

static void deliveries_without_end_are_bounded(void)
{
    struct script script = begin_open("");
    struct heard heard;
    begin_subscribe(&script, &heard);
    /* It is not processed, only received. */
    script.client->is_dispatching = true;
    static char payload[1 << 20];
    memset(payload, 0, sizeof(payload));
    for (int i = 0; i < 70 && dormouse_get_state(script.client) == DORMOUSE_OPEN; i++) {
        add_frame(&script, DM_DATA, 0, 2, payload, sizeof(payload));
        send_bytes(&script);
    }
    CHECK(dormouse_get_state(script.client) == DORMOUSE_FAILED);
    script.client->is_dispatching = false;
    dormouse_process(script.client);
    CHECK(heard.ends == 1 && heard.status == DORMOUSE_PROTOCOL_ERROR);
    end(&script);

    /* Empty ones, too. */
    script = begin_open("");
    begin_subscribe(&script, &heard);
    script.client->is_dispatching = true;
    for (int i = 0; i < 40 && dormouse_get_state(script.client) == DORMOUSE_OPEN; i++) {
        for (int k = 0; k < 100000; k++)
            add_frame(&script, DM_DATA, 0, 2, NULL, 0);
        send_bytes(&script);
    }
    CHECK(dormouse_get_state(script.client) == DORMOUSE_FAILED);
    script.client->is_dispatching = false;
    end(&script);
    CHECK(heard.ends == 1);
}

static void what_is_of_a_connection_ends_with_it(void)
{
    struct script script = begin_open("&reconnect=yes&reconnect_min_ms=1");
    struct heard stream;
    struct heard seek = {0};
    struct heard granted = {0};
    uint32_t number = begin_subscribe(&script, &stream);
    add_delivery(&script, 2, 0, 0, 0, 0);
    send_bytes(&script);
    close(script.fd);
    /* Neither is sent before the end of the connection is seen. */
    Dormouse__V1__GrantRequest grant = DORMOUSE__V1__GRANT_REQUEST__INIT;
    Dormouse__V1__SeekRequest request = DORMOUSE__V1__SEEK_REQUEST__INIT;
    seek.client = granted.client = script.client;
    grant.stream = number;
    dormouse__v1__dormouse__grant(dormouse_service(script.client), &grant, on_granted, &granted);
    dormouse__v1__dormouse__seek(dormouse_service(script.client), &request, on_seen, &seek);
    while (stream.ends == 0)
        dormouse_process(script.client);
    CHECK(stream.status == DORMOUSE_CONNECTION_LOST);
    CHECK(granted.ends == 1 && granted.status == DORMOUSE_CONNECTION_LOST);
    CHECK(seek.ends == 0 && seek.replies == 0);
    /* On the next connection the Seek is the first request; until its welcome, what is known of the log stays known. */
    while (script.client->stage != DM_STAGE_TALKING)
        dormouse_process(script.client);
    script.fd = accept(listener, NULL, NULL);
    CHECK(script.fd >= 0 && dormouse_get_state(script.client) == DORMOUSE_CONNECTING);
    CHECK(dormouse_incarnation(script.client).size == 16);
    add_welcome(&script);
    send_bytes(&script);
    add_frame(&script, DM_RESPONSE, 0, 2, NULL, 0);
    send_bytes(&script);
    CHECK(seek.replies == 1 && seek.ends == 0 && granted.ends == 1);
    end(&script);
}

/* Good bytes, some of them changed, in pieces. */
static void any_bytes_are_survived(void)
{
    uint64_t random = 88172645463325252u;
    for (int round = 0; round < 400; round++) {
        struct script script = begin_open("");
        struct heard stream;
        struct heard seek;
        begin_subscribe(&script, &stream);
        begin_seek(&script, &seek);
        add_delivery(&script, 2, 0, 3, 3, 1);
        add_frame(&script, DM_RESPONSE, 0, 3, "\x09\x01\0\0\0\0\0\0\0", 9);
        add_delivery(&script, 2, 3, 6, 3, 4);
        add_frame(&script, DM_END, 100, 2, "\x0a\x03why", 5);
        size_t size = dm_buffer_size(&script.bytes);
        for (int flips = round % 4; flips > 0; flips--) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            script.bytes.bytes[(random >> 33) % size] = (uint8_t)(random >> 25);
        }
        for (size_t at = 0; at < size && script.client->stage != DM_STAGE_NONE;) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            size_t part = 1 + (size_t)(random >> 33) % 60;
            part = part > size - at ? size - at : part;
            send(script.fd, script.bytes.bytes + at, part, MSG_NOSIGNAL);
            at += part;
            dormouse_process(script.client);
        }
        end(&script);
        CHECK(stream.ends == 1 && seek.ends + seek.replies == 1);
    }
}

int main(void)
{
    listen_somewhere();
    TEST(a_reply_that_is_not_one_is_null);
    TEST(an_end_without_an_answer_is_null);
    TEST(a_delivery_that_is_not_one_ends_its_stream);
    TEST(deliveries_of_the_smallest_events_are_read);
    TEST(a_closure_may_cancel_its_own_stream);
    TEST(numbers_of_streams_are_not_those_of_the_wire);
    TEST(deliveries_without_end_are_bounded);
    TEST(what_is_of_a_connection_ends_with_it);
    TEST(any_bytes_are_survived);
    close(listener);
    return 0;
}
