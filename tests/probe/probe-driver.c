/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the registry check of net.so with a host table of its own, and prints what came of it as
 * JSON.
 *
 *   probe-driver MODULE [--host H] [--port P] [--http] [--options JSON] [--deadline MS]
 *                [--anonymous]
 *
 * stdin: the user name, a line end, the secret without a line end. The user name "<token>" makes it
 * an identity token. With --anonymous nobody reads it.
 *
 * Names and addresses are tools/routes.c's.
 */
#include <pullkey/backend.h>

#include <dlfcn.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/secret.h"
#include "pullkey-build.h"

static const struct pullkey_host fake_host = {
    .size = sizeof(fake_host),
    .alloc = secret_alloc,
    .release = secret_release,
    .log = log_line,
    .wall_seconds = clock_wall_seconds,
    .monotonic_ms = clock_monotonic_ms,
};

static const struct pullkey_probe *find_probe(const char *path)
{
#if PULLKEY_BUILTIN
    extern const struct pullkey_probe probe_module;

    (void)path;
    return &probe_module;
#else
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct pullkey_module *const *module =
        object ? dlsym(object, "pullkey_module_probe") : NULL;

    if (!module || (*module)->abi_major != PULLKEY_ABI_MAJOR ||
        (*module)->kind != PULLKEY_KIND_PROBE) {
        (void)fprintf(stderr, "probe-driver: %s\n", object ? "not a probe" : dlerror());
        return NULL;
    }
    return (const struct pullkey_probe *)(const void *)*module;
#endif
}

static int read_credential(struct pullkey_credential *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer input = BUFFER_INIT(2 * PULLKEY_SECRET_MAX);
    int r = buffer_read(&input, STDIN_FILENO, error);
    const char *end = r < 0 ? NULL : memchr(input.data, '\n', input.length);

    if (r < 0)
        return r;
    if (!end)
        return error_set(error, PULLKEY_INVALID, "no user name and secret on stdin");
    ret->username = secret_copy(input.data, (size_t)(end - input.data));
    if (!ret->username)
        return error_memory(error);
    if (strcmp(ret->username, "<token>") == 0)
        ret->kind = PULLKEY_IDENTITY_TOKEN;
    end++;
    return secret_set(&ret->secret, end, input.length - (size_t)(end - input.data), error);
}

static int print_result(int r, const struct pullkey_probe_result *result,
                        const struct pullkey_error *error)
{
    cleanup_buffer struct buffer out = BUFFER_INIT(16384);

    if (r < 0) {
        buffer_printf(&out, "{\"error\": \"%s\", \"returned\": %d, \"message\": ",
                      error_class_name(error->code), r);
        json_write_string(&out, error->message, strlen(error->message));
    } else {
        buffer_printf(&out, "{\"verdict\": \"%s\", \"scheme\": \"%s\", \"realm_host\": ",
                      result->verdict == PULLKEY_ACCEPTED ? "accepted"
                      : result->verdict == PULLKEY_OPEN   ? "open"
                      : result->verdict == PULLKEY_ASKS   ? "asks"
                                                          : "?",
                      result->scheme);
        json_write_string(&out, result->realm_host, strlen(result->realm_host));
    }
    buffer_append_text(&out, "}\n");
    return out.state == BUFFER_FINE && fwrite(out.data, 1, out.length, stdout) == out.length &&
                   fflush(stdout) == 0
               ? 0
               : 1;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "host", required_argument, NULL, 'h' },
        { "port", required_argument, NULL, 'p' },
        { "http", no_argument, NULL, 'x' },
        { "options", required_argument, NULL, 'o' },
        { "deadline", required_argument, NULL, 'd' },
        { "anonymous", no_argument, NULL, 'a' },
        { NULL, 0, NULL, 0 },
    };
    struct pullkey_request request = {
        .size = sizeof(request), .text = "", .host = "", .path = ""
    };
    struct pullkey_credential credential = { 0 };
    struct pullkey_probe_result result = { 0 };
    struct pullkey_error error = { 0 };
    const struct pullkey_probe *probe;
    const char *json = NULL;
    int64_t deadline = 10000;
    bool anonymous = false;
    int choice, r;

    while ((choice = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (choice) {
        case 'h': request.text = request.host = optarg; break;
        case 'p': request.port = (uint16_t)strtoul(optarg, NULL, 10); break;
        case 'x': request.http = true; break;
        case 'o': json = optarg; break;
        case 'a': anonymous = true; break;
        case 'd': deadline = strtoll(optarg, NULL, 10); break;
        default: return 2;
        }
    }
    if (optind != argc - 1)
        return 2;
    json_start();
    log_start("probe-driver", secure_getenv("PULLKEY_LOG"));
    probe = find_probe(argv[optind]);
    if (!probe)
        return 2;
    r = anonymous ? 0 : read_credential(&credential, &error);
    if (r == 0) {
        request.deadline_ms = clock_monotonic_ms() + deadline;
        r = probe->check(&fake_host, &request, anonymous ? NULL : &credential, json, &result,
                         &error);
    }
    secret_release(credential.username);
    secret_done(&credential.secret);
    return print_result(r, &result, &error);
}
