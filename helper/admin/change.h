/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A change to a file that others write too, and for which nobody has a lock: docker's and podman's,
 * the configuration, those of a node. A link is followed, the mode stays, and the file is replaced
 * whole, if it is still what was read.
 */
#ifndef PULLKEY_ADMIN_CHANGE_H
#define PULLKEY_ADMIN_CHANGE_H

#include "base/file.h"
#include "base/lock.h"

/* Behind the name of a file that is being written. Whatever else stands beside it is somebody's. */
#define CHANGE_SUFFIX ".pullkey-new"

struct change {
    char path[FILE_PATH_MAX]; /* of the file itself */
    struct file_state before; /* all 0: there is none */
    mode_t mode;              /* of one that is new; it stays that of one that is there */
    struct buffer old, new;
};

#define CHANGE_INIT(file_mode)                                                                     \
    {                                                                                              \
        .mode = (file_mode), .old = BUFFER_INIT(JSON_SIZE_MAX),                                    \
        .new = BUFFER_INIT(2 * JSON_SIZE_MAX)                                                      \
    }

/* Reads the file; that there is none is no error. What would become somebody else's file, or may be
 * written by others, is refused. */
int change_open(const char *path, struct change *ret, struct pullkey_error *error);

bool change_is_new(const struct change *change);

/* Removes what a run left that was killed while it wrote. */
void change_tidy(const struct change *change);

/* Writes the new text, after change_tidy. Directories that are missing are made, for all where the
 * file is. */
int change_write(const struct change *change, struct pullkey_error *error);

void change_done(struct change *change);

/* A file of ours in the directory for state, which is made: the caller's or the system's. */
int change_state_path(bool system, const char *name, char ret[FILE_PATH_MAX],
                      struct pullkey_error *error);

/* Temporary files have fixed names, so one run at a time writes. */
int change_lock(bool system, const char *name, struct lock *ret, struct pullkey_error *error);

#define cleanup_change __attribute__((cleanup(change_done)))

#endif
