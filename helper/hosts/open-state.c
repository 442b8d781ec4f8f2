/* SPDX-License-Identifier: Apache-2.0 */
#include "open-state.h"

#include <string.h>
#include <unistd.h>

#include "base/secret.h"

static struct open_file **bucket_of(struct open_state *state, ino_t inode)
{
    return &state->buckets[(uint64_t)inode % OPEN_BUCKETS];
}

struct open_file *open_state_find(struct open_state *state, ino_t inode)
{
    struct open_file *file = *bucket_of(state, inode);

    while (file && file->inode != inode)
        file = file->next;
    return file;
}

static void put_in(struct open_state *state, struct open_file *file)
{
    struct open_file **bucket = bucket_of(state, file->inode);

    file->next = *bucket;
    *bucket = file;
}

static void take_out(struct open_state *state, struct open_file *file)
{
    struct open_file **at = bucket_of(state, file->inode);

    while (*at != file)
        at = &(*at)->next;
    *at = file->next;
}

static void forget_readers(struct open_file *file, const struct moment *now)
{
    if (now->monotonic_ms >= file->readers_until_ms)
        file->readers = 0;
}

static void admit(struct open_state *state, struct open_file *file, int fd,
                  const struct moment *now)
{
    if (file) {
        forget_readers(file, now);
        file->readers++;
        file->readers_until_ms = now->monotonic_ms + OPEN_READERS_MS;
    }
    state->allow(state->context, fd);
}

static bool is_good(const struct open_state *state, const struct open_file *file, bool is_settled,
                    const struct moment *now)
{
    return is_settled && !state->is_unsettled && !file->current && !file->is_bare &&
           fresh_is_now(&file->fresh, now);
}

static void count_timeout(struct open_state *state, struct open_file *file)
{
    (file->current ? file->current : file)->timeouts++;
    state->has_timed_out = true;
}

bool open_state_open(struct open_state *state, ino_t inode, int fd, bool is_settled,
                     const struct moment *now)
{
    struct open_file *file = open_state_find(state, inode);

    if (!file || is_good(state, file, is_settled, now)) {
        admit(state, file, fd, now);
        return false;
    }
    if (state->waiter_count == state->waiter_max) {
        count_timeout(state, file);
        admit(state, file, fd, now);
        return true;
    }
    state->waiters[state->waiter_count++] = (struct open_waiter){
        .fd = fd,
        .file = file,
        .number = ++state->last_number,
        .since_ms = now->monotonic_ms,
        .deadline_ms = now->monotonic_ms + state->timeout_ms,
    };
    file->waiters++;
    return true;
}

bool open_state_close(struct open_state *state, ino_t inode, const struct moment *now)
{
    struct open_file *file = open_state_find(state, inode);

    if (!file)
        return false;
    forget_readers(file, now);
    if (file->readers > 0)
        file->readers--;
    return file->readers == 0 && file->current && file->waiters > 0;
}

/* Takes the waiter at a place out of the list; the last one comes in its place. */
static void let_in(struct open_state *state, size_t place, const struct moment *now)
{
    const struct open_waiter waiter = state->waiters[place];

    state->waiters[place] = state->waiters[--state->waiter_count];
    waiter.file->waiters--;
    admit(state, waiter.file, waiter.fd, now);
}

bool open_state_expire(struct open_state *state, const struct moment *now)
{
    bool found = false;

    for (size_t i = 0; i < state->waiter_count;) {
        const struct open_waiter *waiter = &state->waiters[i];

        /* A write to a page ends before anything else happens. */
        if (now->monotonic_ms < waiter->deadline_ms || waiter->file->is_writing) {
            i++;
            continue;
        }
        count_timeout(state, waiter->file);
        let_in(state, i, now);
        found = true;
    }
    return found;
}

int64_t open_state_deadline(const struct open_state *state)
{
    int64_t deadline = INT64_MAX;

    for (size_t i = 0; i < state->waiter_count; i++)
        if (state->waiters[i].deadline_ms < deadline)
            deadline = state->waiters[i].deadline_ms;
    return deadline;
}

struct open_file *open_state_add(struct open_state *state, ino_t inode, void *owner)
{
    struct open_file *file = secret_alloc(sizeof(*file));

    if (!file)
        return NULL;
    file->inode = inode;
    file->owner = owner;
    file->fd = -1;
    put_in(state, file);
    return file;
}

size_t open_state_release(struct open_state *state, struct open_file *file, uint64_t last_number,
                          int64_t there_ms, const struct moment *now)
{
    size_t count = 0;

    for (size_t i = 0; file->waiters > 0 && i < state->waiter_count;) {
        if (state->waiters[i].file == file && state->waiters[i].number <= last_number) {
            count += state->waiters[i].since_ms <= there_ms;
            let_in(state, i, now);
        } else {
            i++;
        }
    }
    return count;
}

static void free_file(struct open_file *file)
{
    if (file->fd >= 0)
        (void)close(file->fd);
    secret_release(file->text);
    secret_release(file);
}

void open_state_drop(struct open_state *state, struct open_file *old, const struct moment *now)
{
    struct open_file **at = &state->old;

    (void)open_state_release(state, old, UINT64_MAX, 0, now);
    while (*at != old)
        at = &(*at)->next_old;
    *at = old->next_old;
    state->old_count--;
    take_out(state, old);
    free_file(old);
}

void open_state_sweep(struct open_state *state, const struct moment *now)
{
    for (struct open_file *old = state->old, *next; old; old = next) {
        next = old->next_old;
        if (old->waiters == 0 && now->monotonic_ms >= old->until_ms)
            open_state_drop(state, old, now);
    }
}

static void drop_oldest(struct open_state *state, const struct moment *now)
{
    struct open_file *old = state->old;

    while (old && old->next_old)
        old = old->next_old;
    if (old)
        open_state_drop(state, old, now);
}

/* What those that were replaced before it still wait to be overwritten with. */
static void hand_on(struct open_state *state, const struct open_file *file,
                    struct open_file *current, const char *text, const struct moment *now)
{
    for (struct open_file *old = state->old, *next; old; old = next) {
        next = old->next_old;
        if (old->current != file)
            continue;
        old->current = current;
        if (text)
            memcpy(old->text, text, OPEN_PAGE);
        else
            open_state_drop(state, old, now);
    }
}

void open_state_replace(struct open_state *state, struct open_file *old, struct open_file *current,
                        int fd, const char *text, const struct moment *now)
{
    hand_on(state, old, current, text, now);
    old->fd = fd;
    old->current = current;
    current->timeouts += old->timeouts;
    if (fd >= 0 && text && old->is_page)
        old->text = secret_copy(text, OPEN_PAGE);
    if (!old->text) {
        (void)open_state_release(state, old, UINT64_MAX, 0, now);
        take_out(state, old);
        free_file(old);
        return;
    }
    if (state->old_count == OPEN_OLD_MAX)
        drop_oldest(state, now);
    old->until_ms = now->monotonic_ms + OPEN_READERS_MS;
    old->next_old = state->old;
    state->old = old;
    state->old_count++;
}

void open_state_forget(struct open_state *state, struct open_file *file, const struct moment *now)
{
    hand_on(state, file, NULL, NULL, now);
    (void)open_state_release(state, file, UINT64_MAX, 0, now);
    take_out(state, file);
    free_file(file);
}

bool open_state_can_write(struct open_file *old, const struct moment *now)
{
    forget_readers(old, now);
    return old->waiters > 0 && old->readers == 0;
}

int64_t open_state_due_ms(const struct open_state *state)
{
    int64_t due = INT64_MAX;

    for (const struct open_file *old = state->old; old; old = old->next_old) {
        int64_t at = old->waiters > 0 ? old->readers_until_ms : old->until_ms;

        if (at < due)
            due = at;
    }
    return due;
}

void open_state_done(struct open_state *state, const struct moment *now)
{
    while (state->old)
        open_state_drop(state, state->old, now);
    for (size_t i = 0; i < OPEN_BUCKETS; i++)
        while (state->buckets[i])
            open_state_forget(state, state->buckets[i], now);
}
