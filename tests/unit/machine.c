/* SPDX-License-Identifier: Apache-2.0 */
#include "machine.h"

#include "unit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include "base/clock.h"

#define FIRST_MS 1000
#define FIRST_PID 0x40000000 /* beyond what a kernel gives (PID_MAX_LIMIT) */
#define BUSY_MAX 2000        /* rounds in no time at all: it would go on for ever */

int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __real_kill(pid_t pid, int signal);
pid_t __real_waitpid(pid_t pid, int *status, int options);
ssize_t __real_write(int fd, const void *bytes, size_t size);
int __real_posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int fd, int to);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_kill(pid_t pid, int signal);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);
int __wrap_waitid(idtype_t type, id_t id, siginfo_t *ret, int options);
ssize_t __wrap_write(int fd, const void *bytes, size_t size);
int __wrap_posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int fd, int to);
int __wrap_posix_spawn(pid_t *ret, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, char *const arguments[],
                       char *const environment[]);
int __wrap_timerfd_create(int clock, int flags);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *value,
                           struct itimerspec *old);

static const struct machine_test *test;
static struct machine_process processes[MACHINE_PROCESSES_MAX];
static int64_t now_ms, wall_moved;
static uint64_t waits;
static unsigned int busy;
static pid_t last_pid;
static int clock_news;  /* readable once the clock was set */
static int standard[2]; /* of the process that is about to be started */
static bool is_full;

int64_t machine_ms(void)
{
    return now_ms;
}

int64_t machine_wall(void)
{
    return MACHINE_START + wall_moved + (now_ms - FIRST_MS) / 1000;
}

uint64_t machine_waits(void)
{
    return waits;
}

void machine_start(const struct machine_test *given)
{
    static const struct clock clock = { machine_wall, machine_ms };

    memset(processes, 0, sizeof(processes));
    test = given;
    now_ms = FIRST_MS;
    wall_moved = 0;
    waits = 0;
    busy = 0;
    is_full = false;
    clock_news = -1;
    last_pid = FIRST_PID;
    clock_replace(&clock);
}

void machine_stop(void)
{
    is_full = false;
    clock_replace(NULL);
}

void machine_move_wall(int64_t seconds)
{
    wall_moved += seconds;
    assert_int_equal(0, eventfd_write(clock_news, 1));
}

void machine_fill(bool full)
{
    is_full = full;
}

static void end_process(struct machine_process *process, int status)
{
    if (process->has_ended)
        return;
    process->has_ended = true;
    process->ends_ms = INT64_MAX;
    process->status = status;
    (void)close(process->out);
}

/* Time goes on until something happens, at the latest until then. */
static void go_on(int64_t until_ms)
{
    int64_t next_ms = test->due_ms();

    for (size_t i = 0; i < MACHINE_PROCESSES_MAX; i++)
        if (processes[i].pid != 0 && processes[i].ends_ms < next_ms)
            next_ms = processes[i].ends_ms;
    assert_true(next_ms > now_ms);
    now_ms = next_ms < until_ms ? next_ms : until_ms;
    for (size_t i = 0; i < MACHINE_PROCESSES_MAX; i++) {
        if (processes[i].pid == 0 || processes[i].ends_ms > now_ms)
            continue;
        test->end(&processes[i]);
        end_process(&processes[i], processes[i].status);
    }
    if (now_ms >= test->due_ms())
        test->act();
    test->pass();
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    int64_t until_ms = timeout < 0 ? INT64_MAX : now_ms + timeout;
    int ready = __real_poll(fds, count, 0);

    if (ready != 0 || timeout == 0) {
        assert_true(++busy < BUSY_MAX);
        return ready;
    }
    busy = 0;
    waits++;
    test->rest();
    while (ready == 0 && now_ms < until_ms) {
        go_on(until_ms);
        ready = __real_poll(fds, count, 0);
    }
    return ready;
}

static struct machine_process *find_process(pid_t pid)
{
    for (size_t i = 0; i < MACHINE_PROCESSES_MAX; i++)
        if (processes[i].pid == pid)
            return &processes[i];
    return NULL;
}

int __wrap_posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int fd, int to)
{
    assert_in_range(to, STDIN_FILENO, STDOUT_FILENO);
    standard[to] = fd;
    return __real_posix_spawn_file_actions_adddup2(actions, fd, to);
}

int __wrap_posix_spawn(pid_t *ret, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, char *const arguments[],
                       char *const environment[])
{
    struct machine_process *process = find_process(0);
    ssize_t count;

    (void)path;
    (void)actions;
    (void)attributes;
    (void)environment;
    assert_non_null(process);
    assert_string_equal(arguments[1], "ask");
    *process = (struct machine_process){ .pid = ++last_pid };
    count = read(standard[STDIN_FILENO], process->request, sizeof(process->request) - 1);
    assert_true(count > 0);
    process->out = fcntl(standard[STDOUT_FILENO], F_DUPFD_CLOEXEC, 3);
    assert_true(process->out >= 0);
    test->begin(process);
    *ret = process->pid;
    return 0;
}

int __wrap_kill(pid_t pid, int signal)
{
    struct machine_process *process;

    if (pid > -FIRST_PID && pid < FIRST_PID)
        return __real_kill(pid, signal);
    process = find_process(pid < 0 ? -pid : pid);
    /* Its number is its own until it was waited for. */
    assert_non_null(process);
    end_process(process, signal);
    return 0;
}

int __wrap_waitid(idtype_t type, id_t id, siginfo_t *ret, int options)
{
    const struct machine_process *process = find_process((pid_t)id);

    assert_int_equal(P_PID, type);
    assert_true((options & (WNOHANG | WNOWAIT)) == (WNOHANG | WNOWAIT));
    assert_non_null(process);
    ret->si_pid = process->has_ended ? process->pid : 0;
    return 0;
}

pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
    struct machine_process *process = pid < FIRST_PID ? NULL : find_process(pid);

    if (pid < FIRST_PID)
        return __real_waitpid(pid, status, options);
    assert_non_null(process);
    assert_true((options & WNOHANG) != 0);
    if (!process->has_ended)
        return 0;
    *status = process->status;
    process->pid = 0;
    return pid;
}

ssize_t __wrap_write(int fd, const void *bytes, size_t size)
{
    struct stat status;

    if (!is_full || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return __real_write(fd, bytes, size);
    errno = ENOSPC;
    return -1;
}

/* The one timer is there to tell that the clock was set. */
int __wrap_timerfd_create(int clock, int flags)
{
    assert_int_equal(CLOCK_REALTIME, clock);
    assert_true((flags & TFD_NONBLOCK) != 0);
    clock_news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return clock_news;
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *value,
                           struct itimerspec *old)
{
    (void)value;
    (void)old;
    assert_int_equal(clock_news, fd);
    assert_true((flags & TFD_TIMER_CANCEL_ON_SET) != 0);
    return 0;
}
