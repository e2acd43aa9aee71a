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

/* This one fails, and every so many after it when `fails_each` is not 0; negative: none. */
static long fails_at = -1;
static long fails_each;
static long allocations;
static int timeout_ms = 2000;

static bool is_refused(void)
{
    if (fails_at < 0)
        return false;
    long number = allocations++;
    return number == fails_at || (fails_each > 0 && number > fails_at && (number - fails_at) % fails_each == 0);
}

/* Without memory, nothing else is blamed: not the server, and not the caller. */
static bool is_ok(dormouse_status status)
{
    CHECK(status == DORMOUSE_OK || status == DORMOUSE_NO_MEMORY || status == DORMOUSE_CONNECTION_LOST
          || status == DORMOUSE_CANNOT_CONNECT || (fails_each > 0 && status == DORMOUSE_TIMEOUT));
    return status == DORMOUSE_OK;
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

static void on_published(void *context, const dormouse_published *result)
{
    *(bool *)context = is_ok(result->status);
}

/* Publishes, subscribes, takes and acknowledges. */
static bool run_events(dormouse *client)
{
    dormouse_event event = {0};
    dormouse_header header = {dormouse_text("name"), dormouse_text("value")};
    event.key = dormouse_text("memory.x");
    event.payload = dormouse_text("payload");
    event.headers = &header;
    event.header_count = 1;
    static bool is_published;
    if (!is_ok(dormouse_publish_async(client, &event, 1, timeout_ms, on_published, &is_published))
        || !is_ok(dormouse_publish(client, &event, 1, timeout_ms, NULL)))
        return false;
    dormouse_subscribe_options options = {0};
    options.struct_size = sizeof(options);
    options.name = "memory";
    options.start = DORMOUSE_LAST;
    options.reposition = true;
    dormouse_subscription *subscription = NULL;
    const dormouse_event *received;
    bool was_ok = is_ok(dormouse_subscribe(client, &options, timeout_ms, &subscription))
        && is_ok(dormouse_next(subscription, &received, timeout_ms))
        && is_ok(dormouse_acknowledge(subscription, received->position));
    dormouse_unsubscribe(subscription);
    return was_ok;
}

static bool run_questions(dormouse *client)
{
    dormouse_fetch_options fetch = {0};
    fetch.struct_size = sizeof(fetch);
    dormouse_page *page = NULL;
    if (!is_ok(dormouse_fetch(client, &fetch, timeout_ms, &page)))
        return false;
    CHECK(dormouse_page_next(page) != NULL);
    dormouse_page_free(page);
    int count = 0;
    if (!is_ok(dormouse_list_subscribers(client, NULL, NULL, timeout_ms, on_subscriber, &count)))
        return false;
    ProtobufCService *service = dormouse_service(client);
    bool is_listed = false;
    if (service == NULL)
        return false;
    Dormouse__V1__ListRequest request = DORMOUSE__V1__LIST_REQUEST__INIT;
    dormouse__v1__dormouse__list(service, &request, on_listed, &is_listed);
    return is_ok(dormouse_wait_for(client, &is_listed, timeout_ms));
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
    bool was_ok = is_ok(dormouse_set_uri(client, uri)) && is_ok(dormouse_connect(client, 2 * timeout_ms));
    was_ok = was_ok && run_events(client) && run_questions(client);
    dormouse_status status = dormouse_close(client, timeout_ms);
    was_ok = (status == DORMOUSE_CLOSED || is_ok(status)) && was_ok;
    dormouse_free(client);
    return was_ok;
}

static void every_allocation_may_fail(void)
{
    long failed = 0;
    for (long at = 0;; at++) {
        CHECK(at < 10000);
        fails_at = at;
        allocations = 0;
        bool was_ok = run();
        bool was_reached = allocations > at;
        fails_at = -1;
        if (!was_reached) {
            CHECK(was_ok);
            printf("    %ld allocations, %ld of them missed\n", at, failed);
            CHECK(failed > 0);
            return;
        }
        failed += !was_ok;
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

/* Not once, but again and again. */
static void every_nth_allocation_may_fail(void)
{
    timeout_ms = 100;
    for (fails_each = 1; fails_each <= 24; fails_each++) {
        fails_at = fails_each - 1;
        allocations = 0;
        (void)run();
        fails_at = -1;
    }
    fails_each = 0;
    timeout_ms = 2000;
    CHECK(run());
}

int main(void)
{
    server_start();
    CHECK(run());
    TEST(a_request_without_memory_leaves_nothing_behind);
    TEST(every_allocation_may_fail);
    TEST(every_nth_allocation_may_fail);
    server_end(SIGTERM);
    return 0;
}
