#include "internal.h"

#include <amqp_framing.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void append(rabbit *broker, const char *text, size_t size)
{
    size_t room = sizeof(broker->text) - broker->text_end;
    if (size > room)
        size = room;
    memcpy(broker->text + broker->text_end, text, size);
    broker->text_end += size;
}

static void append_value(rabbit *broker, const amqp_field_value_t *field, int depth);

static void append_quoted(rabbit *broker, amqp_bytes_t bytes)
{
    append(broker, "\"", 1);
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char byte = ((const unsigned char *)bytes.bytes)[i];
        char escaped[8];
        if (byte == '"' || byte == '\\')
            append(broker, escaped, (size_t)snprintf(escaped, sizeof(escaped), "\\%c", byte));
        else if (byte < 0x20)
            append(broker, escaped, (size_t)snprintf(escaped, sizeof(escaped), "\\u%04x", byte));
        else
            append(broker, (const char *)&byte, 1);
    }
    append(broker, "\"", 1);
}

static void append_table(rabbit *broker, const amqp_table_t *table, int depth)
{
    append(broker, "{", 1);
    for (int i = 0; i < table->num_entries; i++) {
        append(broker, ",", i > 0);
        append_quoted(broker, table->entries[i].key);
        append(broker, ":", 1);
        append_value(broker, &table->entries[i].value, depth + 1);
    }
    append(broker, "}", 1);
}

static void append_array(rabbit *broker, const amqp_array_t *array, int depth)
{
    append(broker, "[", 1);
    for (int i = 0; i < array->num_entries; i++) {
        append(broker, ",", i > 0);
        append_value(broker, &array->entries[i], depth + 1);
    }
    append(broker, "]", 1);
}

/* Numbers and texts as they are; tables and arrays, and texts in them, as JSON. */
static void append_value(rabbit *broker, const amqp_field_value_t *field, int depth)
{
    char text[64];
    int size = 0;
    switch (field->kind) {
    case AMQP_FIELD_KIND_BOOLEAN:
        size = snprintf(text, sizeof(text), "%s", field->value.boolean ? "true" : "false");
        break;
    case AMQP_FIELD_KIND_I8: size = snprintf(text, sizeof(text), "%d", field->value.i8); break;
    case AMQP_FIELD_KIND_U8: size = snprintf(text, sizeof(text), "%u", field->value.u8); break;
    case AMQP_FIELD_KIND_I16: size = snprintf(text, sizeof(text), "%d", field->value.i16); break;
    case AMQP_FIELD_KIND_U16: size = snprintf(text, sizeof(text), "%u", field->value.u16); break;
    case AMQP_FIELD_KIND_I32: size = snprintf(text, sizeof(text), "%" PRId32, field->value.i32); break;
    case AMQP_FIELD_KIND_U32: size = snprintf(text, sizeof(text), "%" PRIu32, field->value.u32); break;
    case AMQP_FIELD_KIND_I64: size = snprintf(text, sizeof(text), "%" PRId64, field->value.i64); break;
    case AMQP_FIELD_KIND_U64:
    case AMQP_FIELD_KIND_TIMESTAMP:
        size = snprintf(text, sizeof(text), "%" PRIu64, field->value.u64);
        break;
    case AMQP_FIELD_KIND_F32:
        size = snprintf(text, sizeof(text), "%g", (double)field->value.f32);
        break;
    case AMQP_FIELD_KIND_F64: size = snprintf(text, sizeof(text), "%g", field->value.f64); break;
    case AMQP_FIELD_KIND_UTF8:
    case AMQP_FIELD_KIND_BYTES:
        if (depth > 0)
            append_quoted(broker, field->value.bytes);
        return;
    case AMQP_FIELD_KIND_TABLE:
        if (depth < DEPTH_MAX)
            append_table(broker, &field->value.table, depth);
        return;
    case AMQP_FIELD_KIND_ARRAY:
        if (depth < DEPTH_MAX)
            append_array(broker, &field->value.array, depth);
        return;
    default: size = depth > 0 ? snprintf(text, sizeof(text), "null") : 0; break;
    }
    append(broker, text, (size_t)size);
}

static void add(rabbit *broker, rabbit_bytes name, rabbit_bytes value)
{
    if (broker->header_count == HEADERS_MAX + PROPERTIES_MAX)
        return;
    broker->headers[broker->header_count].name = name;
    broker->headers[broker->header_count].value = value;
    broker->header_count++;
}

static void add_property(rabbit *broker, const char *name, amqp_bytes_t value)
{
    rabbit_bytes bytes = {name, strlen(name)};
    add(broker, bytes, rabbit_lent(value));
}

static void add_number(rabbit *broker, const char *name, uint64_t number)
{
    char text[32];
    amqp_bytes_t value;
    value.bytes = broker->text + broker->text_end;
    value.len = (size_t)snprintf(text, sizeof(text), "%" PRIu64, number);
    append(broker, text, value.len);
    add_property(broker, name, value);
}

void rabbit_add_headers(rabbit *broker, const amqp_table_t *table, rabbit_message *message)
{
    for (int i = 0; i < table->num_entries && broker->header_count < HEADERS_MAX; i++) {
        const amqp_table_entry_t *entry = &table->entries[i];
        const amqp_field_value_t *field = &entry->value;
        if (entry->key.len == 15 && memcmp(entry->key.bytes, "x-stream-offset", 15) == 0
            && field->kind == AMQP_FIELD_KIND_I64) {
            message->offset = field->value.i64;
            continue;
        }
        rabbit_bytes value = {broker->text + broker->text_end, 0};
        if (field->kind == AMQP_FIELD_KIND_UTF8 || field->kind == AMQP_FIELD_KIND_BYTES) {
            value = rabbit_lent(field->value.bytes);
        } else {
            append_value(broker, field, 0);
            value.size = (size_t)(broker->text + broker->text_end - (const char *)value.data);
        }
        add(broker, rabbit_lent(entry->key), value);
    }
}

void rabbit_add_properties(rabbit *broker, const amqp_basic_properties_t *properties)
{
    amqp_flags_t flags = properties->_flags;
    if (flags & AMQP_BASIC_CONTENT_ENCODING_FLAG)
        add_property(broker, "content-encoding", properties->content_encoding);
    if (flags & AMQP_BASIC_CORRELATION_ID_FLAG)
        add_property(broker, "correlation-id", properties->correlation_id);
    if (flags & AMQP_BASIC_REPLY_TO_FLAG)
        add_property(broker, "reply-to", properties->reply_to);
    if (flags & AMQP_BASIC_TYPE_FLAG)
        add_property(broker, "type", properties->type);
    if (flags & AMQP_BASIC_APP_ID_FLAG)
        add_property(broker, "app-id", properties->app_id);
    if (flags & AMQP_BASIC_USER_ID_FLAG)
        add_property(broker, "user-id", properties->user_id);
    if (flags & AMQP_BASIC_EXPIRATION_FLAG)
        add_property(broker, "expiration", properties->expiration);
    if (flags & AMQP_BASIC_PRIORITY_FLAG)
        add_number(broker, "priority", properties->priority);
    if (flags & AMQP_BASIC_TIMESTAMP_FLAG)
        add_number(broker, "timestamp", properties->timestamp);
}
