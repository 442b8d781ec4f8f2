/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has a rendered file open, who waits for one, and which may be written to: the part of open.h
 * that does not talk to the kernel. Not safe by itself for several threads; never waits.
 *
 * A file is known by its inode. When another takes its place in the target, those who are opening
 * the old one get the new content too, if it can be written over the old one so that nobody ever
 * reads a mix: both fit one page and have the same length (a write that is killed was never seen to
 * tear a page, and often to tear more), and nobody reads the old one. Until its readers are gone
 * whoever opens it waits. A reader that is not heard of for five seconds counts as gone: the kernel
 * merges equal events, and so some never come.
 */
#ifndef PULLKEY_HOSTS_OPEN_STATE_H
#define PULLKEY_HOSTS_OPEN_STATE_H

#include <sys/types.h>

#include "needs.h"

#define OPEN_PAGE 4096
#define OPEN_WAITERS_MAX 256
#define OPEN_OLD_MAX 64
#define OPEN_READERS_MS 5000
#define OPEN_BUCKETS 1024

struct open_file {
    ino_t inode;
    void *owner;  /* the main thread's */
    bool is_page; /* padded to OPEN_PAGE bytes */
    bool is_bare; /* has no headers: each open waits for them */
    bool is_writing;
    unsigned int readers, waiters;
    int64_t readers_until_ms;
    struct fresh fresh;
    uint64_t timeouts;
    /* Of one whose place another has taken: */
    struct open_file *current; /* that which is in the target now; NULL: this one is */
    int fd;                    /* open for writing */
    char *text;                /* OPEN_PAGE bytes to write over it */
    int64_t until_ms;          /* then nobody can be opening it any more */
    struct open_file *next, *next_old;
};

struct open_waiter {
    int fd; /* of the event */
    struct open_file *file;
    uint64_t number;
    int64_t since_ms, deadline_ms;
};

struct open_state {
    struct open_file *buckets[OPEN_BUCKETS];
    struct open_file *old; /* the newest first */
    size_t old_count;
    struct open_waiter waiters[OPEN_WAITERS_MAX];
    size_t waiter_count, waiter_max;
    uint64_t last_number;
    int64_t timeout_ms;
    bool is_unsettled;  /* something has changed that was not looked at yet */
    bool has_timed_out; /* some file has timeouts */
    void (*allow)(void *context, int fd);
    void *context;
};

/* Everything is let in. */
void open_state_done(struct open_state *state, const struct moment *now);

struct open_file *open_state_find(struct open_state *state, ino_t inode);

/* Somebody opens a file. True if that waits, and the main thread is to look at it. */
bool open_state_open(struct open_state *state, ino_t inode, int fd, bool is_settled,
                     const struct moment *now);

/* Somebody has closed one. True if the main thread is to look. */
bool open_state_close(struct open_state *state, ino_t inode, const struct moment *now);

/* Lets in who has waited long enough. True if there was one. */
bool open_state_expire(struct open_state *state, const struct moment *now);

/* Monotonic milliseconds: when the next one has waited long enough; INT64_MAX: nobody waits. */
int64_t open_state_deadline(const struct open_state *state);

/* A file that is in the target, or will be in a moment. Until it is said to be fresh, whoever opens
 * it waits. NULL: out of memory. */
struct open_file *open_state_add(struct open_state *state, ino_t inode, void *owner);

/*
 * Another has taken its place in the target. `text` (OPEN_PAGE bytes, or NULL) is for those who are
 * opening the old one, and `fd` (taken over; may be -1) to write to it. Where nothing can be
 * written it is forgotten, and those who wait for it are let in.
 */
void open_state_replace(struct open_state *state, struct open_file *old, struct open_file *current,
                        int fd, const char *text, const struct moment *now);

/* It is no longer in the target. */
void open_state_forget(struct open_state *state, struct open_file *file, const struct moment *now);

/* Lets in who waits for it, but those that came after that number. How many of them were there at
 * that time already. */
size_t open_state_release(struct open_state *state, struct open_file *file, uint64_t last_number,
                          int64_t there_ms, const struct moment *now);

/* An old one that somebody waits for and nobody reads. */
bool open_state_can_write(struct open_file *old, const struct moment *now);

/* An old one is forgotten; who waits for it is let in. */
void open_state_drop(struct open_state *state, struct open_file *old, const struct moment *now);

/* Drops the old ones that nobody can be opening any more. */
void open_state_sweep(struct open_state *state, const struct moment *now);

/* Monotonic milliseconds: when to look at the old ones again; INT64_MAX: there is none. */
int64_t open_state_due_ms(const struct open_state *state);

#endif
