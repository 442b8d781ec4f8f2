/* SPDX-License-Identifier: Apache-2.0 */
#include "open-thread.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "notify.h"

#define LOOKED_MS 10000
#define EVENTS_AT_ONCE 32 /* each has a descriptor */

struct moment open_now(void)
{
    return (struct moment){ clock_wall_seconds(), clock_monotonic_ms() };
}

void open_lock(struct open *open)
{
    (void)pthread_mutex_lock(&open->lock);
}

void open_unlock(struct open *open)
{
    (void)pthread_mutex_unlock(&open->lock);
}

void open_poke(int fd)
{
    const uint64_t one = 1;

    (void)!write(fd, &one, sizeof(one));
}

void open_be_poked(int fd)
{
    uint64_t ignored;

    (void)!read(fd, &ignored, sizeof(ignored));
}

/* One that has been given up meanwhile is no error. */
static void answer(int group, int fd, uint32_t response)
{
    const struct fanotify_response reply = { .fd = fd, .response = response };

    (void)!write(group, &reply, sizeof(reply));
    (void)close(fd);
}

void open_allow(void *context, int fd)
{
    const struct open *open = context;

    if (open->group < 0)
        (void)close(fd);
    else
        answer(open->group, fd, FAN_ALLOW);
}

/* A reader that is not listed is told of once. */
static void report(struct open *open, const struct reader *reader, bool deny)
{
    char *text = open->seen[open->seen_count];

    if (open->seen_count == READERS_SEEN_MAX)
        return;
    readers_describe(&open->readers, reader, text);
    for (size_t i = 0; i < open->seen_count; i++)
        if (strcmp(open->seen[i], text) == 0 && open->is_denied[i] == deny)
            return;
    open->is_denied[open->seen_count++] = deny;
    open_poke(open->news);
}

/* Nothing that the main thread has not read yet. */
static bool is_settled(const struct open *open)
{
    struct pollfd changes = { .fd = open->changes, .events = POLLIN };

    return poll(&changes, 1, 0) == 0;
}

/* False: it is refused. */
static bool check_reader(struct open *open, pid_t thread)
{
    struct looked *looked = &open->looked[(unsigned int)thread % LOOKED_MAX];
    const int64_t now_ms = clock_monotonic_ms();
    struct reader reader;
    bool refuse = false;

    open_lock(open);
    if (open->readers.deny || looked->thread != thread || now_ms >= looked->until_ms) {
        open_unlock(open);
        readers_look(thread, &reader);
        open_lock(open);
        *looked = (struct looked){ thread, now_ms + LOOKED_MS };
        if (!readers_know(&open->readers, &reader)) {
            refuse = open->readers.deny;
            report(open, &reader, refuse);
        }
    }
    open_unlock(open);
    return !refuse;
}

static void take_open(struct open *open, const struct fanotify_event_metadata *event)
{
    struct stat status;
    struct moment now;

    if (event->pid == open->main_thread || fstat(event->fd, &status) < 0) {
        answer(open->group, event->fd, FAN_ALLOW);
        return;
    }
    if (!check_reader(open, event->pid)) {
        answer(open->group, event->fd, FAN_DENY);
        return;
    }
    now = open_now();
    open_lock(open);
    if (open_state_open(&open->state, status.st_ino, event->fd, is_settled(open), &now))
        open_poke(open->news);
    open_unlock(open);
}

static void take_close(struct open *open, const struct fanotify_event_metadata *event)
{
    const struct moment now = open_now();
    struct stat status;

    if (event->pid != open->main_thread && fstat(event->fd, &status) == 0) {
        open_lock(open);
        if (open_state_close(&open->state, status.st_ino, &now))
            open_poke(open->news);
        open_unlock(open);
    }
    (void)close(event->fd);
}

static void fail(struct open *open)
{
    const struct moment now = open_now();

    open_lock(open);
    (void)close(open->group);
    open->group = -1;
    for (size_t i = open->state.waiter_count; i > 0; i = open->state.waiter_count)
        (void)open_state_release(&open->state, open->state.waiters[i - 1].file, UINT64_MAX, 0,
                                 &now);
    open_unlock(open);
    open_poke(open->news);
}

static void note_problem(struct open *open, int problem)
{
    open_lock(open);
    open->problem = problem;
    open_unlock(open);
    open_poke(open->news);
}

/* False: no event will ever be read again. */
static bool read_events(struct open *open)
{
    _Alignas(struct fanotify_event_metadata) char
        chunk[EVENTS_AT_ONCE * sizeof(struct fanotify_event_metadata)];
    struct fanotify_event_metadata *event;
    ssize_t length = read(open->group, chunk, sizeof(chunk));

    if (length < 0) {
        if (errno == EBADF || errno == EINVAL || errno == EFAULT)
            return false;
        if (errno != EAGAIN && errno != EINTR)
            note_problem(open, errno);
        return true;
    }
    event = (struct fanotify_event_metadata *)chunk;
    for (; FAN_EVENT_OK(event, length); event = FAN_EVENT_NEXT(event, length)) {
        if (event->vers != FANOTIFY_METADATA_VERSION)
            return false;
        if (event->fd < 0) /* events were lost: of closes, and that is forgotten in five seconds */
            continue;
        if (event->mask & FAN_OPEN_PERM)
            take_open(open, event);
        else
            take_close(open, event);
    }
    return true;
}

/* What is due. The time of the next wake, or -1 for the end. */
static int64_t tend(struct open *open)
{
    const struct moment now = open_now();
    int64_t wake;
    bool beats;

    open_lock(open);
    if (open_state_expire(&open->state, &now))
        open_poke(open->news);
    wake = open->is_ending ? -1 : open_state_deadline(&open->state);
    beats = open->beats;
    open->beats = false;
    open_unlock(open);
    if (beats)
        notify_send("WATCHDOG=1");
    return wake;
}

void *open_answer_events(void *context)
{
    struct open *open = context;
    int64_t wake;

    while ((wake = tend(open)) >= 0) {
        struct pollfd fds[2] = {
            { .fd = open->group, .events = POLLIN },
            { .fd = open->wake, .events = POLLIN },
        };

        if (clock_poll(fds, 2, wake) < 0)
            break;
        if (fds[1].revents)
            open_be_poked(open->wake);
        if (fds[0].revents && !read_events(open))
            break;
    }
    if (wake >= 0)
        fail(open);
    return NULL;
}
