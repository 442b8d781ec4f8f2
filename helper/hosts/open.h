/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On open: whoever opens a rendered hosts.toml waits, at most `helper_timeout`, until its headers
 * are fresh (fanotify(7): FAN_OPEN_PERM, one mark on the file system of the target).
 *
 * A thread answers the kernel. It reads no file of the target, runs nothing and waits for nobody:
 * an open of a file that is fresh is answered at once, every other waits in a list for the main
 * thread or its deadline. If this process ends in any way, the kernel lets everybody in, and they
 * read the last good file. The main thread opens files of the target too, and those opens raise
 * events of their own: it never does so while it holds the lock, without which nobody is answered.
 */
#ifndef PULLKEY_HOSTS_OPEN_H
#define PULLKEY_HOSTS_OPEN_H

#include "open-state.h"
#include "readers.h"

#define OPEN_REPORTS_MAX 8

struct open;

/* What the main thread is to say and to do. */
struct open_news {
    uint64_t last_number; /* of those who wait now */
    bool is_awaited;      /* somebody waits */
    bool has_timed_out;
    bool has_failed; /* nothing is answered any more: everybody was let in, and will be */
    int problem;     /* errno of an event that could not be read: its reader was refused; 0 */
    bool is_denied[OPEN_REPORTS_MAX];
    char readers[OPEN_REPORTS_MAX][READERS_PATH_MAX];
    size_t reader_count;
};

/*
 * Begins to answer. `changes` becomes readable when something has happened that the main thread
 * has not looked at yet. -PULLKEY_DENIED or -PULLKEY_UNSUPPORTED where the kernel, its
 * configuration, the privileges or the target do not allow it; the message says what is missing.
 */
int open_start(int target, const char *target_path, int changes, struct open **ret,
               struct pullkey_error *error);

/* Lets everybody in. NULL is allowed. */
void open_stop(struct open *open);

/* Takes over the readers. */
void open_configure(struct open *open, int64_t timeout_ms, struct readers *readers);

/* Becomes readable when open_take has news. */
int open_fd(const struct open *open);
void open_take(struct open *open, struct open_news *ret);

/* The main thread lives: the answering one pings the watchdog. False: it cannot any more. */
bool open_beat(struct open *open);

/* Between the two, nothing counts as fresh. */
void open_unsettle(struct open *open);
void open_settle(struct open *open);

/* See open-state.h. What they return is the main thread's until open_forget. */
struct open_file *open_add(struct open *open, ino_t inode, void *owner, bool is_page, bool is_bare);
void open_replace(struct open *open, struct open_file *old, struct open_file *current, int fd,
                  const char *text);
void open_forget(struct open *open, struct open_file *file);

/* An open of a bare file always waits. */
void open_set_bare(struct open *open, struct open_file *file, bool is_bare);
void open_set_fresh(struct open *open, struct open_file *file, const struct fresh *fresh);

/* The owners of files of the target that somebody waits for: at most OPEN_WAITERS_MAX. */
size_t open_awaited(struct open *open, void *ret[OPEN_WAITERS_MAX]);
bool open_is_awaited(struct open *open, const struct open_file *file);
size_t open_release(struct open *open, struct open_file *file, uint64_t last_number,
                    int64_t there_ms);

/* Writes over the files that were replaced while somebody opened them, where nobody reads them. */
void open_serve(struct open *open);

/* Monotonic milliseconds: when to call open_serve again. */
int64_t open_due_ms(struct open *open);

/* How many opens of the file have waited in vain since this was last called. */
uint64_t open_take_timeouts(struct open *open, struct open_file *file);

#endif
