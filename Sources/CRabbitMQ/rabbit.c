#include "internal.h"

#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define CHANNEL ((amqp_channel_t)1)
#define HEARTBEAT_SECONDS 20

static int fail(rabbit *broker, const char *what, const char *why)
{
    snprintf(broker->error, sizeof(broker->error), "%s: %s", what, why);
    return -1;
}

static int refuse(rabbit *broker, const char *why)
{
    fail(broker, "the broker did not take it", why);
    return RABBIT_REFUSED;
}

static int check_status(rabbit *broker, const char *what, int status)
{
    return status == AMQP_STATUS_OK ? 0 : fail(broker, what, amqp_error_string2(status));
}

static int fail_method(rabbit *broker, const char *what, const amqp_method_t *method)
{
    const amqp_bytes_t *text = NULL;
    if (method->id == AMQP_CHANNEL_CLOSE_METHOD)
        text = &((const amqp_channel_close_t *)method->decoded)->reply_text;
    else if (method->id == AMQP_CONNECTION_CLOSE_METHOD)
        text = &((const amqp_connection_close_t *)method->decoded)->reply_text;
    if (text == NULL)
        return fail(broker, what, amqp_method_name(method->id) == NULL ? "an unknown method" : amqp_method_name(method->id));
    snprintf(broker->error, sizeof(broker->error), "%s: the broker says: %.*s", what, (int)text->len,
             (const char *)text->bytes);
    return -1;
}

static int check_reply(rabbit *broker, const char *what, amqp_rpc_reply_t reply)
{
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return 0;
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION)
        return fail_method(broker, what, &reply.reply);
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
        return check_status(broker, what, reply.library_error);
    return fail(broker, what, "the broker did not answer");
}

static int check_last(rabbit *broker, const char *what)
{
    return check_reply(broker, what, amqp_get_rpc_reply(broker->connection));
}

static amqp_bytes_t text_bytes(const char *text)
{
    return text == NULL ? amqp_empty_bytes : amqp_cstring_bytes(text);
}

static amqp_bytes_t amqp_bytes_of(rabbit_bytes bytes)
{
    amqp_bytes_t result;
    result.len = bytes.size;
    result.bytes = (void *)(uintptr_t)bytes.data;
    return result;
}

/* ---- life ---- */

rabbit *rabbit_new(void)
{
    return calloc(1, sizeof(rabbit));
}

static void release(rabbit *broker)
{
    if (broker->has_envelope)
        amqp_destroy_envelope(&broker->envelope);
    broker->has_envelope = false;
}

void rabbit_free(rabbit *broker)
{
    if (broker == NULL)
        return;
    release(broker);
    if (broker->connection != NULL)
        amqp_destroy_connection(broker->connection);
    free(broker);
}

const char *rabbit_error(const rabbit *broker)
{
    return broker->error;
}

static struct timeval time_of(int milliseconds)
{
    struct timeval time = {milliseconds / 1000, (milliseconds % 1000) * 1000};
    return time;
}

static amqp_socket_t *new_socket(rabbit *broker, const rabbit_address *address)
{
    if (!address->is_tls)
        return amqp_tcp_socket_new(broker->connection);
    amqp_socket_t *socket = amqp_ssl_socket_new(broker->connection);
    if (socket == NULL)
        return NULL;
    amqp_ssl_socket_set_verify_peer(socket, 1);
    amqp_ssl_socket_set_verify_hostname(socket, 1);
    const char *authorities =
        address->authorities != NULL ? address->authorities : "/etc/ssl/certs/ca-certificates.crt";
    if (amqp_ssl_socket_set_cacert(socket, authorities) != AMQP_STATUS_OK)
        return NULL;
    return socket;
}

int rabbit_connect(rabbit *broker, const rabbit_address *address, int timeout_ms)
{
    broker->connection = amqp_new_connection();
    if (broker->connection == NULL)
        return fail(broker, "cannot connect", "no memory");
    amqp_socket_t *socket = new_socket(broker, address);
    if (socket == NULL)
        return fail(broker, "cannot connect", "no socket, or the authorities' file cannot be read");
    struct timeval timeout = time_of(timeout_ms);
    if (check_status(broker, "cannot connect",
                     amqp_socket_open_noblock(socket, address->host, address->port, &timeout))
        != 0)
        return -1;
    amqp_set_rpc_timeout(broker->connection, &timeout);
    /* Without this the broker does not say that a queue was deleted. */
    amqp_table_entry_t can_cancel, capabilities;
    amqp_table_t inner = {1, &can_cancel}, properties = {1, &capabilities};
    can_cancel.key = amqp_cstring_bytes("consumer_cancel_notify");
    can_cancel.value.kind = AMQP_FIELD_KIND_BOOLEAN;
    can_cancel.value.value.boolean = 1;
    capabilities.key = amqp_cstring_bytes("capabilities");
    capabilities.value.kind = AMQP_FIELD_KIND_TABLE;
    capabilities.value.value.table = inner;
    if (check_reply(broker, "cannot log in",
                    amqp_login_with_properties(broker->connection, address->vhost, 1,
                                               AMQP_DEFAULT_FRAME_SIZE, HEARTBEAT_SECONDS, &properties,
                                               AMQP_SASL_METHOD_PLAIN, address->user, address->password))
        != 0)
        return -1;
    amqp_channel_open(broker->connection, CHANNEL);
    return check_last(broker, "cannot open a channel");
}

/* ---- exchanges and queues ---- */

int rabbit_declare_exchange(rabbit *broker, const char *name, const char *type)
{
    amqp_exchange_declare(broker->connection, CHANNEL, text_bytes(name), text_bytes(type), 0, 1, 0, 0,
                          amqp_empty_table);
    return check_last(broker, "cannot declare the exchange");
}

int rabbit_declare_queue(rabbit *broker, const char *name, const char *type, bool single_active)
{
    amqp_table_entry_t entries[2];
    amqp_table_t arguments = {0, entries};
    if (type != NULL) {
        entries[0].key = amqp_cstring_bytes("x-queue-type");
        entries[0].value.kind = AMQP_FIELD_KIND_UTF8;
        entries[0].value.value.bytes = amqp_cstring_bytes(type);
        arguments.num_entries = 1;
        if (single_active) {
            entries[1].key = amqp_cstring_bytes("x-single-active-consumer");
            entries[1].value.kind = AMQP_FIELD_KIND_BOOLEAN;
            entries[1].value.value.boolean = 1;
            arguments.num_entries = 2;
        }
    }
    amqp_queue_declare(broker->connection, CHANNEL, text_bytes(name), type == NULL, 1, 0, 0, arguments);
    return check_last(broker, type == NULL ? "cannot find the queue" : "cannot declare the queue");
}

int rabbit_depth(rabbit *broker, const char *queue, uint32_t *count)
{
    amqp_queue_declare_ok_t *answer =
        amqp_queue_declare(broker->connection, CHANNEL, text_bytes(queue), 1, 0, 0, 0, amqp_empty_table);
    if (answer == NULL)
        return check_last(broker, "cannot ask for the depth of the queue");
    *count = answer->message_count;
    return 0;
}

int rabbit_bind(rabbit *broker, const char *queue, const char *exchange, const char *pattern)
{
    amqp_queue_bind(broker->connection, CHANNEL, text_bytes(queue), text_bytes(exchange),
                    text_bytes(pattern), amqp_empty_table);
    return check_last(broker, "cannot bind the queue");
}

/* ---- consuming ---- */

int rabbit_consume(rabbit *broker, const char *queue, uint16_t prefetch, int64_t offset)
{
    amqp_basic_qos(broker->connection, CHANNEL, 0, prefetch, 0);
    if (check_last(broker, "cannot set the prefetch") != 0)
        return -1;
    amqp_table_entry_t entry;
    amqp_table_t arguments = {0, &entry};
    if (offset >= 0) {
        entry.key = amqp_cstring_bytes("x-stream-offset");
        if (offset == 0) {
            entry.value.kind = AMQP_FIELD_KIND_UTF8;
            entry.value.value.bytes = amqp_cstring_bytes("first");
        } else {
            entry.value.kind = AMQP_FIELD_KIND_I64;
            entry.value.value.i64 = offset;
        }
        arguments.num_entries = 1;
    }
    amqp_basic_consume(broker->connection, CHANNEL, text_bytes(queue), amqp_empty_bytes, 0, 0, 0, arguments);
    return check_last(broker, "cannot consume from the queue");
}

static void describe(rabbit *broker, rabbit_message *message)
{
    const amqp_envelope_t *envelope = &broker->envelope;
    const amqp_basic_properties_t *properties = &envelope->message.properties;
    broker->header_count = 0;
    broker->text_end = 0;
    memset(message, 0, sizeof(*message));
    message->offset = -1;
    message->tag = envelope->delivery_tag;
    message->redelivered = envelope->redelivered != 0;
    message->exchange = rabbit_lent(envelope->exchange);
    message->routing_key = rabbit_lent(envelope->routing_key);
    message->body = rabbit_lent(envelope->message.body);
    if (properties->_flags & AMQP_BASIC_MESSAGE_ID_FLAG)
        message->id = rabbit_lent(properties->message_id);
    if (properties->_flags & AMQP_BASIC_CONTENT_TYPE_FLAG)
        message->content_type = rabbit_lent(properties->content_type);
    if (properties->_flags & AMQP_BASIC_HEADERS_FLAG)
        rabbit_add_headers(broker, &properties->headers, message);
    rabbit_add_properties(broker, properties);
    message->headers = broker->headers;
    message->header_count = broker->header_count;
}

/* Single confirms may overtake each other. */
static void confirm(rabbit *broker, uint64_t tag, bool is_multiple)
{
    if (tag <= broker->confirmed || tag > broker->confirmed + EARLY_MAX)
        return;
    if (is_multiple)
        for (uint64_t each = broker->confirmed + 1; each < tag; each++)
            broker->early[each % EARLY_MAX] = true;
    broker->early[tag % EARLY_MAX] = true;
    while (broker->early[(broker->confirmed + 1) % EARLY_MAX]) {
        broker->confirmed++;
        broker->early[broker->confirmed % EARLY_MAX] = false;
    }
}

/* A frame that is no delivery. Returns 0 when it means nothing to us. */
static int other_frame(rabbit *broker, int timeout_ms)
{
    amqp_frame_t frame;
    struct timeval timeout = time_of(timeout_ms);
    int status = amqp_simple_wait_frame_noblock(broker->connection, &frame, &timeout);
    if (status == AMQP_STATUS_TIMEOUT)
        return 0;
    if (status != AMQP_STATUS_OK)
        return check_status(broker, "the connection is lost", status);
    if (frame.frame_type != AMQP_FRAME_METHOD)
        return 0;
    const amqp_method_t *method = &frame.payload.method;
    switch (method->id) {
    case AMQP_BASIC_CANCEL_METHOD:
        return fail(broker, "the queue cannot be consumed from any more", "it was deleted, or its node is gone");
    case AMQP_CHANNEL_CLOSE_METHOD: return fail_method(broker, "the broker closed the channel", method);
    case AMQP_CONNECTION_CLOSE_METHOD: return fail_method(broker, "the broker closed the connection", method);
    case AMQP_BASIC_ACK_METHOD: {
        const amqp_basic_ack_t *ack = method->decoded;
        confirm(broker, ack->delivery_tag, ack->multiple);
        return 0;
    }
    /* A full queue, or one in trouble: it may take it later. */
    case AMQP_BASIC_NACK_METHOD: return fail(broker, "an event was not taken", "the broker refused it");
    case AMQP_BASIC_RETURN_METHOD: return refuse(broker, "no queue is bound for its routing key");
    default: return 0;
    }
}

int rabbit_next(rabbit *broker, int timeout_ms, rabbit_message *message)
{
    release(broker);
    amqp_maybe_release_buffers_on_channel(broker->connection, CHANNEL);
    struct timeval timeout = time_of(timeout_ms);
    amqp_rpc_reply_t reply = amqp_consume_message(broker->connection, &broker->envelope, &timeout, 0);
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
        broker->has_envelope = true;
        describe(broker, message);
        return 1;
    }
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) {
        if (reply.library_error == AMQP_STATUS_TIMEOUT)
            return 0;
        if (reply.library_error == AMQP_STATUS_UNEXPECTED_STATE)
            return other_frame(broker, timeout_ms);
    }
    return check_reply(broker, "the connection is lost", reply);
}

int rabbit_acknowledge(rabbit *broker, uint64_t tag)
{
    return check_status(broker, "cannot acknowledge",
                        amqp_basic_ack(broker->connection, CHANNEL, tag, 1));
}

int rabbit_beat(rabbit *broker)
{
    amqp_frame_t frame;
    memset(&frame, 0, sizeof(frame));
    frame.frame_type = AMQP_FRAME_HEARTBEAT;
    return check_status(broker, "the connection is lost", amqp_send_frame(broker->connection, &frame));
}

int rabbit_newest(rabbit *broker, const char *stream, int timeout_ms, int64_t *offset)
{
    amqp_bytes_t tag = amqp_cstring_bytes("newest");
    amqp_table_entry_t entry;
    amqp_table_t arguments = {1, &entry};
    entry.key = amqp_cstring_bytes("x-stream-offset");
    entry.value.kind = AMQP_FIELD_KIND_UTF8;
    entry.value.value.bytes = amqp_cstring_bytes("last");
    amqp_basic_qos(broker->connection, CHANNEL, 0, 1, 0);
    if (check_last(broker, "cannot set the prefetch") != 0)
        return -1;
    amqp_basic_consume(broker->connection, CHANNEL, text_bytes(stream), tag, 0, 0, 0, arguments);
    if (check_last(broker, "cannot look at the end of the stream") != 0)
        return -1;
    rabbit_message message;
    int result = rabbit_next(broker, timeout_ms, &message);
    if (result < 0)
        return -1;
    *offset = result == 1 ? message.offset : -1;
    if (result == 1 && rabbit_acknowledge(broker, message.tag) != 0)
        return -1;
    amqp_basic_cancel(broker->connection, CHANNEL, tag);
    return check_last(broker, "cannot look away from the stream");
}

/* ---- publishing ---- */

int rabbit_confirm(rabbit *broker)
{
    amqp_confirm_select(broker->connection, CHANNEL);
    broker->confirmed = 0;
    return check_last(broker, "the broker confirms nothing");
}

int rabbit_publish(rabbit *broker, const char *exchange, rabbit_bytes routing_key, rabbit_bytes body,
                   rabbit_bytes id, rabbit_bytes content_type, const rabbit_header *headers,
                   size_t header_count)
{
    amqp_table_entry_t *entries = calloc(header_count + 1, sizeof(*entries));
    if (entries == NULL)
        return fail(broker, "cannot publish", "no memory");
    for (size_t i = 0; i < header_count; i++) {
        entries[i].key = amqp_bytes_of(headers[i].name);
        entries[i].value.kind = AMQP_FIELD_KIND_UTF8;
        entries[i].value.value.bytes = amqp_bytes_of(headers[i].value);
    }
    amqp_basic_properties_t properties;
    memset(&properties, 0, sizeof(properties));
    properties._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_HEADERS_FLAG;
    properties.delivery_mode = 2;
    properties.headers.num_entries = (int)header_count;
    properties.headers.entries = entries;
    if (id.size > 0) {
        properties._flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
        properties.message_id = amqp_bytes_of(id);
    }
    if (content_type.size > 0) {
        properties._flags |= AMQP_BASIC_CONTENT_TYPE_FLAG;
        properties.content_type = amqp_bytes_of(content_type);
    }
    int status = amqp_basic_publish(broker->connection, CHANNEL, text_bytes(exchange),
                                    amqp_bytes_of(routing_key), 1, 0, &properties, amqp_bytes_of(body));
    free(entries);
    if (status == AMQP_STATUS_TABLE_TOO_BIG)
        return refuse(broker, "its headers are too large; RabbitMQ takes at most 128 KiB of them");
    return check_status(broker, "cannot publish", status);
}

int rabbit_wait_confirmed(rabbit *broker, uint64_t count, int timeout_ms)
{
    while (broker->confirmed < count) {
        uint64_t before = broker->confirmed;
        amqp_maybe_release_buffers_on_channel(broker->connection, CHANNEL);
        int result = other_frame(broker, timeout_ms);
        if (result != 0)
            return result;
        if (broker->confirmed == before)
            return 0;
    }
    return 1;
}
