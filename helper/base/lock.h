/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lock between processes: flock(2) on a file of its own, which stays when the lock is dropped.
 * The kernel drops it when the process ends in any way.
 */
#ifndef PULLKEY_BASE_LOCK_H
#define PULLKEY_BASE_LOCK_H

#include <pullkey/backend.h>

struct lock {
    int fd;
};

#define LOCK_INIT                                                                                  \
    {                                                                                              \
        -1                                                                                         \
    }

/*
 * Waits until the deadline (monotonic milliseconds): -PULLKEY_UNREACHABLE then. The file is made
 * with mode 0600; its directory must exist and be trusted (file.h).
 */
int lock_take(const char *path, int64_t deadline_ms, struct lock *ret, struct pullkey_error *error);
void lock_drop(struct lock *lock);

#define cleanup_lock __attribute__((cleanup(lock_drop)))

#endif
