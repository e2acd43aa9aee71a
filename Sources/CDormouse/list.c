#include "client.h"
#include "subscribe_request.h"

/* As many entries as a server gives in one page. */
#define PAGE_SIZE 500
/* What a server says beyond this is not shown. */
#define CONNECTION_NAMES_MAX 64

/* Patterns and matches of an entry, in the header's types. What is beyond the limits is not shown. */
struct config_lent {
    dormouse_bytes patterns[DM_PATTERNS_MAX];
    dormouse_header_match matches[DM_HEADER_MATCHES_MAX];
};

static void lend_config(const Dormouse__V1__ReceiverConfig *config, struct config_lent *lent,
                        dormouse_config_info *info)
{
    memset(info, 0, sizeof(*info));
    info->patterns = lent->patterns;
    info->header_matches = lent->matches;
    if (config == NULL)
        return;
    info->exchange = dm_lent(config->exchange);
    while (info->pattern_count < config->n_patterns && info->pattern_count < DM_PATTERNS_MAX) {
        lent->patterns[info->pattern_count] = dm_lent(config->patterns[info->pattern_count]);
        info->pattern_count++;
    }
    while (info->header_match_count < config->n_headers
           && info->header_match_count < DM_HEADER_MATCHES_MAX) {
        const Dormouse__V1__HeaderMatch *match = config->headers[info->header_match_count];
        dormouse_header_match *target = &lent->matches[info->header_match_count++];
        target->name = dm_lent(match->name);
        target->kind = (dormouse_match_kind)match->kind;
        target->value = dm_lent(match->value);
    }
}

dormouse_status dm_call_lent(dormouse *client, enum dm_method method, const ProtobufCMessage *request,
                                 const ProtobufCMessageDescriptor *descriptor, bool is_listing, int timeout_ms,
                                 struct dm_lent_reply *reply)
{
    dormouse_status status =
        dm_call_typed(client, method, request, descriptor, is_listing, timeout_ms, &reply->message);
    if (status != DORMOUSE_OK)
        return status;
    dormouse_arena *other = dormouse_arena_new();
    if (other == NULL)
        return dm_fail_memory(&client->failure);
    reply->arena = client->arena;
    client->arena = other;
    return DORMOUSE_OK;
}

dormouse_status dm_check_listing(dormouse *client, bool has_callback)
{
    if (client == NULL)
        return DORMOUSE_BAD_ARGUMENT;
    return has_callback ? DORMOUSE_OK : dm_bad(client, "the callback is NULL");
}

bool dm_take_token(struct dm_page_token *token, ProtobufCBinaryData next, size_t entries,
                   ProtobufCBinaryData *target)
{
    if (next.len == 0 || next.len > sizeof(token->bytes) || entries == 0)
        return false;
    memcpy(token->bytes, next.data, next.len);
    target->data = token->bytes;
    target->len = next.len;
    return true;
}

static bool tell_subscriber(const Dormouse__V1__Subscription *each,
                            dormouse_subscriber_callback callback, void *context)
{
    struct config_lent lent;
    dormouse_subscriber_info info;
    memset(&info, 0, sizeof(info));
    lend_config(each->config, &lent, &info.config);
    if (info.config.exchange.size == 0)
        info.config.exchange = dm_lent(each->exchange);
    info.name = dm_lent(each->name);
    info.state = (dormouse_subscriber_state)each->state;
    info.reason = dm_lent(each->reason);
    info.position = each->position;
    info.sent = each->sent;
    info.head = each->head;
    info.since = each->since;
    info.oldest_waiting_at = each->oldest_waiting_at;
    info.peer = dm_lent(each->peer);
    info.client = dm_lent(each->client);
    info.principal = dm_lent(each->principal);
    info.delivered = each->delivered;
    info.acknowledged = each->acknowledged;
    info.paused_until = each->paused_until;
    return callback(context, &info);
}

dormouse_status dormouse_list_subscribers(dormouse *client, const char *exchange,
                                          const char *prefix, int timeout_ms,
                                          dormouse_subscriber_callback callback, void *context)
{
    dormouse_status status = dm_check_listing(client, callback != NULL);
    if (status != DORMOUSE_OK)
        return status;
    struct dm_page_token token;
    Dormouse__V1__ListRequest request = DORMOUSE__V1__LIST_REQUEST__INIT;
    request.exchange = dm_binary(dm_exchange(client, exchange));
    request.name_prefix = dm_binary(prefix);
    request.page_size = PAGE_SIZE;
    bool goes_on = true;
    while (goes_on) {
        struct dm_lent_reply reply;
        status = dm_call_lent(client, DM_LIST, &request.base, &dormouse__v1__list_reply__descriptor, true,
                           timeout_ms, &reply);
        if (status != DORMOUSE_OK)
            return status;
        const Dormouse__V1__ListReply *list = (const Dormouse__V1__ListReply *)reply.message;
        for (size_t i = 0; goes_on && i < list->n_subscriptions; i++)
            goes_on = tell_subscriber(list->subscriptions[i], callback, context);
        goes_on = goes_on
                  && dm_take_token(&token, list->next_page_token, list->n_subscriptions, &request.page_token);
        dormouse_arena_free(reply.arena);
    }
    return DORMOUSE_OK;
}

static bool tell_connection(const Dormouse__V1__ConnectionInfo *each,
                            dormouse_connection_callback callback, void *context)
{
    dormouse_bytes names[CONNECTION_NAMES_MAX];
    dormouse_connection_info info;
    memset(&info, 0, sizeof(info));
    info.id = each->id;
    info.peer = dm_lent(each->peer);
    info.client = dm_lent(each->client);
    info.library = dm_lent(each->library);
    info.principal = dm_lent(each->principal);
    info.since = each->since;
    info.subscription_count = each->subscriptions;
    info.names = names;
    while (info.name_count < each->n_names && info.name_count < CONNECTION_NAMES_MAX) {
        names[info.name_count] = dm_lent(each->names[info.name_count]);
        info.name_count++;
    }
    info.published = each->published;
    info.delivered = each->delivered;
    info.queued_bytes = each->queued_bytes;
    info.sent_bytes = each->sent_bytes;
    info.received_bytes = each->received_bytes;
    return callback(context, &info);
}

dormouse_status dormouse_list_connections(dormouse *client, int timeout_ms,
                                          dormouse_connection_callback callback, void *context)
{
    dormouse_status status = dm_check_listing(client, callback != NULL);
    if (status != DORMOUSE_OK)
        return status;
    struct dm_page_token token;
    Dormouse__V1__ListConnectionsRequest request = DORMOUSE__V1__LIST_CONNECTIONS_REQUEST__INIT;
    request.page_size = PAGE_SIZE;
    bool goes_on = true;
    while (goes_on) {
        struct dm_lent_reply reply;
        status = dm_call_lent(client, DM_LIST_CONNECTIONS, &request.base,
                           &dormouse__v1__list_connections_reply__descriptor, true, timeout_ms, &reply);
        if (status != DORMOUSE_OK)
            return status;
        const Dormouse__V1__ListConnectionsReply *list =
            (const Dormouse__V1__ListConnectionsReply *)reply.message;
        for (size_t i = 0; goes_on && i < list->n_connections; i++)
            goes_on = tell_connection(list->connections[i], callback, context);
        goes_on = goes_on
                  && dm_take_token(&token, list->next_page_token, list->n_connections, &request.page_token);
        dormouse_arena_free(reply.arena);
    }
    return DORMOUSE_OK;
}

dormouse_status dormouse_list_receivers(dormouse *client, const char *exchange, int timeout_ms,
                                        dormouse_receiver_callback callback, void *context)
{
    dormouse_status status = dm_check_listing(client, callback != NULL);
    if (status != DORMOUSE_OK)
        return status;
    Dormouse__V1__ListReceiversRequest request = DORMOUSE__V1__LIST_RECEIVERS_REQUEST__INIT;
    request.exchange = dm_binary(dm_exchange(client, exchange));
    struct dm_lent_reply reply;
    status = dm_call_lent(client, DM_LIST_RECEIVERS, &request.base, &dormouse__v1__list_receivers_reply__descriptor, true,
                       timeout_ms, &reply);
    if (status != DORMOUSE_OK)
        return status;
    const Dormouse__V1__ListReceiversReply *list = (const Dormouse__V1__ListReceiversReply *)reply.message;
    bool goes_on = true;
    for (size_t i = 0; goes_on && i < list->n_receivers; i++) {
        const Dormouse__V1__ReceiverInfo *each = list->receivers[i];
        struct config_lent lent;
        dormouse_receiver_info info;
        memset(&info, 0, sizeof(info));
        lend_config(each->config, &lent, &info.config);
        info.id = each->id;
        info.awake = each->awake;
        info.sleeping = each->sleeping;
        goes_on = callback(context, &info);
    }
    dormouse_arena_free(reply.arena);
    return DORMOUSE_OK;
}

dormouse_status dormouse_list_exchanges(dormouse *client, int timeout_ms,
                                        dormouse_exchange_callback callback, void *context)
{
    dormouse_status status = dm_check_listing(client, callback != NULL);
    if (status != DORMOUSE_OK)
        return status;
    Dormouse__V1__ExchangesRequest request = DORMOUSE__V1__EXCHANGES_REQUEST__INIT;
    struct dm_lent_reply reply;
    status = dm_call_lent(client, DM_EXCHANGES, &request.base, &dormouse__v1__exchanges_reply__descriptor, true,
                       timeout_ms, &reply);
    if (status != DORMOUSE_OK)
        return status;
    const Dormouse__V1__ExchangesReply *list = (const Dormouse__V1__ExchangesReply *)reply.message;
    bool goes_on = true;
    for (size_t i = 0; goes_on && i < list->n_exchanges; i++) {
        const Dormouse__V1__ExchangeInfo *each = list->exchanges[i];
        dormouse_exchange_info info;
        memset(&info, 0, sizeof(info));
        info.name = dm_lent(each->name);
        info.first = each->first;
        info.head = each->head;
        info.bytes = each->bytes;
        info.epoch = each->epoch;
        info.receivers = each->receivers;
        info.subscribers = each->subscribers;
        goes_on = callback(context, &info);
    }
    dormouse_arena_free(reply.arena);
    return DORMOUSE_OK;
}

dormouse_status dormouse_describe_server(dormouse *client, int timeout_ms,
                                         dormouse_server_callback callback, void *context)
{
    dormouse_status status = dm_check_listing(client, callback != NULL);
    if (status != DORMOUSE_OK)
        return status;
    Dormouse__V1__ServerRequest request = DORMOUSE__V1__SERVER_REQUEST__INIT;
    struct dm_lent_reply reply;
    status = dm_call_lent(client, DM_SERVER, &request.base, &dormouse__v1__server_reply__descriptor, false,
                       timeout_ms, &reply);
    if (status != DORMOUSE_OK)
        return status;
    const Dormouse__V1__ServerReply *server = (const Dormouse__V1__ServerReply *)reply.message;
    dormouse_server_info info;
    memset(&info, 0, sizeof(info));
    info.server = dm_lent(server->server);
    info.incarnation = dm_lent(server->incarnation);
    info.started_at = server->started_at;
    info.published = server->published;
    info.delivered = server->delivered;
    info.connections = server->connections;
    info.store_available = server->store_available != 0;
    info.store_reason = dm_lent(server->store_reason);
    callback(context, &info);
    dormouse_arena_free(reply.arena);
    return DORMOUSE_OK;
}
