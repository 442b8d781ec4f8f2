/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory of one `pullkey run`, in memory: on a tmpfs or ramfs, never on a disk. It is made
 * with mode 0700 under a name that nobody can guess, in the first of these that is such a place:
 *
 *   $XDG_RUNTIME_DIR/pullkey   /run/pullkey (root)   /dev/shm
 *
 * Who uses it holds a lock (flock) on it, so that one which was left behind can be told from one
 * in use. Sources: statfs(2), tmpfs(5), flock(2).
 */
#ifndef PULLKEY_ADMIN_RUN_DIRECTORY_H
#define PULLKEY_ADMIN_RUN_DIRECTORY_H

#include "base/file.h"

#define RUN_NAME_SIZE 48

struct run_directory {
    int base; /* the directory above it */
    int fd;   /* itself, -1 while there is none */
    char name[RUN_NAME_SIZE];
    char path[FILE_PATH_MAX];
};

#define RUN_DIRECTORY_INIT                                                                         \
    {                                                                                              \
        .base = -1, .fd = -1                                                                       \
    }

/* Chooses place and name, and makes nothing yet. -PULLKEY_UNSUPPORTED, with the reasons, where no
 * place is in memory. */
int run_directory_choose(struct run_directory *ret, struct pullkey_error *error);

/* Removes what runs that were killed have left there. */
void run_directory_sweep(const struct run_directory *directory);

int run_directory_make(struct run_directory *directory, struct pullkey_error *error);

/* One that another process has made, to remove it later wherever its name leads to then. */
void run_directory_open(struct run_directory *directory);

/* A new file in it, mode 0600. */
int run_directory_write(const struct run_directory *directory, const char *name,
                        const struct buffer *content, struct pullkey_error *error);

/*
 * Removes it with all that is in it, and whatever stands under its name now. No link is followed,
 * and nothing is removed from another file system that is mounted there. It is no error if it is
 * gone already.
 */
int run_directory_remove(const struct run_directory *directory, struct pullkey_error *error);

void run_directory_done(struct run_directory *directory);

#define cleanup_run_directory __attribute__((cleanup(run_directory_done)))

#endif
