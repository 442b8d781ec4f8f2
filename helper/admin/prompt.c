/* SPDX-License-Identifier: Apache-2.0 */
#include "prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/output.h"
#include "base/secret.h"

/* n_tty(4): a line may have 4095 bytes with its line end; Linux drops the rest in silence. */
#define LINE_LIMIT 4094
/*
 * A process in the background stops itself each time it is continued there; an orphaned one cannot
 * be stopped.
 */
#define FOREGROUND_TRIES 20

static const int watched[] = { SIGINT,  SIGTERM, SIGHUP,  SIGQUIT, SIGTSTP, SIGTTIN,
                               SIGTTOU, SIGALRM, SIGUSR1, SIGUSR2, SIGPIPE };
#define WATCHED_COUNT (sizeof(watched) / sizeof(watched[0]))

static volatile sig_atomic_t caught;

static void note_signal(int number)
{
    caught = number;
}

/*
 * The signals are blocked except while ppoll waits, so that none is lost between a test and a wait.
 */
struct watch {
    sigset_t before;
    struct sigaction actions[WATCHED_COUNT];
};

static void watch_start(struct watch *watch)
{
    struct sigaction action = { .sa_handler = note_signal };
    sigset_t blocked;

    caught = 0;
    (void)sigemptyset(&action.sa_mask);
    (void)sigemptyset(&blocked);
    for (size_t i = 0; i < WATCHED_COUNT; i++)
        (void)sigaddset(&blocked, watched[i]);
    (void)sigprocmask(SIG_BLOCK, &blocked, &watch->before);
    for (size_t i = 0; i < WATCHED_COUNT; i++) {
        (void)sigaction(watched[i], NULL, &watch->actions[i]);
        /* What the caller ignores (nohup) stays ignored. */
        if (watch->actions[i].sa_handler != SIG_IGN)
            (void)sigaction(watched[i], &action, NULL);
    }
}

static void watch_stop(const struct watch *watch)
{
    for (size_t i = 0; i < WATCHED_COUNT; i++)
        (void)sigaction(watched[i], &watch->actions[i], NULL);
    (void)sigprocmask(SIG_SETMASK, &watch->before, NULL);
}

static int be_in_foreground(int terminal, struct pullkey_error *error)
{
    for (int tries = 0; tries < FOREGROUND_TRIES; tries++) {
        if (tcgetpgrp(terminal) == getpgrp())
            return 0;
        (void)raise(SIGTTIN);
    }
    return error_set(error, PULLKEY_UNSUPPORTED,
                     "cannot ask: not in the foreground of the terminal");
}

static int hide(int terminal, const struct termios *before, struct pullkey_error *error)
{
    struct termios hidden = *before;

    hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    /* tcsetattr succeeds when it did a part of what was asked, so the terminal is asked back. */
    if (tcsetattr(terminal, TCSAFLUSH, &hidden) < 0 || tcgetattr(terminal, &hidden) < 0 ||
        (hidden.c_lflag & (ECHO | ECHONL)))
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "cannot switch off the terminal's echo: use --password-stdin");
    return 0;
}

/* Reads up to the line end. 0 also when a signal came: `caught` tells. */
static int read_line(int terminal, const sigset_t *mask, struct buffer *line,
                     struct pullkey_error *error)
{
    for (;;) {
        char chunk[256];
        struct pollfd wait = { .fd = terminal, .events = POLLIN };
        const char *end;
        ssize_t got;

        if (ppoll(&wait, 1, NULL, mask) < 0) {
            if (errno != EINTR)
                return error_errno(error, errno, "cannot wait for the terminal");
            if (caught)
                return 0;
            continue;
        }
        got = read(terminal, chunk, sizeof(chunk));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_errno(error, errno, "cannot read from the terminal");
        if (got == 0)
            return error_set(error, PULLKEY_INVALID, "nothing was entered");
        end = memchr(chunk, '\n', (size_t)got);
        buffer_append(line, chunk, end ? (size_t)(end - chunk) : (size_t)got);
        explicit_bzero(chunk, sizeof(chunk));
        if (buffer_check(line, error) < 0 || line->length >= LINE_LIMIT)
            return error_set(error, PULLKEY_INVALID,
                             "too long for a terminal, which cuts lines: use --password-stdin");
        if (end)
            return 0;
    }
}

static int ask_once(int terminal, const char *question, bool hidden, struct buffer *line,
                    struct pullkey_error *error)
{
    struct termios before;
    struct watch watch;
    int r;

    r = be_in_foreground(terminal, error);
    if (r < 0)
        return r;
    if (tcgetattr(terminal, &before) < 0)
        return error_errno(error, errno, "cannot examine the terminal");
    watch_start(&watch);
    r = hidden ? hide(terminal, &before, error) : 0;
    if (r == 0)
        r = file_write_all(terminal, question, strlen(question), error);
    if (r == 0)
        r = read_line(terminal, &watch.before, line, error);
    if (hidden) {
        (void)tcsetattr(terminal, TCSAFLUSH, &before);
        /* The line end that was not echoed. */
        (void)file_write_all(terminal, "\n", 1, &(struct pullkey_error){ 0 });
    }
    watch_stop(&watch);
    return r;
}

static int ask(int terminal, const char *question, bool hidden, struct pullkey_secret *ret,
               struct pullkey_error *error)
{
    for (;;) {
        cleanup_buffer struct buffer line = BUFFER_INIT(LINE_LIMIT);
        int r = ask_once(terminal, question, hidden, &line, error);

        if (caught) {
            (void)raise((int)caught);
            /* Here again: it was stopped and goes on, or the signal does not kill. */
            if (caught == SIGTSTP || caught == SIGTTIN || caught == SIGTTOU)
                continue;
            return error_set(error, PULLKEY_INVALID, "interrupted");
        }
        if (r < 0)
            return r;
        if (line.length == 0)
            return error_set(error, PULLKEY_INVALID, "nothing was entered");
        return buffer_steal(&line, ret, error);
    }
}

int prompt_line(const char *question, bool hidden, struct pullkey_secret *ret,
                struct pullkey_error *error)
{
    int terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    int r;

    if (terminal < 0)
        return error_set(error, PULLKEY_UNSUPPORTED, "there is no terminal to ask on: use %s",
                         hidden ? "--password-stdin" : "--username and --password-stdin");
    caught = 0;
    r = ask(terminal, question, hidden, ret, error);
    (void)close(terminal);
    return r;
}

int prompt_agree(const struct admin_call *call, const char *question, bool *ret,
                 struct pullkey_error *error)
{
    cleanup_secret struct pullkey_secret answer = { 0 };
    int r;

    *ret = call->values[ADMIN_YES] != NULL;
    if (*ret || call->values[ADMIN_JSON])
        return 0;
    if (!isatty(STDIN_FILENO) || !output_is_terminal()) {
        output_note("Nothing is changed yet: \"--yes\" does it");
        return 0;
    }
    output_wait_end();
    r = prompt_line(question, false, &answer, error);
    *ret = r == 0 && (strcmp(answer.bytes, "y") == 0 || strcmp(answer.bytes, "Y") == 0 ||
                      strcmp(answer.bytes, "yes") == 0);
    /* An empty line is a no. */
    if ((r < 0 && r != -PULLKEY_INVALID) || *ret)
        return *ret ? 0 : r;
    output_note("Nothing was changed");
    return ADMIN_PROBLEM;
}
