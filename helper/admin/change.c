/* SPDX-License-Identifier: Apache-2.0 */
#include "change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "core/resolve.h"
#include "pullkey-build.h"

#define OTHERS_MAY_READ 0044

bool change_is_new(const struct change *change)
{
    return change->before.inode == 0;
}

static int check_editable(struct change *change, struct pullkey_error *error)
{
    struct stat status;
    int r = file_check(change->path, 0, error);

    if (r < 0)
        return r;
    if (stat(change->path, &status) < 0)
        return error_errno(error, errno, "cannot examine %s", change->path);
    if (status.st_uid != file_caller())
        return error_set(error, PULLKEY_DENIED,
                         "%s belongs to user %u, who alone may change it here", change->path,
                         (unsigned int)status.st_uid);
    /* The new file has our group. */
    change->mode = status.st_mode & (status.st_gid == getegid() ? 0777 : 0707);
    return 0;
}

int change_open(const char *path, struct change *ret, struct pullkey_error *error)
{
    int r;

    file_state(path, &ret->before);
    r = file_read(path, FILE_GIVEN, 0, &ret->old, NULL, error);
    if (r == -PULLKEY_NOT_FOUND && change_is_new(ret)) {
        struct stat status;

        if (lstat(path, &status) == 0)
            return error_set(error, PULLKEY_INVALID,
                             "%s is a link to a file that is not there: make that, or remove the "
                             "link",
                             path);
        memcpy(mempcpy(ret->path, path, strnlen(path, FILE_PATH_MAX - 1)), "", 1);
        return 0;
    }
    if (r < 0)
        return r;
    if (change_is_new(ret))
        return error_set(error, PULLKEY_UNREACHABLE,
                         "cannot examine %s, or another program has just made it", path);
    if (!realpath(path, ret->path))
        return error_errno(error, errno, "cannot find %s", path);
    return check_editable(ret, error);
}

void change_tidy(const struct change *change)
{
    const char *path = change->path;
    char temporary[FILE_PATH_MAX + sizeof(CHANGE_SUFFIX)];
    struct stat status;

    memcpy(mempcpy(temporary, path, strlen(path)), CHANGE_SUFFIX, sizeof(CHANGE_SUFFIX));
    if (lstat(temporary, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == file_caller())
        (void)unlink(temporary);
}

int change_write(const struct change *change, struct pullkey_error *error)
{
    const bool is_public = (change->mode & OTHERS_MAY_READ) == OTHERS_MAY_READ;
    int r = buffer_check(&change->new, error);

    if (r == 0 && change_is_new(change))
        r = file_make_parents_with(change->path, is_public ? 0755 : 0700, error);
    if (r < 0)
        return r;
    change_tidy(change);
    return file_replace_by(change->path, CHANGE_SUFFIX, &change->before, change->new.data,
                           change->new.length, change->mode, error);
}

void change_done(struct change *change)
{
    buffer_done(&change->old);
    buffer_done(&change->new);
}

int change_state_path(bool system, const char *name, char ret[FILE_PATH_MAX],
                      struct pullkey_error *error)
{
    char directory[FILE_PATH_MAX] = PULLKEY_STATEDIR;
    int r = system ? 0 : file_place(FILE_STATE_HOME, directory, error);

    if (r == 0)
        r = file_join(ret, directory, name, error);
    return r < 0 ? r : file_make_parents(ret, error);
}

int change_lock(bool system, const char *name, struct lock *ret, struct pullkey_error *error)
{
    char path[FILE_PATH_MAX];
    int r = change_state_path(system, name, path, error);

    if (r == 0)
        r = lock_take(path, clock_monotonic_ms() + RESOLVE_DEADLINE_MS, ret, error);
    return r == -PULLKEY_DENIED && system && file_caller() != 0
               ? error_wrap(error, "run this as root")
               : r;
}
