#include "wire.h"

/* By the server's limits (Limits.swift). */
#define KEY_BYTES_MAX 255
#define ID_BYTES_MAX 64
#define CONTENT_TYPE_BYTES_MAX 255
#define HEADER_NAME_BYTES_MAX 255
#define HEADERS_MAX 64

static const bool is_word_byte[256] = {
    ['-'] = true, ['_'] = true, ['0'] = true, ['1'] = true, ['2'] = true, ['3'] = true,
    ['4'] = true, ['5'] = true, ['6'] = true, ['7'] = true, ['8'] = true, ['9'] = true,
    ['A'] = true, ['B'] = true, ['C'] = true, ['D'] = true, ['E'] = true, ['F'] = true,
    ['G'] = true, ['H'] = true, ['I'] = true, ['J'] = true, ['K'] = true, ['L'] = true,
    ['M'] = true, ['N'] = true, ['O'] = true, ['P'] = true, ['Q'] = true, ['R'] = true,
    ['S'] = true, ['T'] = true, ['U'] = true, ['V'] = true, ['W'] = true, ['X'] = true,
    ['Y'] = true, ['Z'] = true, ['a'] = true, ['b'] = true, ['c'] = true, ['d'] = true,
    ['e'] = true, ['f'] = true, ['g'] = true, ['h'] = true, ['i'] = true, ['j'] = true,
    ['k'] = true, ['l'] = true, ['m'] = true, ['n'] = true, ['o'] = true, ['p'] = true,
    ['q'] = true, ['r'] = true, ['s'] = true, ['t'] = true, ['u'] = true, ['v'] = true,
    ['w'] = true, ['x'] = true, ['y'] = true, ['z'] = true,
};

static bool is_key(dormouse_bytes key)
{
    const uint8_t *bytes = key.data;
    if (key.size == 0 || key.size > KEY_BYTES_MAX || bytes == NULL)
        return false;
    /* As if a dot stood before the key and after it: no two dots may meet. */
    bool was_dot = true;
    for (size_t i = 0; i < key.size; i++) {
        bool is_dot = bytes[i] == '.';
        if (is_dot ? was_dot : !is_word_byte[bytes[i]])
            return false;
        was_dot = is_dot;
    }
    return !was_dot;
}

static bool is_sound(dormouse_bytes bytes, size_t size_max)
{
    return bytes.size <= size_max && (bytes.size == 0 || bytes.data != NULL);
}

static size_t field_bytes(size_t size)
{
    return size == 0 ? 0 : 1 + dm_varint_bytes(size) + size;
}

static size_t header_bytes(const dormouse_header *header)
{
    return field_bytes(header->name.size) + field_bytes(header->value.size);
}

static dormouse_status measure_headers(const dormouse_event *event, size_t *size,
                                       struct dm_failure *failure)
{
    if (event->header_count > HEADERS_MAX || event->headers == NULL)
        return dm_fail(failure, DORMOUSE_BAD_ARGUMENT,
                       "the event has %zu headers%s; expected at most %d", event->header_count,
                       event->headers == NULL ? " at NULL" : "", HEADERS_MAX);
    for (size_t i = 0; i < event->header_count; i++) {
        const dormouse_header *header = &event->headers[i];
        if (header->name.size == 0 || !is_sound(header->name, HEADER_NAME_BYTES_MAX))
            return dm_fail(failure, DORMOUSE_BAD_ARGUMENT,
                           "the name of header %zu has %zu bytes; expected 1 to %d", i,
                           header->name.size, HEADER_NAME_BYTES_MAX);
        if (!is_sound(header->value, DM_HEADER_VALUE_BYTES_MAX))
            return dm_fail(failure, DORMOUSE_FRAME_TOO_LARGE, "the value of header %zu is too large", i);
        size_t inner = header_bytes(header);
        *size += 1 + dm_varint_bytes(inner) + inner;
    }
    return DORMOUSE_OK;
}

dormouse_status dm_event_measure(const dormouse_event *event, size_t *size,
                                 struct dm_failure *failure)
{
    if (!is_key(event->key))
        return dm_fail(failure, DORMOUSE_BAD_ARGUMENT,
                       "the event's key (%zu bytes) is not one; expected words of A-Z a-z 0-9 _ - "
                       "joined by dots, at most %d bytes",
                       event->key.size, KEY_BYTES_MAX);
    if (!is_sound(event->payload, SIZE_MAX) || !is_sound(event->id, ID_BYTES_MAX)
        || !is_sound(event->content_type, CONTENT_TYPE_BYTES_MAX))
        return dm_fail(failure, DORMOUSE_BAD_ARGUMENT,
                       "the event's payload is NULL, or its id has more than %d bytes, or its content "
                       "type more than %d",
                       ID_BYTES_MAX, CONTENT_TYPE_BYTES_MAX);
    if (event->payload.size > DM_PAYLOAD_BYTES_MAX)
        return dm_fail(failure, DORMOUSE_FRAME_TOO_LARGE,
                       "the event's payload has %zu bytes, which no server takes", event->payload.size);
    *size = field_bytes(event->key.size) + field_bytes(event->payload.size)
        + field_bytes(event->id.size) + field_bytes(event->content_type.size);
    return event->header_count == 0 ? DORMOUSE_OK : measure_headers(event, size, failure);
}

static uint8_t *write_bytes(uint8_t *at, unsigned field, dormouse_bytes bytes)
{
    if (bytes.size == 0)
        return at;
    *at++ = (uint8_t)(field << 3 | 2);
    at = dm_varint_write(at, bytes.size);
    memcpy(at, bytes.data, bytes.size);
    return at + bytes.size;
}

bool dm_event_append(struct dm_buffer *buffer, const dormouse_event *event, size_t size)
{
    if (!dm_buffer_reserve(buffer, dm_event_field_bytes(size)))
        return false;
    uint8_t *at = buffer->bytes + buffer->end;
    *at++ = 4 << 3 | 2;
    at = dm_varint_write(at, size);
    at = write_bytes(at, 3, event->key);
    at = write_bytes(at, 4, event->payload);
    at = write_bytes(at, 5, event->id);
    at = write_bytes(at, 6, event->content_type);
    for (size_t i = 0; i < event->header_count; i++) {
        *at++ = 7 << 3 | 2;
        at = dm_varint_write(at, header_bytes(&event->headers[i]));
        at = write_bytes(at, 1, event->headers[i].name);
        at = write_bytes(at, 2, event->headers[i].value);
    }
    buffer->end = (size_t)(at - buffer->bytes);
    return true;
}
