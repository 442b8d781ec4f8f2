/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A deadline for calls of GLib: a thread that cancels them when it has come. The synchronous calls
 * of libsecret run main contexts of their own, so no timer of ours would be heard there.
 */
#ifndef PULLKEY_KEYRING_WATCH_H
#define PULLKEY_KEYRING_WATCH_H

#include <pullkey/backend.h>

#include <gio/gio.h>
#include <pthread.h>

struct watch {
    GCancellable *cancellable; /* for each call */
    pthread_t thread;
    pthread_mutex_t mutex;
    int changed_fd;      /* eventfd */
    int64_t deadline_ms; /* of clock_monotonic_ms */
    bool ended;
};

/* The structure must stay where it is until watch_stop. */
int watch_start(int64_t deadline_ms, struct watch *ret, struct pullkey_error *error);

/* Later or earlier than before. */
void watch_move(struct watch *watch, int64_t deadline_ms);

/* Nothing happens where watch_start failed, or was not called for an empty structure. */
void watch_stop(struct watch *watch);

#endif
