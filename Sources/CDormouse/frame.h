/* Frames and methods of the protocol; see docs/protocol.md. */
#ifndef DM_FRAME_H
#define DM_FRAME_H

#include "buffer.h"
#include "platform.h"

#define DM_PREFACE "\xD0" "DORM\r\n\x01"
#define DM_PREFACE_BYTES 8
#define DM_FRAME_HEADER_BYTES 12
/* Before the welcome. */
#define DM_HELLO_FRAME_BYTES_MAX ((size_t)4096)
/* More than any server may ask for. */
#define DM_FRAME_BYTES_MAX_MAX ((size_t)8 << 20)
/* The least that a server allows; assumed before the first welcome. */
#define DM_FRAME_BYTES_MAX_MIN ((size_t)16 << 10)
/* What a request or delivery with one event needs beside the event. */
#define DM_FRAME_BYTES_ASIDE ((size_t)1024)
#define DM_PING_BYTES_MAX 8
#define DM_FLAG_NO_REPLY 1u

enum dm_frame_type {
    DM_REQUEST = 1,
    DM_RESPONSE = 2,
    DM_DATA = 3,
    DM_END = 4,
    DM_CANCEL = 5,
    DM_PING = 6,
    DM_PONG = 7,
    DM_GOAWAY = 8
};

enum dm_method {
    DM_HELLO = 1,
    DM_PUBLISH = 10,
    DM_PRODUCER = 11,
    DM_SUBSCRIBE = 20,
    DM_ACKNOWLEDGE = 21,
    DM_GRANT = 22,
    DM_STOP = 23,
    DM_FETCH = 24,
    DM_SEEK = 30,
    DM_PAUSE = 31,
    DM_FORGET = 32,
    DM_RESTORED = 33,
    DM_LIST = 40,
    DM_LIST_RECEIVERS = 41,
    DM_EXCHANGES = 42,
    DM_CREATE_EXCHANGE = 43,
    DM_SERVER = 44,
    DM_LIST_CONNECTIONS = 45,
    DM_ADD_PRINCIPAL = 50,
    DM_GRANT_PRINCIPAL = 51,
    DM_REVOKE_PRINCIPAL = 52,
    DM_ROTATE_PRINCIPAL = 53,
    DM_LIST_PRINCIPALS = 54,
    DM_LIST_OUTBOX = 60,
    DM_CHANGE_OUTBOX = 61
};

struct dm_frame {
    uint32_t length;
    uint8_t type;
    uint8_t flags;
    uint16_t code;
    uint32_t stream;
};

void dm_frame_write(uint8_t target[DM_FRAME_HEADER_BYTES], const struct dm_frame *frame);
void dm_frame_read(const uint8_t source[DM_FRAME_HEADER_BYTES], struct dm_frame *frame);

#endif
