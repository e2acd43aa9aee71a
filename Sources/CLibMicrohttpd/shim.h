#ifndef DORMOUSE_CLIBMICROHTTPD_SHIM_H
#define DORMOUSE_CLIBMICROHTTPD_SHIM_H

#include <microhttpd.h>

// Swift cannot call functions with a variable number of arguments.

/// Serves `listening`, each connection on a thread of its own; at most so many, none of which may be silent for
/// longer or take more memory. poll and not select, which breaks with descriptors above 1023.
static inline struct MHD_Daemon *dormouse_http_start(int listening, MHD_AccessHandlerCallback handler,
                                                     void *context, unsigned connections,
                                                     unsigned seconds, size_t memory) {
    return MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL,
        handler, context, MHD_OPTION_LISTEN_SOCKET, listening, MHD_OPTION_CONNECTION_LIMIT, connections,
        MHD_OPTION_CONNECTION_TIMEOUT, seconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT, memory, MHD_OPTION_END);
}

// These enumerations have no names that Swift would see.

static inline enum MHD_Result dormouse_http_go_on(void) { return MHD_YES; }
static inline enum MHD_Result dormouse_http_hang_up(void) { return MHD_NO; }

/// NULL: the query has none of this name.
static inline const char *dormouse_http_argument(struct MHD_Connection *connection, const char *name) {
    return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
}

/// Copies `body`; NULL when there is no memory.
static inline struct MHD_Response *dormouse_http_response(const void *body, size_t length) {
    return MHD_create_response_from_buffer(length, (void *)(size_t)body, MHD_RESPMEM_MUST_COPY);
}

#endif
