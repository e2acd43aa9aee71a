#include <librdkafka/rdkafka.h>

/* Swift does not call functions with variable arguments. Takes the headers when it succeeds. */
static inline rd_kafka_resp_err_t dormouse_kafka_produce(rd_kafka_t *client, const char *topic,
                                                         const void *key, size_t key_size,
                                                         const void *payload, size_t payload_size,
                                                         rd_kafka_headers_t *headers) {
    return rd_kafka_producev(client, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(key, key_size),
                             RD_KAFKA_V_VALUE((void *)payload, payload_size),
                             RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                             RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
}
