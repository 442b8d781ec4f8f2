/* SPDX-License-Identifier: Apache-2.0 */
/* docker-credential-pullkey: what container tools run. */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/process.h"
#include "core/resolve.h"
#include "main.h"
#include "protocol.h"
#include "pullkey-build.h"

#define WATCH_SECONDS 2 /* past the deadline */
#define DRAIN_MS 1000

#define USAGE "Usage: " PROTOCOL_NAME " <store|get|erase|list|version>\n"

/* 0 if everything was written: an answer that is cut short must not look like one. */
static int print(const char *bytes, size_t length)
{
    struct pullkey_error ignored;

    return file_write_all(STDOUT_FILENO, bytes, length, &ignored);
}

static int print_text(const char *text)
{
    return print(text, strlen(text));
}

static int fail(const struct pullkey_error *error)
{
    char line[PULLKEY_ERROR_SIZE + 1];
    size_t length = strnlen(error->message, PULLKEY_ERROR_SIZE - 1);

    memcpy(mempcpy(line, error->message, length), "\n", 2);
    (void)print_text(line);
    return EXIT_FAILURE;
}

/*
 * What waits has a deadline of its own. This is for what does not keep to it: a module, a file
 * system that hangs, a client that does not read. Files are replaced whole, so the process may end
 * at any point.
 */
static volatile sig_atomic_t is_read, is_answered;

static void give_up(int number)
{
    static const char input[] = PROTOCOL_NAME ": the request on standard input does not end\n";
    static const char answer[] = PROTOCOL_NAME ": the request took too long and was given up; "
                                               "PULLKEY_LOG=FILE shows what it was waiting for\n";
    struct pollfd output = { .fd = STDOUT_FILENO, .events = POLLOUT };

    (void)number;
    process_end_children(SIGTERM);
    /* A client that reads nothing gets nothing. */
    if (poll(&output, 1, 0) != 1 || !(output.revents & POLLOUT))
        _exit(EXIT_FAILURE);
    if (!is_read)
        (void)!write(STDOUT_FILENO, input, sizeof(input) - 1);
    else if (!is_answered)
        (void)!write(STDOUT_FILENO, answer, sizeof(answer) - 1);
    _exit(EXIT_FAILURE);
}

static void start_watch(void)
{
    (void)signal(SIGALRM, give_up);
    (void)alarm(RESOLVE_DEADLINE_MS / 1000 + WATCH_SECONDS);
}

/* Clients that are still writing when the reader goes away report a broken pipe instead of our
 * error. */
static void drain_input(void)
{
    const int64_t deadline_ms = clock_monotonic_ms() + DRAIN_MS;
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
    char rest[4096];

    while (clock_monotonic_ms() < deadline_ms && clock_poll(&input, 1, deadline_ms) > 0 &&
           read(STDIN_FILENO, rest, sizeof(rest)) > 0)
        ;
    explicit_bzero(rest, sizeof(rest));
}

static int read_input(struct buffer *input, struct pullkey_error *error)
{
    int r = buffer_read(input, STDIN_FILENO, error);

    if (r < 0 && input->state == BUFFER_FULL)
        drain_input();
    return r < 0 ? error_wrap(error, "the request on standard input") : 0;
}

/* A person may take the time to type it: then the request's own time begins at its end. */
static int read_typed_input(struct buffer *input, struct pullkey_error *error)
{
    static const char hint[] = PROTOCOL_NAME ": reading the request from the terminal; "
                                             "end it with Ctrl-D\n";

    (void)!write(STDERR_FILENO, hint, sizeof(hint) - 1);
    return read_input(input, error);
}

static int serve(enum protocol_verb verb)
{
    cleanup_buffer struct buffer input = BUFFER_INIT(PROTOCOL_INPUT_MAX);
    cleanup_buffer struct buffer output = BUFFER_INIT(PROTOCOL_OUTPUT_MAX);
    bool reads = protocol_reads_input(verb);
    struct pullkey_error error = { 0 };
    int64_t deadline_ms;
    int r = 0;

    if (reads && isatty(STDIN_FILENO)) {
        r = read_typed_input(&input, &error);
        reads = false;
    }
    start_watch();
    deadline_ms = clock_monotonic_ms() + RESOLVE_DEADLINE_MS;
    if (reads)
        r = read_input(&input, &error);
    is_read = 1;
    if (r == 0)
        r = protocol_serve(verb, &input, deadline_ms, &output, &error);
    is_answered = 1;
    if (r < 0) {
        log_line("docker", "%s: %s", error_class_name(error.code), error.message);
        return fail(&error);
    }
    return print(output.data, output.length) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int docker_main(int argc, char *argv[])
{
    struct pullkey_error error = { 0 };
    enum protocol_verb verb = protocol_verb(argc, argv);

    if (process_harden(&error) < 0)
        return fail(&error);
    json_start();
    log_start(PROTOCOL_NAME, secure_getenv("PULLKEY_LOG"));
    switch (verb) {
    case PROTOCOL_USAGE: (void)print_text(USAGE); return EXIT_FAILURE;
    case PROTOCOL_HELP: return print_text(USAGE) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    case PROTOCOL_VERSION:
        return print_text(PROTOCOL_NAME " (pullkey) " PULLKEY_VERSION "\n") == 0 ? EXIT_SUCCESS
                                                                                 : EXIT_FAILURE;
    case PROTOCOL_UNKNOWN:
        (void)error_set(&error, PULLKEY_INVALID, PROTOCOL_NAME ": unknown action: %s", argv[1]);
        return fail(&error);
    case PROTOCOL_GET:
    case PROTOCOL_STORE:
    case PROTOCOL_ERASE:
    case PROTOCOL_LIST:
    default: return serve(verb);
    }
}
