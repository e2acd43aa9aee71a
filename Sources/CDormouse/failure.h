/* Why something did not work: a status for programs and a text for people. */
#ifndef DM_FAILURE_H
#define DM_FAILURE_H

#include "platform.h"

#include "dormouse.h"

/* Longer texts of a server are cut. */
#define DM_FAILURE_TEXT_BYTES 512

struct dm_failure {
    dormouse_status status;
    uint32_t retry_after_ms;
    char text[DM_FAILURE_TEXT_BYTES];
};

/* Writes the failure and returns its status. */
dormouse_status dm_fail(struct dm_failure *failure, dormouse_status status, const char *format, ...)
    DM_PRINTF(3, 4);
dormouse_status dm_fail_memory(struct dm_failure *failure);
void dm_fail_clear(struct dm_failure *failure);
/* A status from the wire; numbers that are this library's own are UNKNOWN. */
dormouse_status dm_status_from_wire(uint16_t code);
/* Copies a server's text as far as there is room; what is not printable becomes '?'. */
void dm_text_copy(char *target, size_t target_bytes, const void *text, size_t size);

#endif
