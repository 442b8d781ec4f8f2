/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"

#define SELF "/proc/self/exe" /* also after an upgrade has replaced the file */

static int spawn_with(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, int in,
                      int out, pid_t *ret)
{
    static char name[] = "pullkey-hosts", command[] = "ask";
    char *const arguments[] = { name, command, NULL };
    sigset_t none;
    int r = posix_spawn_file_actions_adddup2(actions, in, STDIN_FILENO);

    (void)sigemptyset(&none);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(actions, out, STDOUT_FILENO);
    if (r == 0)
        r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    if (r == 0)
        r = posix_spawnattr_setsigmask(attributes, &none);
    return r == 0 ? posix_spawn(ret, SELF, actions, attributes, arguments, environ) : r;
}

static int spawn(int in, int out, pid_t *ret)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int r = posix_spawn_file_actions_init(&actions);

    if (r != 0)
        return r;
    r = posix_spawnattr_init(&attributes);
    if (r == 0) {
        r = spawn_with(&actions, &attributes, in, out, ret);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return r;
}

/* The request fits into a pipe, so writing it does not wait. */
static int feed(const struct ask *ask, int fd, struct pullkey_error *error)
{
    cleanup_buffer struct buffer request = BUFFER_INIT(ASK_SIZE_MAX);
    int r;

    ask_write(ask, &request);
    r = buffer_check(&request, error);
    return r < 0 ? r : file_write_all(fd, request.data, request.length, error);
}

int fetch_start(const struct ask *ask, struct fetch *ret, struct pullkey_error *error)
{
    int in[2], out[2], r;

    if (pipe2(in, O_CLOEXEC) < 0)
        return error_errno(error, errno, "cannot make a pipe");
    if (pipe2(out, O_CLOEXEC) < 0) {
        r = error_errno(error, errno, "cannot make a pipe");
        (void)close(in[0]);
        (void)close(in[1]);
        return r;
    }
    *ret = (struct fetch){ .output = BUFFER_INIT(RECORD_SIZE_MAX) };
    r = feed(ask, in[1], error);
    if (r == 0 && (fcntl(out[0], F_SETFL, O_NONBLOCK) < 0))
        r = error_errno(error, errno, "cannot prepare a pipe");
    if (r == 0) {
        int failure = spawn(in[0], out[1], &ret->pid);

        if (failure != 0)
            r = error_errno(error, failure, "cannot start a process to ask the helper");
    }
    (void)close(in[0]);
    (void)close(in[1]);
    (void)close(out[1]);
    if (r < 0) {
        (void)close(out[0]);
        *ret = (struct fetch){ 0 };
        return r;
    }
    ret->fd = out[0];
    ret->deadline_ms = clock_monotonic_ms() + ask->timeout_ms + FETCH_GRACE_MS;
    return 0;
}

bool fetch_read(struct fetch *fetch)
{
    char chunk[4096];

    for (;;) {
        ssize_t count = read(fetch->fd, chunk, sizeof(chunk));

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count == 0 || errno != EAGAIN;
        buffer_append(&fetch->output, chunk, (size_t)count);
        explicit_bzero(chunk, sizeof(chunk));
        if (fetch->output.state != BUFFER_FINE)
            return true;
    }
}

/* Once it has answered it ends by itself; one that does not is ended. */
static int reap(pid_t pid, bool kill_first)
{
    int status = 0;

    if (kill_first)
        (void)kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

void fetch_finish(struct fetch *fetch, bool timed_out, struct record *ret)
{
    bool full = fetch->output.state != BUFFER_FINE;
    int status = reap(fetch->pid, timed_out || full);
    struct pullkey_error error = { 0 };
    struct record record = { 0 };

    (void)close(fetch->fd);
    if (timed_out)
        (void)error_set(&record.error, PULLKEY_UNREACHABLE, "the helper did not answer in time");
    else if (full || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        (void)error_set(&record.error, PULLKEY_INTERNAL,
                        "the process that asks the helper failed; PULLKEY_LOG=FILE shows more");
    else if (record_read(fetch->output.data ? fetch->output.data : "", fetch->output.length,
                         &record, &error) < 0)
        record.error = error;
    buffer_done(&fetch->output);
    *fetch = (struct fetch){ 0 };
    *ret = record;
}
