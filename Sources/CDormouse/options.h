/* What dormouse_set and the URI set. */
#ifndef DM_OPTIONS_H
#define DM_OPTIONS_H

#include "failure.h"

#define DM_PORT_DEFAULT "3673"
/* So many hosts are tried in a circle; more is a mistake in the URI. */
#define DM_HOSTS_MAX 16
/* The server's hello has room for no more. */
#define DM_TOKEN_BYTES_MAX 1024

enum dm_tls { DM_TLS_OFF, DM_TLS_REQUIRE, DM_TLS_VERIFY };

/* A host and port, or a unix socket's path when port is NULL. */
struct dm_host {
    char *name;
    char *port;
};

struct dm_options {
    struct dm_host hosts[DM_HOSTS_MAX];
    size_t host_count;
    char *client;
    char *token;
    /* Read anew for each connection. */
    char *token_file;
    char *exchange;
    char *producer;
    /* Of the first event that is published here; 0 = the next one that the server does not know. */
    uint64_t sequence;
    char *ca_file;
    char *cert_file;
    char *key_file;
    char *tls_name;
    enum dm_tls tls;
    bool reconnect;
    bool insecure_token;
    bool compression;
    uint32_t connect_timeout_ms;
    uint32_t heartbeat_ms;
    uint32_t reconnect_min_ms;
    uint32_t reconnect_max_ms;
    uint32_t window_events;
    uint32_t window_bytes;
};

void dm_options_init(struct dm_options *options);
void dm_options_free(struct dm_options *options);
dormouse_status dm_options_set(struct dm_options *options, const char *name, const char *value,
                               struct dm_failure *failure);
dormouse_status dm_options_set_uri(struct dm_options *options, const char *uri,
                                   struct dm_failure *failure);
/* Empty text for NULL. */
static inline const char *dm_text_or_empty(const char *text)
{
    return text == NULL ? "" : text;
}
/* NULL without memory. */
char *dm_text_duplicate(const char *text, size_t size);

#endif
