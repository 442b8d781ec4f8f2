/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target: the directory that containerd reads. Each registry in it is a link to the source, or
 * a directory with a rendered hosts.toml and links to everything else that stands beside it in the
 * source. What a reader finds by name is always complete: files are replaced by rename, a link and
 * a directory change places in one step (renameat2(2), RENAME_EXCHANGE).
 *
 * Names that begin with a dot are never registries: those of this program begin with ".pullkey-",
 * and readers do not see the others.
 */
#ifndef PULLKEY_HOSTS_PUBLISH_H
#define PULLKEY_HOSTS_PUBLISH_H

#include <sys/stat.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/file.h"

#define PUBLISH_FILE "hosts.toml"

struct publish {
    int target; /* an open directory */
    const char *target_path;
    const char *source_path; /* absolute: where links lead */
};

/*
 * Opens the target, and makes it with mode 0700 if it is missing. It must belong to the caller, no
 * other account may enter it, it must hold nothing but what this program makes, and no other
 * process of this program may be at work on it. -PULLKEY_DENIED otherwise. The source is not looked
 * at where the target is there: it may be on a file system that hangs.
 */
int publish_open(const char *target, const char *source, struct publish *ret,
                 struct pullkey_error *error);
/* To be asked before anything is made for a target: one that is missing would not be in the source,
 * to which each directory in it is a registry. One that is there is not looked at. */
int publish_check_place(const char *target, const char *source, struct pullkey_error *error);
/* To be asked before anything is published: the target is not the source itself, nor in it. */
int publish_check_source(const struct publish *publish, struct pullkey_error *error);
void publish_close(struct publish *publish);

/* A process of this program is at work on an open target: it holds a lock on it. */
bool publish_is_at_work(int target);
/* The same of one by its path: the daemon runs. */
bool publish_is_held(const char *target);

/* The registry is what the source has. */
int publish_link(const struct publish *publish, const char *name, struct pullkey_error *error);

/* The same, but what an earlier run has rendered stays. */
int publish_link_unread(const struct publish *publish, const char *name,
                        struct pullkey_error *error);

/* Writing a file, for those who watch who opens it. */
struct publish_change {
    bool force; /* the file is another one afterwards, also with the same text */
    bool alone; /* the links beside it stay as they are, and the source is not looked at */
    bool wants_old;
    /* The inode of the new file, before anybody can find it; may be NULL. */
    int (*announce)(void *context, ino_t inode, struct pullkey_error *error);
    void *context;
    /* Set by publish_file: */
    bool changed; /* it is another file than before */
    /* Of the file that is there now, with `changed` or without: what others did to it since shows,
     * but for the time of the last change, which is that before it took its place. */
    struct stat status;
    int old; /* with wants_old: what stood there, open for writing, or -1 */
};

/* The registry has this hosts.toml (mode 0600). `change` is all zero but for what is wanted. */
int publish_file(const struct publish *publish, const char *name, const char *text, size_t length,
                 struct publish_change *change, struct pullkey_error *error);

/* What is published now. -PULLKEY_NOT_FOUND if that is no file of this program. */
int publish_read(const struct publish *publish, const char *name, struct buffer *ret,
                 struct pullkey_error *error);

/* Removes a registry. */
int publish_remove(const struct publish *publish, const char *name, struct pullkey_error *error);

/* False: the target was removed, or something is mounted there now. It has to be opened anew. */
bool publish_is_there(const struct publish *publish);

/* The hosts.toml of a registry that is published now. False: there is none. */
bool publish_stat(const struct publish *publish, const char *name, struct stat *ret);

/* A link stands there, and leads where publish_link would make it lead. */
bool publish_is_link(const struct publish *publish, const char *name);

/* Calls for each published registry, also for one that is removed meanwhile. Stops at the first
 * error. */
typedef int publish_visit(void *context, const char *name, struct pullkey_error *error);
int publish_list(const struct publish *publish, publish_visit *visit, void *context,
                 struct pullkey_error *error);

/*
 * Makes `path` a symbolic link to `target`, replacing a link by rename. -PULLKEY_DENIED where
 * something else stands there.
 */
int publish_switch(const char *path, const char *target, struct pullkey_error *error);

#define cleanup_publish __attribute__((cleanup(publish_close)))

#endif
