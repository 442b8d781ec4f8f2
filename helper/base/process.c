/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"
#include "error.h"
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAREWELL_MS 200
#define FAREWELL_STEP_MS 5
#define CHILDREN_MAX 64

/* A name ending in '*' stands for all that begin so. */
static const char *const hostile[] = {
    "LD_*",
    "OPENSSL_*",
    "SSLKEYLOGFILE",
    "GCONV_PATH",
    "GETCONF_DIR",
    "HOSTALIASES",
    "LOCALDOMAIN",
    "LOCPATH",
    "MALLOC_*",
    "NIS_PATH",
    "NLSPATH",
    "RESOLV_HOST_CONF",
    "RES_OPTIONS",
    "GLIBC_TUNABLES",
    "GIO_*",
    "GTK_MODULES",
    "GSETTINGS_*",
    "G_MESSAGES_DEBUG",
    "G_DEBUG",
    "G_DBUS_*",
    "SECMEM_FORCE_FALLBACK",
    "SECRET_SERVICE_BUS_NAME",
    "P11_KIT_*",
    "SOFTHSM2_CONF",
    "QLOGDIR",
    "NETRC",
};

bool process_is_hostile(const char *variable)
{
    size_t name = strcspn(variable, "=");

    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
        size_t length = strlen(hostile[i]);

        if (hostile[i][length - 1] == '*') {
            if (name >= length - 1 && memcmp(variable, hostile[i], length - 1) == 0)
                return true;
        } else if (name == length && memcmp(variable, hostile[i], length) == 0) {
            return true;
        }
    }
    return false;
}

static void clean_environment(void)
{
    char **to = environ;

    if (!environ)
        return;
    for (char **from = environ; *from; from++)
        if (!process_is_hostile(*from))
            *to++ = *from;
    *to = NULL;
}

/* Descriptors 0 to 2 must be taken, or the next file that is opened becomes somebody's output. */
static int settle_descriptors(struct pullkey_error *error)
{
    struct pollfd standard[] = { { .fd = 0 }, { .fd = 1 }, { .fd = 2 } };

    if (poll(standard, 3, 0) < 0)
        return error_errno(error, errno, "cannot examine the standard descriptors");
    for (int fd = 0; fd <= 2; fd++) {
        if (!(standard[fd].revents & POLLNVAL))
            continue;
        /* Opened the wrong way round, so that using it fails rather than works. */
        if (open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            return error_errno(error, errno, "cannot open /dev/null");
    }
    if (close_range(3, ~0U, 0) < 0) {
        struct rlimit limit;

        /* Before Linux 5.9. */
        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
            return error_errno(error, errno, "cannot close inherited descriptors");
        for (rlim_t fd = 3; fd < limit.rlim_cur && fd < 65536; fd++)
            (void)close((int)fd);
    }
    return 0;
}

/* The children of this thread. One with a session of its own is there to see our end. */
static size_t list_children(pid_t ret[CHILDREN_MAX])
{
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    char text[1024];
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof(text));
    pid_t child = 0;
    size_t count = 0;

    for (ssize_t i = 0; i < length; i++) {
        if (text[i] >= '0' && text[i] <= '9') {
            child = child * 10 + (text[i] - '0');
            continue;
        }
        if (child > 1 && count < CHILDREN_MAX && getsid(child) == getsid(0))
            ret[count++] = child;
        child = 0;
    }
    return count;
}

/* Without taking its status: its number must stay its own until its group has been killed. */
static bool is_running(pid_t child)
{
    siginfo_t status = { 0 };

    return waitid(P_PID, (id_t)child, &status, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           status.si_pid == 0;
}

void process_end_groups(const pid_t *leaders, size_t count, int number)
{
    size_t ended = 0;

    for (size_t i = 0; i < count; i++)
        (void)kill(-leaders[i], number);
    for (int ms = 0; ended < count && ms < FAREWELL_MS; ms += FAREWELL_STEP_MS) {
        while (ended < count && !is_running(leaders[ended]))
            ended++;
        if (ended < count)
            (void)poll(NULL, 0, FAREWELL_STEP_MS);
    }
    for (size_t i = 0; i < count; i++)
        (void)kill(-leaders[i], SIGKILL);
}

void process_end_children(int number)
{
    pid_t leaders[CHILDREN_MAX];

    process_end_groups(leaders, list_children(leaders), number);
}

static void end_with_children(int number)
{
    process_end_children(number);
    /* Arrives when this returns, and is not handled any more. */
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

void process_end_with_children(void)
{
    static const int endings[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };

    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
        if (signal(endings[i], end_with_children) == SIG_IGN)
            (void)signal(endings[i], SIG_IGN);
}

/*
 * What a caller blocks is inherited, and alarms must arrive. Writing into a closed pipe and past a
 * limit on file sizes are errors of write(2), not ends of the process.
 */
static void settle_signals(void)
{
    sigset_t size;

    (void)sigemptyset(&size);
    (void)sigaddset(&size, SIGXFSZ);
    (void)sigprocmask(SIG_SETMASK, &size, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

void process_restore_signals(void)
{
    sigset_t none;

    /* One that is pending is thrown away. */
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGXFSZ, SIG_DFL);
    (void)signal(SIGPIPE, SIG_DFL);
}

int process_copy_environment(char ***ret, struct pullkey_error *error)
{
    size_t count = 0;

    while (environ && environ[count])
        count++;
    *ret = secret_alloc((count + 1) * sizeof(**ret));
    if (!*ret)
        return error_memory(error);
    if (count > 0)
        memcpy(*ret, environ, count * sizeof(**ret));
    return 0;
}

/* A kernel that refuses one of these is no reason to serve nobody. Returns the caller's umask. */
static mode_t settle_process(void)
{
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    settle_signals();
    /* Whatever the caller's is: what is made here is for its owner, who can use it. */
    return umask(077);
}

void process_harden_finally(void)
{
    const struct rlimit no_core = { 0, 0 };

    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

int process_harden(struct pullkey_error *error)
{
    (void)settle_process();
    process_harden_finally();
    clean_environment();
    return settle_descriptors(error);
}

int process_harden_reversibly(struct process_caller *ret, struct pullkey_error *error)
{
    struct rlimit no_core = { 0, 0 };
    int r = process_copy_environment(&ret->environment, error);

    if (r < 0)
        return r;
    (void)sigprocmask(SIG_SETMASK, NULL, &ret->mask);
    (void)sigaction(SIGPIPE, NULL, &ret->pipe);
    ret->umask = settle_process();
    ret->core = no_core;
    (void)getrlimit(RLIMIT_CORE, &ret->core);
    no_core.rlim_max = ret->core.rlim_max;
    (void)setrlimit(RLIMIT_CORE, &no_core);
    clean_environment();
    return settle_descriptors(error);
}

void process_give_back(const struct process_caller *caller)
{
    (void)setrlimit(RLIMIT_CORE, &caller->core);
    (void)umask(caller->umask);
    (void)sigaction(SIGPIPE, &caller->pipe, NULL);
    (void)sigprocmask(SIG_SETMASK, &caller->mask, NULL);
}
