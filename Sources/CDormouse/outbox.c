#include "client.h"
#include "dormouse_outbox.h"

/* As many rows as a server gives in one page. */
#define PAGE_SIZE 500

static bool tell(const Dormouse__V1__AsideRow *each, dormouse_aside_callback callback, void *context)
{
    dormouse_aside_row row;
    memset(&row, 0, sizeof(row));
    row.id = each->id;
    row.exchange = dm_lent(each->exchange);
    row.key = dm_lent(each->key);
    row.reason = dm_lent(each->reason);
    row.payload_bytes = each->bytes;
    row.inserted_at = each->inserted_at;
    return callback(context, &row);
}

dormouse_status dormouse_list_outbox(dormouse *client, int timeout_ms,
                                     dormouse_aside_callback callback, void *context)
{
    dormouse_status status = dm_check_listing(client, callback != NULL);
    if (status != DORMOUSE_OK)
        return status;
    Dormouse__V1__ListOutboxRequest request = DORMOUSE__V1__LIST_OUTBOX_REQUEST__INIT;
    request.page_size = PAGE_SIZE;
    bool goes_on = true;
    while (goes_on) {
        struct dm_lent_reply reply;
        status = dm_call_lent(client, DM_LIST_OUTBOX, &request.base,
                              &dormouse__v1__list_outbox_reply__descriptor, true, timeout_ms, &reply);
        if (status != DORMOUSE_OK)
            return status;
        const Dormouse__V1__ListOutboxReply *list = (const Dormouse__V1__ListOutboxReply *)reply.message;
        uint64_t before = request.after;
        for (size_t i = 0; goes_on && i < list->n_rows; i++) {
            request.after = list->rows[i]->id;
            goes_on = tell(list->rows[i], callback, context);
        }
        /* A server whose pages do not go on is not believed. */
        goes_on = goes_on && request.after > before;
        dormouse_arena_free(reply.arena);
    }
    return DORMOUSE_OK;
}

static dormouse_status change(dormouse *client, const uint64_t *ids, size_t count, bool is_drop,
                              int timeout_ms, uint64_t *changed)
{
    if (client == NULL)
        return DORMOUSE_BAD_ARGUMENT;
    Dormouse__V1__ChangeOutboxRequest request = DORMOUSE__V1__CHANGE_OUTBOX_REQUEST__INIT;
    request.all = ids == NULL;
    request.drop = is_drop;
    request.n_ids = ids == NULL ? 0 : count;
    request.ids = (uint64_t *)(uintptr_t)ids;
    const ProtobufCMessage *reply;
    dormouse_status status =
        dm_call_typed(client, DM_CHANGE_OUTBOX, &request.base,
                      &dormouse__v1__change_outbox_reply__descriptor, false, timeout_ms, &reply);
    if (status == DORMOUSE_OK && changed != NULL)
        *changed = ((const Dormouse__V1__ChangeOutboxReply *)reply)->count;
    return status;
}

dormouse_status dormouse_retry_outbox(dormouse *client, const uint64_t *ids, size_t count, int timeout_ms,
                                      uint64_t *changed)
{
    return change(client, ids, count, false, timeout_ms, changed);
}

dormouse_status dormouse_drop_outbox(dormouse *client, const uint64_t *ids, size_t count, int timeout_ms,
                                     uint64_t *changed)
{
    return change(client, ids, count, true, timeout_ms, changed);
}
