/* SPDX-License-Identifier: Apache-2.0 */
#include "key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/random.h"
#include "base/secret.h"

int key_read(const char *path, struct pullkey_secret *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer buffer = BUFFER_INIT(PULLKEY_CODEC_KEY_SIZE);
    int r = file_read(path, FILE_OURS, FILE_PRIVATE, &buffer, NULL, error);

    if (r == -PULLKEY_INVALID || (r == 0 && buffer.length != PULLKEY_CODEC_KEY_SIZE))
        return error_set(error, PULLKEY_INVALID, "%s is not a key: a key has exactly %d bytes",
                         path, PULLKEY_CODEC_KEY_SIZE);
    if (r < 0)
        return r;
    return buffer_steal(&buffer, ret, error);
}

/*
 * A rename that fails with EEXIST, where the file system can do that; elsewhere the lock is what
 * prevents it.
 */
static int rename_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    return rename(from, to);
}

static int flush_directory_of(const char *path, struct pullkey_error *error)
{
    cleanup_directory struct file_directory directory = { -1 };
    char directory_path[FILE_PATH_MAX];
    size_t length = (size_t)(strrchr(path, '/') - path);
    int r;

    memcpy(mempcpy(directory_path, path, length), "/", 2);
    r = file_directory_open(directory_path, &directory, error);
    return r < 0 ? r : file_directory_flush(&directory, path, error);
}

int key_make(const char *path, struct pullkey_secret *ret, struct pullkey_error *error)
{
    cleanup_release char *bytes = secret_alloc(PULLKEY_CODEC_KEY_SIZE);
    int r;

    if (!bytes)
        return error_memory(error);
    r = random_fill(bytes, PULLKEY_CODEC_KEY_SIZE, error);
    if (r == 0)
        r = file_replace(path, bytes, PULLKEY_CODEC_KEY_SIZE, 0400, error);
    return r < 0 ? r : secret_set(ret, bytes, PULLKEY_CODEC_KEY_SIZE, error);
}

static int beside(const char *path, const char *suffix, char *ret, struct pullkey_error *error)
{
    if (snprintf(ret, FILE_PATH_MAX, "%s%s", path, suffix) >= FILE_PATH_MAX)
        return error_set(error, PULLKEY_INVALID, "%s: the path is too long", path);
    return 0;
}

int key_next(const char *path, char *ret, struct pullkey_error *error)
{
    return beside(path, ".next", ret, error);
}

int key_old(const char *path, unsigned int number, char *ret, struct pullkey_error *error)
{
    char suffix[24];

    (void)snprintf(suffix, sizeof(suffix), ".old-%u", number);
    return beside(path, suffix, ret, error);
}

int key_adopt(const char *next, const char *path, struct pullkey_error *error)
{
    if (rename(next, path) < 0)
        return error_errno(error, errno, "cannot rename %s", next);
    return flush_directory_of(path, error);
}

static int make(const char *path, struct pullkey_secret *ret, struct pullkey_error *error)
{
    cleanup_secret struct pullkey_secret key = { 0 };
    char fresh[FILE_PATH_MAX];
    int r;

    r = beside(path, ".new", fresh, error);
    if (r < 0)
        return r;
    r = key_make(fresh, &key, error);
    if (r < 0) {
        (void)unlink(fresh);
        return r;
    }
    if (rename_new(fresh, path) < 0) {
        int errnum = errno;

        (void)unlink(fresh);
        if (errnum == EEXIST)
            return key_read(path, ret, error);
        return error_errno(error, errnum, "cannot rename %s", fresh);
    }
    r = flush_directory_of(path, error);
    if (r < 0)
        return r;
    *ret = key;
    key = (struct pullkey_secret){ 0 };
    return 0;
}

int key_lock(const char *path, int64_t deadline_ms, struct lock *ret, struct pullkey_error *error)
{
    char lock_path[FILE_PATH_MAX];
    int r;

    r = beside(path, ".lock", lock_path, error);
    if (r == 0)
        r = file_make_parents(path, error);
    return r < 0 ? r : lock_take(lock_path, deadline_ms, ret, error);
}

int key_obtain(const char *path, int64_t deadline_ms, struct lock *ret_lock,
               struct pullkey_secret *ret, struct pullkey_error *error)
{
    cleanup_lock struct lock lock = LOCK_INIT;
    struct pullkey_error problem;
    int locked = key_lock(path, deadline_ms, &lock, &problem);
    int r = key_read(path, ret, error);

    /* Where the lock cannot be made, a key that is there cannot be changed either. */
    if (locked < 0 && (locked != -PULLKEY_DENIED || r == -PULLKEY_NOT_FOUND)) {
        if (r == 0)
            secret_done(ret);
        *error = problem;
        return locked;
    }
    if (r == -PULLKEY_NOT_FOUND) {
        r = make(path, ret, error);
        if (r < 0)
            return error_wrap(error, "cannot make the key of the store");
    }
    if (r == 0) {
        *ret_lock = lock;
        lock = (struct lock)LOCK_INIT;
    }
    return r;
}
