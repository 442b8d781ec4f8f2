/* SPDX-License-Identifier: Apache-2.0 */
#include "open-thread.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/secret.h"
#include "open-group.h"

/* A waiter holds a descriptor. */
static size_t count_waiters(void)
{
    struct rlimit limit;
    size_t count = OPEN_WAITERS_MAX;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur / 4 < count)
        count = (size_t)limit.rlim_cur / 4;
    return count;
}

/* Signals are the main thread's. */
static int start_thread(struct open *open)
{
    sigset_t all, before;
    int r;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&open->thread, NULL, open_answer_events, open);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

static void free_open(struct open *open)
{
    const struct moment now = open_now();

    if (open->group >= 0)
        (void)close(open->group);
    open->group = -1;
    open_state_done(&open->state, &now);
    if (open->wake >= 0)
        (void)close(open->wake);
    if (open->news >= 0)
        (void)close(open->news);
    readers_done(&open->readers);
    (void)pthread_mutex_destroy(&open->lock);
    secret_release(open);
}

int open_start(int target, const char *target_path, int changes, struct open **ret,
               struct pullkey_error *error)
{
    struct open *open;
    int r = 0;

    open = secret_alloc(sizeof(*open));
    if (!open)
        return error_memory(error);
    open->group = -1;
    open->changes = changes;
    open->main_thread = gettid();
    open->state.waiter_max = count_waiters();
    open->state.timeout_ms = SETTINGS_TIMEOUT_DEFAULT * 1000;
    open->state.allow = open_allow;
    open->state.context = open;
    open->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    open->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    (void)pthread_mutex_init(&open->lock, NULL);
    if (open->wake < 0 || open->news < 0)
        r = error_errno(error, errno, "cannot make an eventfd");
    if (r == 0)
        r = open_group(target, target_path, &open->group, error);
    if (r == 0) {
        int failure = start_thread(open);

        if (failure != 0)
            r = error_errno(error, failure, "cannot start a thread");
    }
    if (r < 0) {
        free_open(open);
        return r;
    }
    *ret = open;
    return 0;
}

void open_stop(struct open *open)
{
    if (!open)
        return;
    open_lock(open);
    open->is_ending = true;
    open_unlock(open);
    open_poke(open->wake);
    (void)pthread_join(open->thread, NULL);
    free_open(open);
}

void open_configure(struct open *open, int64_t timeout_ms, struct readers *readers)
{
    struct readers old;

    open_lock(open);
    old = open->readers;
    open->readers = *readers;
    memset(open->looked, 0, sizeof(open->looked));
    open->state.timeout_ms = timeout_ms;
    open_unlock(open);
    *readers = (struct readers){ 0 };
    readers_done(&old);
}

int open_fd(const struct open *open)
{
    return open->news;
}

void open_take(struct open *open, struct open_news *ret)
{
    *ret = (struct open_news){ 0 };
    open_be_poked(open->news);
    open_lock(open);
    ret->last_number = open->state.last_number;
    ret->is_awaited = open->state.waiter_count > 0;
    ret->has_timed_out = open->state.has_timed_out;
    ret->has_failed = open->group < 0;
    ret->problem = open->problem;
    for (; open->reported < open->seen_count && ret->reader_count < OPEN_REPORTS_MAX;
         open->reported++) {
        ret->is_denied[ret->reader_count] = open->is_denied[open->reported];
        memcpy(ret->readers[ret->reader_count++], open->seen[open->reported], READERS_PATH_MAX);
    }
    open->state.has_timed_out = false;
    open->problem = 0;
    open_unlock(open);
}

bool open_beat(struct open *open)
{
    bool answers;

    open_lock(open);
    open->beats = true;
    answers = open->group >= 0;
    open_unlock(open);
    open_poke(open->wake);
    return answers;
}

static void set_unsettled(struct open *open, bool is_unsettled)
{
    open_lock(open);
    open->state.is_unsettled = is_unsettled;
    open_unlock(open);
}

void open_unsettle(struct open *open)
{
    set_unsettled(open, true);
}

void open_settle(struct open *open)
{
    set_unsettled(open, false);
}

struct open_file *open_add(struct open *open, ino_t inode, void *owner, bool is_page, bool is_bare)
{
    struct open_file *file;

    open_lock(open);
    file = open_state_add(&open->state, inode, owner);
    if (file) {
        file->is_page = is_page;
        file->is_bare = is_bare;
    }
    open_unlock(open);
    return file;
}

void open_replace(struct open *open, struct open_file *old, struct open_file *current, int fd,
                  const char *text)
{
    const struct moment now = open_now();

    open_lock(open);
    open_state_replace(&open->state, old, current, fd, text, &now);
    open_unlock(open);
}

void open_forget(struct open *open, struct open_file *file)
{
    const struct moment now = open_now();

    open_lock(open);
    open_state_forget(&open->state, file, &now);
    open_unlock(open);
}

void open_set_bare(struct open *open, struct open_file *file, bool is_bare)
{
    open_lock(open);
    file->is_bare = is_bare;
    open_unlock(open);
}

void open_set_fresh(struct open *open, struct open_file *file, const struct fresh *fresh)
{
    open_lock(open);
    file->fresh = *fresh;
    open_unlock(open);
}

size_t open_awaited(struct open *open, void *ret[OPEN_WAITERS_MAX])
{
    size_t count = 0;

    open_lock(open);
    for (size_t i = 0; i < open->state.waiter_count; i++) {
        const struct open_file *file = open->state.waiters[i].file;
        size_t k = 0;

        while (k < count && ret[k] != file->owner)
            k++;
        if (k == count && !file->current)
            ret[count++] = file->owner;
    }
    open_unlock(open);
    return count;
}

bool open_is_awaited(struct open *open, const struct open_file *file)
{
    bool is_awaited;

    open_lock(open);
    is_awaited = file->waiters > 0;
    open_unlock(open);
    return is_awaited;
}

size_t open_release(struct open *open, struct open_file *file, uint64_t last_number,
                    int64_t there_ms)
{
    const struct moment now = open_now();
    size_t count;

    open_lock(open);
    count = open_state_release(&open->state, file, last_number, there_ms, &now);
    open_unlock(open);
    return count;
}

/* Only this thread takes files out of the list, so the place in it stays good. */
static void serve(struct open *open, struct open_file *old)
{
    bool can_write;
    struct moment now = open_now();

    open_lock(open);
    can_write = open_state_can_write(old, &now);
    old->is_writing = can_write;
    open_unlock(open);
    if (!can_write)
        return;
    /* One write of one page; a part of it would be read together with the rest of the old one. */
    (void)!pwrite(old->fd, old->text, OPEN_PAGE, 0);
    now = open_now();
    open_lock(open);
    open_state_drop(&open->state, old, &now);
    open_unlock(open);
}

void open_serve(struct open *open)
{
    const struct moment now = open_now();

    for (struct open_file *old = open->state.old, *next; old; old = next) {
        next = old->next_old;
        serve(open, old);
    }
    open_lock(open);
    open_state_sweep(&open->state, &now);
    open_unlock(open);
}

int64_t open_due_ms(struct open *open)
{
    int64_t due;

    open_lock(open);
    due = open_state_due_ms(&open->state);
    open_unlock(open);
    return due;
}

uint64_t open_take_timeouts(struct open *open, struct open_file *file)
{
    uint64_t count;

    open_lock(open);
    count = file->timeouts;
    file->timeouts = 0;
    open_unlock(open);
    return count;
}
