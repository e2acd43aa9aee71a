#include "client.h"

/* Whether name and handle are there; an empty name is the server's to refuse. */
static dormouse_status check(dormouse *client, const char *name)
{
    if (client == NULL)
        return DORMOUSE_BAD_ARGUMENT;
    return name == NULL ? dm_bad(client, "the name is NULL") : DORMOUSE_OK;
}

dormouse_status dormouse_seek(dormouse *client, const char *exchange, const char *name,
                              dormouse_start start, uint64_t start_value, int timeout_ms,
                              uint64_t *position)
{
    dormouse_status status = check(client, name);
    if (status != DORMOUSE_OK)
        return status;
    Dormouse__V1__SeekRequest request = DORMOUSE__V1__SEEK_REQUEST__INIT;
    request.exchange = dm_binary(dm_exchange(client, exchange));
    request.name = dm_binary(name);
    request.start = (Dormouse__V1__Start)start;
    request.start_value = start_value;
    const ProtobufCMessage *reply;
    status = dm_call_typed(client, DM_SEEK, &request.base, &dormouse__v1__seek_reply__descriptor,
                           false, timeout_ms, &reply);
    if (status == DORMOUSE_OK && position != NULL)
        *position = ((const Dormouse__V1__SeekReply *)reply)->position;
    return status;
}

static dormouse_status pause_until(dormouse *client, const char *exchange, const char *name,
                                   uint64_t until, const char *reason, int timeout_ms)
{
    dormouse_status status = check(client, name);
    if (status != DORMOUSE_OK)
        return status;
    Dormouse__V1__PauseRequest request = DORMOUSE__V1__PAUSE_REQUEST__INIT;
    request.exchange = dm_binary(dm_exchange(client, exchange));
    request.name = dm_binary(name);
    request.until = until;
    request.reason = dm_binary(reason);
    const ProtobufCMessage *reply;
    return dm_call_typed(client, DM_PAUSE, &request.base, &dormouse__v1__pause_reply__descriptor,
                         false, timeout_ms, &reply);
}

dormouse_status dormouse_pause(dormouse *client, const char *exchange, const char *name,
                               uint64_t until, const char *reason, int timeout_ms)
{
    if (client != NULL && until == 0)
        return dm_bad(client, "a pause until 0 is none; use dormouse_resume to end one");
    /* Times are signed for the server. */
    uint64_t end = until > INT64_MAX ? (uint64_t)INT64_MAX : until;
    return pause_until(client, exchange, name, end, reason, timeout_ms);
}

dormouse_status dormouse_resume(dormouse *client, const char *exchange, const char *name,
                                int timeout_ms)
{
    return pause_until(client, exchange, name, 0, NULL, timeout_ms);
}

dormouse_status dormouse_stop(dormouse *client, const char *exchange, const char *name,
                              int timeout_ms, bool *was_awake, uint64_t *position)
{
    dormouse_status status = check(client, name);
    if (status != DORMOUSE_OK)
        return status;
    Dormouse__V1__StopRequest request = DORMOUSE__V1__STOP_REQUEST__INIT;
    request.exchange = dm_binary(dm_exchange(client, exchange));
    request.name = dm_binary(name);
    const ProtobufCMessage *reply;
    status = dm_call_typed(client, DM_STOP, &request.base, &dormouse__v1__stop_reply__descriptor,
                           false, timeout_ms, &reply);
    if (status != DORMOUSE_OK)
        return status;
    if (was_awake != NULL)
        *was_awake = ((const Dormouse__V1__StopReply *)reply)->was_awake != 0;
    if (position != NULL)
        *position = ((const Dormouse__V1__StopReply *)reply)->position;
    return status;
}

dormouse_status dormouse_forget(dormouse *client, const char *exchange, const char *name,
                                int timeout_ms, bool *existed)
{
    dormouse_status status = check(client, name);
    if (status != DORMOUSE_OK)
        return status;
    Dormouse__V1__ForgetRequest request = DORMOUSE__V1__FORGET_REQUEST__INIT;
    request.exchange = dm_binary(dm_exchange(client, exchange));
    request.name = dm_binary(name);
    const ProtobufCMessage *reply;
    status = dm_call_typed(client, DM_FORGET, &request.base, &dormouse__v1__forget_reply__descriptor,
                           false, timeout_ms, &reply);
    if (status == DORMOUSE_OK && existed != NULL)
        *existed = ((const Dormouse__V1__ForgetReply *)reply)->existed != 0;
    return status;
}

dormouse_status dormouse_producer(dormouse *client, const char *exchange, const char *producer,
                                  int timeout_ms, uint64_t *sequence, uint64_t *position)
{
    dormouse_status status = check(client, producer);
    if (status != DORMOUSE_OK)
        return status;
    Dormouse__V1__ProducerRequest request = DORMOUSE__V1__PRODUCER_REQUEST__INIT;
    request.exchange = dm_binary(dm_exchange(client, exchange));
    request.producer = dm_binary(producer);
    const ProtobufCMessage *reply;
    status = dm_call_typed(client, DM_PRODUCER, &request.base,
                           &dormouse__v1__producer_reply__descriptor, false, timeout_ms, &reply);
    if (status != DORMOUSE_OK)
        return status;
    if (sequence != NULL)
        *sequence = ((const Dormouse__V1__ProducerReply *)reply)->sequence;
    if (position != NULL)
        *position = ((const Dormouse__V1__ProducerReply *)reply)->position;
    return status;
}

dormouse_status dormouse_create_exchange(dormouse *client, const char *exchange, int timeout_ms)
{
    dormouse_status status = check(client, exchange);
    if (status != DORMOUSE_OK)
        return status;
    Dormouse__V1__ExchangeRequest request = DORMOUSE__V1__EXCHANGE_REQUEST__INIT;
    request.name = dm_binary(exchange);
    const ProtobufCMessage *reply;
    return dm_call_typed(client, DM_CREATE_EXCHANGE, &request.base,
                         &dormouse__v1__exchange_info__descriptor, false, timeout_ms, &reply);
}

dormouse_status dormouse_restored(dormouse *client, dormouse_bytes incarnation, int timeout_ms)
{
    if (client == NULL)
        return DORMOUSE_BAD_ARGUMENT;
    if (incarnation.data == NULL || incarnation.size == 0)
        return dm_bad(client, "the incarnation is empty; dormouse_describe_server tells it");
    Dormouse__V1__RestoredRequest request = DORMOUSE__V1__RESTORED_REQUEST__INIT;
    request.incarnation.data = (uint8_t *)incarnation.data;
    request.incarnation.len = incarnation.size;
    const ProtobufCMessage *reply;
    return dm_call_typed(client, DM_RESTORED, &request.base,
                         &dormouse__v1__restored_reply__descriptor, false, timeout_ms, &reply);
}
