/* Shared by the files of this folder. */
#ifndef RABBIT_INTERNAL_H
#define RABBIT_INTERNAL_H

#include "rabbit.h"

#include <amqp.h>

/* An event has at most 64 headers; one more shows that there are too many. Properties come on top. */
#define HEADERS_MAX 65
#define PROPERTIES_MAX 16
/* Of values that are made text of; what does not fit is cut. */
#define TEXT_BYTES ((size_t)16384)
/* Of a number. */
#define NUMBER_BYTES ((size_t)32)
/* Of tables in tables. */
#define DEPTH_MAX 4
/* More than are published before they are waited for. */
#define EARLY_MAX 4096

struct rabbit {
    amqp_connection_state_t connection;
    amqp_envelope_t envelope;
    bool has_envelope;
    /* All up to this one are confirmed, and these behind it. */
    uint64_t confirmed;
    bool early[EARLY_MAX];
    rabbit_header headers[HEADERS_MAX + PROPERTIES_MAX];
    size_t header_count;
    /* One for each header. */
    char numbers[HEADERS_MAX + PROPERTIES_MAX][NUMBER_BYTES];
    char text[TEXT_BYTES];
    size_t text_end;
    char error[512];
};

static inline rabbit_bytes rabbit_lent(amqp_bytes_t bytes)
{
    rabbit_bytes result = {bytes.bytes, bytes.len};
    return result;
}

/* ---- headers.c ---- */
/* Adds what a message's table and properties say to the headers; the place in a stream goes into the message. */
void rabbit_add_headers(rabbit *broker, const amqp_table_t *table, rabbit_message *message);
void rabbit_add_properties(rabbit *broker, const amqp_basic_properties_t *properties);

#endif
