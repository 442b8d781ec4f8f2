/* SPDX-License-Identifier: Apache-2.0 */
/* pullkey-kubelet: the plugin that a kubelet runs for credentials. */
#include "main.h"

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
#include "pullkey-build.h"
#include "request.h"
#include "serve.h"

#define RESPONSE_SIZE_MAX (1024 * 1024)
#define WATCH_SECONDS 50 /* for what does not keep to a deadline; the kubelet kills at 60 */

#define USAGE                                                                                      \
    "Usage: " SERVE_NAME " < REQUEST\n"                                                            \
    "\n"                                                                                           \
    "A credential provider plugin of the kubelet: reads a CredentialProviderRequest\n"             \
    "from standard input and writes a CredentialProviderResponse. It takes no\n"                   \
    "arguments: rules and backends stand in /etc/pullkey (PULLKEY_CONFIG names\n"                  \
    "another file), see pullkey.conf(5), and \"pullkey kubelet config\" prints what\n"             \
    "the kubelet is told of it.\n"

static int print(int fd, const char *bytes, size_t length)
{
    struct pullkey_error ignored;

    return file_write_all(fd, bytes, length, &ignored);
}

/* One line, which the kubelet logs. */
static int fail(const struct pullkey_error *error)
{
    char line[sizeof(SERVE_NAME ": \n") + PULLKEY_ERROR_SIZE];
    size_t length = strnlen(error->message, PULLKEY_ERROR_SIZE - 1);
    char *end = mempcpy(line, SERVE_NAME ": ", strlen(SERVE_NAME ": "));

    end = mempcpy(mempcpy(end, error->message, length), "\n", 1);
    (void)print(STDERR_FILENO, line, (size_t)(end - line));
    return EXIT_FAILURE;
}

static void give_up(int number)
{
    static const char text[] = SERVE_NAME ": the request took too long and was given up; "
                                          "PULLKEY_LOG=FILE shows what it was waiting for\n";

    (void)number;
    process_end_children(SIGTERM);
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(EXIT_FAILURE);
}

static int run(void)
{
    cleanup_buffer struct buffer input = BUFFER_INIT(REQUEST_SIZE_MAX);
    cleanup_buffer struct buffer output = BUFFER_INIT(RESPONSE_SIZE_MAX);
    struct pullkey_error error = { 0 };
    int64_t deadline_ms;
    int r;

    (void)signal(SIGALRM, give_up);
    (void)alarm(WATCH_SECONDS);
    deadline_ms = clock_monotonic_ms() + SERVE_DEADLINE_MS;
    r = buffer_read(&input, STDIN_FILENO, &error);
    if (r < 0)
        (void)error_wrap(&error, "the request on standard input");
    else
        r = serve(&input, deadline_ms, &output, &error);
    if (r < 0) {
        log_line("kubelet", "%s: %s", error_class_name(error.code), error.message);
        return fail(&error);
    }
    if (print(STDOUT_FILENO, output.data, output.length) == 0)
        return EXIT_SUCCESS;
    (void)error_set(&error, PULLKEY_INTERNAL, "the answer cannot be written to standard output");
    return fail(&error);
}

int kubelet_main(int argc, char *argv[])
{
    struct pullkey_error error = { 0 };
    const char *argument = argc > 1 ? argv[1] : NULL;

    if (process_harden(&error) < 0)
        return fail(&error);
    json_start();
    log_start(SERVE_NAME, secure_getenv("PULLKEY_LOG"));
    if (!argument)
        return run();
    if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0)
        return print(STDOUT_FILENO, USAGE, strlen(USAGE)) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    if (strcmp(argument, "--version") == 0)
        return print(STDOUT_FILENO, SERVE_NAME " " PULLKEY_VERSION "\n",
                     strlen(SERVE_NAME " " PULLKEY_VERSION "\n")) == 0
                   ? EXIT_SUCCESS
                   : EXIT_FAILURE;
    (void)error_set(&error, PULLKEY_INVALID,
                    "it takes no arguments: take \"args\" out of the kubelet's configuration, and "
                    "name another configuration file by \"env\" and PULLKEY_CONFIG");
    return fail(&error);
}
