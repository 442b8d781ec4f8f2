/* SPDX-License-Identifier: Apache-2.0 */
#include "watch.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

static void *run(void *data)
{
    struct watch *watch = data;
    bool is_over = false;

    (void)pthread_mutex_lock(&watch->mutex);
    while (!watch->ended && !is_over) {
        const int64_t now_ms = clock_monotonic_ms(), left_ms = watch->deadline_ms - now_ms;
        struct pollfd changed = { .fd = watch->changed_fd, .events = POLLIN };
        eventfd_t count;

        is_over = left_ms <= 0;
        (void)pthread_mutex_unlock(&watch->mutex);
        /* At most a second at a time, as the clock of tests may go on meanwhile. */
        if (is_over)
            g_cancellable_cancel(watch->cancellable);
        else if (clock_poll(&changed, 1, now_ms + (left_ms < 1000 ? left_ms : 1000)) > 0)
            (void)eventfd_read(watch->changed_fd, &count);
        (void)pthread_mutex_lock(&watch->mutex);
    }
    (void)pthread_mutex_unlock(&watch->mutex);
    return NULL;
}

int watch_start(int64_t deadline_ms, struct watch *ret, struct pullkey_error *error)
{
    int r;

    *ret = (struct watch){ .deadline_ms = deadline_ms };
    ret->changed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (ret->changed_fd < 0)
        return error_errno(error, errno, "cannot watch the time");
    (void)pthread_mutex_init(&ret->mutex, NULL);
    ret->cancellable = g_cancellable_new();
    r = pthread_create(&ret->thread, NULL, run, ret);
    if (r == 0)
        return 0;
    (void)close(ret->changed_fd);
    g_clear_object(&ret->cancellable);
    return error_errno(error, r, "cannot start a thread");
}

void watch_move(struct watch *watch, int64_t deadline_ms)
{
    (void)pthread_mutex_lock(&watch->mutex);
    watch->deadline_ms = deadline_ms;
    (void)pthread_mutex_unlock(&watch->mutex);
    (void)eventfd_write(watch->changed_fd, 1);
}

void watch_stop(struct watch *watch)
{
    if (!watch->cancellable)
        return;
    (void)pthread_mutex_lock(&watch->mutex);
    watch->ended = true;
    (void)pthread_mutex_unlock(&watch->mutex);
    (void)eventfd_write(watch->changed_fd, 1);
    (void)pthread_join(watch->thread, NULL);
    (void)close(watch->changed_fd);
    (void)pthread_mutex_destroy(&watch->mutex);
    g_clear_object(&watch->cancellable);
}
