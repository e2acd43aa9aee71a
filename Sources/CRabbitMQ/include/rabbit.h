/*
 * One connection to a RabbitMQ broker, with one channel, over librabbitmq: unions, tables and replies of the protocol
 * stay here. Used on one thread. Functions return 0, or -1 with the reason in rabbit_error; after that the connection
 * is of no use any more.
 */
#ifndef RABBIT_H
#define RABBIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Instead of -1: the broker is there and does not take this event. */
#define RABBIT_REFUSED (-2)

typedef struct rabbit rabbit;

typedef struct rabbit_bytes {
    const void *data;
    size_t size;
} rabbit_bytes;

typedef struct rabbit_header {
    rabbit_bytes name, value;
} rabbit_header;

typedef struct rabbit_address {
    const char *host;
    int port;
    const char *vhost, *user, *password;
    /* With TLS, the broker's certificate must be good and its name the host's. */
    bool is_tls;
    /* NULL: the system's authorities. */
    const char *authorities;
} rabbit_address;

/* Lent until the next call. */
typedef struct rabbit_message {
    uint64_t tag;
    bool redelivered;
    rabbit_bytes exchange, routing_key, body, id, content_type;
    /* Of the publisher, then the other properties; values that are no text become text. */
    const rabbit_header *headers;
    size_t header_count;
    /* Place in a stream; -1 for other queues. */
    int64_t offset;
} rabbit_message;

rabbit *rabbit_new(void);
void rabbit_free(rabbit *broker);
const char *rabbit_error(const rabbit *broker);

int rabbit_connect(rabbit *broker, const rabbit_address *address, int timeout_ms);
int rabbit_declare_exchange(rabbit *broker, const char *name, const char *type);
/* `type`: quorum, classic or stream; NULL: the queue must be there, of whatever type. */
int rabbit_declare_queue(rabbit *broker, const char *name, const char *type, bool single_active);
/* Messages that are ready in a queue, which must be there. */
int rabbit_depth(rabbit *broker, const char *queue, uint32_t *count);
int rabbit_bind(rabbit *broker, const char *queue, const char *exchange, const char *pattern);

/* `offset`: where to begin in a stream, 0 = its beginning; -1 for other queues. */
int rabbit_consume(rabbit *broker, const char *queue, uint16_t prefetch, int64_t offset);
/* 1: a message; 0: none came in time. A queue that is deleted is an error. */
int rabbit_next(rabbit *broker, int timeout_ms, rabbit_message *message);
/* All up to and with this one. */
int rabbit_acknowledge(rabbit *broker, uint64_t tag);

/* Tells the broker that we live, while nothing is read from it. */
int rabbit_beat(rabbit *broker);
/* The offset of a message near the end of a stream, where its newest chunk begins; -1: there was none in time. For a
 * connection that consumes nothing. */
int rabbit_newest(rabbit *broker, const char *stream, int timeout_ms, int64_t *offset);

/* Publishes are confirmed from now on. */
int rabbit_confirm(rabbit *broker);
/* Persistent, and returned as an error when no queue takes it. */
int rabbit_publish(rabbit *broker, const char *exchange, rabbit_bytes routing_key, rabbit_bytes body,
                   rabbit_bytes id, rabbit_bytes content_type, const rabbit_header *headers,
                   size_t header_count);
/* 1: so many publishes were confirmed in all; 0: not yet. */
int rabbit_wait_confirmed(rabbit *broker, uint64_t count, int timeout_ms);

#endif
