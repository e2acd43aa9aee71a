#ifndef DORMOUSE_CLIBUV_SHIM_H
#define DORMOUSE_CLIBUV_SHIM_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

// What Swift cannot say portably: pthread_t is an integer here and a pointer there, and accept4 and
// the credentials of a unix peer have a different name on every system.

/// A number for the calling thread; never 0.
static inline uintptr_t dormouse_current_thread(void) {
    return (uintptr_t)pthread_self();
}

#ifdef __linux__
// Without _GNU_SOURCE, which would make types that differ from those in Swift's own module of libc,
// <sys/socket.h> does not declare it. The length is a socklen_t, an unsigned int.
extern int accept4(int listening, struct sockaddr *address, socklen_t *length, int flags);
#endif

/// The accepted descriptor, non-blocking and closed on exec, or -errno.
static inline int dormouse_accept(int listening) {
#ifdef __linux__
    int descriptor = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return descriptor < 0 ? -errno : descriptor;
#else
    int descriptor = accept(listening, NULL, NULL);
    if (descriptor < 0) return -errno;
    if (fcntl(descriptor, F_SETFD, FD_CLOEXEC) < 0 || fcntl(descriptor, F_SETFL, O_NONBLOCK) < 0) {
        int error = errno;
        close(descriptor);
        return -error;
    }
    return descriptor;
#endif
}

/// Who is at the other end of a unix socket; 0, or -errno.
static inline int dormouse_peer_credentials(
    int descriptor, uint32_t *user, uint32_t *group, int32_t *process) {
#ifdef __linux__
    struct { int32_t process; uint32_t user; uint32_t group; } credentials = {0, 0, 0};
    socklen_t length = sizeof credentials;
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0) return -errno;
    *user = credentials.user;
    *group = credentials.group;
    *process = credentials.process;
#else
    uid_t uid = 0;
    gid_t gid = 0;
    if (getpeereid(descriptor, &uid, &gid) < 0) return -errno;
    *user = uid;
    *group = gid;
    *process = 0;
#endif
    return 0;
}

#endif
