/* SPDX-License-Identifier: Apache-2.0 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "error.h"

/* What is not asked for may hold secrets, and goes nowhere: the end of the pipe, then the third
 * descriptor, tells that it has ended. */
static int set_files(posix_spawn_file_actions_t *actions, int pipe_end, bool is_read)
{
    int r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

    if (r == 0 && !is_read)
        r = posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (r == 0)
        r = posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(actions, pipe_end, is_read ? STDOUT_FILENO : 3);
    return r;
}

static int spawn(const char *program, const char *const *words, char *const *environment,
                 int pipe_end, bool is_read, pid_t *ret_pid)
{
    char *const usual[] = { (char[]){ "PATH=/usr/sbin:/usr/bin:/sbin:/bin" }, NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int r = posix_spawn_file_actions_init(&actions);

    if (r != 0)
        return r;
    r = posix_spawnattr_init(&attributes);
    if (r == 0) {
        (void)sigemptyset(&none);
        (void)sigfillset(&all);
        (void)posix_spawnattr_setsigmask(&attributes, &none);
        (void)posix_spawnattr_setsigdefault(&attributes, &all);
        (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        r = set_files(&actions, pipe_end, is_read);
        if (r == 0)
            r = posix_spawn(ret_pid, program, &actions, &attributes, (char **)(uintptr_t)words,
                            environment ? environment : usual);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return r;
}

/* To its end, or to that of the time; what is more than `size` is not read. */
static bool read_to_end(int fd, int64_t deadline, char *text, size_t size)
{
    char ignored[1];
    size_t length = 0;
    ssize_t count = 1;

    while (count > 0 && (!text || length + 1 < size)) {
        struct pollfd wait = { .fd = fd, .events = POLLIN };

        if (clock_poll(&wait, 1, deadline) <= 0)
            break;
        count = text ? read(fd, text + length, size - 1 - length) : read(fd, ignored, 1);
        length += count > 0 && text ? (size_t)count : 0;
    }
    if (text)
        text[length] = '\0';
    return count <= 0;
}

int child_run(const char *program, const char *const *words, char *const *environment,
              int64_t wait_ms, char *ret_text, size_t size, struct pullkey_error *error)
{
    int64_t deadline = clock_monotonic_ms() + wait_ms;
    int ends[2], status = 0, errnum;
    bool has_ended;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_errno(error, errno, "cannot run %s", program);
    errnum = spawn(program, words, environment, ends[1], ret_text != NULL, &pid);
    (void)close(ends[1]);
    if (errnum != 0) {
        (void)close(ends[0]);
        return error_errno(error, errnum, "cannot run %s", program);
    }
    has_ended = read_to_end(ends[0], deadline, ret_text, size);
    (void)close(ends[0]);
    /* One that has closed its output may live on. */
    if (ret_text || !has_ended)
        (void)kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (ret_text)
        return 0;
    if (!has_ended)
        return error_set(error, PULLKEY_UNREACHABLE, "%s did not end within %d seconds", program,
                         (int)(wait_ms / 1000));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0
               ? 0
               : error_set(error, PULLKEY_INVALID, "%s fails", program);
}
