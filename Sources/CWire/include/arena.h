/*
 * Memory for one protobuf-c message at a time: bump allocation, nothing is freed singly, and a
 * cumulative budget that bounds what a peer's bytes can make protobuf-c allocate.
 *
 * Not safe to share between threads.
 */
#ifndef DORMOUSE_ARENA_H
#define DORMOUSE_ARENA_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct dormouse_arena dormouse_arena;

/* NULL when there is no memory. */
dormouse_arena *dormouse_arena_new(void);

/* NULL is allowed. */
void dormouse_arena_free(dormouse_arena *arena);

/*
 * Forgets everything that was allocated and allows `budget` bytes in at most `allocations` pieces from now
 * on. One block of at most 1 MiB is kept for the next message.
 */
void dormouse_arena_reset(dormouse_arena *arena, size_t budget, size_t allocations);

/* Valid as long as the arena; its `free` does nothing. */
ProtobufCAllocator *dormouse_arena_allocator(dormouse_arena *arena);

/* Whether an allocation was refused since the last reset, over the budget or for want of memory. */
bool dormouse_arena_refused(const dormouse_arena *arena);

/* Whether one was refused for want of memory. */
bool dormouse_arena_starved(const dormouse_arena *arena);

/* Bytes allocated since the last reset, never more than the budget. */
size_t dormouse_arena_spent(const dormouse_arena *arena);

/* Pieces allocated since the last reset. */
size_t dormouse_arena_allocations(const dormouse_arena *arena);

#endif
