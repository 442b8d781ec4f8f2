/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <time.h>

static int64_t real_wall_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

static int64_t real_monotonic_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const struct clock real_clock = { real_wall_seconds, real_monotonic_ms };
static const struct clock *current = &real_clock;

void clock_replace(const struct clock *clock)
{
    current = clock ? clock : &real_clock;
}

int64_t clock_wall_seconds(void)
{
    return current->wall_seconds();
}

int64_t clock_monotonic_ms(void)
{
    return current->monotonic_ms();
}

int clock_poll(struct pollfd *fds, nfds_t count, int64_t deadline_ms)
{
    for (;;) {
        int64_t left = deadline_ms - clock_monotonic_ms();
        int ready;

        if (left < 0)
            left = 0;
        if (left > INT_MAX)
            left = INT_MAX;
        ready = poll(fds, count, (int)left);
        if (ready > 0 || (ready < 0 && errno != EINTR))
            return ready;
        if (ready == 0 && left < INT_MAX)
            return 0;
    }
}
