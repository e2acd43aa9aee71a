#include "wire.h"

static bool read_varint(struct dm_reader *reader, uint64_t *value)
{
    const uint8_t *at = reader->at;
    if (at < reader->end && *at < 0x80) {
        *value = *at;
        reader->at = at + 1;
        return true;
    }
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 70 && at < reader->end; shift += 7) {
        uint8_t byte = *at++;
        /* The tenth byte has room for one bit. */
        if (shift == 63 && byte > 1)
            return false;
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            reader->at = at;
            return true;
        }
    }
    return false;
}

static uint64_t fixed(const uint8_t *at, unsigned count)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < count; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static inline enum dm_read next(struct dm_reader *reader, struct dm_field *field)
{
    uint64_t tag;
    if (reader->at == reader->end)
        return DM_READ_END;
    if (!read_varint(reader, &tag) || tag >> 3 == 0 || tag >> 32 != 0)
        return DM_READ_BROKEN;
    field->field = (uint32_t)(tag >> 3);
    field->wire_type = (uint8_t)(tag & 7);
    size_t left = (size_t)(reader->end - reader->at);
    uint64_t size;
    switch (field->wire_type) {
    case 0:
        return read_varint(reader, &field->number) ? DM_READ_FIELD : DM_READ_BROKEN;
    case 1:
    case 5:
        size = field->wire_type == 1 ? 8 : 4;
        if (left < size)
            return DM_READ_BROKEN;
        field->number = fixed(reader->at, (unsigned)size);
        reader->at += size;
        return DM_READ_FIELD;
    case 2:
        if (!read_varint(reader, &size) || size > (size_t)(reader->end - reader->at))
            return DM_READ_BROKEN;
        field->bytes = reader->at;
        field->size = (size_t)size;
        reader->at += size;
        return DM_READ_FIELD;
    default: /* Groups, which proto3 does not have. */
        return DM_READ_BROKEN;
    }
}

enum dm_read dm_reader_next(struct dm_reader *reader, struct dm_field *field)
{
    return next(reader, field);
}

/* The field number and wire type in one, to switch over. */
#define FIELD(number, wire_type) ((number) << 3 | (wire_type))

bool dm_delivery_read(const uint8_t *bytes, size_t size, struct dm_delivery *delivery)
{
    struct dm_reader reader = {bytes, bytes + size};
    struct dm_field field;
    memset(delivery, 0, sizeof(*delivery));
    enum dm_read read;
    while ((read = next(&reader, &field)) == DM_READ_FIELD) {
        switch (field.field << 3 | field.wire_type) {
        case FIELD(1, 1): delivery->after = field.number; break;
        case FIELD(2, 1): delivery->upto = field.number; break;
        case FIELD(3, 1): delivery->head = field.number; break;
        case FIELD(4, 0): delivery->replay = field.number != 0; break;
        case FIELD(5, 0): delivery->redelivered = field.number != 0; break;
        case FIELD(15, 2):
            delivery->event_count++;
            delivery->event_bytes += field.size;
            break;
        default: break;
        }
    }
    return read == DM_READ_END;
}

bool dm_publish_reply_read(const uint8_t *bytes, size_t size, dormouse_published *result)
{
    struct dm_reader reader = {bytes, bytes + size};
    struct dm_field field;
    enum dm_read read;
    result->first_position = result->last_position = result->duplicate_count = 0;
    while ((read = next(&reader, &field)) == DM_READ_FIELD) {
        switch (field.field << 3 | field.wire_type) {
        case FIELD(1, 1): result->first_position = field.number; break;
        case FIELD(2, 1): result->last_position = field.number; break;
        case FIELD(3, 0): result->duplicate_count = (uint32_t)field.number; break;
        default: break;
        }
    }
    return read == DM_READ_END;
}

bool dm_producer_reply_read(const uint8_t *bytes, size_t size, uint64_t *sequence)
{
    struct dm_reader reader = {bytes, bytes + size};
    struct dm_field field;
    enum dm_read read;
    *sequence = 0;
    while ((read = next(&reader, &field)) == DM_READ_FIELD)
        if (field.field == 1 && field.wire_type == 1)
            *sequence = field.number;
    return read == DM_READ_END;
}

static bool read_header(const struct dm_field *source, dormouse_header *header)
{
    struct dm_reader reader = {source->bytes, source->bytes + source->size};
    struct dm_field field;
    memset(header, 0, sizeof(*header));
    enum dm_read read;
    while ((read = next(&reader, &field)) == DM_READ_FIELD) {
        if (field.wire_type != 2)
            continue;
        if (field.field == 1)
            header->name = (dormouse_bytes){field.bytes, field.size};
        else if (field.field == 2)
            header->value = (dormouse_bytes){field.bytes, field.size};
    }
    return read == DM_READ_END;
}

/* 1: read; 0: its headers have no room beside the others'; -1: nonsense. */
static int read_event(const struct dm_field *source, dormouse_event *event,
                      dormouse_header *headers, size_t headers_left)
{
    struct dm_reader reader = {source->bytes, source->bytes + source->size};
    struct dm_field field;
    memset(event, 0, sizeof(*event));
    event->headers = headers;
    enum dm_read read;
    while ((read = next(&reader, &field)) == DM_READ_FIELD) {
        switch (field.field << 3 | field.wire_type) {
        case FIELD(1, 1): event->position = field.number; break;
        case FIELD(2, 1): event->published_at = field.number; break;
        case FIELD(3, 2): event->key = (dormouse_bytes){field.bytes, field.size}; break;
        case FIELD(4, 2): event->payload = (dormouse_bytes){field.bytes, field.size}; break;
        case FIELD(5, 2): event->id = (dormouse_bytes){field.bytes, field.size}; break;
        case FIELD(6, 2): event->content_type = (dormouse_bytes){field.bytes, field.size}; break;
        case FIELD(7, 2):
            if (event->header_count >= DM_HEADERS_MAX)
                return -1;
            if (event->header_count >= headers_left)
                return 0;
            if (!read_header(&field, &headers[event->header_count++]))
                return -1;
            break;
        default: break;
        }
    }
    return read == DM_READ_END ? 1 : -1;
}

int dm_events_read(struct dm_reader *reader, uint64_t *above, uint64_t *previous, uint64_t upto,
                   dormouse_event *events, size_t events_max, dormouse_header *headers,
                   size_t headers_max)
{
    size_t count = 0;
    size_t headers_used = 0;
    while (count < events_max) {
        const uint8_t *before = reader->at;
        struct dm_field field;
        enum dm_read read = next(reader, &field);
        if (read == DM_READ_END)
            break;
        if (read == DM_READ_BROKEN)
            return -1;
        if (field.field != 15 || field.wire_type != 2)
            continue;
        dormouse_event *event = &events[count];
        int outcome = read_event(&field, event, headers + headers_used, headers_max - headers_used);
        if (outcome < 0)
            return -1;
        if (outcome == 0) {
            /* With all of the room to itself it fits: it begins the next batch. */
            reader->at = before;
            break;
        }
        if (event->position <= *previous || event->position > upto)
            return -1;
        *previous = event->position;
        if (event->position <= *above)
            continue;
        *above = event->position;
        headers_used += event->header_count;
        if (event->header_count == 0)
            event->headers = NULL;
        count++;
    }
    return (int)count;
}
