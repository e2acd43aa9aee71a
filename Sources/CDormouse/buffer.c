#include "buffer.h"

#include <stdlib.h>

/* Less is not worth an allocation. */
#define CAPACITY_MIN ((size_t)256)

void dm_buffer_free(struct dm_buffer *buffer)
{
    free(buffer->bytes);
    memset(buffer, 0, sizeof(*buffer));
}

bool dm_buffer_reserve_slow(struct dm_buffer *buffer, size_t size)
{
    size_t used = buffer->end - buffer->start;
    if (size > SIZE_MAX / 2 - used)
        return false;
    /* Moving costs less than growing while at most half of it is in use. */
    if (buffer->start > 0 && used + size <= buffer->capacity && used <= buffer->capacity / 2) {
        memmove(buffer->bytes, buffer->bytes + buffer->start, used);
        buffer->start = 0;
        buffer->end = used;
        return true;
    }
    size_t capacity = buffer->capacity < CAPACITY_MIN ? CAPACITY_MIN : buffer->capacity;
    while (capacity < used + size)
        capacity *= 2;
    uint8_t *bytes = malloc(capacity);
    if (bytes == NULL)
        return false;
    if (used > 0)
        memcpy(bytes, buffer->bytes + buffer->start, used);
    free(buffer->bytes);
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    buffer->start = 0;
    buffer->end = used;
    return true;
}

bool dm_buffer_append(struct dm_buffer *buffer, const void *bytes, size_t size)
{
    if (size == 0)
        return true;
    if (!dm_buffer_reserve(buffer, size))
        return false;
    memcpy(buffer->bytes + buffer->end, bytes, size);
    buffer->end += size;
    return true;
}
