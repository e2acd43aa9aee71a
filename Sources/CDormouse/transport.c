#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Where there is no such flag, the socket has an option instead: see open_socket. */
#ifdef MSG_NOSIGNAL
#define SEND_FLAGS MSG_NOSIGNAL
#else
#define SEND_FLAGS 0
#endif

void dm_transport_init(struct dm_transport *transport)
{
    memset(transport, 0, sizeof(*transport));
    transport->fd = -1;
}

bool dm_is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in four;
        memcpy(&four, address, sizeof(four));
        return ntohl(four.sin_addr.s_addr) >> 24 == 127;
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 six;
        memcpy(&six, address, sizeof(six));
        return IN6_IS_ADDR_LOOPBACK(&six.sin6_addr)
            || (IN6_IS_ADDR_V4MAPPED(&six.sin6_addr) && six.sin6_addr.s6_addr[12] == 127);
    }
    return address->sa_family == AF_UNIX;
}

void dm_transport_close(struct dm_transport *transport)
{
    dm_tls_free(transport->tls);
    transport->tls = NULL;
    if (transport->fd >= 0)
        close(transport->fd);
    transport->fd = -1;
    transport->read_wants_write = false;
    transport->write_wants_read = false;
}

static enum dm_io fail(struct dm_transport *transport, const char *what, int error)
{
    char text[128] = "";
    if (strerror_r(error, text, sizeof(text)) != 0)
        text[0] = 0;
    dm_fail(&transport->failure, DORMOUSE_CANNOT_CONNECT, "%s: %s (errno %d)", what, text, error);
    return DM_IO_FAILED;
}

static bool open_socket(struct dm_transport *transport, int family)
{
#ifdef SOCK_CLOEXEC
    transport->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (transport->fd < 0)
        return false;
#else
    transport->fd = socket(family, SOCK_STREAM, 0);
    if (transport->fd < 0)
        return false;
    int flags = fcntl(transport->fd, F_GETFL);
    if (flags < 0 || fcntl(transport->fd, F_SETFL, flags | O_NONBLOCK) < 0
        || fcntl(transport->fd, F_SETFD, FD_CLOEXEC) < 0)
        return false;
#endif
    int on = 1;
#ifdef SO_NOSIGPIPE
    setsockopt(transport->fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on));
#endif
    /* We write whole batches ourselves; waiting for more only delays them. */
    if (family != AF_UNIX)
        setsockopt(transport->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return true;
}

#define CANNOT_CONNECT "cannot connect (is dormoused listening there?)"

static enum dm_io begin(struct dm_transport *transport, const struct sockaddr *address,
                        socklen_t size)
{
    if (!open_socket(transport, address->sa_family))
        return fail(transport, "cannot make a socket", errno);
    if (connect(transport->fd, address, size) == 0)
        return DM_IO_DONE;
    if (errno == EINPROGRESS || errno == EINTR)
        return DM_IO_AGAIN;
    return fail(transport, CANNOT_CONNECT, errno);
}

enum dm_io dm_transport_connect(struct dm_transport *transport, const struct addrinfo *address)
{
    return begin(transport, address->ai_addr, address->ai_addrlen);
}

enum dm_io dm_transport_connect_unix(struct dm_transport *transport, const char *path)
{
    struct sockaddr_un address;
    memset(&address, 0, sizeof(address));
    address.sun_family = AF_UNIX;
    if (strlen(path) >= sizeof(address.sun_path))
        return fail(transport, "cannot connect to the unix socket", ENAMETOOLONG);
    strcpy(address.sun_path, path);
    return begin(transport, (const struct sockaddr *)&address, sizeof(address));
}

enum dm_io dm_transport_connected(struct dm_transport *transport)
{
    struct pollfd one = {transport->fd, POLLOUT, 0};
    if (poll(&one, 1, 0) <= 0)
        return DM_IO_AGAIN;
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(transport->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    return error == 0 ? DM_IO_DONE : fail(transport, CANNOT_CONNECT, error);
}

enum dm_io dm_transport_handshake(struct dm_transport *transport)
{
    return transport->tls == NULL ? DM_IO_DONE : dm_tls_handshake(transport);
}

enum dm_io dm_socket_read(int fd, void *bytes, size_t size, size_t *done)
{
    ssize_t count;
    do {
        count = recv(fd, bytes, size, 0);
    } while (count < 0 && errno == EINTR);
    if (count > 0) {
        *done = (size_t)count;
        return DM_IO_DONE;
    }
    if (count == 0)
        return DM_IO_ENDED;
    return errno == EAGAIN || errno == EWOULDBLOCK ? DM_IO_AGAIN : DM_IO_FAILED;
}

enum dm_io dm_socket_write(int fd, const void *bytes, size_t size, size_t *done)
{
    ssize_t count;
    do {
        count = send(fd, bytes, size, SEND_FLAGS);
    } while (count < 0 && errno == EINTR);
    if (count >= 0) {
        *done = (size_t)count;
        return DM_IO_DONE;
    }
    return errno == EAGAIN || errno == EWOULDBLOCK ? DM_IO_AGAIN : DM_IO_FAILED;
}

static enum dm_io lost(struct dm_transport *transport, enum dm_io outcome, int error)
{
    if (outcome == DM_IO_ENDED)
        dm_fail(&transport->failure, DORMOUSE_CONNECTION_LOST, "the server closed the connection");
    if (outcome == DM_IO_FAILED) {
        fail(transport, "the connection broke", error);
        transport->failure.status = DORMOUSE_CONNECTION_LOST;
    }
    return outcome;
}

enum dm_io dm_transport_read(struct dm_transport *transport, void *bytes, size_t size, size_t *done)
{
    if (transport->tls != NULL)
        return dm_tls_read(transport, bytes, size, done);
    enum dm_io outcome = dm_socket_read(transport->fd, bytes, size, done);
    return lost(transport, outcome, errno);
}

enum dm_io dm_transport_write(struct dm_transport *transport, const void *bytes, size_t size,
                              size_t *done)
{
    if (transport->tls != NULL)
        return dm_tls_write(transport, bytes, size, done);
    enum dm_io outcome = dm_socket_write(transport->fd, bytes, size, done);
    return lost(transport, outcome, errno);
}
