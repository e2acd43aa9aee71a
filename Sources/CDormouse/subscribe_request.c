#include "subscribe_request.h"

#include <stdlib.h>

#define CREDIT_EVENTS_DEFAULT 20000u
#define CREDIT_BYTES_DEFAULT (8u << 20)
#define CREDIT_BYTES_MIN (64u << 10)
/* Twice of it is still a number of 32 bits. */
#define CREDIT_MAX (1u << 30)

static bool is_sound(dormouse_bytes bytes)
{
    return bytes.size == 0 || bytes.data != NULL;
}

static ProtobufCBinaryData binary(dormouse_bytes bytes)
{
    ProtobufCBinaryData data = {bytes.size, (uint8_t *)(uintptr_t)bytes.data};
    return data;
}

dormouse_status dm_config_fill(struct dm_config *config, const char *exchange,
                               const char *const *patterns, size_t pattern_count,
                               const dormouse_header_match *matches, size_t match_count,
                               struct dm_failure *failure)
{
    const Dormouse__V1__ReceiverConfig config_empty = DORMOUSE__V1__RECEIVER_CONFIG__INIT;
    const Dormouse__V1__HeaderMatch match_empty = DORMOUSE__V1__HEADER_MATCH__INIT;
    if (pattern_count > DM_PATTERNS_MAX || match_count > DM_HEADER_MATCHES_MAX
        || (pattern_count > 0 && patterns == NULL) || (match_count > 0 && matches == NULL))
        return dm_fail(failure, DORMOUSE_BAD_ARGUMENT,
                       "%zu patterns and %zu header matches; expected at most %d and %d, and no NULL",
                       pattern_count, match_count, DM_PATTERNS_MAX, DM_HEADER_MATCHES_MAX);
    config->message = config_empty;
    config->message.exchange = dm_binary(exchange);
    config->message.n_patterns = pattern_count;
    config->message.patterns = config->patterns;
    for (size_t i = 0; i < pattern_count; i++)
        config->patterns[i] = dm_binary(patterns[i]);
    config->message.n_headers = match_count;
    config->message.headers = config->match_pointers;
    for (size_t i = 0; i < match_count; i++) {
        if (!is_sound(matches[i].name) || !is_sound(matches[i].value)
            || (unsigned)matches[i].kind > DORMOUSE_ABSENT)
            return dm_fail(failure, DORMOUSE_BAD_ARGUMENT, "header match %zu is not one", i);
        config->matches[i] = match_empty;
        config->matches[i].name = binary(matches[i].name);
        config->matches[i].value = binary(matches[i].value);
        config->matches[i].kind = (Dormouse__V1__MatchKind)matches[i].kind;
        config->match_pointers[i] = &config->matches[i];
    }
    return DORMOUSE_OK;
}

void dm_subscribe_request_free(struct dm_subscribe_request *request)
{
    if (request == NULL)
        return;
    dm_buffer_free(&request->fixed_part);
    free(request);
}

static dormouse_status encode_fixed_part(struct dm_subscribe_request *request,
                                         const dormouse_subscribe_options *options,
                                         const char *exchange, struct dm_failure *failure)
{
    struct dm_config config;
    dormouse_status status =
        dm_config_fill(&config, exchange, options->patterns, options->pattern_count,
                       options->header_matches, options->header_match_count, failure);
    if (status != DORMOUSE_OK)
        return status;
    Dormouse__V1__SubscribeRequest message = DORMOUSE__V1__SUBSCRIBE_REQUEST__INIT;
    message.name = dm_binary(options->name);
    message.config = &config.message;
    if (!dm_message_append(&request->fixed_part, &message.base))
        return dm_fail_memory(failure);
    if (dm_buffer_size(&request->fixed_part) > DM_SUBSCRIBE_BYTES_MAX)
        return dm_fail(failure, DORMOUSE_BAD_ARGUMENT,
                       "the name, patterns and header matches have more than %zu bytes",
                       DM_SUBSCRIBE_BYTES_MAX);
    return DORMOUSE_OK;
}

struct dm_subscribe_request *dm_subscribe_request_new(const dormouse_subscribe_options *options,
                                                      const char *exchange,
                                                      struct dm_failure *failure)
{
    struct dm_subscribe_request *request = calloc(1, sizeof(*request));
    if (request == NULL) {
        dm_fail_memory(failure);
        return NULL;
    }
    request->start = options->start;
    request->start_value = options->start_value;
    request->reposition = options->reposition;
    request->replace_config = options->replace_config;
    request->acknowledge_on_send = options->acknowledge_on_send;
    request->has_name = options->name != NULL && options->name[0] != 0;
    request->credit_events =
        options->credit_events == 0 ? CREDIT_EVENTS_DEFAULT : options->credit_events;
    request->credit_bytes =
        options->credit_bytes == 0 ? CREDIT_BYTES_DEFAULT : options->credit_bytes;
    /* Half of it is granted at a time; less would mean a grant for each event. */
    if (request->credit_bytes < CREDIT_BYTES_MIN)
        request->credit_bytes = CREDIT_BYTES_MIN;
    if (request->credit_bytes > CREDIT_MAX)
        request->credit_bytes = CREDIT_MAX;
    if (request->credit_events > CREDIT_MAX)
        request->credit_events = CREDIT_MAX;
    request->acknowledge_within_ms = options->acknowledge_within_ms;
    request->last_seen = options->last_seen;
    request->last_incarnation_size = options->last_incarnation.size;
    if (options->last_incarnation.size > sizeof(request->last_incarnation)
        || !is_sound(options->last_incarnation) || (unsigned)options->start > DORMOUSE_TIME) {
        dm_fail(failure, DORMOUSE_BAD_ARGUMENT,
                "last_incarnation has more than 64 bytes, or start is none of the starts");
    } else {
        if (options->last_incarnation.size > 0)
            memcpy(request->last_incarnation, options->last_incarnation.data,
                   options->last_incarnation.size);
        if (encode_fixed_part(request, options, exchange, failure) == DORMOUSE_OK)
            return request;
    }
    dm_subscribe_request_free(request);
    return NULL;
}
