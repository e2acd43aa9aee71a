#include "client.h"
#include "subscribe_request.h"

#include <stdlib.h>

struct dormouse_page {
    struct dm_buffer bytes;
    struct dm_delivery delivery;
    struct dm_reader reader;
    uint64_t above;
    uint64_t previous;
    dormouse_event event;
    dormouse_header headers[DM_HEADERS_MAX];
};

#define LEAST_SIZE \
    (offsetof(dormouse_fetch_options, wait_ms) + sizeof(((dormouse_fetch_options *)0)->wait_ms))

#define SIZE_WITH_STORED \
    (offsetof(dormouse_fetch_options, stored) + sizeof(((dormouse_fetch_options *)0)->stored))

/* Reads all of it once, so that dormouse_page_next can not fail. */
static bool is_sound(dormouse_page *page)
{
    const uint8_t *bytes = page->bytes.bytes;
    size_t size = dm_buffer_size(&page->bytes);
    if (!dm_delivery_read(bytes, size, &page->delivery)
        || page->delivery.after > page->delivery.upto)
        return false;
    page->reader.at = bytes;
    page->reader.end = bytes + size;
    page->above = page->previous = page->delivery.after;
    int count;
    do {
        count = dm_events_read(&page->reader, &page->above, &page->previous, page->delivery.upto,
                               &page->event, 1, page->headers, DM_HEADERS_MAX);
    } while (count > 0);
    page->reader.at = bytes;
    page->above = page->previous = page->delivery.after;
    return count == 0;
}

dormouse_status dormouse_fetch(dormouse *client, const dormouse_fetch_options *options,
                               int timeout_ms, dormouse_page **page)
{
    if (client == NULL)
        return DORMOUSE_BAD_ARGUMENT;
    if (options == NULL || page == NULL || options->struct_size < LEAST_SIZE)
        return dm_bad(client, "the options or the result are NULL, or struct_size is not set to the size "
                              "of dormouse_fetch_options");
    *page = NULL;
    struct dm_config config;
    dormouse_status status = dm_check_running(client);
    if (status == DORMOUSE_OK)
        status = dm_config_fill(&config, dm_exchange(client, options->exchange), options->patterns,
                                options->pattern_count, options->header_matches,
                                options->header_match_count, &client->failure);
    if (status != DORMOUSE_OK)
        return status;
    Dormouse__V1__FetchRequest request = DORMOUSE__V1__FETCH_REQUEST__INIT;
    request.config = &config.message;
    request.after = options->after;
    request.events_max = options->events_max;
    request.bytes_max = options->bytes_max;
    request.wait_ms = options->wait_ms;
    request.stored = options->struct_size >= SIZE_WITH_STORED && options->stored;
    struct dm_call *call = dm_call_new(client, DM_FETCH, &request.base);
    if (call == NULL)
        return client->failure.status;
    status = dm_call_wait(client, call, timeout_ms);
    dormouse_page *made = status == DORMOUSE_OK ? calloc(1, sizeof(*made)) : NULL;
    if (made != NULL) {
        made->bytes = call->reply;
        memset(&call->reply, 0, sizeof(call->reply));
        if (is_sound(made) && made->delivery.after == options->after) {
            *page = made;
        } else {
            dormouse_page_free(made);
            status = dm_fail(&client->failure, DORMOUSE_PROTOCOL_ERROR,
                             "the server's page is not readable, or begins elsewhere");
        }
    } else if (status == DORMOUSE_OK) {
        status = dm_fail_memory(&client->failure);
    }
    dm_call_free(call);
    return status;
}

const dormouse_event *dormouse_page_next(dormouse_page *page)
{
    if (page == NULL)
        return NULL;
    int count = dm_events_read(&page->reader, &page->above, &page->previous, page->delivery.upto,
                               &page->event, 1, page->headers, DM_HEADERS_MAX);
    return count == 1 ? &page->event : NULL;
}

uint64_t dormouse_page_upto(const dormouse_page *page)
{
    return page->delivery.upto;
}

bool dormouse_page_is_stored(const dormouse_page *page)
{
    return page->delivery.replay;
}

uint64_t dormouse_page_head(const dormouse_page *page)
{
    return page->delivery.head;
}

void dormouse_page_free(dormouse_page *page)
{
    if (page == NULL)
        return;
    dm_buffer_free(&page->bytes);
    free(page);
}
