/* SPDX-License-Identifier: Apache-2.0 */
#include "watch.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"

/* At most a second at a time, as the clock of tests may be another than the kernel's. */
static void wait_a_while(struct watch *watch, int64_t left_ms)
{
    const int64_t wait_ms = left_ms < 1000 ? left_ms : 1000;
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    until.tv_sec += wait_ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_cond_timedwait(&watch->changed, &watch->mutex, &until);
}

static void *run(void *data)
{
    struct watch *watch = data;
    int64_t left_ms = 1;

    (void)pthread_mutex_lock(&watch->mutex);
    while (!watch->ended && left_ms > 0) {
        left_ms = watch->deadline_ms - clock_monotonic_ms();
        if (left_ms > 0)
            wait_a_while(watch, left_ms);
    }
    (void)pthread_mutex_unlock(&watch->mutex);
    if (left_ms <= 0)
        g_cancellable_cancel(watch->cancellable);
    return NULL;
}

int watch_start(int64_t deadline_ms, struct watch *ret, struct pullkey_error *error)
{
    pthread_condattr_t monotonic;
    int r;

    *ret = (struct watch){ .deadline_ms = deadline_ms };
    (void)pthread_mutex_init(&ret->mutex, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&ret->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    ret->cancellable = g_cancellable_new();
    r = pthread_create(&ret->thread, NULL, run, ret);
    if (r == 0)
        return 0;
    g_object_unref(ret->cancellable);
    ret->cancellable = NULL;
    return error_errno(error, r, "cannot start a thread");
}

void watch_move(struct watch *watch, int64_t deadline_ms)
{
    (void)pthread_mutex_lock(&watch->mutex);
    watch->deadline_ms = deadline_ms;
    (void)pthread_cond_signal(&watch->changed);
    (void)pthread_mutex_unlock(&watch->mutex);
}

void watch_stop(struct watch *watch)
{
    if (!watch->cancellable)
        return;
    (void)pthread_mutex_lock(&watch->mutex);
    watch->ended = true;
    (void)pthread_cond_signal(&watch->changed);
    (void)pthread_mutex_unlock(&watch->mutex);
    (void)pthread_join(watch->thread, NULL);
    (void)pthread_cond_destroy(&watch->changed);
    (void)pthread_mutex_destroy(&watch->mutex);
    g_object_unref(watch->cancellable);
    watch->cancellable = NULL;
}
