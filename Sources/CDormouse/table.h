/* Which requests of a connection wait for an answer: by stream number, open addressing. */
#ifndef DM_TABLE_H
#define DM_TABLE_H

#include "platform.h"

/* What an answer is for. */
enum dm_kind {
    DM_KIND_NONE = 0,  /* a free place */
    DM_KIND_HELLO,
    DM_KIND_CALL,      /* owner: struct dm_call */
    DM_KIND_PUBLISH,   /* owner: struct dm_group */
    DM_KIND_PRODUCER,  /* the publisher's own question */
    DM_KIND_SUBSCRIBE, /* owner: dormouse_subscription */
    DM_KIND_STREAM,    /* owner: a Subscribe of dormouse_service */
    DM_KIND_ABANDONED  /* nobody waits any more; whatever comes is dropped */
};

struct dm_request {
    uint32_t stream;
    enum dm_kind kind;
    void *owner;
};

struct dm_table {
    struct dm_request *places;
    size_t capacity; /* a power of 2 */
    size_t count;
};

void dm_table_free(struct dm_table *table);
/* False without memory. The stream must not be in it. */
bool dm_table_add(struct dm_table *table, struct dm_request request);
/* NULL when there is none; valid until the next change of the table. */
struct dm_request *dm_table_find(const struct dm_table *table, uint32_t stream);
void dm_table_remove(struct dm_table *table, uint32_t stream);

#endif
