#include "arena.h"

#include <stdint.h>
#include <stdlib.h>

/* The first block: a publish of 100 events of 100 bytes takes about 40 KiB. */
#define BLOCK_BYTES_MIN ((size_t)64 << 10)
/* The largest block that is kept: what a frame of some 128 KiB needs. */
#define BLOCK_BYTES_KEPT ((size_t)1 << 20)
/* Every field of a generated message is at most 8 bytes wide. */
#define ALIGNMENT ((size_t)8)

typedef struct block {
    struct block *next;
    size_t size;
    /* uint64_t, so that the bytes are aligned. */
    uint64_t bytes[];
} block;

struct dormouse_arena {
    ProtobufCAllocator allocator;
    /* Newest first; only the first one has room. */
    block *blocks;
    size_t used;
    size_t budget;
    size_t spent;
    size_t allocations;
    size_t allocations_max;
    bool refused;
    bool starved;
};

static bool grow(dormouse_arena *arena, size_t size)
{
    size_t bytes = arena->blocks == NULL ? BLOCK_BYTES_MIN : arena->blocks->size * 2;
    /* No more than the budget can still use. The caller checked that size lies within it. */
    size_t left = arena->budget - arena->spent;
    if (bytes > left && left >= BLOCK_BYTES_MIN)
        bytes = left;
    if (bytes < size)
        bytes = size;
    block *added = malloc(sizeof(block) + bytes);
    if (added == NULL) {
        arena->starved = true;
        return false;
    }
    added->next = arena->blocks;
    added->size = bytes;
    arena->blocks = added;
    arena->used = 0;
    return true;
}

static void *allocate(void *data, size_t size)
{
    dormouse_arena *arena = data;
    /* Each costs time, however small it is. */
    if (arena->allocations == arena->allocations_max)
        goto refuse;
    arena->allocations++;
    size_t left = arena->budget - arena->spent;
    /* Compared before rounding up, which could wrap. */
    if (size > left)
        goto refuse;
    size = (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    if (size > left)
        goto refuse;
    if (arena->blocks == NULL || size > arena->blocks->size - arena->used) {
        if (!grow(arena, size))
            goto refuse;
    }
    void *start = (uint8_t *)arena->blocks->bytes + arena->used;
    arena->used += size;
    arena->spent += size;
    return start;

refuse:
    arena->refused = true;
    return NULL;
}

static void release(void *data, void *pointer)
{
    (void)data;
    (void)pointer;
}

dormouse_arena *dormouse_arena_new(void)
{
    dormouse_arena *arena = calloc(1, sizeof(dormouse_arena));
    if (arena == NULL)
        return NULL;
    arena->allocator.alloc = allocate;
    arena->allocator.free = release;
    arena->allocator.allocator_data = arena;
    return arena;
}

void dormouse_arena_free(dormouse_arena *arena)
{
    if (arena == NULL)
        return;
    for (block *each = arena->blocks; each != NULL;) {
        block *next = each->next;
        free(each);
        each = next;
    }
    free(arena);
}

void dormouse_arena_reset(dormouse_arena *arena, size_t budget, size_t allocations)
{
    block *kept = NULL;
    for (block *each = arena->blocks; each != NULL;) {
        block *next = each->next;
        if (each->size <= BLOCK_BYTES_KEPT && (kept == NULL || each->size > kept->size)) {
            free(kept);
            kept = each;
        } else {
            free(each);
        }
        each = next;
    }
    if (kept != NULL)
        kept->next = NULL;
    arena->blocks = kept;
    arena->used = 0;
    arena->budget = budget & ~(ALIGNMENT - 1);
    arena->spent = 0;
    arena->allocations = 0;
    arena->allocations_max = allocations;
    arena->refused = false;
    arena->starved = false;
}

ProtobufCAllocator *dormouse_arena_allocator(dormouse_arena *arena)
{
    return &arena->allocator;
}

bool dormouse_arena_refused(const dormouse_arena *arena)
{
    return arena->refused;
}

bool dormouse_arena_starved(const dormouse_arena *arena)
{
    return arena->starved;
}

size_t dormouse_arena_allocations(const dormouse_arena *arena)
{
    return arena->allocations;
}

size_t dormouse_arena_spent(const dormouse_arena *arena)
{
    return arena->spent;
}
