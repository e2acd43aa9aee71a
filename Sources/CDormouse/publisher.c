#include "client.h"

#include <stdlib.h>

/* A publish that fails so often in a row, without any success, will not succeed. */
#define FAILURES_MAX 20u

void dm_publisher_init(dormouse *client)
{
    memset(&client->publisher, 0, sizeof(client->publisher));
    client->publisher.next_index = 1;
}

void dm_group_free(struct dm_group *group)
{
    dm_buffer_free(&group->payload);
    free(group->records);
    free(group);
}

static void free_groups(struct dm_group *group)
{
    while (group != NULL) {
        struct dm_group *next = group->next;
        dm_group_free(group);
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

bool dm_has_producer(const dormouse *client)
{
    return client->options.producer != NULL && client->options.producer[0] != 0;
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
        dm_group_recycle(publisher, group);
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
    if (!dm_has_producer(client)) {
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
        if (dm_has_producer(client))
            hold(client, group, failure);
        else
            fail_group(group, failure);
        finish_answered(client);
        return;
    }
    group->is_answered = true;
    publisher->failures = 0;
    if (!dm_publish_reply_read(bytes, size, &group->result)
        || group->result.duplicate_count > group->event_count)
        dm_fail(&group->failure, DORMOUSE_PROTOCOL_ERROR,
                "the server's answer to a publish is not readable");
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
    uint64_t sequence;
    if (!dm_producer_reply_read(bytes, size, &sequence)) {
        struct dm_failure broken;
        dm_fail(&broken, DORMOUSE_PROTOCOL_ERROR, "the server's answer to Producer is not readable");
        dm_publisher_give_up(client, &broken);
        return;
    }
    if (client->options.sequence > 0) {
        /* The application numbers its events: what the server has beyond ours may be an earlier run's. */
        publisher->base = client->options.sequence - 1;
        publisher->has_base = true;
    }
    if (client->options.sequence == 0 && publisher->has_base
        && sequence > publisher->base + publisher->sent_index)
        resolve_conflict(client, sequence);
    if (!publisher->has_base) {
        uint64_t first = publisher->oldest != NULL ? publisher->oldest->first_index
                                                   : publisher->next_index;
        publisher->base = sequence - (first - 1);
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
    if (mark == 0 || !dm_message_append(&client->session.out, &request.base))
        dm_request_drop(&client->session, mark);
    else if (dm_request_finish(&client->session, mark, DM_PRODUCER, DM_KIND_PRODUCER, NULL) != 0)
        publisher->state = DM_ASKING;
}

static bool send_group(dormouse *client, struct dm_group *group)
{
    struct dm_publisher *publisher = &client->publisher;
    if (dm_has_producer(client))
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
    return !dm_has_producer(client)
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
    if (dm_has_producer(client)) {
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
        dm_group_recycle(publisher, group);
    }
}
