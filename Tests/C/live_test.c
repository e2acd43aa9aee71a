/* The library against a real server. */
#include "dormouse.h"
#include "server.h"

#include <time.h>

static dormouse *open_client(const char *options)
{
    char uri[256];
    snprintf(uri, sizeof(uri), "dormouse://127.0.0.1:%d/main%s", server_port, options);
    dormouse *client = dormouse_new();
    CHECK(client != NULL);
    CHECK_STATUS(client, dormouse_set_uri(client, uri), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_connect(client, 10000), DORMOUSE_OK);
    return client;
}

static dormouse_event event_of(const char *key, const char *payload)
{
    dormouse_event event = {0};
    event.key = dormouse_text(key);
    event.payload = dormouse_text(payload);
    return event;
}

static dormouse_subscribe_options options_of(const char *name, const char *const *pattern)
{
    dormouse_subscribe_options options = {0};
    options.struct_size = sizeof(options);
    options.name = name;
    options.patterns = pattern;
    options.pattern_count = pattern == NULL ? 0 : 1;
    options.start = DORMOUSE_FIRST;
    return options;
}

static bool is_text(dormouse_bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && (bytes.size == 0 || memcmp(bytes.data, text, bytes.size) == 0);
}

static void an_event_comes_back_with_everything_it_had(void)
{
    static const char *const pattern = "whole.*";
    dormouse *client = open_client("");
    dormouse_header headers[2] = {{dormouse_text("traceparent"), dormouse_text("00-1")},
                                  {dormouse_text("empty"), {NULL, 0}}};
    dormouse_event event = event_of("whole.event", "payload");
    event.id = dormouse_text("id-1");
    event.content_type = dormouse_text("text/plain");
    event.headers = headers;
    event.header_count = 2;
    dormouse_published published;
    CHECK_STATUS(client, dormouse_publish(client, &event, 1, 5000, &published), DORMOUSE_OK);
    CHECK(published.first_position > 0 && published.first_position == published.last_position);
    dormouse_subscribe_options options = options_of("whole", &pattern);
    dormouse_subscription *subscription;
    CHECK_STATUS(client, dormouse_subscribe(client, &options, 5000, &subscription), DORMOUSE_OK);
    const dormouse_event *got;
    CHECK_STATUS(client, dormouse_next(subscription, &got, 5000), DORMOUSE_OK);
    CHECK(got->position == published.first_position && got->published_at > 0);
    CHECK(is_text(got->key, "whole.event") && is_text(got->payload, "payload"));
    CHECK(is_text(got->id, "id-1") && is_text(got->content_type, "text/plain"));
    CHECK(got->header_count == 2 && is_text(got->headers[0].name, "traceparent"));
    CHECK(is_text(got->headers[0].value, "00-1") && is_text(got->headers[1].name, "empty"));
    CHECK_STATUS(client, dormouse_next(subscription, &got, 0), DORMOUSE_TIMEOUT);
    CHECK_STATUS(client, dormouse_acknowledge(subscription, published.last_position), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_acknowledge(subscription, published.last_position + 100),
                 DORMOUSE_BAD_ARGUMENT);
    CHECK_STATUS(client, dormouse_close(client, 5000), DORMOUSE_OK);
    dormouse_free(client);
}

static void what_was_acknowledged_does_not_come_again(void)
{
    static const char *const pattern = "ack.#";
    dormouse_event events[3] = {event_of("ack.a", "1"), event_of("ack.b", "2"), event_of("ack.c", "3")};
    for (int round = 0; round < 2; round++) {
        dormouse *client = open_client("");
        if (round == 0)
            CHECK_STATUS(client, dormouse_publish(client, events, 3, 5000, NULL), DORMOUSE_OK);
        dormouse_subscribe_options options = options_of("ack", &pattern);
        dormouse_subscription *subscription;
        const dormouse_event *got;
        CHECK_STATUS(client, dormouse_subscribe(client, &options, 5000, &subscription), DORMOUSE_OK);
        CHECK_STATUS(client, dormouse_next(subscription, &got, 5000), DORMOUSE_OK);
        CHECK(is_text(got->payload, round == 0 ? "1" : "3"));
        if (round == 0) {
            CHECK_STATUS(client, dormouse_next(subscription, &got, 5000), DORMOUSE_OK);
            CHECK_STATUS(client, dormouse_acknowledge(subscription, got->position), DORMOUSE_OK);
        }
        dormouse_unsubscribe(subscription);
        CHECK_STATUS(client, dormouse_close(client, 5000), DORMOUSE_OK);
        dormouse_free(client);
    }
}

struct seen {
    uint64_t last_position;
    size_t events;
    size_t published;
    size_t failed;
    dormouse_status end;
};

static void on_events(void *context, dormouse_subscription *subscription, const dormouse_batch *batch)
{
    struct seen *seen = context;
    for (size_t i = 0; i < batch->event_count; i++) {
        CHECK(batch->events[i].position > seen->last_position);
        seen->last_position = batch->events[i].position;
        seen->events++;
    }
    dormouse_acknowledge(subscription, batch->upto);
}

static void on_end(void *context, dormouse_subscription *subscription, dormouse_status status,
                   const char *error)
{
    (void)subscription;
    CHECK(error[0] != 0);
    ((struct seen *)context)->end = status;
}

static void on_published(void *context, const dormouse_published *result)
{
    struct seen *seen = context;
    if (result->status == DORMOUSE_OK)
        seen->published += result->event_count;
    else
        seen->failed += result->event_count;
}

/* One turn of a program's own loop. */
static void turn(dormouse *client)
{
    unsigned wants = dormouse_wants(client);
    struct pollfd one = {dormouse_fd(client), 0, 0};
    one.events = (short)(((wants & DORMOUSE_READABLE) ? POLLIN : 0) | ((wants & DORMOUSE_WRITABLE) ? POLLOUT : 0));
    int timeout = dormouse_next_timeout(client);
    poll(&one, 1, timeout < 0 || timeout > 1000 ? 1000 : timeout);
    CHECK_STATUS(client, dormouse_process(client), DORMOUSE_OK);
}

static void everything_works_in_an_event_loop(void)
{
    static const char *const pattern = "loop.#";
    struct seen seen = {0};
    char uri[256];
    snprintf(uri, sizeof(uri), "dormouse://127.0.0.1:%d/main?producer=loop", server_port);
    dormouse *client = dormouse_new();
    CHECK_STATUS(client, dormouse_set_uri(client, uri), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_connect(client, 0), DORMOUSE_TIMEOUT);
    dormouse_subscribe_options options = options_of("loop", &pattern);
    options.on_events = on_events;
    options.on_end = on_end;
    options.context = &seen;
    dormouse_subscription *subscription;
    CHECK_STATUS(client, dormouse_subscribe(client, &options, 0, &subscription), DORMOUSE_OK);
    dormouse_event event = event_of("loop.x", "y");
    for (int i = 0; i < 50000; i++) {
        dormouse_status status;
        while ((status = dormouse_publish_async(client, &event, 1, 0, on_published, &seen))
               == DORMOUSE_WINDOW_FULL)
            turn(client);
        CHECK_STATUS(client, status, DORMOUSE_OK);
    }
    while (seen.events < 50000 || seen.published < 50000)
        turn(client);
    CHECK(seen.events == 50000 && seen.published == 50000 && seen.failed == 0);

    /* A stop from elsewhere is told. */
    dormouse *other = open_client("");
    bool was_awake = false;
    CHECK_STATUS(other, dormouse_stop(other, NULL, "loop", 5000, &was_awake, NULL), DORMOUSE_OK);
    CHECK(was_awake);
    while (seen.end == DORMOUSE_OK)
        turn(client);
    CHECK(seen.end == DORMOUSE_STOPPED);
    dormouse_unsubscribe(subscription);
    dormouse_free(other);
    dormouse_free(client);
}

static void the_newest_consumer_wins(void)
{
    dormouse *first = open_client("");
    dormouse *second = open_client("");
    dormouse_subscribe_options options = options_of("taken", NULL);
    options.start = DORMOUSE_NEXT;
    dormouse_subscription *one;
    dormouse_subscription *two;
    const dormouse_event *got;
    CHECK_STATUS(first, dormouse_subscribe(first, &options, 5000, &one), DORMOUSE_OK);
    CHECK_STATUS(second, dormouse_subscribe(second, &options, 5000, &two), DORMOUSE_OK);
    CHECK_STATUS(first, dormouse_next(one, &got, 5000), DORMOUSE_TAKEN_OVER);
    CHECK_STATUS(first, dormouse_next(one, &got, 5000), DORMOUSE_TAKEN_OVER);
    CHECK(strstr(dormouse_end_error(one), "newer") != NULL);
    CHECK(dormouse_is_live(two));
    dormouse_free(first);
    dormouse_free(second);
}

static bool count_subscribers(void *context, const dormouse_subscriber_info *info)
{
    CHECK(info->name.size > 0);
    ++*(int *)context;
    return true;
}

static bool see_receiver(void *context, const dormouse_receiver_info *info)
{
    (void)info;
    ++*(int *)context;
    return true;
}

static bool see_exchange(void *context, const dormouse_exchange_info *info)
{
    *(int *)context += is_text(info->name, "other") || is_text(info->name, "main");
    return true;
}

static bool see_connection(void *context, const dormouse_connection_info *info)
{
    CHECK(info->id > 0 && info->peer.size > 0 && info->since > 0);
    *(int *)context += info->subscription_count == 1 && info->name_count == 1
                       && is_text(info->names[0], "main/listed");
    return true;
}

static bool see_server(void *context, const dormouse_server_info *info)
{
    CHECK(info->incarnation.size == 16 && info->store_available);
    ++*(int *)context;
    return true;
}

static void a_connection_is_listed(dormouse *client)
{
    int seen = 0;
    CHECK_STATUS(client, dormouse_list_connections(client, 5000, see_connection, &seen), DORMOUSE_OK);
    CHECK(seen == 0);
    dormouse *other = open_client("");
    dormouse_subscribe_options options = {0};
    options.struct_size = sizeof(options);
    options.name = "listed";
    dormouse_subscription *subscription;
    CHECK_STATUS(other, dormouse_subscribe(other, &options, 5000, &subscription), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_list_connections(client, 5000, see_connection, &seen), DORMOUSE_OK);
    CHECK(seen == 1);
    CHECK_STATUS(client, dormouse_list_connections(client, 5000, NULL, NULL), DORMOUSE_BAD_ARGUMENT);
    dormouse_free(other);
}

static void administration_answers(void)
{
    dormouse *client = open_client("");
    uint64_t position = 77;
    bool existed = false;
    int seen = 0;
    CHECK_STATUS(client, dormouse_create_exchange(client, "other", 5000), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_list_exchanges(client, 5000, see_exchange, &seen), DORMOUSE_OK);
    CHECK(seen == 2);
    CHECK_STATUS(client, dormouse_list_subscribers(client, NULL, "ac", 5000, count_subscribers, (seen = 0, &seen)), DORMOUSE_OK);
    CHECK(seen == 1);
    CHECK_STATUS(client, dormouse_list_receivers(client, NULL, 5000, see_receiver, &seen), DORMOUSE_OK);
    CHECK(seen > 2);
    CHECK_STATUS(client, dormouse_describe_server(client, 5000, see_server, (seen = 0, &seen)), DORMOUSE_OK);
    CHECK(seen == 1);
    a_connection_is_listed(client);
    CHECK_STATUS(client, dormouse_seek(client, NULL, "ack", DORMOUSE_FIRST, 0, 5000, &position), DORMOUSE_OK);
    CHECK(position == 0);
    CHECK_STATUS(client, dormouse_pause(client, NULL, "ack", UINT64_MAX, "tests", 5000), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_resume(client, NULL, "ack", 5000), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_forget(client, NULL, "ack", 5000, &existed), DORMOUSE_OK);
    CHECK(existed);
    CHECK_STATUS(client, dormouse_seek(client, NULL, "ack", DORMOUSE_FIRST, 0, 5000, NULL), DORMOUSE_NOT_FOUND);
    CHECK(strlen(dormouse_error(client)) > 0);
    uint64_t sequence = 0;
    CHECK_STATUS(client, dormouse_producer(client, NULL, "loop", 5000, &sequence, NULL), DORMOUSE_OK);
    CHECK(sequence == 50000);
    dormouse_free(client);
}

/* A program that numbers its events itself runs twice, and then once more with one event more. */
static void a_run_that_is_repeated_stores_only_what_is_new(void)
{
    static const size_t counts[] = {3, 3, 4};
    static const size_t duplicates[] = {0, 3, 3};
    dormouse_event events[4];
    for (size_t i = 0; i < 4; i++)
        events[i] = event_of("rerun", "x");
    for (size_t run = 0; run < 3; run++) {
        dormouse *client = open_client("?producer=rerun&sequence=1");
        dormouse_published published;
        CHECK_STATUS(client, dormouse_publish(client, events, counts[run], 5000, &published), DORMOUSE_OK);
        CHECK(published.duplicate_count == duplicates[run]);
        CHECK((published.first_position == 0) == (counts[run] == duplicates[run]));
        uint64_t sequence = 0;
        CHECK_STATUS(client, dormouse_producer(client, NULL, "rerun", 5000, &sequence, NULL), DORMOUSE_OK);
        CHECK(sequence == counts[run]);
        dormouse_free(client);
    }
    dormouse *client = dormouse_new();
    CHECK_STATUS(client, dormouse_set(client, "sequence", "0"), DORMOUSE_BAD_ARGUMENT);
    CHECK_STATUS(client, dormouse_set(client, "sequence", "9223372036854775808"), DORMOUSE_BAD_ARGUMENT);
    CHECK_STATUS(client, dormouse_set(client, "sequence", "9223372036854775807"), DORMOUSE_OK);
    dormouse_free(client);
}

static void a_page_is_fetched(void)
{
    static const char *const pattern = "loop.#";
    dormouse *client = open_client("");
    dormouse_fetch_options options = {0};
    options.struct_size = sizeof(options);
    options.patterns = &pattern;
    options.pattern_count = 1;
    options.events_max = 100;
    dormouse_page *page;
    size_t events = 0;
    uint64_t last = 0;
    for (int i = 0; i < 5; i++) {
        CHECK_STATUS(client, dormouse_fetch(client, &options, 5000, &page), DORMOUSE_OK);
        const dormouse_event *event;
        while ((event = dormouse_page_next(page)) != NULL) {
            CHECK(event->position > last);
            last = event->position;
            events++;
        }
        CHECK(dormouse_page_upto(page) >= last && dormouse_page_head(page) >= last);
        options.after = dormouse_page_upto(page);
        dormouse_page_free(page);
    }
    CHECK(events == 500);
    dormouse_free(client);
}

static void wrong_calls_are_answered(void)
{
    dormouse *client = dormouse_new();
    dormouse_event event = event_of("a", "b");
    CHECK_STATUS(client, dormouse_publish(client, &event, 1, 0, NULL), DORMOUSE_CLOSED);
    CHECK_STATUS(client, dormouse_connect(client, 0), DORMOUSE_BAD_ARGUMENT);
    CHECK_STATUS(client, dormouse_set_uri(client, "http://x"), DORMOUSE_BAD_ARGUMENT);
    CHECK_STATUS(client, dormouse_set_uri(client, "dormouse://x:0"), DORMOUSE_BAD_ARGUMENT);
    CHECK_STATUS(client, dormouse_set_uri(client, "dormouse://x%4"), DORMOUSE_BAD_ARGUMENT);
    CHECK_STATUS(client, dormouse_set_uri(client, "dormouse://[::1"), DORMOUSE_BAD_ARGUMENT);
    CHECK_STATUS(client, dormouse_set_uri(client, "dormouse://x?no=1"), DORMOUSE_BAD_ARGUMENT);
    CHECK_STATUS(client, dormouse_set_uri(client, "dormouse://t%40k@[::1]:1,x/e%2Dx?producer=p&tls=require"), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_set(client, "window_bytes", "1"), DORMOUSE_BAD_ARGUMENT);
    dormouse_free(client);
    client = open_client("");
    event.key = dormouse_text("a..b");
    CHECK_STATUS(client, dormouse_publish(client, &event, 1, 5000, NULL), DORMOUSE_BAD_ARGUMENT);
    static char large[2 << 20];
    event = event_of("a", "b");
    event.payload.data = large;
    event.payload.size = sizeof(large);
    CHECK_STATUS(client, dormouse_publish(client, &event, 1, 5000, NULL), DORMOUSE_FRAME_TOO_LARGE);
    event.payload.size = (1 << 20) - 2048;
    CHECK_STATUS(client, dormouse_publish(client, &event, 1, 5000, NULL), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_set(client, "producer", "x"), DORMOUSE_BAD_ARGUMENT);
    dormouse_free(client);
    dormouse_free(NULL);
    client = dormouse_new();
    CHECK_STATUS(client, dormouse_set_uri(client, "dormouse://127.0.0.1:1?reconnect=no"), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_connect(client, 5000), DORMOUSE_CANNOT_CONNECT);
    CHECK(strstr(dormouse_error(client), "127.0.0.1:1") != NULL);
    dormouse_free(client);
}

/* Connects to a machine that does not answer (192.0.2.0/24 is for documents): before the first byte, or not at all. */
static dormouse_status connect_far(const char *options)
{
    char uri[128];
    snprintf(uri, sizeof(uri), "dormouse://secret@192.0.2.1?reconnect=no&connect_timeout_ms=50%s", options);
    dormouse *client = dormouse_new();
    CHECK_STATUS(client, dormouse_set_uri(client, uri), DORMOUSE_OK);
    dormouse_status status = dormouse_connect(client, 5000);
    CHECK(strstr(dormouse_error(client), "secret") == NULL);
    CHECK((status == DORMOUSE_BAD_ARGUMENT) == (strstr(dormouse_error(client), "insecure_token") != NULL));
    dormouse_free(client);
    return status;
}

static void a_token_is_not_shown_on_the_way(void)
{
    CHECK(connect_far("") == DORMOUSE_BAD_ARGUMENT);
    CHECK(connect_far("&tls=require") == DORMOUSE_CANNOT_CONNECT);
    CHECK(connect_far("&insecure_token=yes") == DORMOUSE_CANNOT_CONNECT);
    dormouse_free(open_client("?token=secret"));
}

static void close_inside(void *context, const dormouse_published *result)
{
    CHECK(result->status == DORMOUSE_OK);
    dormouse *client = context;
    CHECK_STATUS(client, dormouse_close(client, 5000), DORMOUSE_BAD_ARGUMENT);
}

static void a_callback_can_not_close_its_handle(void)
{
    dormouse *client = open_client("");
    dormouse_event event = event_of("a", "b");
    CHECK_STATUS(client, dormouse_publish_async(client, &event, 1, 5000, close_inside, client), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_flush(client, 5000), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_publish(client, &event, 1, 5000, NULL), DORMOUSE_OK);
    dormouse_free(client);
}

/* Nothing lost, nothing twice, in order, while the server is killed, drained and started again. */
static void nothing_is_lost_when_the_server_dies(void)
{
    enum { EVENTS = 60000, DEATHS = 4 };
    static const char *const pattern = "kill.#";
    static char found[EVENTS];
    dormouse *publisher = open_client("?producer=kill&reconnect_max_ms=200&window_events=2000");
    dormouse *consumer = open_client("?reconnect_max_ms=200");
    dormouse_subscribe_options options = options_of("kill", &pattern);
    options.credit_events = 500;
    dormouse_subscription *subscription;
    CHECK_STATUS(consumer, dormouse_subscribe(consumer, &options, 5000, &subscription), DORMOUSE_OK);
    struct seen seen = {0};
    int sent = 0;
    int received = 0;
    int deaths = 0;
    uint64_t last = 0;
    time_t began = time(NULL);
    while (received < EVENTS) {
        CHECK(time(NULL) - began < 120);
        for (int i = 0; i < 500 && sent < EVENTS; i++) {
            char text[32];
            snprintf(text, sizeof(text), "%d", sent);
            dormouse_event event = event_of("kill.x", text);
            dormouse_status status = dormouse_publish_async(publisher, &event, 1, 0, on_published, &seen);
            if (status == DORMOUSE_WINDOW_FULL)
                break;
            CHECK_STATUS(publisher, status, DORMOUSE_OK);
            sent++;
        }
        CHECK_STATUS(publisher, dormouse_process(publisher), DORMOUSE_OK);
        CHECK(dormouse_pending_events(publisher) <= 2000);
        const dormouse_event *got;
        dormouse_status status;
        while ((status = dormouse_next(subscription, &got, 1)) == DORMOUSE_OK) {
            CHECK(got->position > last);
            last = got->position;
            int number = atoi(got->payload.data == NULL ? "" : (char[16]){0});
            char text[16] = "";
            memcpy(text, got->payload.data, got->payload.size);
            number = atoi(text);
            CHECK(number == received && !found[number]);
            found[number] = 1;
            received++;
            if (received % 100 == 0)
                CHECK_STATUS(consumer, dormouse_acknowledge(subscription, got->position), DORMOUSE_OK);
            if (received % 1000 == 0)
                break;
        }
        CHECK(status == DORMOUSE_OK || status == DORMOUSE_TIMEOUT);
        if (deaths < DEATHS && received > EVENTS / (DEATHS + 1) * (deaths + 1)) {
            server_end(deaths % 2 == 0 ? SIGKILL : SIGTERM);
            server_start();
            deaths++;
        }
    }
    CHECK_STATUS(publisher, dormouse_flush(publisher, 10000), DORMOUSE_OK);
    CHECK(seen.published == EVENTS && seen.failed == 0);
    CHECK(deaths == DEATHS && dormouse_connections(publisher) >= DEATHS);
    uint64_t sequence;
    CHECK_STATUS(publisher, dormouse_producer(publisher, NULL, "kill", 5000, &sequence, NULL), DORMOUSE_OK);
    CHECK(sequence == EVENTS);
    dormouse_free(publisher);
    dormouse_free(consumer);
}

static void memory_is_bounded_while_the_server_is_away(void)
{
    dormouse *client = open_client("?producer=away&window_events=100&reconnect_max_ms=100");
    dormouse_event event = event_of("away.x", "y");
    server_end(SIGKILL);
    int taken = 0;
    while (dormouse_publish_async(client, &event, 1, 0, NULL, NULL) == DORMOUSE_OK)
        CHECK(++taken <= 100);
    CHECK(taken == 100 && dormouse_error_status(client) == DORMOUSE_WINDOW_FULL);
    CHECK_STATUS(client, dormouse_flush(client, 300), DORMOUSE_TIMEOUT);
    server_start();
    CHECK_STATUS(client, dormouse_flush(client, 20000), DORMOUSE_OK);
    uint64_t sequence;
    CHECK_STATUS(client, dormouse_producer(client, NULL, "away", 5000, &sequence, NULL), DORMOUSE_OK);
    CHECK(sequence == 100);
    dormouse_free(client);
}

int main(void)
{
    server_start();
    TEST(wrong_calls_are_answered);
    TEST(a_token_is_not_shown_on_the_way);
    TEST(a_callback_can_not_close_its_handle);
    TEST(an_event_comes_back_with_everything_it_had);
    TEST(what_was_acknowledged_does_not_come_again);
    TEST(everything_works_in_an_event_loop);
    TEST(the_newest_consumer_wins);
    TEST(administration_answers);
    TEST(a_run_that_is_repeated_stores_only_what_is_new);
    TEST(a_page_is_fetched);
    TEST(nothing_is_lost_when_the_server_dies);
    TEST(memory_is_bounded_while_the_server_is_away);
    server_end(SIGTERM);
    return 0;
}
