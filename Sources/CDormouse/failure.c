#include "failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

dormouse_status dm_fail(struct dm_failure *failure, dormouse_status status, const char *format, ...)
{
    /* The arguments may point into the text that is replaced. */
    char text[DM_FAILURE_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    failure->status = status;
    failure->retry_after_ms = 0;
    memcpy(failure->text, text, sizeof(text));
    return status;
}

dormouse_status dm_fail_memory(struct dm_failure *failure)
{
    return dm_fail(failure, DORMOUSE_NO_MEMORY, "there is no memory; free some and try again");
}

void dm_fail_clear(struct dm_failure *failure)
{
    failure->status = DORMOUSE_OK;
    failure->retry_after_ms = 0;
    failure->text[0] = 0;
}

dormouse_status dm_status_from_wire(uint16_t code)
{
    return code >= DORMOUSE_TIMEOUT ? DORMOUSE_UNKNOWN : (dormouse_status)code;
}

void dm_text_copy(char *target, size_t target_bytes, const void *text, size_t size)
{
    const unsigned char *bytes = text;
    size_t count = size < target_bytes - 1 ? size : target_bytes - 1;
    for (size_t i = 0; i < count; i++)
        target[i] = bytes[i] < 0x20 || bytes[i] == 0x7f ? '?' : (char)bytes[i];
    target[count] = 0;
}

const char *dormouse_status_text(dormouse_status status)
{
    switch (status) {
    case DORMOUSE_OK: return "OK";
    case DORMOUSE_CANCELLED: return "CANCELLED";
    case DORMOUSE_UNKNOWN: return "UNKNOWN";
    case DORMOUSE_INVALID_ARGUMENT: return "INVALID_ARGUMENT";
    case DORMOUSE_DEADLINE_EXCEEDED: return "DEADLINE_EXCEEDED";
    case DORMOUSE_NOT_FOUND: return "NOT_FOUND";
    case DORMOUSE_ALREADY_EXISTS: return "ALREADY_EXISTS";
    case DORMOUSE_PERMISSION_DENIED: return "PERMISSION_DENIED";
    case DORMOUSE_RESOURCE_EXHAUSTED: return "RESOURCE_EXHAUSTED";
    case DORMOUSE_FAILED_PRECONDITION: return "FAILED_PRECONDITION";
    case DORMOUSE_ABORTED: return "ABORTED";
    case DORMOUSE_OUT_OF_RANGE: return "OUT_OF_RANGE";
    case DORMOUSE_UNIMPLEMENTED: return "UNIMPLEMENTED";
    case DORMOUSE_INTERNAL: return "INTERNAL";
    case DORMOUSE_UNAVAILABLE: return "UNAVAILABLE";
    case DORMOUSE_UNAUTHENTICATED: return "UNAUTHENTICATED";
    case DORMOUSE_STOPPED: return "STOPPED";
    case DORMOUSE_TAKEN_OVER: return "TAKEN_OVER";
    case DORMOUSE_POSITION_LOST: return "POSITION_LOST";
    case DORMOUSE_DRAINING: return "DRAINING";
    case DORMOUSE_FRAME_TOO_LARGE: return "FRAME_TOO_LARGE";
    case DORMOUSE_TOO_SLOW: return "TOO_SLOW";
    case DORMOUSE_PAUSED: return "PAUSED";
    case DORMOUSE_TIMEOUT: return "TIMEOUT";
    case DORMOUSE_WINDOW_FULL: return "WINDOW_FULL";
    case DORMOUSE_CONNECTION_LOST: return "CONNECTION_LOST";
    case DORMOUSE_CANNOT_CONNECT: return "CANNOT_CONNECT";
    case DORMOUSE_PROTOCOL_ERROR: return "PROTOCOL_ERROR";
    case DORMOUSE_HOLE: return "HOLE";
    case DORMOUSE_BAD_ARGUMENT: return "BAD_ARGUMENT";
    case DORMOUSE_NO_MEMORY: return "NO_MEMORY";
    case DORMOUSE_CLOSED: return "CLOSED";
    }
    /* A newer server's. */
    return "ANOTHER_STATUS";
}

bool dormouse_status_may_retry(dormouse_status status)
{
    return status == DORMOUSE_UNAVAILABLE || status == DORMOUSE_RESOURCE_EXHAUSTED
        || status == DORMOUSE_DEADLINE_EXCEEDED || status == DORMOUSE_DRAINING
        || status == DORMOUSE_TIMEOUT || status == DORMOUSE_WINDOW_FULL
        || status == DORMOUSE_CONNECTION_LOST || status == DORMOUSE_CANNOT_CONNECT
        || status == DORMOUSE_NO_MEMORY;
}

const char *dormouse_version(void)
{
    return DORMOUSE_VERSION;
}

int dormouse_version_number(void)
{
    return DORMOUSE_VERSION_NUMBER;
}
