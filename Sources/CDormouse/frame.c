#include "frame.h"

static void write32(uint8_t *target, uint32_t value)
{
    target[0] = (uint8_t)(value >> 24);
    target[1] = (uint8_t)(value >> 16);
    target[2] = (uint8_t)(value >> 8);
    target[3] = (uint8_t)value;
}

static uint32_t read32(const uint8_t *source)
{
    return (uint32_t)source[0] << 24 | (uint32_t)source[1] << 16 | (uint32_t)source[2] << 8
        | (uint32_t)source[3];
}

void dm_frame_write(uint8_t target[DM_FRAME_HEADER_BYTES], const struct dm_frame *frame)
{
    write32(target, frame->length);
    target[4] = frame->type;
    target[5] = frame->flags;
    target[6] = (uint8_t)(frame->code >> 8);
    target[7] = (uint8_t)frame->code;
    write32(target + 8, frame->stream);
}

void dm_frame_read(const uint8_t source[DM_FRAME_HEADER_BYTES], struct dm_frame *frame)
{
    frame->length = read32(source);
    frame->type = source[4];
    frame->flags = source[5];
    frame->code = (uint16_t)(source[6] << 8 | source[7]);
    frame->stream = read32(source + 8);
}
