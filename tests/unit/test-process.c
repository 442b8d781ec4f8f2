/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/process.h"

static void hostile_variables(void **state)
{
    static const char *const bad[] = {
        "LD_PRELOAD=x.so",     "LD_LIBRARY_PATH=/x", "LD_AUDIT",          "LD_=",
        "OPENSSL_CONF=/x",     "OPENSSL_MODULES=/x", "OPENSSL_ENGINES=/", "SSLKEYLOGFILE=/x",
        "GCONV_PATH=/x",       "GETCONF_DIR=/x",     "HOSTALIASES=/x",    "LOCALDOMAIN=x",
        "LOCPATH=/x",          "MALLOC_TRACE=/x",    "MALLOC_PERTURB_=1", "NIS_PATH=x",
        "NLSPATH=/x",          "RESOLV_HOST_CONF=x", "RES_OPTIONS=x",     "GLIBC_TUNABLES=x",
        "GIO_EXTRA_MODULES=/", "GIO_USE_VFS=x",      "GTK_MODULES=x",     "P11_KIT_STRICT=1",
        "NETRC=/x",            "QLOGDIR=/x",         "SSLKEYLOGFILE",    "G_DBUS_DEBUG=all",
        "SECMEM_FORCE_FALLBACK=1", "SECRET_SERVICE_BUS_NAME=x", "G_DBUS_COOKIE_SHA1_KEYRING_DIR=/x",
    };
    static const char *const good[] = {
        "PATH=/bin", "HOME=/x",         "LD=x",        "LDX_=",         "ld_preload=x",
        "LANG=C",    "OPENSSL=1",       "NETRCX=/x",   "SSLKEYLOGFILES", "XLD_PRELOAD=x",
        "=LD_X",     "A=LD_PRELOAD=x",  "",            "PULLKEY_LOG=/x", "DBUS_SESSION_BUS_ADDRESS=x",
        "NETR=C",    "XDG_RUNTIME_DIR", "https_proxy", "AWS_PROFILE=x",
        "SECRET_TOKEN=x", "G_TOKEN=x",   "DBUS_SYSTEM_BUS_ADDRESS=x",
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(bad); i++)
        if (!process_is_hostile(bad[i]))
            fail_msg("%s is let through", bad[i]);
    for (size_t i = 0; i < UNIT_COUNT(good); i++)
        if (process_is_hostile(good[i]))
            fail_msg("%s is dropped", good[i]);
}

/* Runs a function in a child of its own, hardened: 0 or the number of what is wrong. */
static int in_hardened_child(void (*before)(void), int (*after)(void))
{
    pid_t child = fork();
    struct pullkey_error error;

    assert_true(child >= 0);
    if (child > 0)
        return unit_wait(child);
    if (before)
        before();
    if (process_harden(&error) < 0)
        _exit(100);
    _exit(after());
}

static char preload[] = "LD_PRELOAD=x", home[] = "HOME=/x", openssl[] = "OPENSSL_CONF=/x";
static char keys[] = "SSLKEYLOGFILE=/x", config[] = "PULLKEY_CONFIG=/x", again[] = "LD_PRELOAD=y";
static char *hostile_environment[] = { preload, home, openssl, keys, config, again, NULL };

static void set_hostile_environment(void)
{
    environ = hostile_environment;
}

static int is_environment_clean(void)
{
    if (!environ[0] || strcmp(environ[0], "HOME=/x") != 0)
        return 1;
    if (!environ[1] || strcmp(environ[1], "PULLKEY_CONFIG=/x") != 0)
        return 2;
    if (environ[2])
        return 3;
    return getenv("LD_PRELOAD") || getenv("OPENSSL_CONF") ? 4 : 0;
}

static void environment_is_cleaned(void **state)
{
    (void)state;
    assert_int_equal(in_hardened_child(set_hostile_environment, is_environment_clean), 0);
}

static void drop_environment(void)
{
    environ = NULL;
}

static int nothing(void)
{
    return 0;
}

static void no_environment_is_fine(void **state)
{
    (void)state;
    assert_int_equal(in_hardened_child(drop_environment, nothing), 0);
}

static void open_many(void)
{
    for (unsigned int i = 0; i < 50; i++)
        (void)open("/dev/null", O_RDONLY);
    (void)dup2(2, 700);
}

static int is_only_standard_open(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) != 0)
            return 1 + fd;
    for (int fd = 3; fd < 1000; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            return 10;
    return 0;
}

static void descriptors_are_closed(void **state)
{
    (void)state;
    assert_int_equal(in_hardened_child(open_many, is_only_standard_open), 0);
}

static void close_all(void)
{
    for (int fd = 0; fd < 1000; fd++)
        (void)close(fd);
}

/* They are taken, and of no use to whoever writes to a closed output or reads a closed input. */
static int is_standard_taken(void)
{
    char byte;

    if (is_only_standard_open() != 0)
        return is_only_standard_open();
    if (read(0, &byte, 1) >= 0)
        return 20;
    if (write(1, "x", 1) >= 0 || write(2, "x", 1) >= 0)
        return 21;
    return open("/dev/null", O_RDONLY | O_CLOEXEC) == 3 ? 0 : 22;
}

static void closed_descriptors_are_taken(void **state)
{
    (void)state;
    assert_int_equal(in_hardened_child(close_all, is_standard_taken), 0);
}

static void close_output(void)
{
    (void)close(1);
}

static int is_input_kept(void)
{
    return fcntl(0, F_GETFD) == 0 && fcntl(2, F_GETFD) == 0 && write(1, "x", 1) < 0 ? 0 : 1;
}

static void only_what_is_closed_is_replaced(void **state)
{
    (void)state;
    assert_int_equal(in_hardened_child(close_output, is_input_kept), 0);
}

static void allow_cores(void)
{
    const struct rlimit any = { RLIM_INFINITY, RLIM_INFINITY };

    (void)setrlimit(RLIMIT_CORE, &any);
    (void)signal(SIGPIPE, SIG_DFL);
}

static int is_hardened(void)
{
    struct rlimit limit;
    struct sigaction action;

    if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
        return 1;
    if (getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_cur != 0 || limit.rlim_max != 0)
        return 2;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 3;
    if (sigaction(SIGPIPE, NULL, &action) < 0 || action.sa_handler != SIG_IGN)
        return 4;
    return 0;
}

static void nothing_leaks_from_the_process(void **state)
{
    (void)state;
    assert_int_equal(in_hardened_child(allow_cores, is_hardened), 0);
}

/* An abort in a hardened process leaves no core, whatever the system would do with one. */
static void crashes_leave_no_core(void **state)
{
    struct pullkey_error error;
    pid_t child = fork();
    int status;

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        allow_cores();
        if (process_harden(&error) < 0)
            _exit(1);
        (void)signal(SIGABRT, SIG_DFL);
        abort();
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_false(WCOREDUMP(status));
}

/* Another process of the same user cannot look into a hardened one. */
static void memory_is_closed_to_the_same_user(void **state)
{
    struct pullkey_error error;
    int ready[2], end[2];
    char name[64], byte;
    pid_t child;

    (void)state;
    only_as_root(false);
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(end), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        /* What is inherited is closed, so the two pipes go where they stay. */
        if (dup2(ready[1], 1) < 0 || dup2(end[0], 0) < 0 || process_harden(&error) < 0 ||
            write(1, "x", 1) != 1)
            _exit(1);
        (void)!read(0, &byte, 1);
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)snprintf(name, sizeof(name), "/proc/%d/mem", (int)child);
    assert_int_equal(open(name, O_RDONLY | O_CLOEXEC), -1);
    (void)snprintf(name, sizeof(name), "/proc/%d/environ", (int)child);
    assert_int_equal(open(name, O_RDONLY | O_CLOEXEC), -1);
    assert_int_equal(write(end[1], "x", 1), 1);
    assert_int_equal(unit_wait(child), 0);
    close(ready[0]);
    close(ready[1]);
    close(end[0]);
    close(end[1]);
}

static void set_before(void)
{
    sigset_t blocked;

    set_hostile_environment();
    allow_cores();
    (void)umask(026);
    (void)sigemptyset(&blocked);
    (void)sigaddset(&blocked, SIGUSR2);
    (void)sigprocmask(SIG_SETMASK, &blocked, NULL);
}

static int is_given_back(const struct process_caller *caller, rlim_t cores)
{
    static char *const all[] = { preload, home, openssl, keys, config, again, NULL };
    struct sigaction action;
    struct rlimit limit;
    sigset_t mask;

    process_give_back(caller);
    for (size_t i = 0; i < UNIT_COUNT(all); i++)
        if (caller->environment[i] != all[i])
            return 50;
    if (getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_cur != cores || limit.rlim_max != cores)
        return 51;
    if (sigaction(SIGPIPE, NULL, &action) < 0 || action.sa_handler != SIG_DFL)
        return 52;
    if (sigprocmask(SIG_SETMASK, NULL, &mask) < 0 || !sigismember(&mask, SIGUSR2) ||
        sigismember(&mask, SIGXFSZ))
        return 53;
    if (umask(0) != 026)
        return 54;
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 ? 0 : 55;
}

/* In between it is hardened but for the privileges, and afterwards as it was. */
static void hardening_is_given_back(void **state)
{
    struct process_caller caller;
    struct pullkey_error error;
    struct rlimit before;
    pid_t child = fork();

    (void)state;
    assert_true(child >= 0);
    if (child > 0) {
        assert_int_equal(unit_wait(child), 0);
        return;
    }
    set_before();
    if (getrlimit(RLIMIT_CORE, &before) < 0 || before.rlim_cur != before.rlim_max)
        _exit(99);
    if (process_harden_reversibly(&caller, &error) < 0)
        _exit(100);
    if (is_environment_clean() != 0 || is_only_standard_open() != 0)
        _exit(101);
    if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 || umask(077) != 077)
        _exit(102);
    _exit(is_given_back(&caller, before.rlim_max));
}

static int is_hardened_finally(void)
{
    struct process_caller caller;
    struct pullkey_error error;

    if (process_harden_reversibly(&caller, &error) < 0)
        return 100;
    process_harden_finally();
    return is_hardened();
}

static void hardening_is_completed(void **state)
{
    pid_t child = fork();

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        set_before();
        _exit(is_hardened_finally());
    }
    assert_int_equal(unit_wait(child), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_variables),
        cmocka_unit_test(environment_is_cleaned),
        cmocka_unit_test(no_environment_is_fine),
        cmocka_unit_test(descriptors_are_closed),
        cmocka_unit_test(closed_descriptors_are_taken),
        cmocka_unit_test(only_what_is_closed_is_replaced),
        cmocka_unit_test(nothing_leaks_from_the_process),
        cmocka_unit_test(hardening_is_given_back),
        cmocka_unit_test(hardening_is_completed),
        cmocka_unit_test(crashes_leave_no_core),
        cmocka_unit_test(memory_is_closed_to_the_same_user),
    };

    return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
