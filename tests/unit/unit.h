/* SPDX-License-Identifier: Apache-2.0 */
/* What the unit tests share: cmocka with the headers it wants before it, scratch directories and files, children. */
#ifndef PULLKEY_TESTS_UNIT_H
#define PULLKEY_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"

#define UNIT_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Checks that a call succeeded, and shows its error if not. */
#define assert_fine(call, error)                                                                   \
    do {                                                                                           \
        if ((call) < 0)                                                                            \
            fail_msg("%s: %s", #call, (error).message);                                            \
    } while (0)

/* Checks the class of an error, and that its message has a part. */
#define assert_refused(call, class, part, error)                                                   \
    do {                                                                                           \
        assert_int_equal(call, -(int)(class));                                                     \
        assert_int_equal((error).code, class);                                                     \
        if (!strstr((error).message, part))                                                        \
            fail_msg("\"%s\" does not contain \"%s\"", (error).message, part);                     \
    } while (0)

/* Ends a case that says nothing as this user; the other run, as root or not, has it. cmocka's skip() fails in TAP. */
#define only_as_root(wanted)                                                                       \
    do {                                                                                           \
        if ((geteuid() == 0) != (wanted)) {                                                        \
            print_message("# %s: only as %s\n", __func__, (wanted) ? "root" : "a user");           \
            return;                                                                                \
        }                                                                                          \
    } while (0)

/* A new directory with mode 0700. */
static inline void unit_make_directory(char ret[512])
{
    const char *base = getenv("TMPDIR");
    int length = snprintf(ret, 512, "%s/pullkey-unit-XXXXXX", base ? base : "/tmp");

    assert_true(length > 0 && length < 512);
    assert_non_null(mkdtemp(ret));
}

static inline int unit_remove_one(const char *path, const struct stat *status, int type,
                                  struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

static inline void unit_remove_directory(const char *path)
{
    assert_int_equal(nftw(path, unit_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static inline void unit_write(const char *path, const char *bytes, size_t length, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), (ssize_t)length);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
}

/* The exit status of a child; a signal fails the test. */
static inline int unit_wait(pid_t child)
{
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status))
        fail_msg("a child was ended by signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

#endif
