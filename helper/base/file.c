/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"
#include "clock.h"
#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#define OTHERS_MAY_WRITE (S_IWGRP | S_IWOTH)
#define OVERFLOW_UID 65534
#define WRITE_WAIT_MS 10000 /* for a reader that does not read */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

#define cleanup_fd __attribute__((cleanup(close_fd)))

/*
 * In a user namespace that does not map every owner, root's files show the overflow owner. Rootless
 * podman and buildah run helpers in one that has an owner of that number too; it is one of the
 * user's own subordinate numbers there, and cannot be told from root.
 */
static bool in_partial_namespace(void)
{
    unsigned int inside, outside, count;
    FILE *map = fopen("/proc/self/uid_map", "re");
    int fields;

    if (!map)
        return false;
    fields = fscanf(map, "%u %u %u", &inside, &outside, &count);
    (void)fclose(map);
    return fields == 3 && !(inside == 0 && outside == 0 && count == 4294967295U);
}

static uid_t changed_caller;
static bool caller_has_changed;

/* The kernel has told it at the start, so there is no need to ask. */
uid_t file_caller(void)
{
    return caller_has_changed ? changed_caller : (uid_t)getauxval(AT_EUID);
}

void file_caller_changed(void)
{
    changed_caller = geteuid();
    caller_has_changed = true;
}

bool file_caller_is_root(void)
{
    return file_caller() == 0 && !in_partial_namespace();
}

bool file_is_trusted_owner(uid_t owner)
{
    if (owner == 0 || owner == file_caller())
        return true;
    return owner == OVERFLOW_UID && in_partial_namespace();
}

static int check_ours(const struct stat *status, const char *path, unsigned int flags,
                      struct pullkey_error *error)
{
    if (!file_is_trusted_owner(status->st_uid))
        return error_set(error, PULLKEY_DENIED,
                         "%s belongs to user %u: it must belong to you or to root", path,
                         (unsigned int)status->st_uid);
    /* None: it was replaced after it was opened, and is the whole old file. */
    if (!(flags & FILE_LINKED) && status->st_nlink > 1)
        return error_set(error, PULLKEY_DENIED, "%s has %u names: remove its hard links", path,
                         (unsigned int)status->st_nlink);
    if ((flags & FILE_PRIVATE) && (status->st_mode & 077))
        return error_set(error, PULLKEY_DENIED,
                         "%s has mode %04o and others may use it: run chmod 0400 on it", path,
                         (unsigned int)status->st_mode & 07777);
    if (status->st_mode & OTHERS_MAY_WRITE)
        return error_set(error, PULLKEY_DENIED,
                         "%s has mode %04o and others may write to it: run chmod go-w on it", path,
                         (unsigned int)status->st_mode & 07777);
    return 0;
}

static int check_open_file(int fd, const char *path, enum file_trust trust, unsigned int flags,
                           struct stat *ret_status, struct pullkey_error *error)
{
    if (fstat(fd, ret_status) < 0)
        return error_errno(error, errno, "cannot examine %s", path);
    if (!S_ISREG(ret_status->st_mode))
        return error_set(error, PULLKEY_DENIED, "%s is not a regular file", path);
    if (trust == FILE_GIVEN)
        return 0;
    return check_ours(ret_status, path, trust == FILE_INPUT ? flags | FILE_LINKED : flags, error);
}

static int read_open_file(int fd, const char *path, enum file_trust trust, unsigned int flags,
                          struct buffer *buffer, mode_t *ret_mode, struct pullkey_error *error)
{
    struct stat status;
    int r = check_open_file(fd, path, trust, flags, &status, error);

    if (r < 0)
        return r;
    r = buffer_read_file(buffer, fd, (size_t)status.st_size, error);
    if (r < 0)
        return error_wrap(error, "%s", path);
    if (ret_mode)
        *ret_mode = status.st_mode & 07777;
    return 0;
}

static int open_error(struct pullkey_error *error, int errnum, const char *path)
{
    if (errnum == ELOOP)
        return error_set(error, PULLKEY_DENIED, "%s is a symbolic link: put the file itself there",
                         path);
    if (errnum == ENOTDIR)
        errnum = ENOENT;
    return error_errno(error, errnum, "cannot open %s", path);
}

int file_read_at(const struct file_directory *directory, const char *name, const char *path,
                 unsigned int flags, struct buffer *buffer, mode_t *ret_mode,
                 struct pullkey_error *error)
{
    cleanup_fd int fd =
        openat(directory->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0)
        return open_error(error, errno, path);
    return read_open_file(fd, path, FILE_OURS, flags, buffer, ret_mode, error);
}

/* Splits into directory and last component. The directory of "name" is ".", of "/name" is "/". */
static int split(const char *path, char *ret_directory, const char **ret_name,
                 struct pullkey_error *error)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t length = slash ? (size_t)(slash - path) : 0;

    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return error_set(error, PULLKEY_INVALID, "%s does not name a file", path);
    if (length >= FILE_PATH_MAX)
        return error_set(error, PULLKEY_INVALID, "a path is longer than %d bytes",
                         FILE_PATH_MAX - 1);
    if (!slash)
        memcpy(ret_directory, ".", 2);
    else if (length == 0)
        memcpy(ret_directory, "/", 2);
    else
        memcpy(mempcpy(ret_directory, path, length), "", 1);
    *ret_name = name;
    return 0;
}

int file_directory_open(const char *path, struct file_directory *ret, struct pullkey_error *error)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 && errno == ENOTDIR && lstat(path, &status) == 0)
        return error_set(error, PULLKEY_DENIED, "%s is not a directory", path);
    if (fd < 0)
        return error_errno(error, errno == ENOTDIR ? ENOENT : errno, "cannot open %s", path);
    if (fstat(fd, &status) < 0) {
        (void)error_errno(error, errno, "cannot examine %s", path);
        goto fail;
    }
    if (!file_is_trusted_owner(status.st_uid)) {
        (void)error_set(error, PULLKEY_DENIED,
                        "%s belongs to user %u: it must belong to you or to root", path,
                        (unsigned int)status.st_uid);
        goto fail;
    }
    if (status.st_mode & OTHERS_MAY_WRITE) {
        (void)error_set(error, PULLKEY_DENIED, "others may write to the directory %s: %s", path,
                        status.st_mode & S_ISVTX ? "choose another directory"
                                                 : "run chmod go-w on it");
        goto fail;
    }
    ret->fd = fd;
    return 0;

fail:
    (void)close(fd);
    return -(int)error->code;
}

void file_directory_done(struct file_directory *directory)
{
    if (directory->fd >= 0)
        (void)close(directory->fd);
    directory->fd = -1;
}

int file_read(const char *path, enum file_trust trust, unsigned int flags, struct buffer *buffer,
              mode_t *ret_mode, struct pullkey_error *error)
{
    cleanup_directory struct file_directory directory = { -1 };
    char directory_path[FILE_PATH_MAX];
    const char *name;
    int r;

    if (trust != FILE_OURS) {
        cleanup_fd int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

        if (fd < 0)
            return open_error(error, errno, path);
        return read_open_file(fd, path, trust, flags, buffer, ret_mode, error);
    }
    r = split(path, directory_path, &name, error);
    if (r < 0)
        return r;
    r = file_directory_open(directory_path, &directory, error);
    if (r < 0)
        return r;
    return file_read_at(&directory, name, path, flags, buffer, ret_mode, error);
}

int file_check(const char *path, unsigned int flags, struct pullkey_error *error)
{
    cleanup_directory struct file_directory directory = { -1 };
    cleanup_fd int fd = -1;
    char directory_path[FILE_PATH_MAX];
    struct stat status;
    const char *name;
    int r = split(path, directory_path, &name, error);

    if (r == 0)
        r = file_directory_open(directory_path, &directory, error);
    if (r < 0)
        return r;
    fd = openat(directory.fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return open_error(error, errno, path);
    return check_open_file(fd, path, FILE_OURS, flags, &status, error);
}

int file_write_all(int fd, const char *bytes, size_t length, struct pullkey_error *error)
{
    while (length > 0) {
        ssize_t written = write(fd, bytes, length);

        if (written < 0 && errno == EINTR)
            continue;
        /* Somebody may have made the pipe non-blocking: half an answer is none. */
        if (written < 0 && errno == EAGAIN &&
            clock_poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1,
                       clock_monotonic_ms() + WRITE_WAIT_MS) > 0)
            continue;
        if (written < 0)
            return error_errno(error, errno, "cannot write");
        bytes += written;
        length -= (size_t)written;
    }
    return 0;
}

int file_directory_flush(const struct file_directory *directory, const char *path,
                         struct pullkey_error *error)
{
    /* Some file systems cannot flush a directory, and say so in one of these ways. */
    if (fsync(directory->fd) < 0 && errno != EINVAL && errno != EOPNOTSUPP)
        return error_errno(error, errno, "%s is written, but its directory cannot be flushed",
                           path);
    return 0;
}

static int write_temporary(int directory, const char *name, const char *bytes, size_t length,
                           mode_t mode, struct pullkey_error *error)
{
    cleanup_fd int fd = -1;
    int r;

    /* Left behind by a process that was killed; the lock says that nobody writes it now. */
    if (unlinkat(directory, name, 0) < 0 && errno != ENOENT)
        return error_errno(error, errno, "cannot remove %s", name);
    fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(error, errno, "cannot make %s", name);
    r = file_write_all(fd, bytes, length, error);
    if (r < 0)
        return r;
    if (mode != 0600 && fchmod(fd, mode) < 0)
        return error_errno(error, errno, "cannot set the mode of %s", name);
    if (fsync(fd) < 0)
        return error_errno(error, errno, "cannot write %s to the disk", name);
    return 0;
}

static int replace(const char *path, const char *suffix, const struct file_state *before,
                   const char *bytes, size_t length, mode_t mode, void (*ready)(void *context),
                   void *context, struct pullkey_error *error)
{
    cleanup_directory struct file_directory directory = { -1 };
    char directory_path[FILE_PATH_MAX];
    char temporary[NAME_MAX + 1];
    struct file_state now;
    const char *name;
    int r;

    r = split(path, directory_path, &name, error);
    if (r < 0)
        return r;
    if (snprintf(temporary, sizeof(temporary), "%s%s", name, suffix) >= (int)sizeof(temporary))
        return error_set(error, PULLKEY_INVALID, "%s: the file name is too long", path);
    r = file_directory_open(directory_path, &directory, error);
    if (r < 0)
        return r;
    r = write_temporary(directory.fd, temporary, bytes, length, mode, error);
    if (r == 0 && ready)
        ready(context);
    if (r == 0 && before) {
        file_state(path, &now);
        if (memcmp(before, &now, sizeof(now)) != 0)
            r = error_set(error, PULLKEY_UNREACHABLE, "another program has just written it");
    }
    if (r == 0 && renameat(directory.fd, temporary, directory.fd, name) < 0)
        r = error_errno(error, errno, "cannot rename %s", temporary);
    if (r < 0) {
        (void)unlinkat(directory.fd, temporary, 0);
        return error_wrap(error, "%s was not changed", path);
    }
    return file_directory_flush(&directory, path, error);
}

int file_replace(const char *path, const char *bytes, size_t length, mode_t mode,
                 struct pullkey_error *error)
{
    return replace(path, ".tmp", NULL, bytes, length, mode, NULL, NULL, error);
}

int file_replace_by(const char *path, const char *suffix, const struct file_state *before,
                    const char *bytes, size_t length, mode_t mode, struct pullkey_error *error)
{
    return replace(path, suffix, before, bytes, length, mode, NULL, NULL, error);
}

int file_replace_ready(const char *path, const char *bytes, size_t length, mode_t mode,
                       void (*ready)(void *context), void *context, struct pullkey_error *error)
{
    return replace(path, ".tmp", NULL, bytes, length, mode, ready, context, error);
}

int file_check_directory(const char *path, struct pullkey_error *error)
{
    cleanup_directory struct file_directory directory = { -1 };
    char directory_path[FILE_PATH_MAX];
    const char *name;
    int r = split(path, directory_path, &name, error);

    return r < 0 ? r : file_directory_open(directory_path, &directory, error);
}

/* `owner` is that of the directory above, and then of this one. */
static int make_directory(const char *path, mode_t mode, uid_t *owner, struct pullkey_error *error)
{
    struct stat status;

    if (stat(path, &status) == 0) {
        *owner = status.st_uid;
        return 0;
    }
    /* A directory of root's in somebody else's home would shut that user out. */
    if (!file_is_trusted_owner(*owner))
        return error_set(
            error, PULLKEY_DENIED,
            "%s is not made: the directory above it belongs to user %u, and must belong "
            "to you or to root",
            path, (unsigned int)*owner);
    if (mkdir(path, 0700) < 0) {
        if (errno != EEXIST)
            return error_errno(error, errno, "cannot make the directory %s", path);
    } else if (mode != 0700 && chmod(path, mode) < 0) {
        return error_errno(error, errno, "cannot set the mode of %s", path);
    }
    *owner = file_caller();
    return 0;
}

int file_make_parents(const char *path, struct pullkey_error *error)
{
    return file_make_parents_with(path, 0700, error);
}

int file_make_parents_with(const char *path, mode_t mode, struct pullkey_error *error)
{
    char directory[FILE_PATH_MAX];
    const char *name;
    struct stat status;
    int r = split(path, directory, &name, error);

    if (r < 0 || access(directory, F_OK) == 0)
        return r;
    if (stat(directory[0] == '/' ? "/" : ".", &status) < 0)
        return error_errno(error, errno, "cannot examine the directory above %s", path);
    for (char *slash = strchr(directory + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        r = make_directory(directory, mode, &status.st_uid, error);
        *slash = '/';
        if (r < 0)
            return r;
    }
    return make_directory(directory, mode, &status.st_uid, error);
}

int file_join(char *ret, const char *directory, const char *name, struct pullkey_error *error)
{
    int length = snprintf(ret, FILE_PATH_MAX, "%s/%s", directory, name);

    if (length < 0 || length >= FILE_PATH_MAX)
        return error_set(error, PULLKEY_INVALID, "a path is longer than %d bytes",
                         FILE_PATH_MAX - 1);
    return 0;
}
