/* SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/process.h"
#include "base/secret.h"

#define REAP_INTERVAL_MS 5
#define CHUNK 4096

struct child {
    pid_t pid;
    int to;   /* its standard input, -1 once closed */
    int from; /* its standard output */
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

#define cleanup_fd __attribute__((cleanup(close_fd)))

static int spawn_with(const struct run *run, posix_spawn_file_actions_t *actions,
                      posix_spawnattr_t *attributes, int in, int out, pid_t *ret_pid)
{
    sigset_t all, none;
    int r;

    (void)sigfillset(&all);
    (void)sigemptyset(&none);
    r = posix_spawn_file_actions_adddup2(actions, in, STDIN_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(actions, out, STDOUT_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (r == 0)
        r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                                     POSIX_SPAWN_SETSIGMASK);
    if (r == 0)
        r = posix_spawnattr_setsigdefault(attributes, &all);
    if (r == 0)
        r = posix_spawnattr_setsigmask(attributes, &none);
    if (r == 0)
        r = posix_spawn(ret_pid, run->path, actions, attributes, run->arguments, run->environment);
    return r;
}

static int start(const struct run *run, struct child *ret, struct pullkey_error *error)
{
    cleanup_fd int in_read = -1, in_write = -1, out_read = -1, out_write = -1;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int in[2], out[2], r;

    if (pipe2(in, O_CLOEXEC) < 0)
        return error_errno(error, errno, "cannot make a pipe");
    in_read = in[0];
    in_write = in[1];
    if (pipe2(out, O_CLOEXEC) < 0)
        return error_errno(error, errno, "cannot make a pipe");
    out_read = out[0];
    out_write = out[1];
    if (fcntl(in_write, F_SETFL, O_NONBLOCK) < 0)
        return error_errno(error, errno, "cannot prepare a pipe");
    process_end_with_children();
    r = posix_spawn_file_actions_init(&actions);
    if (r == 0) {
        r = posix_spawnattr_init(&attributes);
        if (r == 0) {
            r = spawn_with(run, &actions, &attributes, in_read, out_write, &ret->pid);
            (void)posix_spawnattr_destroy(&attributes);
        }
        (void)posix_spawn_file_actions_destroy(&actions);
    }
    if (r == ENOENT || r == ENOTDIR)
        return error_set(error, PULLKEY_INVALID,
                         "cannot run %s: the interpreter that its first line names is missing",
                         run->path);
    if (r != 0) {
        (void)error_errno(error, r, "cannot run %s", run->path);
        error->code = PULLKEY_INTERNAL;
        return -(int)error->code;
    }
    ret->to = in_write;
    ret->from = out_read;
    in_write = out_read = -1;
    return 0;
}

static void close_ends(struct child *child)
{
    close_fd(&child->to);
    close_fd(&child->from);
}

/* Writes what the pipe takes; closes it when all is written or when the program does not want it.
 */
static void feed(struct child *child, const struct run *run, size_t *written)
{
    ssize_t count = write(child->to, run->input + *written, run->input_length - *written);

    if (count > 0)
        *written += (size_t)count;
    if (*written == run->input_length || (count < 0 && errno != EAGAIN && errno != EINTR))
        close_fd(&child->to);
}

/* One read; 0 at the end of the output, 1 to go on. */
static int collect(const struct child *child, struct buffer *output, struct pullkey_error *error)
{
    char chunk[CHUNK];
    ssize_t count = read(child->from, chunk, sizeof(chunk));
    int r;

    if (count < 0)
        return errno == EINTR || errno == EAGAIN ? 1 : error_errno(error, errno, "cannot read");
    buffer_append(output, chunk, (size_t)count);
    explicit_bzero(chunk, sizeof(chunk));
    r = buffer_check(output, error);
    if (r == -PULLKEY_INVALID)
        return error_set(error, PULLKEY_INVALID,
                         "its answer: more than %zu bytes; run it by hand to see why",
                         output->limit);
    if (r < 0)
        return r;
    return count > 0;
}

static int talk(struct child *child, const struct run *run, struct buffer *output,
                struct pullkey_error *error)
{
    size_t written = 0;

    if (run->input_length == 0)
        close_fd(&child->to);
    for (;;) {
        struct pollfd fds[2] = {
            { .fd = child->from, .events = POLLIN },
            { .fd = child->to, .events = POLLOUT },
        };
        int ready = clock_poll(fds, 2, run->deadline_ms);
        int r;

        if (ready < 0)
            return error_errno(error, errno, "cannot wait");
        if (ready == 0)
            return error_set(error, PULLKEY_UNREACHABLE,
                             "it did not answer in time; run it by hand to see what it waits for");
        if (child->to >= 0 && fds[1].revents)
            feed(child, run, &written);
        if (!fds[0].revents)
            continue;
        r = collect(child, output, error);
        if (r <= 0)
            return r;
    }
}

static int wait_for(pid_t pid, int64_t deadline_ms, int *ret, struct pullkey_error *error)
{
    for (;;) {
        pid_t done = waitpid(pid, ret, WNOHANG);
        int64_t now = clock_monotonic_ms();

        if (done == pid)
            return 0;
        if (done < 0 && errno != EINTR)
            return error_errno(error, errno, "cannot wait for it");
        if (now >= deadline_ms)
            return error_set(error, PULLKEY_UNREACHABLE,
                             "it answered and did not end in time; run it by hand to see what it "
                             "waits for");
        (void)clock_poll(NULL, 0, now + REAP_INTERVAL_MS);
    }
}

int run_program(const struct run *run, struct buffer *output, int *ret_status,
                struct pullkey_error *error)
{
    struct child child = { -1, -1, -1 };
    int status = 0, r;

    /* A caller that ignores it leaves no status to wait for. */
    (void)signal(SIGCHLD, SIG_DFL);
    r = start(run, &child, error);

    if (r < 0)
        return r;
    r = talk(&child, run, output, error);
    close_ends(&child);
    if (r == 0)
        r = wait_for(child.pid, run->deadline_ms, &status, error);
    if (r == 0 && !WIFEXITED(status))
        r = error_set(error, PULLKEY_INTERNAL,
                      "it was ended by signal %d; run it by hand to see why", WTERMSIG(status));
    if (r < 0) {
        /* The whole group: a helper may have children that hold its output open, or lead groups. */
        process_end_groups(&child.pid, 1, SIGTERM);
        while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR)
            ;
        return r;
    }
    *ret_status = WEXITSTATUS(status);
    return 0;
}
