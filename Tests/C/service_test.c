/* Stubs that protoc-c generated, over dormouse_service, against a real server. */
#include "dormouse_service.h"

#include "dormouse.pb-c.h"
#include "server.h"

struct answer {
    int calls;
    bool is_done;
    bool is_null;
    uint64_t first;
    uint64_t last;
    size_t count;
    dormouse *client;
    dormouse_status status;
    char error[512];
};

static void note(struct answer *answer, const void *reply)
{
    answer->calls++;
    answer->is_done = true;
    answer->is_null = reply == NULL;
    if (reply == NULL) {
        answer->status = dormouse_error_status(answer->client);
        snprintf(answer->error, sizeof(answer->error), "%s", dormouse_error(answer->client));
    }
}

static void on_published(const Dormouse__V1__PublishReply *reply, void *data)
{
    struct answer *answer = data;
    note(answer, reply);
    if (reply != NULL) {
        answer->first = reply->first_position;
        answer->last = reply->last_position;
    }
}

static void on_listed(const Dormouse__V1__ListReply *reply, void *data)
{
    struct answer *answer = data;
    note(answer, reply);
    if (reply != NULL)
        answer->count = reply->n_subscriptions;
}

static void on_stopped(const Dormouse__V1__StopReply *reply, void *data)
{
    note(data, reply);
}

static ProtobufCBinaryData text(const char *bytes)
{
    ProtobufCBinaryData data = {strlen(bytes), (uint8_t *)(uintptr_t)bytes};
    return data;
}

static dormouse *open_client(void)
{
    char uri[128];
    snprintf(uri, sizeof(uri), "dormouse://127.0.0.1:%d/main", server_port);
    dormouse *client = dormouse_new();
    CHECK(client != NULL);
    CHECK_STATUS(client, dormouse_set_uri(client, uri), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_connect(client, 10000), DORMOUSE_OK);
    return client;
}

static void publish(ProtobufCService *service, const char *key, const char *payload,
                    struct answer *answer)
{
    Dormouse__V1__Event event = DORMOUSE__V1__EVENT__INIT;
    Dormouse__V1__Event *events[1] = {&event};
    Dormouse__V1__PublishRequest request = DORMOUSE__V1__PUBLISH_REQUEST__INIT;
    event.key = text(key);
    event.payload = text(payload);
    request.n_events = 1;
    request.events = events;
    dormouse__v1__dormouse__publish(service, &request, on_published, answer);
}

static struct answer publish_and_wait(dormouse *client, const char *key, const char *payload)
{
    struct answer answer = {0};
    answer.client = client;
    publish(dormouse_service(client), key, payload, &answer);
    CHECK_STATUS(client, dormouse_wait_for(client, &answer.is_done, 10000), DORMOUSE_OK);
    CHECK(!answer.is_null && answer.calls == 1);
    return answer;
}

/* ---- subscribing ---- */

struct reader {
    dormouse *client;
    int deliveries;
    int ends;
    size_t events;
    uint64_t upto;
    uint64_t acknowledged;
    bool is_chained;
    bool has_ended;
    bool is_confirmed;
    bool has_enough;
    size_t wanted;
    uint32_t stream;
    dormouse_status status;
};

static void on_acknowledged(const Dormouse__V1__AcknowledgeReply *reply, void *data)
{
    struct reader *reader = data;
    /* NULL when the connection ends before it is answered. */
    if (reply != NULL)
        reader->acknowledged = reply->position;
}

static void on_delivery(const Dormouse__V1__Delivery *delivery, void *data)
{
    struct reader *reader = data;
    if (delivery == NULL) {
        reader->ends++;
        reader->has_ended = true;
        reader->status = dormouse_error_status(reader->client);
        return;
    }
    if (reader->deliveries > 0 && delivery->after != reader->upto)
        reader->is_chained = false;
    reader->deliveries++;
    reader->upto = delivery->upto;
    reader->events += delivery->n_events;
    reader->is_confirmed = true;
    reader->has_enough = reader->events >= reader->wanted;
    reader->stream = dormouse_service_stream(dormouse_service(reader->client));
    CHECK(reader->stream != 0);
    if (delivery->n_events == 0)
        return;
    Dormouse__V1__AcknowledgeRequest request = DORMOUSE__V1__ACKNOWLEDGE_REQUEST__INIT;
    request.stream = reader->stream;
    request.upto = delivery->upto;
    dormouse__v1__dormouse__acknowledge(dormouse_service(reader->client), &request, on_acknowledged,
                                        reader);
}

static void subscribe(dormouse *client, const char *name, const char *pattern, struct reader *reader)
{
    Dormouse__V1__ReceiverConfig config = DORMOUSE__V1__RECEIVER_CONFIG__INIT;
    Dormouse__V1__SubscribeRequest request = DORMOUSE__V1__SUBSCRIBE_REQUEST__INIT;
    ProtobufCBinaryData patterns[1] = {text(pattern)};
    memset(reader, 0, sizeof(*reader));
    reader->client = client;
    reader->is_chained = true;
    config.n_patterns = 1;
    config.patterns = patterns;
    request.config = &config;
    request.name = text(name);
    request.start = DORMOUSE__V1__START__FIRST;
    request.credit_events = 100000;
    request.credit_bytes = 1 << 24;
    dormouse__v1__dormouse__subscribe(dormouse_service(client), &request, on_delivery, reader);
}

static void stubs_publish_subscribe_acknowledge_list_and_stop(void)
{
    dormouse *client = open_client();
    ProtobufCService *service = dormouse_service(client);
    CHECK(service != NULL && service == dormouse_service(client));
    CHECK(dormouse_service_stream(service) == 0);
    struct reader reader;
    subscribe(client, "stub", "stub.*", &reader);
    reader.wanted = 3;
    CHECK_STATUS(client, dormouse_wait_for(client, &reader.is_confirmed, 10000), DORMOUSE_OK);
    uint64_t last = 0;
    for (int i = 0; i < 3; i++)
        last = publish_and_wait(client, "stub.a", "payload").last;
    publish_and_wait(client, "other", "payload");
    CHECK_STATUS(client, dormouse_wait_for(client, &reader.has_enough, 10000), DORMOUSE_OK);
    CHECK(reader.events == 3 && reader.is_chained && reader.upto >= last);

    struct answer listed = {0};
    listed.client = client;
    Dormouse__V1__ListRequest list = DORMOUSE__V1__LIST_REQUEST__INIT;
    list.name_prefix = text("stub");
    dormouse__v1__dormouse__list(service, &list, on_listed, &listed);
    CHECK_STATUS(client, dormouse_wait_for(client, &listed.is_done, 10000), DORMOUSE_OK);
    CHECK(listed.count == 1 && listed.calls == 1);
    CHECK(reader.acknowledged == last);

    struct answer stopped = {0};
    stopped.client = client;
    Dormouse__V1__StopRequest stop = DORMOUSE__V1__STOP_REQUEST__INIT;
    stop.name = text("stub");
    dormouse__v1__dormouse__stop(service, &stop, on_stopped, &stopped);
    CHECK_STATUS(client, dormouse_wait_for(client, &reader.has_ended, 10000), DORMOUSE_OK);
    CHECK(reader.ends == 1 && reader.status == DORMOUSE_STOPPED);
    CHECK_STATUS(client, dormouse_wait_for(client, &stopped.is_done, 10000), DORMOUSE_OK);
    CHECK(!stopped.is_null);
    CHECK_STATUS(client, dormouse_close(client, 5000), DORMOUSE_OK);
    dormouse_free(client);
    CHECK(reader.ends == 1);
}

static void a_refusal_is_null_and_says_why(void)
{
    dormouse *client = open_client();
    struct answer answer = {0};
    answer.client = client;
    publish(dormouse_service(client), "not a key", "", &answer);
    CHECK_STATUS(client, dormouse_wait_for(client, &answer.is_done, 10000), DORMOUSE_OK);
    CHECK(answer.is_null && answer.status == DORMOUSE_INVALID_ARGUMENT);
    CHECK(strlen(answer.error) > 10);
    struct reader reader;
    subscribe(client, "stub2", "a..b", &reader);
    CHECK_STATUS(client, dormouse_wait_for(client, &reader.has_ended, 10000), DORMOUSE_OK);
    CHECK(reader.status == DORMOUSE_INVALID_ARGUMENT && reader.ends == 1);
    dormouse_free(client);
}

static void what_cannot_be_queued_fails_at_once(void)
{
    dormouse *client = dormouse_new();
    struct answer answer = {0};
    answer.client = client;
    publish(dormouse_service(client), "a", "", &answer);
    CHECK(answer.calls == 1 && answer.is_null && answer.status == DORMOUSE_CLOSED);
    CHECK(dormouse_service_for(client, NULL) == NULL);
    ProtobufCServiceDescriptor other = dormouse__v1__dormouse__descriptor;
    other.name = "another.Service";
    CHECK(dormouse_service_for(client, &other) == NULL);
    dormouse_free(client);
}

static void cancelling_ends_with_null_once(void)
{
    dormouse *client = open_client();
    struct reader reader;
    subscribe(client, "stub3", "#", &reader);
    CHECK_STATUS(client, dormouse_wait_for(client, &reader.is_confirmed, 10000), DORMOUSE_OK);
    dormouse_service_cancel(dormouse_service(client), reader.stream);
    dormouse_service_cancel(dormouse_service(client), reader.stream);
    CHECK_STATUS(client, dormouse_wait_for(client, &reader.has_ended, 10000), DORMOUSE_OK);
    CHECK(reader.ends == 1 && reader.status == DORMOUSE_CANCELLED);
    publish_and_wait(client, "after", "it");
    CHECK(reader.ends == 1);
    dormouse_free(client);
}

static void freeing_the_handle_calls_what_is_left(void)
{
    dormouse *client = open_client();
    struct reader reader;
    subscribe(client, "stub4", "#", &reader);
    CHECK_STATUS(client, dormouse_wait_for(client, &reader.is_confirmed, 10000), DORMOUSE_OK);
    struct answer answer = {0};
    answer.client = client;
    publish(dormouse_service(client), "a", "b", &answer);
    dormouse_free(client);
    CHECK(reader.ends == 1 && answer.calls == 1 && answer.is_null);
}

static void a_lost_connection_ends_everything_and_the_next_is_used(void)
{
    dormouse *client = open_client();
    struct reader reader;
    subscribe(client, "stub5", "#", &reader);
    CHECK_STATUS(client, dormouse_wait_for(client, &reader.is_confirmed, 10000), DORMOUSE_OK);
    server_end(SIGKILL);
    CHECK_STATUS(client, dormouse_wait_for(client, &reader.has_ended, 10000), DORMOUSE_OK);
    CHECK(reader.ends == 1);
    CHECK_STATUS(client, reader.status, DORMOUSE_CONNECTION_LOST);
    server_start();
    publish_and_wait(client, "again", "x");
    dormouse_free(client);
}

/* ---- closures that call back ---- */

struct nested {
    struct answer answer;
    uint64_t position;
    bool has_fetched;
    bool is_inner_done;
    struct reader reader;
};

static void on_inner(const Dormouse__V1__PublishReply *reply, void *data)
{
    struct nested *nested = data;
    nested->is_inner_done = true;
    CHECK(reply != NULL);
}

static void on_outer(const Dormouse__V1__PublishReply *reply, void *data)
{
    struct nested *nested = data;
    dormouse *client = nested->answer.client;
    note(&nested->answer, reply);
    CHECK(reply != NULL);
    uint64_t position = reply->last_position;
    /* Waits inside a closure: no other closure runs meanwhile, and the reply stays valid. */
    dormouse_event event = {0};
    dormouse_published published;
    event.key = dormouse_text("nested.plain");
    CHECK_STATUS(client, dormouse_publish(client, &event, 1, 10000, &published), DORMOUSE_OK);
    CHECK(published.first_position > position && reply->last_position == position);
    dormouse_fetch_options options = {0};
    dormouse_page *page;
    options.struct_size = sizeof(options);
    options.after = position - 1;
    CHECK_STATUS(client, dormouse_fetch(client, &options, 10000, &page), DORMOUSE_OK);
    CHECK(dormouse_page_next(page)->position == position && reply->last_position == position);
    dormouse_page_free(page);
    nested->has_fetched = true;
    /* And begins what goes on after it. */
    Dormouse__V1__Event inner = DORMOUSE__V1__EVENT__INIT;
    Dormouse__V1__Event *events[1] = {&inner};
    Dormouse__V1__PublishRequest request = DORMOUSE__V1__PUBLISH_REQUEST__INIT;
    inner.key = text("nested.inner");
    request.n_events = 1;
    request.events = events;
    dormouse__v1__dormouse__publish(dormouse_service(client), &request, on_inner, nested);
    subscribe(client, "nested", "nested.*", &nested->reader);
    CHECK_STATUS(client, dormouse_flush(client, 10000), DORMOUSE_OK);
    CHECK(!nested->is_inner_done);
}

static void closures_may_call_back(void)
{
    dormouse *client = open_client();
    struct nested nested;
    memset(&nested, 0, sizeof(nested));
    nested.answer.client = client;
    Dormouse__V1__Event event = DORMOUSE__V1__EVENT__INIT;
    Dormouse__V1__Event *events[1] = {&event};
    Dormouse__V1__PublishRequest request = DORMOUSE__V1__PUBLISH_REQUEST__INIT;
    event.key = text("nested.outer");
    request.n_events = 1;
    request.events = events;
    dormouse__v1__dormouse__publish(dormouse_service(client), &request, on_outer, &nested);
    CHECK_STATUS(client, dormouse_wait_for(client, &nested.is_inner_done, 10000), DORMOUSE_OK);
    CHECK(nested.has_fetched && nested.answer.calls == 1);
    nested.reader.wanted = 3;
    nested.reader.has_enough = nested.reader.events >= 3;
    CHECK_STATUS(client, dormouse_wait_for(client, &nested.reader.has_enough, 10000), DORMOUSE_OK);
    dormouse_free(client);
    CHECK(nested.reader.ends == 1);
}

/* Asks again whenever it fails, also when the handle is freed. */
struct stubborn {
    dormouse *client;
    int calls;
};

static void on_stubborn(const Dormouse__V1__PublishReply *reply, void *data)
{
    struct stubborn *stubborn = data;
    (void)reply;
    if (++stubborn->calls >= 3)
        return;
    Dormouse__V1__PublishRequest request = DORMOUSE__V1__PUBLISH_REQUEST__INIT;
    dormouse__v1__dormouse__publish(dormouse_service(stubborn->client), &request, on_stubborn,
                                    stubborn);
    bool never = false;
    CHECK(dormouse_wait_for(stubborn->client, &never, 1000) == DORMOUSE_CLOSED);
}

static void a_closure_may_call_back_while_the_handle_is_freed(void)
{
    struct stubborn stubborn = {open_client(), 0};
    Dormouse__V1__PublishRequest request = DORMOUSE__V1__PUBLISH_REQUEST__INIT;
    dormouse__v1__dormouse__publish(dormouse_service(stubborn.client), &request, on_stubborn, &stubborn);
    dormouse_free(stubborn.client);
    CHECK(stubborn.calls == 3);
}

static void closing_waits_for_replies(void)
{
    dormouse *client = open_client();
    struct answer answer = {0};
    answer.client = client;
    publish(dormouse_service(client), "closing", "x", &answer);
    CHECK_STATUS(client, dormouse_close(client, 10000), DORMOUSE_OK);
    CHECK(answer.calls == 1 && !answer.is_null && answer.first > 0);
    dormouse_free(client);
}

static void an_old_number_does_not_meet_another_subscription(void)
{
    dormouse *client = open_client();
    struct reader old;
    struct reader new;
    subscribe(client, "old", "#", &old);
    CHECK_STATUS(client, dormouse_wait_for(client, &old.is_confirmed, 10000), DORMOUSE_OK);
    uint32_t stale = old.stream;
    CHECK(dormouse_service_stream(dormouse_service(client)) == stale);
    server_end(SIGKILL);
    CHECK_STATUS(client, dormouse_wait_for(client, &old.has_ended, 10000), DORMOUSE_OK);
    CHECK(dormouse_service_stream(dormouse_service(client)) == 0);
    server_start();
    /* It has the same number on its connection as the old one had. */
    subscribe(client, "new", "#", &new);
    CHECK_STATUS(client, dormouse_wait_for(client, &new.is_confirmed, 10000), DORMOUSE_OK);
    CHECK(new.stream != stale);
    struct reader refused = {0};
    Dormouse__V1__AcknowledgeRequest request = DORMOUSE__V1__ACKNOWLEDGE_REQUEST__INIT;
    request.stream = stale;
    request.upto = new.upto;
    refused.client = client;
    dormouse__v1__dormouse__acknowledge(dormouse_service(client), &request, on_acknowledged, &refused);
    CHECK(refused.acknowledged == 0 && dormouse_error_status(client) == DORMOUSE_BAD_ARGUMENT);
    dormouse_free(client);
}

int main(void)
{
    signal(SIGPIPE, SIG_DFL);
    server_start();
    TEST(stubs_publish_subscribe_acknowledge_list_and_stop);
    TEST(a_refusal_is_null_and_says_why);
    TEST(what_cannot_be_queued_fails_at_once);
    TEST(cancelling_ends_with_null_once);
    TEST(freeing_the_handle_calls_what_is_left);
    TEST(closures_may_call_back);
    TEST(a_closure_may_call_back_while_the_handle_is_freed);
    TEST(closing_waits_for_replies);
    TEST(a_lost_connection_ends_everything_and_the_next_is_used);
    TEST(an_old_number_does_not_meet_another_subscription);
    server_end(SIGTERM);
    return 0;
}
