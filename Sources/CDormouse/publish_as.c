#include "client.h"

/* Names are at most 128 bytes; three of them and a sequence. */
#define HEAD_BYTES_MAX ((size_t)1024)

static void write_name(struct dm_buffer *request, unsigned field, const char *name)
{
    size_t size = strlen(name);
    if (size == 0)
        return;
    uint8_t *at = request->bytes + request->end;
    *at++ = (uint8_t)(field << 3 | 2);
    at = dm_varint_write(at, size);
    memcpy(at, name, size);
    request->end = (size_t)(at + size - request->bytes);
}

static dormouse_status encode(dormouse *client, const char *producer, uint64_t sequence,
                              const dormouse_event *events, size_t count, struct dm_buffer *request)
{
    const char *exchange = dm_exchange(client, NULL);
    if (exchange == NULL)
        exchange = "";
    if (strlen(exchange) + strlen(producer) + 32 > HEAD_BYTES_MAX)
        return dm_bad(client, "the exchange's or the producer's name is too long; expected at most 128 bytes");
    if (!dm_buffer_reserve(request, HEAD_BYTES_MAX))
        return dm_fail_memory(&client->failure);
    write_name(request, 1, exchange);
    write_name(request, 2, producer);
    request->bytes[request->end++] = 3 << 3 | 1;
    request->end = (size_t)(dm_fixed64_write(request->bytes + request->end, sequence) - request->bytes);
    for (size_t i = 0; i < count; i++) {
        size_t size;
        dormouse_status status = dm_event_measure(&events[i], &size, &client->failure);
        if (status != DORMOUSE_OK)
            return status;
        if (!dm_event_append(request, &events[i], size))
            return dm_fail_memory(&client->failure);
    }
    return DORMOUSE_OK;
}

static dormouse_status wait_for_reply(dormouse *client, struct dm_call *call, size_t count,
                                      int timeout_ms, dormouse_published *result)
{
    dormouse_status status = dm_call_wait(client, call, timeout_ms);
    if (status != DORMOUSE_OK)
        return status;
    const Dormouse__V1__PublishReply *reply = (const Dormouse__V1__PublishReply *)dm_message_decode(
        client->arena, &dormouse__v1__publish_reply__descriptor, call->reply.bytes,
        dm_buffer_size(&call->reply), false);
    if (reply == NULL)
        return dm_not_decoded(&client->failure, client->arena, "the server's answer is not readable");
    if (result != NULL) {
        result->status = DORMOUSE_OK;
        result->error = "";
        result->first_position = reply->first_position;
        result->last_position = reply->last_position;
        result->event_count = count;
        result->duplicate_count = reply->duplicates;
    }
    return DORMOUSE_OK;
}

dormouse_status dormouse_publish_as(dormouse *client, const char *producer, uint64_t sequence,
                                    const dormouse_event *events, size_t count, int timeout_ms,
                                    dormouse_published *result)
{
    if (client == NULL)
        return DORMOUSE_BAD_ARGUMENT;
    if (count == 0 || events == NULL)
        return dm_bad(client, "there are no events; give at least one");
    if (producer == NULL || producer[0] == '\0' || sequence == 0)
        return dm_bad(client, "a producer has a name, and its sequences begin with 1");
    dormouse_status status = dm_check_running(client);
    if (status != DORMOUSE_OK)
        return status;
    struct dm_buffer request;
    memset(&request, 0, sizeof(request));
    status = encode(client, producer, sequence, events, count, &request);
    struct dm_call *call = status == DORMOUSE_OK ? dm_call_of(client, DM_PUBLISH, &request) : NULL;
    dm_buffer_free(&request);
    if (call == NULL)
        return client->failure.status;
    status = wait_for_reply(client, call, count, timeout_ms, result);
    dm_call_free(call);
    return status;
}
