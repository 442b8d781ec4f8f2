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

#define REAP_INTERVAL_MS 2
#define STUCK_INTERVAL_MS 200 /* of one that even SIGKILL does not end */
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

    /* Whoever starts us with it ignored leaves no status to wait for. */
    (void)signal(SIGCHLD, SIG_DFL);
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

static void enter(struct fetch *fetch, enum fetch_stage stage, int64_t now_ms)
{
    fetch->stage = stage;
    fetch->deadline_ms = now_ms + FETCH_END_MS;
    if (stage == FETCH_TOLD)
        (void)kill(fetch->pid, SIGTERM);
    if (stage == FETCH_KILLED)
        (void)kill(-fetch->pid, SIGKILL);
}

/* True once nothing more will come. */
static bool read_output(struct fetch *fetch)
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

static void stop_reading(struct fetch *fetch)
{
    if (fetch->fd >= 0)
        (void)close(fetch->fd);
    fetch->fd = -1;
}

static void advance(struct fetch *fetch, int64_t now_ms)
{
    if (fetch->fd >= 0 && read_output(fetch)) {
        stop_reading(fetch);
        if (fetch->stage == FETCH_ASKS)
            enter(fetch, fetch->output.state == BUFFER_FINE ? FETCH_ENDS : FETCH_TOLD, now_ms);
    }
    if (now_ms < fetch->deadline_ms)
        return;
    fetch->timed_out = fetch->timed_out || fetch->stage == FETCH_ASKS;
    enter(fetch, fetch->stage < FETCH_TOLD ? FETCH_TOLD : FETCH_KILLED, now_ms);
}

static void take_answer(struct fetch *fetch, int status, struct record *ret)
{
    struct pullkey_error error = { 0 };
    struct record record = { 0 };

    if (fetch->timed_out)
        (void)error_set(&record.error, PULLKEY_UNREACHABLE, "the helper did not answer in time");
    else if (fetch->output.state != BUFFER_FINE || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        (void)error_set(&record.error, PULLKEY_INTERNAL,
                        "the process that asks the helper failed; PULLKEY_LOG=FILE shows more");
    else if (record_read(fetch->output.data ? fetch->output.data : "", fetch->output.length,
                         &record, &error) < 0)
        record.error = error;
    *ret = record;
}

bool fetch_step(struct fetch *fetch, int64_t now_ms, struct record *ret)
{
    siginfo_t end = { 0 };
    int status = 0;
    pid_t ended;

    advance(fetch, now_ms);
    if (fetch->stage == FETCH_ASKS)
        return false;
    /* What it has left in its group has nothing to do there any more. Its number is its own until
     * it is waited for. */
    if (waitid(P_PID, (id_t)fetch->pid, &end, WEXITED | WNOHANG | WNOWAIT) == 0 && end.si_pid != 0)
        (void)kill(-fetch->pid, SIGKILL);
    ended = waitpid(fetch->pid, &status, WNOHANG);
    if (ended == 0 || (ended < 0 && errno == EINTR))
        return false;
    stop_reading(fetch);
    take_answer(fetch, ended < 0 ? -1 : status, ret);
    buffer_done(&fetch->output);
    *fetch = (struct fetch){ 0 };
    return true;
}

int64_t fetch_wake_ms(const struct fetch *fetch, int64_t now_ms)
{
    if (fetch->stage == FETCH_ASKS)
        return fetch->deadline_ms;
    /* Not every kernel can poll for the end of a process. */
    return now_ms + (fetch->stage == FETCH_KILLED ? STUCK_INTERVAL_MS : REAP_INTERVAL_MS);
}

void fetch_cancel(struct fetch *fetch, int64_t now_ms)
{
    fetch->timed_out = true;
    if (fetch->stage < FETCH_TOLD)
        enter(fetch, FETCH_TOLD, now_ms);
}
