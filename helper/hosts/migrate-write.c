/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are replaced whole: a temporary file beside them, flushed, and one rename. The
 * temporary file holds the new text alone, with the mode of the file, or less while it is written.
 */
#include "migrate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/child.h"
#include "base/error.h"
#include "base/file.h"

#define TEMPORARY_SUFFIX ".pullkey-new" /* never one that containerd would import or read */
#define LABEL_MAX 4096
#define CHECK_MS 15000
#define OPEN_TRIES 100 /* each fails only if somebody replaces the file just then */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

#define cleanup_fd __attribute__((cleanup(close_fd)))

/*
 * The kernel knows what an open descriptor is called. What has been replaced since it was opened
 * has " (deleted)" after its name: the caller opens the new one.
 */
static int name_of(int fd, char ret[FILE_PATH_MAX], bool *ret_is_current, const char *path,
                   struct pullkey_error *error)
{
    struct stat opened, named;
    char link[64];
    ssize_t length;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    length = readlink(link, ret, FILE_PATH_MAX - 1);
    if (length < 0 || fstat(fd, &opened) < 0)
        return error_errno(error, errno, "cannot find out where %s is", path);
    ret[length] = '\0';
    *ret_is_current =
        lstat(ret, &named) == 0 && named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
    return 0;
}

/* What was not there when it was looked for. Two runs at once meet like this. */
static int made_meanwhile(const char *path, struct pullkey_error *error)
{
    return error_set(error, PULLKEY_INVALID, "somebody else has made %s meanwhile: run this again",
                     path);
}

/* The first name that does not exist must not exist as a link either. */
static int check_missing(const char *real, const char *rest, const char *inner,
                         struct pullkey_error *error)
{
    char first[FILE_PATH_MAX];
    struct stat status;

    if (rest[0] == '\0')
        return 0;
    if (snprintf(first, sizeof(first), "%s/%.*s", real, (int)strcspn(rest + 1, "/"), rest + 1) >=
        (int)sizeof(first))
        return error_set(error, PULLKEY_INVALID, "a path is too long");
    if (lstat(first, &status) == 0)
        return S_ISLNK(status.st_mode)
                   ? error_set(error, PULLKEY_DENIED,
                               "%s: there is a link in it that leads nowhere", inner)
                   : made_meanwhile(first, error);
    return strstr(rest, "/../")
               ? error_set(error, PULLKEY_INVALID, "%s: there is a .. in it", inner)
               : 0;
}

int migrate_real_path(const struct node *node, const char *inner, char ret[FILE_PATH_MAX],
                      struct pullkey_error *error)
{
    char above[FILE_PATH_MAX], real[FILE_PATH_MAX];
    size_t length = strlen(inner);
    bool is_current;
    int tries = 1, r;

    if (length >= sizeof(above))
        return error_set(error, PULLKEY_INVALID, "a path is too long");
    memcpy(above, inner, length + 1);
    for (;;) {
        cleanup_fd int fd = node_open_at(node, above[0] == '\0' ? "/" : above, O_PATH, error);
        char *slash = strrchr(above, '/');

        if (fd >= 0) {
            r = name_of(fd, real, &is_current, inner, error);
            if (r < 0 || is_current)
                break;
            if (tries++ == OPEN_TRIES)
                return error_set(error, PULLKEY_INVALID,
                                 "somebody else replaces %s again and again: run this again when "
                                 "that is done",
                                 above);
            continue;
        }
        if (fd != -PULLKEY_NOT_FOUND || !slash)
            return fd;
        *slash = '\0';
    }
    if (r < 0)
        return r;
    if (strcmp(real, "/") == 0)
        real[0] = '\0';
    if (check_missing(real, inner + strlen(above), inner, error) < 0)
        return -(int)error->code;
    if (snprintf(ret, FILE_PATH_MAX, "%s%s", real, inner + strlen(above)) >= FILE_PATH_MAX)
        return error_set(error, PULLKEY_INVALID, "a path is too long");
    return 0;
}

/* The directory of a real path, open, and the name in it. */
static int open_directory(const char *path, const char **ret_name, struct pullkey_error *error)
{
    char directory[FILE_PATH_MAX];
    const char *slash = strrchr(path, '/');
    int fd;

    (void)snprintf(directory, sizeof(directory), "%.*s", (int)(slash - path), path);
    fd = open(directory[0] == '\0' ? "/" : directory,
              O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(error, errno, "cannot open %s", directory);
    *ret_name = slash + 1;
    return fd;
}

static int open_old(int directory, const char *name, const char *path, struct stat *ret,
                    struct pullkey_error *error)
{
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0)
        return error_errno(error, errno, "cannot open %s", path);
    if (fstat(fd, ret) < 0)
        (void)error_errno(error, errno, "cannot examine %s", path);
    else if (!S_ISREG(ret->st_mode))
        (void)error_set(error, PULLKEY_DENIED, "%s is not a regular file", path);
    else if (ret->st_nlink > 1)
        (void)error_set(error, PULLKEY_DENIED,
                        "%s has %u names, and the secret would stay under the others: remove its "
                        "hard links",
                        path, (unsigned int)ret->st_nlink);
    else
        return fd;
    (void)close(fd);
    return -(int)error->code;
}

static int check_file(const struct node *node, const char *inner, struct stat *ret,
                      struct pullkey_error *error)
{
    cleanup_fd int directory = -1, fd = -1;
    char path[FILE_PATH_MAX];
    const char *name;
    int r = migrate_real_path(node, inner, path, error);

    if (r < 0)
        return r;
    directory = open_directory(path, &name, error);
    if (directory < 0)
        return directory;
    fd = open_old(directory, name, path, ret, error);
    return fd < 0 ? fd : 0;
}

int migrate_check_file(const struct node *node, const char *inner, struct pullkey_error *error)
{
    struct stat status;

    return check_file(node, inner, &status, error);
}

int migrate_check_hosts_file(const struct node *node, const char *inner,
                             struct pullkey_error *error)
{
    struct stat status;
    int r = check_file(node, inner, &status, error);

    if (r < 0)
        return r;
    if (!file_is_trusted_owner(status.st_uid))
        return error_set(error, PULLKEY_DENIED,
                         "it belongs to user %u, and pullkey-hosts would not read it: run chown "
                         "root on it, after a look at what is in it",
                         (unsigned int)status.st_uid);
    if (status.st_mode & (S_IWGRP | S_IWOTH))
        return error_set(error, PULLKEY_DENIED,
                         "others may write to it, and pullkey-hosts would not read it: run chmod "
                         "go-w on it, after a look at what is in it");
    return 0;
}

/* Nobody has changed it since it was read. */
static int check_unchanged(int fd, const struct migrate_file *file, const char *path,
                           struct pullkey_error *error)
{
    cleanup_buffer struct buffer now = BUFFER_INIT(file->old.length + 1);
    int r = buffer_read(&now, fd, error);

    if (r == 0 && now.length == file->old.length &&
        (now.length == 0 || memcmp(now.data, file->old.data, now.length) == 0))
        return 0;
    return error_set(error, PULLKEY_INVALID, "%s has changed meanwhile: run this again", path);
}

/* A security label that is not kept could keep containerd from its file; many systems have none. */
static void copy_label(int from, int to)
{
    char label[LABEL_MAX];
    ssize_t length = from < 0 ? -1 : fgetxattr(from, "security.selinux", label, sizeof(label));

    if (length > 0)
        (void)fsetxattr(to, "security.selinux", label, (size_t)length, 0);
}

/* `old` is NULL, and `old_fd` -1, for a new file. */
static int write_temporary(int directory, const char *name, const char *path,
                           const struct buffer *text, int old_fd, const struct stat *old,
                           struct pullkey_error *error)
{
    mode_t mode = old ? old->st_mode & 07777 : 0644;
    cleanup_fd int fd = -1;
    int r;

    /* What a process that was killed has left; the lock says that nobody writes it now. */
    if (unlinkat(directory, name, 0) < 0 && errno != ENOENT)
        return error_errno(error, errno, "cannot remove %s", name);
    fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(error, errno, "cannot make %s beside %s", name, path);
    r = file_write_all(fd, text->data ? text->data : "", text->length, error);
    if (r < 0)
        return error_wrap(error, "%s", name);
    copy_label(old_fd, fd);
    if (old && (old->st_uid != geteuid() || old->st_gid != getegid()) &&
        fchown(fd, old->st_uid, old->st_gid) < 0)
        return error_errno(error, errno, "cannot keep the owner of %s", path);
    if (fchmod(fd, mode) < 0)
        return error_errno(error, errno, "cannot keep the mode of %s", path);
    if (fsync(fd) < 0)
        return error_errno(error, errno, "cannot write %s to the disk", name);
    return 0;
}

static int flush(int directory, const char *path, struct pullkey_error *error)
{
    if (fsync(directory) < 0 && errno != EINVAL && errno != EOPNOTSUPP)
        return error_errno(error, errno, "%s is written, but its directory cannot be flushed",
                           path);
    return 0;
}

static int lock_directory(int directory, const char *path, struct pullkey_error *error)
{
    if (flock(directory, LOCK_EX | LOCK_NB) == 0)
        return 0;
    return errno == EWOULDBLOCK
               ? error_set(error, PULLKEY_INVALID,
                           "another process is changing %s: run this again when it is done", path)
               : error_errno(error, errno, "cannot lock the directory of %s", path);
}

static int make_names(const char *name, char temporary[NAME_MAX + 1], struct pullkey_error *error)
{
    if (snprintf(temporary, NAME_MAX + 1, ".%s" TEMPORARY_SUFFIX, name) > NAME_MAX)
        return error_set(error, PULLKEY_INVALID, "the name %s is too long", name);
    return 0;
}

/* The directory of a file that is about to change, locked, and the two names in it. */
static int open_to_change(const char *path, const char **ret_name, char temporary[NAME_MAX + 1],
                          struct pullkey_error *error)
{
    int directory = open_directory(path, ret_name, error);

    if (directory < 0)
        return directory;
    if (lock_directory(directory, path, error) == 0 && make_names(*ret_name, temporary, error) == 0)
        return directory;
    (void)close(directory);
    return -(int)error->code;
}

static int check_temporary(const char *path, const char *temporary,
                           int (*check)(const char *path, struct pullkey_error *error),
                           struct pullkey_error *error)
{
    char full[FILE_PATH_MAX];
    int length = snprintf(full, sizeof(full), "%.*s%s", (int)(strrchr(path, '/') + 1 - path), path,
                          temporary);

    if (length < 0 || length >= (int)sizeof(full))
        return error_set(error, PULLKEY_INVALID, "a path is too long");
    return check(full, error);
}

static int replace(const char *path, const struct migrate_file *file,
                   int (*check)(const char *path, struct pullkey_error *error),
                   struct pullkey_error *error)
{
    cleanup_fd int directory = -1, old_fd = -1;
    char temporary[NAME_MAX + 1];
    struct stat old;
    const char *name;
    int r;

    directory = open_to_change(path, &name, temporary, error);
    if (directory < 0)
        return directory;
    old_fd = open_old(directory, name, path, &old, error);
    if (old_fd < 0)
        return old_fd;
    r = check_unchanged(old_fd, file, path, error);
    if (r < 0)
        return r;
    r = write_temporary(directory, temporary, path, &file->new, old_fd, &old, error);
    if (r == 0 && check)
        r = check_temporary(path, temporary, check, error);
    if (r == 0 && renameat(directory, temporary, directory, name) < 0)
        r = error_errno(error, errno, "cannot rename %s", temporary);
    if (r < 0) {
        (void)unlinkat(directory, temporary, 0);
        return error_wrap(error, "%s was not changed", path);
    }
    return flush(directory, path, error);
}

static int put_new(int directory, const char *temporary, const char *name, const char *path,
                   struct pullkey_error *error)
{
    if (renameat2(directory, temporary, directory, name, RENAME_NOREPLACE) == 0)
        return 0;
    return errno == EEXIST ? made_meanwhile(path, error)
                           : error_errno(error, errno, "cannot make %s", path);
}

/* A directory that another process left, with its one file. */
static void remove_directory(int above, const char *name, const char *file)
{
    cleanup_fd int fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd >= 0)
        (void)unlinkat(fd, file, 0);
    (void)unlinkat(above, name, AT_REMOVEDIR);
}

/* A directory without its file would hide `_default` from containerd, so both appear at once. */
static int create_in_new_directory(const char *directory_path, const char *name, const char *path,
                                   const struct migrate_file *file, struct pullkey_error *error)
{
    cleanup_fd int above = -1, fd = -1;
    char temporary[NAME_MAX + 1];
    const char *directory;
    int r;

    above = open_to_change(directory_path, &directory, temporary, error);
    if (above < 0)
        return above;
    remove_directory(above, temporary, name);
    if (mkdirat(above, temporary, 0700) < 0)
        return error_errno(error, errno, "cannot make %s", directory_path);
    fd = openat(above, temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchmod(fd, 0755) < 0)
        r = error_errno(error, errno, "cannot make %s", directory_path);
    else
        r = write_temporary(fd, name, path, &file->new, -1, NULL, error);
    if (r == 0)
        r = flush(fd, path, error);
    if (r == 0)
        r = put_new(above, temporary, directory, directory_path, error);
    if (r < 0) {
        remove_directory(above, temporary, name);
        return r;
    }
    return flush(above, path, error);
}

static int create_beside(const char *path, const struct migrate_file *file,
                         struct pullkey_error *error)
{
    cleanup_fd int directory = -1;
    char temporary[NAME_MAX + 1];
    const char *name;
    int r;

    directory = open_to_change(path, &name, temporary, error);
    if (directory < 0)
        return directory;
    r = write_temporary(directory, temporary, path, &file->new, -1, NULL, error);
    if (r == 0)
        r = put_new(directory, temporary, name, path, error);
    if (r < 0) {
        (void)unlinkat(directory, temporary, 0);
        return r;
    }
    return flush(directory, path, error);
}

/* Directories for everybody to read, as packages make them. */
static int make_above(const char *path, struct pullkey_error *error)
{
    char above[FILE_PATH_MAX];

    (void)snprintf(above, sizeof(above), "%s", path);
    for (char *slash = strchr(above + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(above, 0700) == 0) {
            if (chmod(above, 0755) < 0)
                return error_errno(error, errno, "cannot make %s", above);
        } else if (errno != EEXIST) {
            return error_errno(error, errno, "cannot make %s", above);
        }
        *slash = '/';
    }
    return 0;
}

int migrate_make_above(const struct node *node, const char *inner, struct pullkey_error *error)
{
    char path[FILE_PATH_MAX];
    int r = migrate_real_path(node, inner, path, error);

    return r < 0 ? r : make_above(path, error);
}

static int create(const char *path, const struct migrate_file *file, struct pullkey_error *error)
{
    char directory[FILE_PATH_MAX];
    const char *slash = strrchr(path, '/');
    int r;

    (void)snprintf(directory, sizeof(directory), "%.*s", (int)(slash - path), path);
    if (access(directory, F_OK) == 0)
        return create_beside(path, file, error);
    r = make_above(directory, error);
    return r < 0 ? r : create_in_new_directory(directory, slash + 1, path, file, error);
}

int migrate_write_file(const struct node *node, const struct migrate_file *file,
                       int (*check)(const char *path, struct pullkey_error *error),
                       struct pullkey_error *error)
{
    char path[FILE_PATH_MAX];
    int r = migrate_real_path(node, file->inner, path, error);

    if (r < 0)
        return r;
    return file->is_new ? create(path, file, error) : replace(path, file, check, error);
}

/* -- containerd -- */

const char *migrate_containerd(void)
{
    const char *program = NULL;

    for (int owner = 0; !program && owner < NODE_OWNER_MAX; owner++)
        program = node_containerd((enum node_owner)owner);
    return program;
}

int migrate_check_config(const char *path, struct pullkey_error *error)
{
    const char *const words[] = { "containerd", "--config", path, "config", "dump", NULL };
    const char *containerd = migrate_containerd();
    int r = containerd ? child_run(containerd, words, NULL, CHECK_MS, NULL, 0, error) : 0;

    if (r == -PULLKEY_INVALID)
        return error_set(error, PULLKEY_INVALID,
                         "%s config dump refuses the new text: nothing was changed by it",
                         containerd);
    return r < 0 ? error_wrap(error, "the new text was not checked") : 0;
}
