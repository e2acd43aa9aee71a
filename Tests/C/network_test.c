/* Networks that break: the library against a real server behind a proxy. */
#include "dormouse.h"
#include "proxy.h"

#include <time.h>

static dormouse *open_at(const char *hosts, const char *options)
{
    char uri[512];
    snprintf(uri, sizeof(uri), "dormouse://%s/main?heartbeat_ms=200&reconnect_max_ms=100%s", hosts, options);
    dormouse *client = dormouse_new();
    CHECK(client != NULL);
    CHECK_STATUS(client, dormouse_set_uri(client, uri), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_connect(client, 20000), DORMOUSE_OK);
    return client;
}

static dormouse *open_by_proxy(const char *options)
{
    char host[64];
    snprintf(host, sizeof(host), "127.0.0.1:%d", proxy_port);
    return open_at(host, options);
}

static dormouse_event event_of(const char *key, const char *payload)
{
    dormouse_event event = {0};
    event.key = dormouse_text(key);
    event.payload = dormouse_text(payload);
    return event;
}

static int number_of(const dormouse_event *event)
{
    char text[16] = "";
    CHECK(event->payload.size < sizeof(text));
    memcpy(text, event->payload.data, event->payload.size);
    return atoi(text);
}

/* A publisher and a subscriber go on while connections are cut, and while they silently pass nothing any more:
 * nothing lost, nothing twice, in order, and never more in memory than the window. */
static void nothing_is_lost_in_a_network_that_breaks(void)
{
    enum { EVENTS = 12000, TROUBLES = 6, WINDOW = 1000 };
    static const char *const pattern = "net.#";
    dormouse *publisher = open_by_proxy("&producer=net&window_events=1000");
    dormouse *consumer = open_by_proxy("");
    dormouse_subscribe_options options = {0};
    options.struct_size = sizeof(options);
    options.name = "net";
    options.patterns = &pattern;
    options.pattern_count = 1;
    options.start = DORMOUSE_FIRST;
    /* So little ahead that each trouble meets both of them. */
    options.credit_events = 500;
    dormouse_subscription *subscription;
    CHECK_STATUS(consumer, dormouse_subscribe(consumer, &options, 20000, &subscription), DORMOUSE_OK);
    int sent = 0;
    int received = 0;
    int troubles = 0;
    time_t began = time(NULL);
    while (received < EVENTS) {
        CHECK(time(NULL) - began < 120);
        for (int i = 0; i < 200 && sent < EVENTS && sent < received + 1500; i++) {
            char text[16];
            snprintf(text, sizeof(text), "%d", sent);
            dormouse_event event = event_of("net.x", text);
            dormouse_status status = dormouse_publish_async(publisher, &event, 1, 0, NULL, NULL);
            if (status == DORMOUSE_WINDOW_FULL)
                break;
            CHECK_STATUS(publisher, status, DORMOUSE_OK);
            sent++;
        }
        CHECK_STATUS(publisher, dormouse_process(publisher), DORMOUSE_OK);
        CHECK(dormouse_pending_events(publisher) <= WINDOW);
        const dormouse_event *event;
        dormouse_status status = DORMOUSE_OK;
        for (int i = 0; i < 500 && (status = dormouse_next(subscription, &event, 1)) == DORMOUSE_OK; i++) {
            CHECK(number_of(event) == received);
            received++;
            if (received % 50 == 0)
                CHECK_STATUS(consumer, dormouse_acknowledge(subscription, event->position), DORMOUSE_OK);
        }
        CHECK(status == DORMOUSE_OK || status == DORMOUSE_TIMEOUT);
        if (troubles < TROUBLES && received > EVENTS / (TROUBLES + 1) * (troubles + 1)) {
            proxy_make(troubles % 2 == 0 ? PROXY_STALL : PROXY_CUT);
            troubles++;
        }
    }
    CHECK_STATUS(publisher, dormouse_flush(publisher, 20000), DORMOUSE_OK);
    uint64_t sequence;
    CHECK_STATUS(publisher, dormouse_producer(publisher, NULL, "net", 5000, &sequence, NULL), DORMOUSE_OK);
    CHECK(sequence == EVENTS && troubles == TROUBLES);
    CHECK(dormouse_connections(publisher) > TROUBLES && dormouse_connections(consumer) > TROUBLES);
    dormouse_free(publisher);
    dormouse_free(consumer);
}

/* Publishes the numbers from 0 on. */
static void publish_numbers(const char *key, int count)
{
    dormouse *publisher = open_by_proxy("");
    for (int i = 0; i < count; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        dormouse_event event = event_of(key, text);
        CHECK_STATUS(publisher, dormouse_publish_async(publisher, &event, 1, 5000, NULL, NULL), DORMOUSE_OK);
    }
    CHECK_STATUS(publisher, dormouse_flush(publisher, 20000), DORMOUSE_OK);
    dormouse_free(publisher);
}

/* Takes `count` numbers from the subscription while its connection is cut again and again: each once, in order. */
static void take_numbers_through_cuts(dormouse *consumer, dormouse_subscription *subscription, int count)
{
    const dormouse_event *event;
    for (int received = 0; received < count; received++) {
        if (received % 400 == 200)
            proxy_make(PROXY_CUT);
        CHECK_STATUS(consumer, dormouse_next(subscription, &event, 20000), DORMOUSE_OK);
        CHECK(number_of(event) == received);
    }
    CHECK_STATUS(consumer, dormouse_next(subscription, &event, 100), DORMOUSE_TIMEOUT);
    CHECK(dormouse_connections(consumer) > 2);
}

/* The server knows nothing of it once its connection is gone; the library knows how far it got. */
static void a_subscription_without_a_name_goes_on(void)
{
    enum { EVENTS = 2000 };
    static const char *const pattern = "nameless.#";
    publish_numbers("nameless.x", EVENTS);
    dormouse *consumer = open_by_proxy("");
    dormouse_subscribe_options options = {0};
    options.struct_size = sizeof(options);
    options.patterns = &pattern;
    options.pattern_count = 1;
    options.start = DORMOUSE_FIRST;
    options.credit_events = 100;
    dormouse_subscription *subscription;
    CHECK_STATUS(consumer, dormouse_subscribe(consumer, &options, 20000, &subscription), DORMOUSE_OK);
    take_numbers_through_cuts(consumer, subscription, EVENTS);
    dormouse_free(consumer);
}

/* Only the first subscription moves the name; later connections go on where it was. */
static void a_name_is_repositioned_once(void)
{
    enum { EVENTS = 2000 };
    static const char *const pattern = "again.#";
    publish_numbers("again.x", EVENTS);
    dormouse_subscribe_options options = {0};
    options.struct_size = sizeof(options);
    options.name = "again";
    options.patterns = &pattern;
    options.pattern_count = 1;
    options.start = DORMOUSE_FIRST;
    options.reposition = true;
    options.credit_events = 100;
    for (int run = 0; run < 2; run++) {
        dormouse *consumer = open_by_proxy("");
        dormouse_subscription *subscription;
        CHECK_STATUS(consumer, dormouse_subscribe(consumer, &options, 20000, &subscription), DORMOUSE_OK);
        take_numbers_through_cuts(consumer, subscription, EVENTS);
        CHECK_STATUS(consumer, dormouse_acknowledge(subscription, dormouse_position(subscription)), DORMOUSE_OK);
        CHECK_STATUS(consumer, dormouse_close(consumer, 5000), DORMOUSE_OK);
        dormouse_free(consumer);
    }
}

/* Nobody says that the connection is gone: silence does. */
static void a_half_open_connection_is_noticed_and_named(void)
{
    dormouse *client = open_by_proxy("&reconnect=no");
    proxy_make(PROXY_STALL);
    bool never = false;
    dormouse_status status = dormouse_wait_for(client, &never, 20000);
    CHECK(status == DORMOUSE_CONNECTION_LOST);
    CHECK(strstr(dormouse_error(client), "said nothing") != NULL);
    dormouse_free(client);
}

static void a_publish_without_a_producer_fails_as_unknown(void)
{
    dormouse *client = open_by_proxy("");
    dormouse_event event = event_of("unknown.x", "1");
    proxy_make(PROXY_STALL);
    CHECK_STATUS(client, dormouse_publish(client, &event, 1, 20000, NULL), DORMOUSE_CONNECTION_LOST);
    CHECK(strlen(dormouse_error(client)) > 0);
    /* The next one goes by a new connection. */
    CHECK_STATUS(client, dormouse_publish(client, &event, 1, 20000, NULL), DORMOUSE_OK);
    dormouse_free(client);
}

static void the_next_host_is_tried(void)
{
    char hosts[128];
    snprintf(hosts, sizeof(hosts), "127.0.0.1:%d,127.0.0.1:%d", free_port(), server_port);
    dormouse *client = open_at(hosts, "");
    dormouse_event event = event_of("hosts.x", "1");
    CHECK_STATUS(client, dormouse_publish(client, &event, 1, 5000, NULL), DORMOUSE_OK);
    dormouse_free(client);
}

static void a_few_bytes_at_a_time_are_enough(void)
{
    proxy_make(PROXY_SPLIT);
    dormouse *client = open_by_proxy("&producer=split");
    for (int i = 0; i < 20; i++) {
        dormouse_event event = event_of("split.x", "payload");
        CHECK_STATUS(client, dormouse_publish(client, &event, 1, 20000, NULL), DORMOUSE_OK);
    }
    dormouse_free(client);
}

/* The same name and place, but another log: never silently from somewhere else. */
static void another_log_is_noticed(void)
{
    dormouse *client = open_by_proxy("");
    dormouse_bytes incarnation = dormouse_incarnation(client);
    uint8_t other[16];
    CHECK(incarnation.size == sizeof(other));
    memcpy(other, incarnation.data, sizeof(other));
    other[0] ^= 1;
    dormouse_subscribe_options options = {0};
    options.struct_size = sizeof(options);
    options.name = "other-log";
    options.last_seen = 3;
    options.last_incarnation.data = other;
    options.last_incarnation.size = sizeof(other);
    dormouse_subscription *subscription;
    CHECK_STATUS(client, dormouse_subscribe(client, &options, 5000, &subscription), DORMOUSE_POSITION_LOST);
    CHECK(strlen(dormouse_error(client)) > 0);
    dormouse_free(client);
}

int main(void)
{
    server_start();
    proxy_start();
    TEST(nothing_is_lost_in_a_network_that_breaks);
    TEST(a_subscription_without_a_name_goes_on);
    TEST(a_name_is_repositioned_once);
    TEST(a_half_open_connection_is_noticed_and_named);
    TEST(a_publish_without_a_producer_fails_as_unknown);
    TEST(the_next_host_is_tried);
    TEST(another_log_is_noticed);
    TEST(a_few_bytes_at_a_time_are_enough);
    proxy_stop();
    server_end(SIGTERM);
    return 0;
}
