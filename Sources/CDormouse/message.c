#include "message.h"

#include <stdio.h>

bool dm_message_append(struct dm_buffer *buffer, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    if (!dm_buffer_reserve(buffer, size))
        return false;
    buffer->end += protobuf_c_message_pack(message, buffer->bytes + buffer->end);
    return true;
}

ProtobufCMessage *dm_message_decode(dormouse_arena *arena, const ProtobufCMessageDescriptor *type,
                                    const void *bytes, size_t size, bool is_listing)
{
    /* A header of one letter has 5 bytes and becomes 72 in two pieces. */
    dormouse_arena_reset(arena, size * (is_listing ? 32 : 8) + ((size_t)64 << 10), size / 2 + 1000);
    /* protobuf-c refuses NULL, which an empty payload may be. */
    static const uint8_t nothing = 0;
    return protobuf_c_message_unpack(type, dormouse_arena_allocator(arena), size,
                                     size == 0 ? &nothing : bytes);
}

dormouse_status dm_not_decoded(struct dm_failure *failure, const dormouse_arena *arena,
                               const char *text)
{
    return dormouse_arena_starved(arena) ? dm_fail_memory(failure)
                                         : dm_fail(failure, DORMOUSE_PROTOCOL_ERROR, "%s", text);
}

void dm_failure_decode(struct dm_failure *failure, dormouse_arena *arena, uint16_t code,
                       const void *bytes, size_t size)
{
    failure->status = dm_status_from_wire(code);
    failure->retry_after_ms = 0;
    const Dormouse__V1__Failure *message = (const Dormouse__V1__Failure *)dm_message_decode(
        arena, &dormouse__v1__failure__descriptor, bytes, size, false);
    if (message == NULL || message->message.len == 0) {
        dm_fail(failure, failure->status, "the server answered %s (%u) and no text",
                dormouse_status_text(failure->status), (unsigned)code);
        return;
    }
    failure->retry_after_ms = message->retry_after_ms;
    dm_text_copy(failure->text, sizeof(failure->text), message->message.data, message->message.len);
    size_t used = strlen(failure->text);
    if (message->detail.len > 0 && used + 3 < sizeof(failure->text)) {
        memcpy(failure->text + used, ": ", 2);
        dm_text_copy(failure->text + used + 2, sizeof(failure->text) - used - 2,
                     message->detail.data, message->detail.len);
    }
}
