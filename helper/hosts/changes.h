/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the directories that matter have changed: inotify(7) on the source, on every directory
 * in it, and on those that hold configuration and stores. A burst of changes is one: it is reported
 * when nothing has happened for a moment, at the latest half a second after its beginning. What
 * inotify cannot see (a file behind a link, a network file system) is found by looking again every
 * half minute.
 */
#ifndef PULLKEY_HOSTS_CHANGES_H
#define PULLKEY_HOSTS_CHANGES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/config.h"

#define CHANGES_LOOK_MS 30000

struct changes_watch;

struct changes {
    int fd;                        /* becomes readable */
    const char *own_directory;     /* where the status is written, which is no change; NULL */
    const char *source_name;       /* the last component of the source */
    struct changes_watch *watches; /* by watch descriptor */
    size_t count;
    size_t capacity;
    bool source; /* a change that was not reported yet */
    bool configuration;
    int64_t first_ms, last_ms; /* of the burst */
    int64_t looked_ms;
};

/* -PULLKEY_INTERNAL where the kernel gives no inotify instance: raise
 * fs.inotify.max_user_instances. */
int changes_open(struct changes *ret, struct pullkey_error *error);
void changes_close(struct changes *changes);

/* Watches the source and its directories; what is watched already stays so. Where the kernel's
 * limit of watches is reached, only the looking again remains; that is logged. */
void changes_watch_source(struct changes *changes, const char *source);

/* Watches whether anything vanishes from the target; what is changed in it is found by looking
 * again. */
void changes_watch_target(struct changes *changes, const char *target);

/* Watches what the configuration and the file backends of it are read from. Of a directory that is
 * not there yet the nearest one above it is watched, until the next call. */
void changes_watch_configuration(struct changes *changes, const struct config_source *source,
                                 const struct config *config);

/* Reads what has happened. */
void changes_read(struct changes *changes, int64_t now_ms);

/* What was read is to be reported now: somebody waits. */
void changes_hurry(struct changes *changes);

/* Monotonic milliseconds: when to call changes_take. */
int64_t changes_due_ms(const struct changes *changes);

/* What is to be reported now; each is set to true or left alone. */
void changes_take(struct changes *changes, int64_t now_ms, bool *source, bool *configuration);

#endif
