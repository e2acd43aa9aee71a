/* A unary request and its answer. */
#ifndef DM_CALL_H
#define DM_CALL_H

#include "buffer.h"
#include "failure.h"
#include "frame.h"

struct dm_call {
    struct dm_call *next;
    enum dm_method method;
    /* The request; empty once it was sent. */
    struct dm_buffer request;
    /* 0 until it was sent. */
    uint32_t stream;
    /* It means something on this connection only: when that is lost, it is too, sent or not. */
    bool is_of_connection;
    bool is_done;
    /* Status OK: `reply` has its bytes. */
    struct dm_failure failure;
    struct dm_buffer reply;
    /* NULL: somebody waits for is_done. Else called once, as callbacks are, and then it is freed. */
    void (*completed)(struct dm_call *call, void *context);
    void *context;
};

/* Unanswered ones of a handle; each may hold a frame. */
#define DM_CALLS_MAX 1024

#endif
