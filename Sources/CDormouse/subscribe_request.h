/* What a subscription was asked for, copied from the application. */
#ifndef DM_SUBSCRIBE_REQUEST_H
#define DM_SUBSCRIBE_REQUEST_H

#include "message.h"

/* By the server's limits; more would be refused anyway. */
#define DM_PATTERNS_MAX 64
#define DM_HEADER_MATCHES_MAX 16
/* Fits into the smallest frame a server may ask for. */
#define DM_SUBSCRIBE_BYTES_MAX ((size_t)15 << 10)

/* The receiver config of a request, pointing into what it was made from. */
struct dm_config {
    Dormouse__V1__ReceiverConfig message;
    ProtobufCBinaryData patterns[DM_PATTERNS_MAX];
    Dormouse__V1__HeaderMatch matches[DM_HEADER_MATCHES_MAX];
    Dormouse__V1__HeaderMatch *match_pointers[DM_HEADER_MATCHES_MAX];
};

dormouse_status dm_config_fill(struct dm_config *config, const char *exchange,
                               const char *const *patterns, size_t pattern_count,
                               const dormouse_header_match *matches, size_t match_count,
                               struct dm_failure *failure);

struct dm_subscribe_request {
    dormouse_start start;
    uint64_t start_value;
    bool reposition;
    bool replace_config;
    bool acknowledge_on_send;
    bool has_name;
    uint32_t credit_events;
    uint32_t credit_bytes;
    uint32_t acknowledge_within_ms;
    uint64_t last_seen;
    uint8_t last_incarnation[64];
    size_t last_incarnation_size;
    /* Name and config, encoded as fields 1 and 2 of the SubscribeRequest. */
    struct dm_buffer fixed_part;
};

/* NULL, with the failure set. */
struct dm_subscribe_request *dm_subscribe_request_new(const dormouse_subscribe_options *options,
                                                      const char *exchange,
                                                      struct dm_failure *failure);
void dm_subscribe_request_free(struct dm_subscribe_request *request);

#endif
