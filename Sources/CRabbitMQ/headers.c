#include "internal.h"

#include <amqp_framing.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
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

/* The shortest text that is read as this number again. */
static int write_double(char *text, size_t size, double value)
{
    int count = 0;
    for (int digits = 6; digits <= 17; digits++) {
        count = snprintf(text, size, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return count;
}

static int write_float(char *text, size_t size, float value)
{
    int count = 0;
    for (int digits = 6; digits <= 9; digits++) {
        count = snprintf(text, size, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    return count;
}

/* A number or a truth value as text; 0 for everything else. */
static int write_scalar(char *text, size_t size, const amqp_field_value_t *field)
{
    switch (field->kind) {
    case AMQP_FIELD_KIND_BOOLEAN: return snprintf(text, size, "%s", field->value.boolean ? "true" : "false");
    case AMQP_FIELD_KIND_I8: return snprintf(text, size, "%d", field->value.i8);
    case AMQP_FIELD_KIND_U8: return snprintf(text, size, "%u", field->value.u8);
    case AMQP_FIELD_KIND_I16: return snprintf(text, size, "%d", field->value.i16);
    case AMQP_FIELD_KIND_U16: return snprintf(text, size, "%u", field->value.u16);
    case AMQP_FIELD_KIND_I32: return snprintf(text, size, "%" PRId32, field->value.i32);
    case AMQP_FIELD_KIND_U32: return snprintf(text, size, "%" PRIu32, field->value.u32);
    case AMQP_FIELD_KIND_I64: return snprintf(text, size, "%" PRId64, field->value.i64);
    case AMQP_FIELD_KIND_U64:
    case AMQP_FIELD_KIND_TIMESTAMP: return snprintf(text, size, "%" PRIu64, field->value.u64);
    case AMQP_FIELD_KIND_F32: return write_float(text, size, field->value.f32);
    case AMQP_FIELD_KIND_F64: return write_double(text, size, field->value.f64);
    case AMQP_FIELD_KIND_DECIMAL:
        return snprintf(text, size, "%" PRIu32 "e-%u", field->value.decimal.value, field->value.decimal.decimals);
    default: return 0;
    }
}

/* Within a table or an array, which are JSON. */
static void append_value(rabbit *broker, const amqp_field_value_t *field, int depth)
{
    char text[NUMBER_BYTES];
    switch (field->kind) {
    case AMQP_FIELD_KIND_UTF8:
    case AMQP_FIELD_KIND_BYTES: append_quoted(broker, field->value.bytes); return;
    case AMQP_FIELD_KIND_TABLE:
        if (depth == DEPTH_MAX)
            break;
        append_table(broker, &field->value.table, depth);
        return;
    case AMQP_FIELD_KIND_ARRAY:
        if (depth == DEPTH_MAX)
            break;
        append_array(broker, &field->value.array, depth);
        return;
    default: break;
    }
    int size = write_scalar(text, sizeof(text), field);
    bool is_number = size > 0 && strstr(text, "nan") == NULL && strstr(text, "inf") == NULL;
    append(broker, is_number ? text : "null", is_number ? (size_t)size : 4);
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

/* Where the text of the next header's number is kept: never in the place of what was cut before it. */
static char *number_text(rabbit *broker)
{
    return broker->numbers[broker->header_count];
}

static void add_number(rabbit *broker, const char *name, uint64_t number)
{
    amqp_bytes_t value;
    value.bytes = number_text(broker);
    value.len = (size_t)snprintf(value.bytes, NUMBER_BYTES, "%" PRIu64, number);
    add_property(broker, name, value);
}

static rabbit_bytes header_value(rabbit *broker, const amqp_field_value_t *field)
{
    if (field->kind == AMQP_FIELD_KIND_UTF8 || field->kind == AMQP_FIELD_KIND_BYTES)
        return rabbit_lent(field->value.bytes);
    rabbit_bytes value = {broker->text + broker->text_end, 0};
    if (field->kind == AMQP_FIELD_KIND_TABLE || field->kind == AMQP_FIELD_KIND_ARRAY) {
        append_value(broker, field, 0);
        value.size = (size_t)(broker->text + broker->text_end - (const char *)value.data);
    } else {
        value.data = number_text(broker);
        value.size = (size_t)write_scalar(number_text(broker), NUMBER_BYTES, field);
    }
    return value;
}

void rabbit_add_headers(rabbit *broker, const amqp_table_t *table, rabbit_message *message)
{
    for (int i = 0; i < table->num_entries; i++) {
        const amqp_table_entry_t *entry = &table->entries[i];
        const amqp_field_value_t *field = &entry->value;
        /* The broker's own; it may stand behind more headers than an event may have. */
        if (entry->key.len == 15 && memcmp(entry->key.bytes, "x-stream-offset", 15) == 0
            && field->kind == AMQP_FIELD_KIND_I64)
            message->offset = field->value.i64;
        else if (broker->header_count < HEADERS_MAX)
            add(broker, rabbit_lent(entry->key), header_value(broker, field));
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
