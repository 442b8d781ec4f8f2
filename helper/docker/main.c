/* SPDX-License-Identifier: Apache-2.0 */
/* docker-credential-pullkey: the program that container tools run. */
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
#include "protocol.h"
#include "pullkey-build.h"

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
 * system that hangs. Files are replaced whole, so the process may end at any point.
 */
static volatile sig_atomic_t is_answered;

static void give_up(int number)
{
    const char line[] = PROTOCOL_NAME ": the request took too long and was given up; "
                                      "PULLKEY_LOG=FILE shows what it was waiting for\n";

    (void)number;
    if (is_answered)
        return;
    (void)!write(STDOUT_FILENO, line, sizeof(line) - 1);
    _exit(EXIT_FAILURE);
}

static void start_watch(void)
{
    (void)signal(SIGALRM, give_up);
    (void)alarm(RESOLVE_DEADLINE_MS / 1000 + 2);
}

/* Clients that are still writing when the reader goes away report a broken pipe instead of our
 * error. */
static void drain_input(void)
{
    char rest[4096];
    size_t left = 64 * (size_t)PROTOCOL_INPUT_MAX;
    ssize_t got;

    while (left > 0 && (got = read(STDIN_FILENO, rest, sizeof(rest))) > 0)
        left -= (size_t)got < left ? (size_t)got : left;
}

static int read_input(struct buffer *input, struct pullkey_error *error)
{
    int64_t deadline_ms = INT64_MAX;
    int r;

    if (isatty(STDIN_FILENO)) {
        const char hint[] = PROTOCOL_NAME ": reading the request from the terminal; "
                                          "end it with Ctrl-D\n";

        (void)!write(STDERR_FILENO, hint, sizeof(hint) - 1);
    } else {
        deadline_ms = clock_monotonic_ms() + RESOLVE_DEADLINE_MS;
    }
    r = buffer_read_until(input, STDIN_FILENO, deadline_ms, error);
    if (r < 0 && input->state == BUFFER_FULL) {
        start_watch();
        drain_input();
    }
    return r < 0 ? error_wrap(error, "the request on standard input") : 0;
}

static int serve_in_time(enum protocol_verb verb, const struct buffer *input, struct buffer *output,
                         struct pullkey_error *error)
{
    int r;

    start_watch();
    r = protocol_serve(verb, input, output, error);
    is_answered = 1;
    return r;
}

static int serve(enum protocol_verb verb)
{
    cleanup_buffer struct buffer input = BUFFER_INIT(PROTOCOL_INPUT_MAX);
    cleanup_buffer struct buffer output = BUFFER_INIT(PROTOCOL_OUTPUT_MAX);
    struct pullkey_error error = { 0 };
    int r = protocol_reads_input(verb) ? read_input(&input, &error) : 0;

    if (r == 0)
        r = serve_in_time(verb, &input, &output, &error);
    if (r < 0) {
        log_line("docker", "%s: %s", error_class_name(error.code), error.message);
        return fail(&error);
    }
    return print(output.data, output.length) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char *argv[])
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
