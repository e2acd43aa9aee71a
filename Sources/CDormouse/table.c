#include "table.h"

#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN ((size_t)32)

static size_t place_of(const struct dm_table *table, uint32_t stream)
{
    /* Streams are numbered upwards, so neighbours do not meet. */
    return stream & (table->capacity - 1);
}

void dm_table_free(struct dm_table *table)
{
    free(table->places);
    memset(table, 0, sizeof(*table));
}

static void put(struct dm_table *table, struct dm_request request)
{
    size_t at = place_of(table, request.stream);
    while (table->places[at].kind != DM_KIND_NONE)
        at = (at + 1) & (table->capacity - 1);
    table->places[at] = request;
}

bool dm_table_add(struct dm_table *table, struct dm_request request)
{
    if (table->count * 2 >= table->capacity) {
        struct dm_table grown = {NULL, table->capacity * 2, table->count};
        if (grown.capacity < CAPACITY_MIN)
            grown.capacity = CAPACITY_MIN;
        grown.places = calloc(grown.capacity, sizeof(struct dm_request));
        if (grown.places == NULL)
            return false;
        for (size_t i = 0; i < table->capacity; i++)
            if (table->places[i].kind != DM_KIND_NONE)
                put(&grown, table->places[i]);
        free(table->places);
        *table = grown;
    }
    put(table, request);
    table->count++;
    return true;
}

struct dm_request *dm_table_find(const struct dm_table *table, uint32_t stream)
{
    if (table->count == 0)
        return NULL;
    for (size_t at = place_of(table, stream); table->places[at].kind != DM_KIND_NONE;
         at = (at + 1) & (table->capacity - 1))
        if (table->places[at].stream == stream)
            return &table->places[at];
    return NULL;
}

void dm_table_remove(struct dm_table *table, uint32_t stream)
{
    struct dm_request *found = dm_table_find(table, stream);
    if (found == NULL)
        return;
    size_t mask = table->capacity - 1;
    size_t hole = (size_t)(found - table->places);
    /* Those behind it move up, as long as that brings them no nearer than their own place. */
    for (size_t at = (hole + 1) & mask; table->places[at].kind != DM_KIND_NONE;
         at = (at + 1) & mask) {
        size_t wanted = place_of(table, table->places[at].stream);
        if (((at - wanted) & mask) >= ((at - hole) & mask)) {
            table->places[hole] = table->places[at];
            hole = at;
        }
    }
    memset(&table->places[hole], 0, sizeof(struct dm_request));
    table->count--;
}
