/*
 * libdormouse: principals, which say who may connect to a server and what they may do. Part of dormouse.h, which includes it.
 */
#ifndef DORMOUSE_PRINCIPALS_H
#define DORMOUSE_PRINCIPALS_H

#include "dormouse.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum dormouse_right {
    DORMOUSE_RIGHT_PUBLISH = 0, DORMOUSE_RIGHT_SUBSCRIBE = 1, DORMOUSE_RIGHT_ADMINISTER = 2
} dormouse_right;

/* How a principal shows who it is. Its `subject` is a certificate's name, such as "URI:spiffe://example/billing", or a unix
 * user's number; NULL for a token, which the server makes. */
typedef enum dormouse_credential_kind {
    DORMOUSE_TOKEN = 0, DORMOUSE_CERTIFICATE = 1, DORMOUSE_UNIX_USER = 2
} dormouse_credential_kind;

typedef struct dormouse_grant {
    dormouse_right right;
    const char *exchange;    /* NULL = the handle's, "*" = every one */
    const char *pattern;     /* of event keys; NULL = "#" */
    const char *name_prefix; /* of subscribers or producers; NULL = any name */
} dormouse_grant;

typedef struct dormouse_credential_info {
    dormouse_bytes id; /* public: the first half of a token */
    dormouse_credential_kind kind;
    dormouse_bytes subject;
    uint64_t created_at, ends_at; /* 0 = no end */
} dormouse_credential_info;

typedef struct dormouse_grant_info {
    dormouse_right right;
    dormouse_bytes exchange, pattern, name_prefix;
} dormouse_grant_info;

typedef struct dormouse_principal_info {
    dormouse_bytes name;
    bool revoked;
    uint64_t created_at;
    const dormouse_credential_info *credentials;
    size_t credential_count;
    const dormouse_grant_info *grants;
    size_t grant_count;
    uint32_t connections; /* now */
    dormouse_bytes token; /* when one was made: it cannot be had again */
} dormouse_principal_info;

typedef bool (*dormouse_principal_callback)(void *context, const dormouse_principal_info *info);

/* These four change a principal, and tell once, before they return OK, what it is now. */

DORMOUSE_API dormouse_status dormouse_add_principal(dormouse *client, const char *name,
                                                    dormouse_credential_kind kind,
                                                    const char *subject, const dormouse_grant *grants,
                                                    size_t grant_count, int timeout_ms,
                                                    dormouse_principal_callback callback,
                                                    void *context);
DORMOUSE_API dormouse_status dormouse_grant_principal(dormouse *client, const char *name,
                                                      const dormouse_grant *grants,
                                                      size_t grant_count, int timeout_ms,
                                                      dormouse_principal_callback callback,
                                                      void *context);
/* Takes away these grants and the credentials with these ids; with none of both, the principal itself. */
DORMOUSE_API dormouse_status dormouse_revoke_principal(dormouse *client, const char *name,
                                                       const dormouse_grant *grants,
                                                       size_t grant_count,
                                                       const char *const *credentials,
                                                       size_t credential_count, int timeout_ms,
                                                       dormouse_principal_callback callback,
                                                       void *context);
/* A new credential; those of its kind end after `grace_ms`, or at once. */
DORMOUSE_API dormouse_status dormouse_rotate_principal(dormouse *client, const char *name,
                                                       dormouse_credential_kind kind,
                                                       const char *subject, uint64_t grace_ms,
                                                       int timeout_ms,
                                                       dormouse_principal_callback callback,
                                                       void *context);
/* `prefix` of their names may be NULL. */
DORMOUSE_API dormouse_status dormouse_list_principals(dormouse *client, const char *prefix,
                                                      int timeout_ms,
                                                      dormouse_principal_callback callback,
                                                      void *context);

#ifdef __cplusplus
}
#endif

#endif
