#include "client.h"

#include <stdlib.h>

/* A group's buffers are used again; more groups than this are rarely needed at once. */
#define SPARE_MAX 4
/* A publish that fails so often in a row, without any success, will not succeed. */
#define FAILURES_MAX 20u
#define WINDOW_EVENT_BYTES ((size_t)64)

void dm_publisher_init(dormouse *client)
{
    memset(&client->publisher, 0, sizeof(client->publisher));
    client->publisher.next_index = 1;
}

static void free_group(struct dm_group *group)
{
    dm_buffer_free(&group->payload);
    free(group->records);
    free(group);
}

static void free_groups(struct dm_group *group)
{
    while (group != NULL) {
        struct dm_group *next = group->next;
        free_group(group);
        group = next;
    }
}

void dm_publisher_free(dormouse *client)
{
    free_groups(client->publisher.oldest);
    free_groups(client->publisher.told);
    free_groups(client->publisher.spare);
    dm_publisher_init(client);
}

static bool has_producer(const dormouse *client)
{
    return client->options.producer != NULL && client->options.producer[0] != 0;
}

/* ---- queueing ---- */

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
    if (has_producer(client)) {
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
        free_group(group);
        return NULL;
    }
    group->first_index = publisher->next_index;
    return group;
}

static void recycle(struct dm_publisher *publisher, struct dm_group *group)
{
    if (publisher->spare_count == SPARE_MAX || group->payload.capacity > 2 * DM_GROUP_BYTES) {
        free_group(group);
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
            free_group(group);
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

/* ---- outcomes ---- */

/* What the group's outcome is for one of its records. */
static dormouse_published result_of(const struct dm_group *group, const struct dm_record *record)
{
    dormouse_published result = {group->failure.status, group->failure.text, 0, 0, record->count, 0};
    if (group->failure.status != DORMOUSE_OK)
        return result;
    size_t duplicates = group->result.duplicate_count;
    size_t end = record->first + record->count;
    result.duplicate_count = duplicates <= record->first ? 0
        : duplicates >= end                              ? record->count
                                                         : duplicates - record->first;
    if (duplicates < end) {
        size_t first_new = record->first < duplicates ? duplicates : record->first;
        result.first_position = group->result.first_position + (first_new - duplicates);
        result.last_position = group->result.first_position + (end - 1 - duplicates);
    }
    return result;
}

/* Tells waiters now; callbacks are told by dispatch. */
static void finish_group(dormouse *client, struct dm_group *group)
{
    struct dm_publisher *publisher = &client->publisher;
    publisher->event_count -= group->event_count;
    publisher->event_bytes -= group->event_bytes;
    bool has_callbacks = false;
    for (size_t i = 0; i < group->record_count; i++) {
        struct dm_record *record = &group->records[i];
        has_callbacks = has_callbacks || record->callback != NULL;
        if (record->waiter == NULL)
            continue;
        record->waiter->failure = group->failure;
        record->waiter->result = result_of(group, record);
        record->waiter->is_done = true;
    }
    if (group->failure.status != DORMOUSE_OK && group->silent_count > 0
        && publisher->failure.status == DORMOUSE_OK)
        publisher->failure = group->failure;
    group->next = NULL;
    if (!has_callbacks) {
        recycle(publisher, group);
        return;
    }
    if (publisher->told == NULL)
        publisher->told = group;
    else
        publisher->told_last->next = group;
    publisher->told_last = group;
}

/* Those at the beginning that are answered leave the queue, in order. */
static void finish_answered(dormouse *client)
{
    struct dm_publisher *publisher = &client->publisher;
    while (publisher->oldest != NULL && publisher->oldest->is_answered) {
        struct dm_group *group = publisher->oldest;
        publisher->oldest = group->next;
        if (publisher->unsent == group)
            publisher->unsent = group->next;
        if (publisher->oldest == NULL)
            publisher->newest = NULL;
        finish_group(client, group);
    }
}

static void fail_group(struct dm_group *group, const struct dm_failure *failure)
{
    group->is_answered = true;
    group->stream = 0;
    group->failure = *failure;
}

/* Everything that is not answered is sent again, from the oldest on. */
static void rewind_groups(struct dm_publisher *publisher)
{
    for (struct dm_group *group = publisher->oldest; group != NULL; group = group->next)
        group->stream = 0;
    publisher->unsent = publisher->oldest;
    publisher->under_way = 0;
}

void dm_publisher_give_up(dormouse *client, const struct dm_failure *failure)
{
    for (struct dm_group *group = client->publisher.oldest; group != NULL; group = group->next)
        if (!group->is_answered)
            fail_group(group, failure);
    client->publisher.under_way = 0;
    client->publisher.unsent = NULL;
    finish_answered(client);
}

void dm_publisher_lost(dormouse *client, const struct dm_failure *failure)
{
    struct dm_publisher *publisher = &client->publisher;
    if (!has_producer(client)) {
        struct dm_failure unknown;
        dm_fail(&unknown, DORMOUSE_CONNECTION_LOST,
                "%s, while the publish was under way: it may be stored or not; with a producer it would "
                "have been sent again",
                failure->text);
        for (struct dm_group *group = publisher->oldest; group != NULL; group = group->next)
            if (group->stream != 0 && !group->is_answered)
                fail_group(group, &unknown);
    }
    rewind_groups(publisher);
    publisher->state = DM_UNKNOWN;
    finish_answered(client);
}

/* ---- answers ---- */

static bool may_send_again(dormouse_status status)
{
    return status == DORMOUSE_UNAVAILABLE || status == DORMOUSE_RESOURCE_EXHAUSTED
        || status == DORMOUSE_ABORTED || status == DORMOUSE_DRAINING
        || status == DORMOUSE_CANCELLED;
}

/* A group of a producer failed: nothing more is sent until all is answered and the server was asked again. */
static void hold(dormouse *client, struct dm_group *group, const struct dm_failure *failure)
{
    struct dm_publisher *publisher = &client->publisher;
    if (!may_send_again(failure->status)) {
        fail_group(group, failure);
    } else if (publisher->failures >= FAILURES_MAX) {
        publisher->failures = 0;
        fail_group(group, failure);
    } else if (publisher->state != DM_HELD) {
        publisher->failures++;
        int64_t pause = dm_back_off(client, publisher->failures);
        if (pause < failure->retry_after_ms)
            pause = failure->retry_after_ms;
        publisher->retry_at = dm_now() + pause;
    }
    publisher->state = DM_HELD;
}

void dm_publisher_answered(dormouse *client, struct dm_group *group,
                           const struct dm_failure *failure, const uint8_t *bytes, size_t size)
{
    struct dm_publisher *publisher = &client->publisher;
    publisher->under_way--;
    group->stream = 0;
    if (failure != NULL) {
        if (has_producer(client))
            hold(client, group, failure);
        else
            fail_group(group, failure);
        finish_answered(client);
        return;
    }
    const Dormouse__V1__PublishReply *reply = (const Dormouse__V1__PublishReply *)dm_message_decode(
        client->session.arena, &dormouse__v1__publish_reply__descriptor, bytes, size, false);
    group->is_answered = true;
    publisher->failures = 0;
    if (reply == NULL || reply->duplicates > group->event_count) {
        dm_fail(&group->failure, DORMOUSE_PROTOCOL_ERROR,
                "the server's answer to a publish is not readable");
    } else {
        group->result.first_position = reply->first_position;
        group->result.last_position = reply->last_position;
        group->result.duplicate_count = reply->duplicates;
    }
    finish_answered(client);
}

/* Somebody else published as this producer: what we sent can not be told from theirs. */
static void resolve_conflict(dormouse *client, uint64_t sequence)
{
    struct dm_publisher *publisher = &client->publisher;
    struct dm_failure failure;
    dm_fail(&failure, DORMOUSE_ABORTED,
            "another client publishes as the producer %s: the server has its sequence %llu, and this one "
            "sent up to %llu; give each publisher its own name",
            client->options.producer, (unsigned long long)sequence,
            (unsigned long long)(publisher->base + publisher->sent_index));
    for (struct dm_group *group = publisher->oldest; group != NULL; group = group->next)
        if (group->was_sent && !group->is_answered)
            fail_group(group, &failure);
    finish_answered(client);
    publisher->has_base = false;
}

void dm_publisher_asked(dormouse *client, const struct dm_failure *failure, const uint8_t *bytes,
                        size_t size)
{
    struct dm_publisher *publisher = &client->publisher;
    publisher->state = DM_UNKNOWN;
    if (failure != NULL) {
        if (may_send_again(failure->status) && failure->status != DORMOUSE_ABORTED) {
            publisher->failures++;
            publisher->retry_at = dm_now() + dm_back_off(client, publisher->failures);
        } else {
            dm_publisher_give_up(client, failure);
        }
        return;
    }
    const Dormouse__V1__ProducerReply *reply = (const Dormouse__V1__ProducerReply *)dm_message_decode(
        client->session.arena, &dormouse__v1__producer_reply__descriptor, bytes, size, false);
    if (reply == NULL) {
        struct dm_failure broken;
        dm_fail(&broken, DORMOUSE_PROTOCOL_ERROR, "the server's answer to Producer is not readable");
        dm_publisher_give_up(client, &broken);
        return;
    }
    if (publisher->has_base && reply->sequence > publisher->base + publisher->sent_index)
        resolve_conflict(client, reply->sequence);
    if (!publisher->has_base) {
        uint64_t first = publisher->oldest != NULL ? publisher->oldest->first_index
                                                   : publisher->next_index;
        publisher->base = reply->sequence - (first - 1);
        publisher->sent_index = first - 1;
        publisher->has_base = true;
    }
    publisher->state = DM_READY;
}

/* ---- sending ---- */

static void ask(dormouse *client)
{
    struct dm_publisher *publisher = &client->publisher;
    Dormouse__V1__ProducerRequest request = DORMOUSE__V1__PRODUCER_REQUEST__INIT;
    request.exchange = dm_binary(client->options.exchange);
    request.producer = dm_binary(client->options.producer);
    size_t mark = dm_request_begin(&client->session);
    if (mark != 0 && dm_message_append(&client->session.out, &request.base)
        && dm_request_finish(&client->session, mark, DM_PRODUCER, DM_KIND_PRODUCER, NULL) != 0)
        publisher->state = DM_ASKING;
}

static bool send_group(dormouse *client, struct dm_group *group)
{
    struct dm_publisher *publisher = &client->publisher;
    if (has_producer(client))
        dm_fixed64_write(group->payload.bytes + group->sequence_at,
                         publisher->base + group->first_index);
    group->stream = dm_request_send(&client->session, DM_PUBLISH, DM_KIND_PUBLISH, group,
                                    group->payload.bytes, dm_buffer_size(&group->payload));
    if (group->stream == 0)
        return false;
    group->was_sent = true;
    publisher->under_way++;
    uint64_t last = group->first_index + group->event_count - 1;
    if (last > publisher->sent_index)
        publisher->sent_index = last;
    return true;
}

bool dm_publisher_wants_to_send(const dormouse *client)
{
    const struct dm_publisher *publisher = &client->publisher;
    if (publisher->unsent == NULL || !dm_is_open(client))
        return false;
    return !has_producer(client)
        || publisher->state == DM_READY || publisher->state == DM_UNKNOWN
        ? publisher->under_way < DM_GROUPS_UNDER_WAY_MAX && publisher->retry_at <= client->worked_at
        : publisher->state == DM_HELD && publisher->under_way == 0
            && publisher->retry_at <= client->worked_at;
}

int64_t dm_publisher_deadline(const dormouse *client)
{
    const struct dm_publisher *publisher = &client->publisher;
    bool is_pausing = publisher->unsent != NULL || publisher->state == DM_HELD;
    return is_pausing && dm_is_open(client) && publisher->retry_at > client->worked_at
        ? publisher->retry_at
        : DM_NEVER;
}

void dm_publisher_pump(dormouse *client, int64_t now)
{
    struct dm_publisher *publisher = &client->publisher;
    if (!dm_is_open(client) || publisher->retry_at > now)
        return;
    if (has_producer(client)) {
        if (publisher->state == DM_HELD && publisher->under_way == 0) {
            rewind_groups(publisher);
            publisher->state = DM_UNKNOWN;
        }
        if (publisher->state == DM_UNKNOWN && publisher->oldest != NULL)
            ask(client);
        if (publisher->state != DM_READY)
            return;
    }
    bool has_refused = false;
    while (publisher->unsent != NULL && publisher->under_way < DM_GROUPS_UNDER_WAY_MAX
           && dm_buffer_size(&client->session.out) < DM_GROUP_BYTES) {
        struct dm_group *group = publisher->unsent;
        publisher->unsent = group->next;
        if (group->is_answered)
            continue;
        if (dm_buffer_size(&group->payload) > client->frame_bytes_max) {
            struct dm_failure failure;
            dm_fail(&failure, DORMOUSE_FRAME_TOO_LARGE,
                    "the server takes at most %zu bytes at once; publish fewer events at a time",
                    client->frame_bytes_max);
            fail_group(group, &failure);
            has_refused = true;
        } else if (!send_group(client, group)) {
            publisher->unsent = group;
            break;
        }
    }
    if (has_refused)
        finish_answered(client);
}

/* ---- callbacks ---- */

void dm_publisher_dispatch(dormouse *client)
{
    struct dm_publisher *publisher = &client->publisher;
    while (publisher->told != NULL) {
        struct dm_group *group = publisher->told;
        while (group->record_told < group->record_count) {
            struct dm_record record = group->records[group->record_told++];
            if (record.callback == NULL)
                continue;
            dormouse_published result = result_of(group, &record);
            record.callback(record.context, &result);
        }
        publisher->told = group->next;
        recycle(publisher, group);
    }
}
