/* SPDX-License-Identifier: Apache-2.0 */
#include "lock.h"
#include "clock.h"
#include "error.h"
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_WAIT_MS 1
#define LONGEST_WAIT_MS 16

/* True if the path still names the file that is open: somebody may have removed it meanwhile. */
static bool is_current(int fd, const char *path)
{
    struct stat open_file, named;

    return fstat(fd, &open_file) == 0 && lstat(path, &named) == 0 &&
           open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

static int refuse_lock(const char *path, int errnum, struct pullkey_error *error)
{
    struct stat status;

    if (errnum == ELOOP || errnum == EISDIR || errnum == ENXIO)
        return error_set(error, PULLKEY_DENIED, "the lock %s is not a regular file: remove it",
                         path);
    if (errnum == EACCES && lstat(path, &status) == 0 && status.st_uid != file_caller())
        return error_set(error, PULLKEY_DENIED,
                         "cannot open the lock %s, which is somebody else's: remove it, or run "
                         "chown on it",
                         path);
    return error_errno(error, errnum, "cannot open the lock %s", path);
}

int lock_take(const char *path, int64_t deadline_ms, struct lock *ret, struct pullkey_error *error)
{
    int64_t wait_ms = FIRST_WAIT_MS;
    int r = file_check_directory(path, error);

    /* A lock of root's in somebody else's directory would shut its owner out. */
    if (r < 0)
        return error_wrap(error, "cannot open the lock %s", path);
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);

        if (fd < 0)
            return refuse_lock(path, errno, error);
        /* flock has no deadline of its own, so it is asked again, less and less often. */
        while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            int64_t now = clock_monotonic_ms();

            if (errno != EWOULDBLOCK && errno != EINTR) {
                (void)error_errno(error, errno, "cannot lock %s", path);
                (void)close(fd);
                return -(int)error->code;
            }
            if (now >= deadline_ms) {
                (void)close(fd);
                return error_set(error, PULLKEY_UNREACHABLE,
                                 "another process has held %s for too long", path);
            }
            (void)clock_poll(NULL, 0, now + wait_ms < deadline_ms ? now + wait_ms : deadline_ms);
            if (wait_ms < LONGEST_WAIT_MS)
                wait_ms *= 2;
        }
        if (is_current(fd, path)) {
            ret->fd = fd;
            return 0;
        }
        (void)close(fd);
        if (deadline_ms != INT64_MIN && clock_monotonic_ms() >= deadline_ms)
            return error_set(error, PULLKEY_UNREACHABLE, "%s is replaced again and again", path);
    }
}

void lock_drop(struct lock *lock)
{
    if (lock->fd >= 0)
        (void)close(lock->fd);
    lock->fd = -1;
}
