/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which programs may read rendered files ("readers" and "readers_policy" of the configuration). A
 * program is known by the absolute path of its file, /proc/PID/exe (proc(5)), also after a package
 * upgrade has replaced that, in the mount namespace of this process or of the system's first one: a
 * process in a container shows a plain path too. This curbs accidents. It is no barrier against
 * root, who can become any program.
 */
#ifndef PULLKEY_HOSTS_READERS_H
#define PULLKEY_HOSTS_READERS_H

#include <limits.h>
#include <sys/types.h>

#include "settings.h"

#define READERS_SEEN_MAX 64 /* unknown programs that are told apart */
#define READERS_PATH_MAX 512

#define READERS_NAMESPACE_MAX 32 /* "mnt:[4026531840]" */

struct readers {
    bool deny;
    char **paths; /* as they are listed, and where links lead; with "*" for parts of them */
    size_t count;
    char namespaces[2][READERS_NAMESPACE_MAX]; /* "" where it cannot be told */
};

/* One who opens a file. */
struct reader {
    char path[PATH_MAX]; /* "" where it cannot be told */
    char namespace[READERS_NAMESPACE_MAX];
};

/* Without a list: containerd, ctr and nerdctl in /usr/bin and /usr/local/bin. pullkey-hosts itself
 * is always known. */
int readers_load(const struct settings *settings, struct readers *ret, struct pullkey_error *error);
void readers_done(struct readers *readers);

/* Whether readers can be told at all: -PULLKEY_DENIED where that takes CAP_SYS_PTRACE. */
int readers_check(struct pullkey_error *error);

/* `thread` is 0 for one that this process cannot see. */
void readers_look(pid_t thread, struct reader *ret);

/*
 * A "*" in a listed path is exactly one part of the reader's. What it leads to then must be root's,
 * or the caller's, and not writable by others: the directory that it stands in, all below that, and
 * the program; of the directories above, those that are sticky may be writable. Else whoever can
 * make a directory there could choose a program.
 */
bool readers_know(const struct readers *readers, const struct reader *reader);

/* Takes " (deleted)" away. */
void readers_clean(char *path);

/* For a message: its path, or what is known instead of it. */
void readers_describe(const struct readers *readers, const struct reader *reader,
                      char ret[READERS_PATH_MAX]);

#endif
