/* The events on their way into groups. */
#include "client.h"

#include <stdlib.h>

/* A group's buffers are used again; more groups than this are rarely needed at once. */
#define SPARE_MAX 4

static uint8_t *write_text(uint8_t *at, unsigned field, const char *text)
{
    size_t size = text == NULL ? 0 : strlen(text);
    if (size == 0)
        return at;
    *at++ = (uint8_t)(field << 3 | 2);
    at = dm_varint_write(at, size);
    memcpy(at, text, size);
    return at + size;
}

static bool write_beginning(dormouse *client, struct dm_group *group)
{
    /* Names have at most 128 bytes. */
    if (!dm_buffer_reserve(&group->payload, 2 * (2 + 128 + 1) + 9))
        return false;
    uint8_t *at = group->payload.bytes + group->payload.end;
    at = write_text(at, 1, client->options.exchange);
    if (dm_has_producer(client)) {
        at = write_text(at, 2, client->options.producer);
        *at++ = 3 << 3 | 1;
        group->sequence_at = (size_t)(at - group->payload.bytes);
        at = dm_fixed64_write(at, 0);
    }
    group->payload.end = (size_t)(at - group->payload.bytes);
    return true;
}

static struct dm_group *new_group(dormouse *client)
{
    struct dm_publisher *publisher = &client->publisher;
    struct dm_group *group = publisher->spare;
    if (group != NULL) {
        publisher->spare = group->next;
        publisher->spare_count--;
        struct dm_group kept = *group;
        memset(group, 0, sizeof(*group));
        group->payload = kept.payload;
        group->records = kept.records;
        group->record_capacity = kept.record_capacity;
        dm_buffer_clear(&group->payload);
    } else {
        group = calloc(1, sizeof(*group));
        if (group == NULL)
            return NULL;
    }
    if (!write_beginning(client, group)) {
        dm_group_free(group);
        return NULL;
    }
    group->first_index = publisher->next_index;
    return group;
}

void dm_group_recycle(struct dm_publisher *publisher, struct dm_group *group)
{
    if (publisher->spare_count == SPARE_MAX || group->payload.capacity > 2 * DM_GROUP_BYTES) {
        dm_group_free(group);
        return;
    }
    group->next = publisher->spare;
    publisher->spare = group;
    publisher->spare_count++;
}

/* All of them have at most as many bytes as a frame may have, or as is assumed before the first welcome. */
static dormouse_status measure(dormouse *client, const dormouse_event *events, size_t count,
                               size_t *total)
{
    size_t frame_bytes_max = client->frame_bytes_max > 0 ? client->frame_bytes_max : 1 << 20;
    size_t bytes_max = frame_bytes_max - DM_FRAME_BYTES_ASIDE;
    *total = 0;
    for (size_t i = 0; i < count; i++) {
        size_t size;
        dormouse_status status = dm_event_measure(&events[i], &size, &client->failure);
        if (status != DORMOUSE_OK)
            return status;
        *total += dm_event_field_bytes(size);
        if (*total > bytes_max && i == 0)
            return dm_fail(&client->failure, DORMOUSE_FRAME_TOO_LARGE,
                           "an event has %zu bytes; expected at most %zu: keep the payload elsewhere, or start the "
                           "server with a larger --frame-bytes",
                           *total, bytes_max);
        if (*total > bytes_max)
            return dm_fail(&client->failure, DORMOUSE_FRAME_TOO_LARGE,
                           "the first %zu of %zu events have more than %zu bytes, which is what the server "
                           "takes at once; publish fewer at a time",
                           i + 1, count, bytes_max);
    }
    return DORMOUSE_OK;
}

/* The group that the events go to, and whether it is a new one. */
static struct dm_group *group_for(dormouse *client, size_t bytes, bool *is_new)
{
    struct dm_publisher *publisher = &client->publisher;
    size_t frame_bytes_max =
        client->frame_bytes_max > 0 ? client->frame_bytes_max : DM_FRAME_BYTES_MAX_MIN;
    size_t bytes_max = frame_bytes_max - DM_FRAME_BYTES_ASIDE;
    if (bytes_max > DM_GROUP_BYTES)
        bytes_max = DM_GROUP_BYTES;
    struct dm_group *newest = publisher->newest;
    *is_new = newest == NULL || publisher->unsent == NULL || newest->was_sent
        || newest->event_bytes + bytes > bytes_max;
    return *is_new ? new_group(client) : newest;
}

static bool add_record(struct dm_group *group, const struct dm_record *record, size_t count)
{
    if (record == NULL) {
        group->silent_count += count;
        return true;
    }
    if (group->record_count == group->record_capacity) {
        size_t capacity = group->record_capacity == 0 ? 8 : group->record_capacity * 2;
        struct dm_record *records = realloc(group->records, capacity * sizeof(*records));
        if (records == NULL)
            return false;
        group->records = records;
        group->record_capacity = capacity;
    }
    struct dm_record *added = &group->records[group->record_count++];
    *added = *record;
    added->first = group->event_count;
    added->count = count;
    return true;
}

static void append_group(struct dm_publisher *publisher, struct dm_group *group)
{
    if (publisher->newest == NULL)
        publisher->oldest = group;
    else
        publisher->newest->next = group;
    publisher->newest = group;
    if (publisher->unsent == NULL)
        publisher->unsent = group;
}

dormouse_status dm_publisher_add(dormouse *client, const dormouse_event *events, size_t count,
                                 const struct dm_record *record)
{
    struct dm_publisher *publisher = &client->publisher;
    size_t bytes;
    dormouse_status status = measure(client, events, count, &bytes);
    if (status != DORMOUSE_OK)
        return status;
    /* One that is larger than the whole window may go when it is empty. */
    if (publisher->event_count > 0
        && (publisher->event_count + count > client->options.window_events
            || publisher->event_bytes + bytes > client->options.window_bytes))
        return dm_fail(&client->failure, DORMOUSE_WINDOW_FULL,
                       "%zu events (%zu bytes) wait for their answer, as many as window_events and "
                       "window_bytes allow; wait, or call dormouse_process until some are answered",
                       publisher->event_count, publisher->event_bytes);
    bool is_new;
    struct dm_group *group = group_for(client, bytes, &is_new);
    if (group == NULL)
        return dm_fail_memory(&client->failure);
    if (!dm_buffer_reserve(&group->payload, bytes) || !add_record(group, record, count)) {
        if (is_new)
            dm_group_free(group);
        return dm_fail_memory(&client->failure);
    }
    for (size_t i = 0; i < count; i++) {
        size_t size;
        dm_event_measure(&events[i], &size, &client->failure);
        dm_event_append(&group->payload, &events[i], size);
    }
    group->event_count += count;
    group->event_bytes += bytes;
    publisher->next_index += count;
    publisher->event_count += count;
    publisher->event_bytes += bytes;
    if (is_new)
        append_group(publisher, group);
    return DORMOUSE_OK;
}

void dm_publisher_forget(dormouse *client, const struct dm_waiter *waiter)
{
    for (struct dm_group *group = client->publisher.oldest; group != NULL; group = group->next)
        for (size_t i = 0; i < group->record_count; i++)
            if (group->records[i].waiter == waiter) {
                group->records[i].waiter = NULL;
                group->silent_count += group->records[i].count;
            }
}
