#include <libpq-fe.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Swift does not import <sys/eventfd.h>; a counter that never blocks wakes a thread in poll(). */
static inline int dormouse_wakeup_open(void) {
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static inline void dormouse_wakeup_raise(int descriptor) {
    (void)eventfd_write(descriptor, 1);
}

static inline void dormouse_wakeup_clear(int descriptor) {
    eventfd_t value;
    (void)eventfd_read(descriptor, &value);
}

static inline void dormouse_wakeup_close(int descriptor) {
    (void)close(descriptor);
}
