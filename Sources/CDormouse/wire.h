/*
 * The few messages that are many, by hand: events are encoded straight into the buffer of a publish, and
 * deliveries are read where they lie. Everything else goes through protobuf-c (message.h).
 */
#ifndef DM_WIRE_H
#define DM_WIRE_H

#include "buffer.h"
#include "dormouse.h"
#include "failure.h"

/* ---- writing ---- */

/* More than any frame; keeps the sums below far from overflow. */
#define DM_PAYLOAD_BYTES_MAX ((size_t)16 << 20)
#define DM_HEADER_VALUE_BYTES_MAX ((size_t)16 << 20)

static inline size_t dm_varint_bytes(uint64_t value)
{
    size_t count = 1;
    while (value >= 0x80) {
        value >>= 7;
        count++;
    }
    return count;
}

static inline uint8_t *dm_varint_write(uint8_t *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static inline uint8_t *dm_fixed64_write(uint8_t *at, uint64_t value)
{
    for (int shift = 0; shift < 64; shift += 8)
        *at++ = (uint8_t)(value >> shift);
    return at;
}

/*
 * Checks the event by the server's rules: one that it refuses would fail all that is sent with it. Gives
 * the size of its message, without position and time.
 */
dormouse_status dm_event_measure(const dormouse_event *event, size_t *size,
                                 struct dm_failure *failure);
/* Appends it as field 4 of a PublishRequest; `size` is what dm_event_measure gave. */
bool dm_event_append(struct dm_buffer *buffer, const dormouse_event *event, size_t size);
/* What dm_event_append takes. */
static inline size_t dm_event_field_bytes(size_t size)
{
    return 1 + dm_varint_bytes(size) + size;
}

/* ---- reading ---- */

/* Needs no memory: a publish that is stored must not be called failed for want of it. */
bool dm_publish_reply_read(const uint8_t *bytes, size_t size, dormouse_published *result);
bool dm_producer_reply_read(const uint8_t *bytes, size_t size, uint64_t *sequence);

struct dm_reader {
    const uint8_t *at;
    const uint8_t *end;
};

/* A field: `number` is its value, or `bytes` are, by its wire type. */
struct dm_field {
    uint32_t field;
    uint8_t wire_type;
    uint64_t number;
    const uint8_t *bytes;
    size_t size;
};

enum dm_read { DM_READ_FIELD, DM_READ_END, DM_READ_BROKEN };
enum dm_read dm_reader_next(struct dm_reader *reader, struct dm_field *field);

struct dm_delivery {
    uint64_t after;
    uint64_t upto;
    uint64_t head;
    bool replay;
    bool redelivered;
    size_t event_count;
    /* What the events cost of the byte credit. */
    uint64_t event_bytes;
};

/* Reads everything but the events, which are counted. False when it is no Delivery. */
bool dm_delivery_read(const uint8_t *bytes, size_t size, struct dm_delivery *delivery);

enum dm_expanded { DM_EXPANDED_NOT, DM_EXPANDED, DM_EXPANDED_BROKEN, DM_EXPANDED_NO_MEMORY };

/*
 * Makes the plain delivery of one whose events are compressed (DM_EXPANDED); one with plain events is left as it is
 * (DM_EXPANDED_NOT). The events must not become more than `events_bytes_max`, which is at most DM_PAYLOAD_BYTES_MAX.
 */
enum dm_expanded dm_delivery_expand(const uint8_t *bytes, size_t size, size_t events_bytes_max,
                                    struct dm_buffer *plain);

/* Of one event; a server that sends more is not believed. */
#define DM_HEADERS_MAX 1024

/*
 * Reads the next events of a delivery, at most `events_max`, with at most `headers_max` headers (at least
 * DM_HEADERS_MAX), skipping those up to `above`, which follows the events. Positions must rise and not
 * be beyond `upto`. Pointers lead into the delivery. Returns how many, 0 at the end, or -1 for nonsense.
 */
int dm_events_read(struct dm_reader *reader, uint64_t *above, uint64_t *previous, uint64_t upto,
                   dormouse_event *events, size_t events_max, dormouse_header *headers,
                   size_t headers_max);

#endif
