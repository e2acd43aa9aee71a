/* First in every source: which interfaces of the system are used. */
#ifndef DM_PLATFORM_H
#define DM_PLATFORM_H

#if defined(__APPLE__)
#ifndef _DARWIN_C_SOURCE
#define _DARWIN_C_SOURCE 1
#endif
#else
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE 1
#endif
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) || defined(__clang__)
#define DM_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define DM_PRINTF(text, first)
#endif

/* Never, as a point of time. */
#define DM_NEVER INT64_MAX

/* Milliseconds of a clock that only moves forward. */
int64_t dm_now(void);
/* The same, some milliseconds late and cheap enough to ask for each event. */
int64_t dm_now_about(void);
/* `now` plus a timeout of the public interface; DM_NEVER for a negative one. */
int64_t dm_deadline(int64_t now, int timeout_ms);
/* The other way, for poll(): at least 0, -1 for never. */
int dm_timeout(int64_t now, int64_t deadline);

#endif
