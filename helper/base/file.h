/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are opened with care and replaced whole.
 *
 * FILE_OURS (configuration, stores, keys, cache): the last component is never a link; it is a
 * regular file with one name, it belongs to the caller or to root (in a user namespace also to the
 * overflow owner), and nobody else can write to it or to its directory. Directories above that are
 * not walked. FILE_INPUT (tokens, certificates and other programs' files, which are links by
 * design): links are followed, and what is opened must be a regular file of the caller's or root's
 * that nobody else can write to. FILE_GIVEN (what a person names in a command line): any regular
 * file.
 */
#ifndef PULLKEY_BASE_FILE_H
#define PULLKEY_BASE_FILE_H

#include <sys/types.h>

#include "buffer.h"

#define FILE_PATH_MAX 4096 /* with the NUL, as Linux has it */

enum file_trust { FILE_OURS, FILE_INPUT, FILE_GIVEN };

enum {
    FILE_PRIVATE = 1, /* nobody but the owner may have any access: for keys */
    FILE_LINKED = 2,  /* may have several names, as installed files of some distributions do */
};

/*
 * Reads a whole file, at most buffer->limit bytes. -PULLKEY_NOT_FOUND if it (or its directory) does
 * not exist. *ret_mode, if not NULL, gets its permission bits.
 */
int file_read(const char *path, enum file_trust trust, unsigned int flags, struct buffer *buffer,
              mode_t *ret_mode, struct pullkey_error *error);

/* An open directory, checked as FILE_OURS says. */
struct file_directory {
    int fd;
};

int file_directory_open(const char *path, struct file_directory *ret, struct pullkey_error *error);
void file_directory_done(struct file_directory *directory);

/* Makes a rename in it last; `path` is the file that was renamed, for messages. */
int file_directory_flush(const struct file_directory *directory, const char *path,
                         struct pullkey_error *error);

/* Like file_read with FILE_OURS, by a name inside a directory; `path` is for messages. */
int file_read_at(const struct file_directory *directory, const char *name, const char *path,
                 unsigned int flags, struct buffer *buffer, mode_t *ret_mode,
                 struct pullkey_error *error);

/* Checks a file as file_read with FILE_OURS would, without reading it. */
int file_check(const char *path, unsigned int flags, struct pullkey_error *error);

/*
 * Replaces a file: temporary file beside it (NAME.tmp, so a lock must be held), write, fsync,
 * rename, fsync of the directory. After an error, and after a crash at any point, the file is the
 * old one or the new one.
 */
int file_replace(const char *path, const char *bytes, size_t length, mode_t mode,
                 struct pullkey_error *error);

/* The first, with a call when PATH.tmp is whole and before it takes the place of the file. */
int file_replace_ready(const char *path, const char *bytes, size_t length, mode_t mode,
                       void (*ready)(void *context), void *context, struct pullkey_error *error);

/*
 * What tells one content of a file from another without reading it; all 0 where there is none.
 * Links are followed: what they lead to counts.
 */
struct file_state {
    uint64_t device, inode, size, modified; /* the last in nanoseconds */
};

/* Replaces a file that others write too, without a lock: by a file of NAME and `suffix`, and only
 * if it is still in the state `before`. */
int file_replace_by(const char *path, const char *suffix, const struct file_state *before,
                    const char *bytes, size_t length, mode_t mode, struct pullkey_error *error);

void file_state(const char *path, struct file_state *ret);

/*
 * A file that we replace ourselves, and of which PATH.family, with these bytes, tells whose it is:
 * it belongs to its founder, the state that it had when somebody else wrote it, while its state is
 * one of the other two. Who replaces it writes PATH.family first, so a process that is killed
 * leaves both right.
 */
struct file_family {
    struct file_state now, next, founder;
};

/* All but `next`. A file of which nothing is known founds a family, so that nobody's file is taken
 * for another's. */
void file_family(const char *path, struct file_family *ret);

/*
 * Makes the directory that will hold `path`, and those above it, with mode 0700 where they are
 * missing. What is there already must belong to the caller or root where something is made in it.
 */
int file_make_parents(const char *path, struct pullkey_error *error);

/* The same with another mode. */
int file_make_parents_with(const char *path, mode_t mode, struct pullkey_error *error);

/* Checks the directory of `path` as file_directory_open does. */
int file_check_directory(const char *path, struct pullkey_error *error);

/* Joins with '/' into a buffer of FILE_PATH_MAX bytes. -PULLKEY_INVALID if it does not fit. */
int file_join(char *ret, const char *directory, const char *name, struct pullkey_error *error);

/* Writes all bytes to a descriptor, through interruptions and short writes. */
int file_write_all(int fd, const char *bytes, size_t length, struct pullkey_error *error);

enum file_place {
    FILE_CONFIG_HOME,  /* $XDG_CONFIG_HOME/pullkey, else ~/.config/pullkey */
    FILE_STATE_HOME,   /* $XDG_STATE_HOME/pullkey, else ~/.local/state/pullkey */
    FILE_RUNTIME_HOME, /* $XDG_RUNTIME_DIR/pullkey */
};

/*
 * The caller's directory of that kind, in a buffer of FILE_PATH_MAX bytes (XDG Base Directory
 * specification 0.8: relative values are ignored). Without HOME the home directory is looked up in
 * /etc/passwd. -PULLKEY_NOT_FOUND if there is none.
 */
int file_place(enum file_place place, char *ret, struct pullkey_error *error);

/* The effective user that this process was started as. Whoever becomes another one says so: until
 * then what belongs to the new one is not trusted. */
uid_t file_caller(void);
void file_caller_changed(void);

/* Whether that is root, and not the ordinary user who is shown as root in a user namespace:
 * rootless podman and buildah run helpers there. */
bool file_caller_is_root(void);

/* Root, the caller, or what a user namespace shows in their place. */
bool file_is_trusted_owner(uid_t owner);

/* The caller's home directory, as above. */
int file_home(char *ret, struct pullkey_error *error);

/* The same, whatever HOME says: for system programs. */
int file_account_home(char *ret, struct pullkey_error *error);

#define cleanup_directory __attribute__((cleanup(file_directory_done)))

#endif
