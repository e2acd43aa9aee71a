/*
 * Rows of the outbox that cannot be events: the server has set them aside with the reason. SQL writers insert rows with
 * dormouse.publish; these calls are for whoever looks after what they did wrong.
 */
#ifndef DORMOUSE_OUTBOX_H
#define DORMOUSE_OUTBOX_H

#include <dormouse.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Lent to the callback, valid until it returns. */
typedef struct dormouse_aside_row {
    uint64_t id;
    dormouse_bytes exchange, key, reason; /* the first two as the writer gave them, the beginning */
    uint64_t payload_bytes;
    uint64_t inserted_at;                 /* microseconds since 1970 UTC */
} dormouse_aside_row;

/* Returns false to hear no more. */
typedef bool (*dormouse_aside_callback)(void *context, const dormouse_aside_row *row);

/* In the order of their ids; asks for as many pages as there are. */
DORMOUSE_API dormouse_status dormouse_list_outbox(dormouse *client, int timeout_ms,
                                                  dormouse_aside_callback callback, void *context);
/*
 * Puts rows back into the outbox, where the server looks at them again, or deletes them: those with these ids, or all with
 * NULL. `changed`, which may be NULL, gets how many there were.
 */
DORMOUSE_API dormouse_status dormouse_retry_outbox(dormouse *client, const uint64_t *ids, size_t count,
                                                   int timeout_ms, uint64_t *changed);
DORMOUSE_API dormouse_status dormouse_drop_outbox(dormouse *client, const uint64_t *ids, size_t count,
                                                  int timeout_ms, uint64_t *changed);

#ifdef __cplusplus
}
#endif

#endif
