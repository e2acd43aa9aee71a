/*
 * Without memory: each allocation of the library fails once, in a run of everything it does. Whatever it answers, it
 * neither crashes nor leaks, and works again afterwards.
 */
#include "client.h"
#include "dormouse_service.h"

#include "dormouse.pb-c.h"
#include "server.h"
#include "subscribe_request.h"

/* The linker leads the library's allocations here (--wrap). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *pointer, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *pointer, size_t size);

/* This one fails; negative: none. */
static long fails_at = -1;
static long allocations;

static bool is_refused(void)
{
    return fails_at >= 0 && allocations++ == fails_at;
}

void *__wrap_malloc(size_t size)
{
    return is_refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *pointer, size_t size)
{
    return is_refused() ? NULL : __real_realloc(pointer, size);
}

static void on_listed(const Dormouse__V1__ListReply *reply, void *data)
{
    (void)reply;
    *(bool *)data = true;
}

static bool on_subscriber(void *context, const dormouse_subscriber_info *info)
{
    (void)info;
    (*(int *)context)++;
    return true;
}

/* Everything once; each call may fail. True when none did. */
static bool run(void)
{
    char uri[128];
    snprintf(uri, sizeof(uri), "dormouse://127.0.0.1:%d/main?producer=memory&reconnect_min_ms=1&reconnect_max_ms=5",
             server_port);
    dormouse *client = dormouse_new();
    if (client == NULL)
        return false;
    bool is_ok = dormouse_set_uri(client, uri) == DORMOUSE_OK && dormouse_connect(client, 5000) == DORMOUSE_OK;
    dormouse_event event = {0};
    dormouse_header header = {dormouse_text("name"), dormouse_text("value")};
    event.key = dormouse_text("memory.x");
    event.payload = dormouse_text("payload");
    event.headers = &header;
    event.header_count = 1;
    is_ok = is_ok && dormouse_publish(client, &event, 1, 2000, NULL) == DORMOUSE_OK;
    dormouse_subscribe_options options = {0};
    options.struct_size = sizeof(options);
    options.name = "memory";
    options.start = DORMOUSE_LAST;
    options.reposition = true;
    dormouse_subscription *subscription = NULL;
    const dormouse_event *received;
    is_ok = is_ok && dormouse_subscribe(client, &options, 2000, &subscription) == DORMOUSE_OK
        && dormouse_next(subscription, &received, 2000) == DORMOUSE_OK
        && dormouse_acknowledge(subscription, received->position) == DORMOUSE_OK;
    dormouse_fetch_options fetch = {0};
    fetch.struct_size = sizeof(fetch);
    dormouse_page *page = NULL;
    if (is_ok && dormouse_fetch(client, &fetch, 2000, &page) == DORMOUSE_OK) {
        is_ok = dormouse_page_next(page) != NULL;
        dormouse_page_free(page);
    } else {
        is_ok = false;
    }
    int count = 0;
    is_ok = is_ok && dormouse_list_subscribers(client, NULL, NULL, 2000, on_subscriber, &count) == DORMOUSE_OK;
    ProtobufCService *service = is_ok ? dormouse_service(client) : NULL;
    bool is_listed = false;
    if (service != NULL) {
        Dormouse__V1__ListRequest request = DORMOUSE__V1__LIST_REQUEST__INIT;
        dormouse__v1__dormouse__list(service, &request, on_listed, &is_listed);
        is_ok = dormouse_wait_for(client, &is_listed, 2000) == DORMOUSE_OK;
    }
    dormouse_unsubscribe(subscription);
    is_ok = dormouse_close(client, 2000) == DORMOUSE_OK && is_ok;
    dormouse_free(client);
    return is_ok;
}

static void every_allocation_may_fail(void)
{
    long failed = 0;
    for (long at = 0;; at++) {
        CHECK(at < 10000);
        fails_at = at;
        allocations = 0;
        bool is_ok = run();
        bool was_reached = allocations > at;
        fails_at = -1;
        if (!was_reached) {
            CHECK(is_ok);
            printf("    %ld allocations, %ld of them missed\n", at, failed);
            CHECK(failed > 0);
            return;
        }
        failed += !is_ok;
        CHECK(run());
    }
}

/* Half a frame in the way out would be read as a part of the next, or as one that was there before. */
static void a_request_without_memory_leaves_nothing_behind(void)
{
    char uri[128];
    snprintf(uri, sizeof(uri), "dormouse://127.0.0.1:%d/main?producer=half", server_port);
    dormouse *client = dormouse_new();
    CHECK_STATUS(client, dormouse_set_uri(client, uri), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_connect(client, 5000), DORMOUSE_OK);
    /* Room for a header, and for nothing behind it. */
    struct dm_buffer *out = &client->session.out;
    CHECK(dm_buffer_size(out) == 0 && dm_buffer_reserve(out, 256));
    size_t filled = out->capacity - DM_FRAME_HEADER_BYTES;
    out->end = filled;
    dormouse_event event = {0};
    event.key = dormouse_text("memory.x");
    CHECK_STATUS(client, dm_publisher_add(client, &event, 1, NULL), DORMOUSE_OK);
    allocations = 0;
    fails_at = 0;
    dm_publisher_pump(client, dm_now());
    fails_at = -1;
    CHECK(dm_buffer_size(out) == filled && client->publisher.state == DM_UNKNOWN);
    dm_buffer_clear(out);
    CHECK_STATUS(client, dormouse_flush(client, 5000), DORMOUSE_OK);

    dormouse_subscribe_options options = {0};
    options.struct_size = sizeof(options);
    dormouse_subscription *subscription;
    CHECK_STATUS(client, dormouse_subscribe(client, &options, 5000, &subscription), DORMOUSE_OK);
    dm_subscription_lost(subscription);
    out->end = filled;
    allocations = 0;
    fails_at = 0;
    dm_subscription_pump(subscription, dm_now());
    fails_at = -1;
    CHECK(dm_buffer_size(out) == filled && subscription->state == DM_UNSENT);
    dm_buffer_clear(out);
    subscription->state = DM_LIVE;
    subscription->used_events = subscription->request->credit_events;
    out->end = filled;
    allocations = 0;
    fails_at = 0;
    dm_subscription_pump(subscription, dm_now());
    fails_at = -1;
    CHECK(dm_buffer_size(out) == filled);
    dm_buffer_clear(out);
    dormouse_free(client);
}

int main(void)
{
    server_start();
    CHECK(run());
    TEST(a_request_without_memory_leaves_nothing_behind);
    TEST(every_allocation_may_fail);
    server_end(SIGTERM);
    return 0;
}
