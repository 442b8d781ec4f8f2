/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source directory and what is rendered of it: one entry for each registry, its needs, and the
 * publishing of those that have changed. `render` makes one pass, `watch` many.
 */
#ifndef PULLKEY_HOSTS_TREE_H
#define PULLKEY_HOSTS_TREE_H

#include <sys/stat.h>

#include "needs.h"
#include "open.h"
#include "publish.h"
#include "render-text.h"
#include "settings.h"

#define TREE_ENTRIES_MAX 65536
#define TREE_GRACE_MS 2000 /* what is gone stays published for so long: it may be written anew */

/* What tells that a file is another one than before: a hash of its device, inode, size and times; 0
 * where it cannot be looked at. */
typedef uint64_t tree_stamp;

struct tree_use {
    struct need *need; /* its url is the name of a host in the file */
};

struct tree_entry {
    tree_stamp directory, file;
    tree_stamp published; /* its file in the target, if it has one of its own */
    uint16_t use_count;   /* HOSTS_PER_FILE_MAX at most */
    bool is_found;        /* by the scan that is under way */
    bool is_managed;      /* a helper answers for a host in it */
    bool is_dirty;        /* it is to be published */
    bool is_published;
    bool is_unread;    /* its file could not be read, and nothing else is known of it */
    bool is_unwritten; /* its problem is that it could not be published */
    int64_t gone_ms;   /* monotonic, since when it is not in the source; 0: it is there */
    struct tree_use *uses;
    struct tree_use only;   /* memory of uses where there is one, as nearly always */
    char *problem;          /* why it, or a host in it, is not served as it asks; NULL */
    struct open_file *open; /* its file, where it is known who opens it */
    char name[];            /* of the directory */
};

struct tree {
    const char *source; /* absolute */
    const struct settings *settings;
    struct publish *publish;
    struct needs *needs;
    struct tree_entry **entries; /* by name */
    size_t count;
    size_t capacity;
    struct open *open; /* NULL: nobody waits at an open */
    enum { TREE_RELEASE_UNKNOWN, TREE_BEFORE_REFERRERS, TREE_WITH_REFERRERS } release;
    int64_t look_ms; /* monotonic: when what is gone has to be looked for again; INT64_MAX: never */
    bool is_sourceless; /* there was no source at the last scan */
    bool spread;        /* new needs are spread over a second (needs.h) */
    uint64_t rendered;  /* files, since the start */
};

/*
 * Reads what has changed in the source since the last time; everything if `all` is set, as after a
 * change of the configuration. A file that is malformed, or that others may write to, leaves its
 * entry as it was, with a problem, also that of an earlier run; a new one is linked, so that
 * containerd reads what it would read without this program. -PULLKEY_UNREACHABLE where the source
 * cannot be read: nothing has changed then. A source that is not there at all is empty. What was
 * rendered and is gone, a registry or its hosts.toml, is given TREE_GRACE_MS to come back, since
 * generators remove before they write; `look_ms` says when to scan again because of that. What
 * others have changed in the target is published again. With `all` the release of containerd is
 * asked for again too, once a file depends on it.
 */
int tree_scan(struct tree *tree, bool all, const struct moment *now, struct pullkey_error *error);

/* The headers of its hosts, for render_text. `context` is the entry. */
bool tree_look_up(void *context, const struct hosts_host *host, struct render_header *ret);

/* Marks the entries whose needs have changed. */
void tree_mark_changed(struct tree *tree);

/*
 * Publishes what is dirty, and removes what is gone. What cannot be written stays dirty, with a
 * problem; the first error is returned when everything was tried.
 */
int tree_publish(struct tree *tree, struct pullkey_error *error);

/* Each registry of the source is in the target, as a link at least. */
bool tree_is_complete(const struct tree *tree);
int tree_publish_entry(struct tree *tree, struct tree_entry *entry, struct pullkey_error *error);

/* Tells that nobody has changed a file of the target since. */
tree_stamp tree_stamp_of_published(const struct stat *status);

/* Nothing of it is in the target any more. */
void tree_unpublish(struct tree *tree);

void tree_done(struct tree *tree);

#endif
