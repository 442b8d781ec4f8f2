/* SPDX-License-Identifier: Apache-2.0 */
#include "cache-file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/secret.h"

#define SYSTEM_PLACE "/run/pullkey/cache"
#define SWEEP_REMOVE_MAX 32 /* outcomes */
#define IDLE_SECONDS                                                                               \
    (24 * 3600) /* a lock without an outcome, or a count of drops, is kept for so long */

int cache_directory(bool system, char *ret, struct pullkey_error *error)
{
    const char *named = secure_getenv("PULLKEY_CACHE_DIR");
    char runtime[FILE_PATH_MAX];
    int r;

    if (named && named[0] != '\0') {
        if (named[0] != '/')
            return error_set(error, PULLKEY_INVALID, "PULLKEY_CACHE_DIR is not an absolute path");
        r = snprintf(ret, FILE_PATH_MAX, "%s", named);
        return r < FILE_PATH_MAX
                   ? 0
                   : error_set(error, PULLKEY_INVALID, "PULLKEY_CACHE_DIR is too long");
    }
    if (system) {
        memcpy(ret, SYSTEM_PLACE, sizeof(SYSTEM_PLACE));
        return 0;
    }
    r = file_place(FILE_RUNTIME_HOME, runtime, error);
    return r < 0 ? r : file_join(ret, runtime, "cache", error);
}

/*
 * Makes a directory where its parent is the caller's or root's and others cannot replace what is in
 * it: a directory of root's left in somebody else's place would shut its owner out.
 */
static bool make_directory(const char *path)
{
    char parent[FILE_PATH_MAX];
    const char *slash = strrchr(path, '/');
    struct stat status;

    if (slash == path)
        return false;
    memcpy(mempcpy(parent, path, (size_t)(slash - path)), "", 1);
    if (stat(parent, &status) < 0 || (status.st_uid != file_caller() && status.st_uid != 0))
        return false;
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) && !(status.st_mode & S_ISVTX))
        return false;
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

/* The last directory and the one above it; anything further up must be there. */
static bool make_place(const char *path)
{
    char parent[FILE_PATH_MAX];
    const char *slash = strrchr(path, '/');

    if (slash == path)
        return false;
    memcpy(mempcpy(parent, path, (size_t)(slash - path)), "", 1);
    if (access(parent, F_OK) < 0 && !make_directory(parent))
        return false;
    return make_directory(path);
}

static int open_place(const char *path, uid_t owner, bool make, int64_t *ret_changed,
                      struct pullkey_error *error)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    struct stat status;
    int fd = open(path, flags);

    if (fd < 0 && errno == ENOENT) {
        if (!make || !make_place(path))
            return error_set(error, PULLKEY_NOT_FOUND, "%s cannot be made", path);
        fd = open(path, flags);
    }
    if (fd < 0)
        return error_errno(error, errno, "cannot open %s", path);
    if (fstat(fd, &status) < 0 || status.st_uid != owner || (status.st_mode & 0777) != 0700) {
        (void)close(fd);
        return error_set(error, PULLKEY_DENIED,
                         "%s is not a directory of the caller's with mode 0700", path);
    }
    *ret_changed = status.st_mtim.tv_sec;
    return fd;
}

/* *ret_why says why *ret is NULL; what is returned is that memory ran out. */
static int open_cache(bool system, bool make, struct cache **ret, int *ret_why,
                      struct pullkey_error *error)
{
    struct cache *cache = secret_alloc(sizeof(*cache));
    int r;

    if (!cache)
        return error_memory(error);
    cache->owner = file_caller();
    r = cache_directory(system, cache->path, error);
    if (r == 0)
        r = cache->fd = open_place(cache->path, cache->owner, make, &cache->changed, error);
    if (r < 0)
        secret_release(cache);
    *ret = r < 0 ? NULL : cache;
    *ret_why = r < 0 ? r : 0;
    return 0;
}

int cache_open(bool system, struct cache **ret, struct pullkey_error *error)
{
    int why = 0;
    int r = open_cache(system, true, ret, &why, error);

    if (why < 0)
        log_line("cache", "nothing is cached: %s", error->message);
    return r;
}

int cache_look(bool system, struct cache **ret, struct pullkey_error *error)
{
    int why = 0;
    int r = open_cache(system, false, ret, &why, error);

    return r < 0 || why == -PULLKEY_NOT_FOUND ? r : why;
}

void cache_close(struct cache **cache)
{
    if (*cache)
        (void)close((*cache)->fd);
    secret_release(*cache);
    *cache = NULL;
}

/* A stream of its own: the position in a directory belongs to the open file. */
static DIR *open_list(const struct cache *cache)
{
    int fd = openat(cache->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);

    if (!list && fd >= 0)
        (void)close(fd);
    return list;
}

static bool ends_in(const char *name, const char *end)
{
    size_t length = strlen(name), end_length = strlen(end);

    return length >= end_length && memcmp(name + length - end_length, end, end_length) == 0;
}

int64_t cache_drops(const struct cache *cache, const struct cache_slot *slot)
{
    struct stat status;

    return fstatat(cache->fd, slot->drops, &status, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : status.st_size;
}

static int count_drop(const struct cache *cache, const char *hash, struct pullkey_error *error)
{
    char name[HASH_TEXT_SIZE + 6];
    int fd, r;

    (void)snprintf(name, sizeof(name), "%s.drops", hash);
    fd = openat(cache->fd, name,
                O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    r = fd < 0 ? error_errno(error, errno, "cannot open %s/%s", cache->path, name)
               : file_write_all(fd, ".", 1, error);
    if (fd >= 0)
        (void)close(fd);
    return r < 0 ? error_wrap(error, "a token that is being fetched now may be kept") : 0;
}

/* What a file of the cache belongs to: the hash of a registry, which its name begins with. */
static bool find_owner(const char *name, char ret[HASH_TEXT_SIZE])
{
    if (strlen(name) < HASH_TEXT_SIZE || name[HASH_TEXT_SIZE - 1] != '-')
        return false;
    memcpy(mempcpy(ret, name, HASH_TEXT_SIZE - 1), "", 1);
    return true;
}

int cache_drop(struct cache *cache, const char *registry, struct pullkey_error *error)
{
    char hash[HASH_TEXT_SIZE], owner[HASH_TEXT_SIZE];
    struct dirent *item;
    DIR *list;
    int r = 0;

    if (!cache)
        return 0;
    /* First, so that a process that is fetching now either finds its token counted out, or has it
     * removed below. */
    if (registry) {
        hash_text(registry, strlen(registry), hash);
        r = count_drop(cache, hash, error);
    }
    list = open_list(cache);
    if (!list)
        return error_errno(error, errno, "cannot list %s", cache->path);
    for (;;) {
        errno = 0;
        item = readdir(list);
        if (!item)
            break;
        if (!find_owner(item->d_name, owner) || (registry && strcmp(owner, hash) != 0))
            continue;
        /* There is a lock for each token, also for one that is being fetched. */
        if (ends_in(item->d_name, ".lock")) {
            if (!registry && count_drop(cache, owner, error) < 0)
                r = -(int)error->code;
            continue;
        }
        if (unlinkat(cache->fd, item->d_name, 0) < 0 && errno != ENOENT)
            r = error_errno(error, errno, "cannot remove %s/%s", cache->path, item->d_name);
    }
    if (errno != 0)
        r = error_errno(error, errno, "cannot list %s", cache->path);
    (void)closedir(list);
    return r;
}

int cache_each(const struct cache *cache, cache_visit *visit, void *context,
               struct pullkey_error *error)
{
    struct dirent *item;
    DIR *list = cache ? open_list(cache) : NULL;
    int r = 0;

    if (cache && !list)
        return error_errno(error, errno, "cannot list %s", cache->path);
    while (list && r == 0 && (item = readdir(list))) {
        cleanup_entry struct cache_entry entry = { 0 };
        cleanup_json struct json key = { 0 };
        struct cache_slot slot;
        size_t size;

        if (strlen(item->d_name) == CACHE_NAME_SIZE - 1 &&
            cache_entry_read_any(cache, item->d_name, &key, &slot, &entry, &size))
            r = visit(context, slot.parts, &entry, size, error);
    }
    if (list)
        (void)closedir(list);
    return r;
}

/* Half an outcome, of a process that was killed or is still writing, with the lock held. */
static bool has_half(const struct cache *cache, const char *temporary)
{
    struct stat status;

    return fstatat(cache->fd, temporary, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

/* True if the outcome of this lock is past its end, or if there is none and the lock was made long
 * ago. */
static bool is_idle(const struct cache *cache, const char *entry, const char *lock_name)
{
    const int64_t now = clock_wall_seconds();
    struct stat status;

    if (fstatat(cache->fd, entry, &status, AT_SYMLINK_NOFOLLOW) == 0)
        return status.st_mtim.tv_sec <= now;
    return fstatat(cache->fd, lock_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           status.st_mtim.tv_sec < now - IDLE_SECONDS;
}

/* With the lock held, which goes with its outcome: whoever waits for it sees that it is gone and
 * makes a new one. */
static bool sweep_one(const struct cache *cache, const char *lock_name)
{
    cleanup_lock struct lock lock = LOCK_INIT;
    struct pullkey_error ignored;
    char entry[CACHE_NAME_SIZE], temporary[CACHE_NAME_SIZE + 4];
    char lock_path[FILE_PATH_MAX];

    (void)snprintf(entry, sizeof(entry), "%s", lock_name);
    (void)snprintf(temporary, sizeof(temporary), "%s.tmp", entry);
    if ((!has_half(cache, temporary) && !is_idle(cache, entry, lock_name)) ||
        file_join(lock_path, cache->path, lock_name, &ignored) < 0 ||
        lock_take(lock_path, INT64_MIN, &lock, &ignored) < 0)
        return false;
    (void)unlinkat(cache->fd, temporary, 0);
    if (!is_idle(cache, entry, lock_name))
        return false;
    (void)unlinkat(cache->fd, entry, 0);
    (void)unlinkat(cache->fd, lock_name, 0);
    return true;
}

static bool sweep_drops(const struct cache *cache, const char *name)
{
    struct stat status;

    return fstatat(cache->fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           status.st_mtim.tv_sec < clock_wall_seconds() - IDLE_SECONDS &&
           unlinkat(cache->fd, name, 0) == 0;
}

/* No clock makes such a fraction of a second by chance. */
#define UNWRITTEN_NANOSECONDS 123456789

void cache_mark_unwritten(const struct cache_slot *slot)
{
    const struct timespec now = { clock_wall_seconds(), UNWRITTEN_NANOSECONDS };
    const struct timespec times[2] = { now, now };

    if (utimensat(AT_FDCWD, slot->lock_path, times, AT_SYMLINK_NOFOLLOW) < 0)
        log_line("cache", "cannot set the time of %s", slot->lock_path);
}

bool cache_is_unwritten(const struct cache_slot *slot, int64_t since)
{
    struct stat status;

    return lstat(slot->lock_path, &status) == 0 &&
           status.st_mtim.tv_nsec == UNWRITTEN_NANOSECONDS && status.st_mtim.tv_sec >= since;
}

bool cache_sweep(const struct cache *cache)
{
    unsigned int removed = 0;
    struct dirent *item;
    DIR *list = open_list(cache);

    while (list && removed < SWEEP_REMOVE_MAX && (item = readdir(list))) {
        if (strlen(item->d_name) == CACHE_NAME_SIZE - 1 + 5 && ends_in(item->d_name, ".lock"))
            removed += sweep_one(cache, item->d_name);
        else if (strlen(item->d_name) == HASH_TEXT_SIZE - 1 + 6 && ends_in(item->d_name, ".drops"))
            removed += sweep_drops(cache, item->d_name);
    }
    if (list)
        (void)closedir(list);
    return removed < SWEEP_REMOVE_MAX;
}

void cache_sweep_sometimes(struct cache *cache)
{
    const int64_t now = clock_wall_seconds();
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = now } };

    /* What was written since then is not past its end, or not for long. */
    if (cache->changed <= now && now < cache->changed + CACHE_COALESCE_MAX)
        return;
    if (!cache_sweep(cache))
        return;
    /* All processes go by the directory's time, as nothing else costs nothing. */
    cache->changed = now;
    if (futimens(cache->fd, times) < 0)
        log_line("cache", "cannot set the time of %s", cache->path);
}
