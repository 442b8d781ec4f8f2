/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

#define RUN_AND_CHANGE                                                                             \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |  \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |   \
     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)
/* Since the third version of Landlock (Linux 6.2); older headers lack the name. */
#define ACCESS_FS_TRUNCATE (1ULL << 14)

static int drop_capabilities(struct pullkey_error *error)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[2] = { 0 };

    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    /* Ends with EINVAL at the first that the kernel does not know; not permitted for users, who
     * have none to drop. */
    for (int capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; capability++)
        ;
    if (syscall(SYS_capset, &header, none) < 0)
        return error_errno(error, errno, "cannot drop capabilities");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_errno(error, errno, "cannot renounce privileges");
    return 0;
}

static int allow(int rules, const char *path, __u64 access, struct pullkey_error *error)
{
    struct landlock_path_beneath_attr rule = { .allowed_access = access };
    int r = 0;

    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return error_errno(error, errno, "cannot open %s", path);
    if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        r = error_errno(error, errno, "cannot confine the process");
    (void)close(rule.parent_fd);
    return r;
}

static int confine(int rules, __u64 handled, const char *const *writable,
                   struct pullkey_error *error)
{
    const __u64 file = LANDLOCK_ACCESS_FS_WRITE_FILE | (handled & ACCESS_FS_TRUNCATE);
    const char *log = secure_getenv("PULLKEY_LOG");
    int r = allow(rules, "/dev/null", file, error);

    for (; r == 0 && *writable; writable++)
        r = allow(rules, *writable, handled & ~(__u64)LANDLOCK_ACCESS_FS_EXECUTE, error);
    if (r == 0 && log && access(log, F_OK) == 0)
        r = allow(rules, log, file, error);
    if (r == 0 && syscall(SYS_landlock_restrict_self, rules, 0) < 0)
        r = error_errno(error, errno, "cannot confine the process");
    return r;
}

static long landlock_version(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

bool sandbox_has_landlock(void)
{
    return landlock_version() >= 1;
}

int sandbox_enter(const char *const *writable, struct pullkey_error *error)
{
    struct landlock_ruleset_attr attributes = { .handled_access_fs = RUN_AND_CHANGE };
    long version;
    int rules, r = drop_capabilities(error);

    if (r < 0)
        return r;
    version = landlock_version();
    if (version < 1) {
        log_line("hosts", "%s", SANDBOX_NO_LANDLOCK);
        return 0;
    }
    if (version >= 3)
        attributes.handled_access_fs |= ACCESS_FS_TRUNCATE;
    rules = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0);
    if (rules < 0)
        return error_errno(error, errno, "cannot confine the process");
    r = confine(rules, attributes.handled_access_fs, writable, error);
    (void)close(rules);
    return r;
}
