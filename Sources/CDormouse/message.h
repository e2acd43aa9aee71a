/* Messages that are few, through protobuf-c. */
#ifndef DM_MESSAGE_H
#define DM_MESSAGE_H

#include "arena.h"
#include "buffer.h"
#include "dormouse.pb-c.h"
#include "failure.h"

/* Appends the message's bytes; false without memory. */
bool dm_message_append(struct dm_buffer *buffer, const ProtobufCMessage *message);
/*
 * Decodes into the arena, which is reset; NULL when it is no such message or costs more than its budget.
 * The budget bounds what protobuf-c makes of hostile bytes; listings and events, which are many small
 * messages, get more.
 */
ProtobufCMessage *dm_message_decode(dormouse_arena *arena, const ProtobufCMessageDescriptor *type,
                                    const void *bytes, size_t size, bool is_listing);
/* Why it was NULL: PROTOCOL_ERROR with this text, or NO_MEMORY. */
dormouse_status dm_not_decoded(struct dm_failure *failure, const dormouse_arena *arena,
                               const char *text);
/* A Failure, or as much of it as can be understood. */
void dm_failure_decode(struct dm_failure *failure, dormouse_arena *arena, uint16_t code,
                       const void *bytes, size_t size);

static inline ProtobufCBinaryData dm_binary(const char *text)
{
    ProtobufCBinaryData data;
    data.len = text == NULL ? 0 : strlen(text);
    data.data = (uint8_t *)(uintptr_t)text;
    return data;
}

static inline dormouse_bytes dm_lent(ProtobufCBinaryData data)
{
    dormouse_bytes bytes;
    bytes.data = data.data;
    bytes.size = data.len;
    return bytes;
}

#endif
