/*
 * A non-blocking socket, with TLS around it when wanted. Knows bytes only.
 *
 * Every function does what can be done now. `wants` says what the last of them waits for.
 */
#ifndef DM_TRANSPORT_H
#define DM_TRANSPORT_H

#include "failure.h"
#include "options.h"

enum dm_io { DM_IO_DONE, DM_IO_AGAIN, DM_IO_ENDED, DM_IO_FAILED };

struct dm_tls_state;

struct dm_transport {
    int fd;
    struct dm_tls_state *tls;
    /* TLS wants the other direction than the one asked for. */
    bool read_wants_write;
    bool write_wants_read;
    struct dm_failure failure;
};

struct addrinfo;
struct sockaddr;

void dm_transport_init(struct dm_transport *transport);
/* Whether what is sent there stays on this machine. */
bool dm_is_loopback(const struct sockaddr *address);
void dm_transport_close(struct dm_transport *transport);
/* Begins to connect. DONE: connected already; AGAIN: ask dm_transport_connected. */
enum dm_io dm_transport_connect(struct dm_transport *transport, const struct addrinfo *address);
enum dm_io dm_transport_connect_unix(struct dm_transport *transport, const char *path);
enum dm_io dm_transport_connected(struct dm_transport *transport);
/* After connecting: makes TLS of it, then again until it is DONE. */
dormouse_status dm_transport_secure(struct dm_transport *transport,
                                    const struct dm_options *options, const char *host);
enum dm_io dm_transport_handshake(struct dm_transport *transport);
/* DONE sets `*done`, which is at least 1. */
enum dm_io dm_transport_read(struct dm_transport *transport, void *bytes, size_t size,
                             size_t *done);
enum dm_io dm_transport_write(struct dm_transport *transport, const void *bytes, size_t size,
                              size_t *done);

/* Of the plain socket, also for TLS. */
enum dm_io dm_socket_read(int fd, void *bytes, size_t size, size_t *done);
enum dm_io dm_socket_write(int fd, const void *bytes, size_t size, size_t *done);

/* tls.c */
void dm_tls_free(struct dm_tls_state *tls);
enum dm_io dm_tls_handshake(struct dm_transport *transport);
enum dm_io dm_tls_read(struct dm_transport *transport, void *bytes, size_t size, size_t *done);
enum dm_io dm_tls_write(struct dm_transport *transport, const void *bytes, size_t size,
                        size_t *done);
/* Bytes that were taken from the socket and wait in TLS: poll() does not see them. */
bool dm_tls_has_more(const struct dm_transport *transport);

#endif
