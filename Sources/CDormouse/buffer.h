/* Bytes that are appended at the end and taken from the beginning. All zero is an empty one. */
#ifndef DM_BUFFER_H
#define DM_BUFFER_H

#include "platform.h"

#include <string.h>

struct dm_buffer {
    uint8_t *bytes;
    size_t start;
    size_t end;
    size_t capacity;
};

void dm_buffer_free(struct dm_buffer *buffer);
/* Room for `size` more bytes at `end`; false without memory. */
bool dm_buffer_reserve_slow(struct dm_buffer *buffer, size_t size);
bool dm_buffer_append(struct dm_buffer *buffer, const void *bytes, size_t size);

static inline size_t dm_buffer_size(const struct dm_buffer *buffer)
{
    return buffer->end - buffer->start;
}

static inline bool dm_buffer_reserve(struct dm_buffer *buffer, size_t size)
{
    return buffer->capacity - buffer->end >= size || dm_buffer_reserve_slow(buffer, size);
}

/* Takes bytes from the beginning. */
static inline void dm_buffer_take(struct dm_buffer *buffer, size_t size)
{
    buffer->start += size;
    if (buffer->start == buffer->end)
        buffer->start = buffer->end = 0;
}

static inline void dm_buffer_clear(struct dm_buffer *buffer)
{
    buffer->start = buffer->end = 0;
}

#endif
