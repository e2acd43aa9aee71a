#include "platform.h"

#include <limits.h>
#include <time.h>

int64_t dm_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

int64_t dm_now_about(void)
{
#ifdef CLOCK_MONOTONIC_COARSE
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
#else
    return dm_now();
#endif
}

int64_t dm_deadline(int64_t now, int timeout_ms)
{
    return timeout_ms < 0 ? DM_NEVER : now + timeout_ms;
}

int dm_timeout(int64_t now, int64_t deadline)
{
    if (deadline == DM_NEVER)
        return -1;
    if (deadline <= now)
        return 0;
    return deadline - now > INT_MAX ? INT_MAX : (int)(deadline - now);
}
