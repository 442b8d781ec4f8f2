/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time. Wall time is only compared with an expiry; every wait is on the monotonic clock. Deadlines
 * are absolute, in milliseconds of clock_monotonic_ms. Tests put a clock of their own in place.
 */
#ifndef PULLKEY_BASE_CLOCK_H
#define PULLKEY_BASE_CLOCK_H

#include <poll.h>
#include <stdint.h>

struct clock {
    int64_t (*wall_seconds)(void);
    int64_t (*monotonic_ms)(void);
};

/* NULL brings the real clock back. The structure must outlive its use. */
void clock_replace(const struct clock *clock);

int64_t clock_wall_seconds(void);
int64_t clock_monotonic_ms(void);

/* poll() until a deadline, across signals: the number of ready descriptors, 0 at the deadline, -1
 * with errno. */
int clock_poll(struct pollfd *fds, nfds_t count, int64_t deadline_ms);

#endif
