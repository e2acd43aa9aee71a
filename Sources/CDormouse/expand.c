#include "wire.h"

#include <lz4.h>

#define FIELD_CODEC 6
#define FIELD_EVENTS_BYTES 7
#define FIELD_COMPRESSED 14
#define FIELD_EVENTS 15
#define CODEC_LZ4 1

/* The fields of the delivery that are the same in the plain one are appended; where the events are, compressed. */
static enum dm_expanded read_fields(const uint8_t *bytes, size_t size, struct dm_buffer *plain,
                                    struct dm_field *block, uint64_t *events_bytes)
{
    struct dm_reader reader = {bytes, bytes + size};
    struct dm_field field;
    uint64_t codec = 0;
    memset(block, 0, sizeof(*block));
    for (;;) {
        const uint8_t *start = reader.at;
        enum dm_read read = dm_reader_next(&reader, &field);
        /* Whoever reads the delivery will notice, and knows what that ends. */
        if (read == DM_READ_BROKEN)
            return DM_EXPANDED_NOT;
        /* Plain events end what could be different. */
        if (read == DM_READ_END || field.field == FIELD_EVENTS)
            break;
        if (field.field == FIELD_CODEC && field.wire_type == 0)
            codec = field.number;
        else if (field.field == FIELD_EVENTS_BYTES && field.wire_type == 0)
            *events_bytes = field.number;
        else if (field.field == FIELD_COMPRESSED && field.wire_type == 2)
            *block = field;
        else if (!dm_buffer_append(plain, start, (size_t)(reader.at - start)))
            return DM_EXPANDED_NO_MEMORY;
    }
    if (block->bytes == NULL)
        return codec == 0 && *events_bytes == 0 ? DM_EXPANDED_NOT : DM_EXPANDED_BROKEN;
    return codec == CODEC_LZ4 ? DM_EXPANDED : DM_EXPANDED_BROKEN;
}

enum dm_expanded dm_delivery_expand(const uint8_t *bytes, size_t size, size_t events_bytes_max,
                                    struct dm_buffer *plain)
{
    struct dm_field block;
    uint64_t events_bytes = 0;
    dm_buffer_clear(plain);
    enum dm_expanded outcome = read_fields(bytes, size, plain, &block, &events_bytes);
    if (outcome != DM_EXPANDED)
        return outcome;
    if (events_bytes == 0 || events_bytes > events_bytes_max || block.size > events_bytes_max)
        return DM_EXPANDED_BROKEN;
    if (!dm_buffer_reserve(plain, (size_t)events_bytes))
        return DM_EXPANDED_NO_MEMORY;
    int made = LZ4_decompress_safe((const char *)block.bytes, (char *)plain->bytes + plain->end,
                                   (int)block.size, (int)events_bytes);
    if (made < 0 || (uint64_t)made != events_bytes)
        return DM_EXPANDED_BROKEN;
    plain->end += (size_t)made;
    return DM_EXPANDED;
}
