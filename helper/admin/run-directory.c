/* SPDX-License-Identifier: Apache-2.0 */
#include "run-directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"

#define RANDOM_BYTES 16
#define DEPTH_LIMIT 100 /* directories within each other; each takes a descriptor */
#define TRIES 3         /* for a directory that something still writes to */
#define SWEEP_LOOK_MAX 512
#define SWEEP_AGE_SECONDS 60 /* one that is being made has no lock yet */

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

#define cleanup_fd __attribute__((cleanup(close_fd)))

static bool is_memory(int fd)
{
    struct statfs status;

    return fstatfs(fd, &status) == 0 &&
           (status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC);
}

/* What is open must be in memory, and things can be made there. */
static int check_place(int fd, const char *path, struct pullkey_error *error)
{
    if (!is_memory(fd))
        return error_set(error, PULLKEY_UNSUPPORTED, "%s is not in memory (tmpfs)", path);
    if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
        return error_errno(error, errno, "cannot write to %s", path);
    return 0;
}

/* A directory named pullkey, made where it is missing, in one that is in memory itself. */
static int open_own(const char *parent, const char *path, int *ret, struct pullkey_error *error)
{
    cleanup_directory struct file_directory above = { -1 }, own = { -1 };
    int r;

    if (access(path, F_OK) < 0) {
        r = file_directory_open(parent, &above, error);
        if (r == 0)
            r = check_place(above.fd, parent, error);
        if (r < 0)
            return r;
        if (mkdirat(above.fd, strrchr(path, '/') + 1, 0700) < 0 && errno != EEXIST)
            return error_errno(error, errno, "cannot make %s", path);
    }
    r = file_directory_open(path, &own, error);
    if (r == 0)
        r = check_place(own.fd, path, error);
    if (r < 0)
        return r;
    *ret = own.fd;
    own.fd = -1;
    return 0;
}

static int open_runtime(char *path, int *ret, struct pullkey_error *error)
{
    char parent[FILE_PATH_MAX];
    int r = file_place(FILE_RUNTIME_HOME, path, error);

    if (r < 0)
        return r;
    memcpy(mempcpy(parent, path, (size_t)(strrchr(path, '/') - path)), "", 1);
    return open_own(parent, path, ret, error);
}

static int open_system(char *path, int *ret, struct pullkey_error *error)
{
    static const char place[] = "/run/pullkey";

    memcpy(path, place, sizeof(place));
    return open_own("/run", place, ret, error);
}

/* Everybody may write there, so it must be sticky: nobody else can remove or rename what is ours.
 */
static int open_shared(char *path, int *ret, struct pullkey_error *error)
{
    static const char place[] = "/dev/shm";
    struct stat status;
    int fd, r;

    memcpy(path, place, sizeof(place));
    fd = open(place, OPEN_DIRECTORY | O_NOFOLLOW);
    if (fd < 0)
        return error_errno(error, errno, "cannot open %s", place);
    r = check_place(fd, place, error);
    if (r == 0 && (fstat(fd, &status) < 0 ||
                   ((status.st_mode & (S_IWGRP | S_IWOTH)) && !(status.st_mode & S_ISVTX))))
        r = error_set(error, PULLKEY_DENIED, "%s is not sticky", place);
    if (r < 0)
        (void)close(fd);
    else
        *ret = fd;
    return r;
}

static const char *prefix_of(const char *path)
{
    return strcmp(path, "/dev/shm") == 0 ? "pullkey-run-" : "run-";
}

static int choose_name(const char *place, struct run_directory *directory,
                       struct pullkey_error *error)
{
    unsigned char bytes[RANDOM_BYTES];
    int length = snprintf(directory->name, sizeof(directory->name), "%s", prefix_of(place));
    int r = random_fill(bytes, sizeof(bytes), error);

    if (r < 0)
        return r;
    for (size_t i = 0; i < sizeof(bytes); i++)
        length += snprintf(directory->name + length, sizeof(directory->name) - (size_t)length,
                           "%02x", bytes[i]);
    return file_join(directory->path, place, directory->name, error);
}

int run_directory_choose(struct run_directory *ret, struct pullkey_error *error)
{
    static int (*const places[])(char *, int *, struct pullkey_error *) = {
        open_runtime,
        open_system,
        open_shared,
    };
    cleanup_buffer struct buffer reasons = BUFFER_INIT(PULLKEY_ERROR_SIZE);
    char path[FILE_PATH_MAX];

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (places[i] == open_system && file_caller() != 0)
            continue;
        if (places[i](path, &ret->base, error) == 0)
            return choose_name(path, ret, error);
        buffer_printf(&reasons, "%s%s", reasons.length > 0 ? "; " : "", error->message);
    }
    return error_set(error, PULLKEY_UNSUPPORTED,
                     "there is no place in memory for the credentials, and none is written to a "
                     "disk: %s",
                     reasons.data ? reasons.data : "");
}

int run_directory_make(struct run_directory *directory, struct pullkey_error *error)
{
    struct stat status;

    if (mkdirat(directory->base, directory->name, 0700) < 0)
        return error_errno(error, errno, "cannot make %s", directory->path);
    directory->fd = openat(directory->base, directory->name, OPEN_DIRECTORY | O_NOFOLLOW);
    if (directory->fd < 0)
        return error_errno(error, errno, "cannot open %s", directory->path);
    if (fstat(directory->fd, &status) < 0 || status.st_uid != geteuid() ||
        (status.st_mode & 0777) != 0700)
        return error_set(error, PULLKEY_DENIED, "%s was replaced", directory->path);
    if (!is_memory(directory->fd))
        return error_set(error, PULLKEY_DENIED, "%s is not in memory (tmpfs)", directory->path);
    if (flock(directory->fd, LOCK_EX | LOCK_NB) < 0)
        return error_errno(error, errno, "cannot lock %s", directory->path);
    return 0;
}

void run_directory_open(struct run_directory *directory)
{
    if (directory->fd < 0)
        directory->fd = openat(directory->base, directory->name, OPEN_DIRECTORY | O_NOFOLLOW);
}

int run_directory_write(const struct run_directory *directory, const char *name,
                        const struct buffer *content, struct pullkey_error *error)
{
    cleanup_fd int fd =
        openat(directory->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int r = fd < 0 ? error_errno(error, errno, "cannot make it") : 0;

    if (r == 0)
        r = file_write_all(fd, content->data, content->length, error);
    return r < 0 ? error_wrap(error, "%s/%s", directory->path, name) : 0;
}

/* Of a tree that is being removed. */
struct removal {
    dev_t device;
    int failure; /* errno of the first thing that stays, or 0 */
};

static void note_failure(struct removal *removal, int errnum)
{
    if (removal->failure == 0 && errnum != ENOENT)
        removal->failure = errnum;
}

static void empty_directory(int fd, struct removal *removal, unsigned int depth);

/* What the name leads to is opened only if it is a directory itself. */
static void remove_entry(int parent, const char *name, struct removal *removal, unsigned int depth)
{
    struct stat status;

    if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
        note_failure(removal, errno);
        return;
    }
    if (S_ISDIR(status.st_mode)) {
        cleanup_fd int fd = -1;

        if (status.st_dev != removal->device) {
            note_failure(removal, EBUSY);
            return;
        }
        fd = openat(parent, name, OPEN_DIRECTORY | O_NOFOLLOW);
        /* One that its owner cannot enter either. */
        if (fd < 0 && errno == EACCES && fchmodat(parent, name, 0700, AT_SYMLINK_NOFOLLOW) == 0)
            fd = openat(parent, name, OPEN_DIRECTORY | O_NOFOLLOW);
        if (fd >= 0)
            empty_directory(fd, removal, depth + 1);
    }
    if (unlinkat(parent, name, S_ISDIR(status.st_mode) ? AT_REMOVEDIR : 0) < 0)
        note_failure(removal, errno);
}

static void empty_directory(int fd, struct removal *removal, unsigned int depth)
{
    struct dirent *item;
    struct stat status;
    int own;
    DIR *list;

    if (depth > DEPTH_LIMIT || fstat(fd, &status) < 0 || status.st_dev != removal->device)
        return;
    (void)fchmod(fd, 0700);
    own = openat(fd, ".", OPEN_DIRECTORY);
    list = own < 0 ? NULL : fdopendir(own);
    if (!list && own >= 0)
        (void)close(own);
    while (list && (item = readdir(list)))
        if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0)
            remove_entry(fd, item->d_name, removal, depth);
    if (list)
        (void)closedir(list);
}

static void remove_all(const struct run_directory *directory, struct removal *removal)
{
    struct stat status;

    removal->failure = 0;
    if (fstat(directory->base, &status) < 0) {
        removal->failure = errno;
        return;
    }
    removal->device = status.st_dev;
    /* Whatever its name is now. */
    if (directory->fd >= 0)
        empty_directory(directory->fd, removal, 0);
    removal->failure = 0;
    remove_entry(directory->base, directory->name, removal, 0);
}

int run_directory_remove(const struct run_directory *directory, struct pullkey_error *error)
{
    struct removal removal = { 0 };

    for (int i = 0; i < TRIES; i++) {
        remove_all(directory, &removal);
        if (removal.failure == 0)
            return 0;
    }
    return error_errno(error, removal.failure, "cannot remove %s, which holds credentials",
                       directory->path);
}

void run_directory_done(struct run_directory *directory)
{
    close_fd(&directory->fd);
    close_fd(&directory->base);
}

static bool is_left_behind(const struct run_directory *left, const struct stat *status)
{
    return S_ISDIR(status->st_mode) && status->st_uid == geteuid() &&
           status->st_mtim.tv_sec < clock_wall_seconds() - SWEEP_AGE_SECONDS && left->fd >= 0 &&
           flock(left->fd, LOCK_EX | LOCK_NB) == 0;
}

static void sweep_one(int base, const char *name)
{
    struct run_directory left = { .base = base, .fd = -1 };
    struct pullkey_error ignored;
    struct stat status;

    (void)snprintf(left.name, sizeof(left.name), "%s", name);
    if (fstatat(base, name, &status, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(status.st_mode))
        return;
    run_directory_open(&left);
    if (is_left_behind(&left, &status))
        (void)run_directory_remove(&left, &ignored);
    close_fd(&left.fd);
}

void run_directory_sweep(const struct run_directory *directory)
{
    size_t length = strlen(directory->name), prefix = length - 2 * RANDOM_BYTES;
    int fd = openat(directory->base, ".", OPEN_DIRECTORY);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *item;

    if (!list && fd >= 0)
        (void)close(fd);
    for (unsigned int i = 0; list && i < SWEEP_LOOK_MAX && (item = readdir(list)); i++)
        if (strlen(item->d_name) == length && strncmp(item->d_name, directory->name, prefix) == 0)
            sweep_one(directory->base, item->d_name);
    if (list)
        (void)closedir(list);
}
