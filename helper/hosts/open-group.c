/* SPDX-License-Identifier: Apache-2.0 */
#include "open-group.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/fanotify.h>
#include <unistd.h>

#include "base/error.h"
#include "mounts.h"

#define ADVICE "; leave --on-open off, or run a kernel that has it"
#define ANSWERED_EVENTS (FAN_OPEN_PERM | FAN_CLOSE_WRITE | FAN_CLOSE_NOWRITE)

int open_group(int target, const char *target_path, int *ret, struct pullkey_error *error)
{
    int group, r = mounts_check_target(target, target_path, error);

    if (r < 0)
        return r;
    group = fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK | FAN_REPORT_TID,
                          O_RDONLY | O_CLOEXEC | O_LARGEFILE);
    if (group < 0 && errno == EPERM)
        return error_set(error, PULLKEY_DENIED,
                         "fanotify is not permitted; run as root with CAP_SYS_ADMIN, and with the "
                         "system calls fanotify_init and fanotify_mark allowed");
    if (group < 0 && (errno == ENOSYS || errno == EINVAL))
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "this kernel has no fanotify as of Linux 4.20" ADVICE);
    if (group < 0)
        return error_errno(error, errno, "cannot use fanotify");
    if (fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, ANSWERED_EVENTS, target, NULL) ==
        0) {
        *ret = group;
        return 0;
    }
    if (errno == EINVAL)
        r = error_set(error, PULLKEY_UNSUPPORTED,
                      "this kernel was built without CONFIG_FANOTIFY_ACCESS_PERMISSIONS" ADVICE);
    else
        r = error_errno(error, errno, "cannot watch what is opened in %s", target_path);
    (void)close(group);
    return r;
}
