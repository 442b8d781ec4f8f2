/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Yields expiring tokens, slowly, and counts how often. Options: "secret"; "life" in seconds; "calls" names a file that grows by one
 * byte with each get; "wait" names a file whose appearance is waited for, "wait_ms" how long at most; "fail" is a message;
 * "only_with" names a file without which there is no token; "per_pod" makes it one pod's;
 * with "echo" it is the token of the workload, where there is one.
 */
#include "fake.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"

#define WAIT_MS 15000

static const struct pullkey_option options[] = {
    { "secret", PULLKEY_OPTION_STRING, true }, { "life", PULLKEY_OPTION_NUMBER, false },
    { "calls", PULLKEY_OPTION_STRING, true },  { "wait", PULLKEY_OPTION_STRING, false },
    { "wait_ms", PULLKEY_OPTION_NUMBER, false }, { "fail", PULLKEY_OPTION_STRING, false },
    { "only_with", PULLKEY_OPTION_STRING, false }, { "per_pod", PULLKEY_OPTION_BOOL, false },
    { "echo", PULLKEY_OPTION_BOOL, false },
    { NULL },
};

static int open_token(const struct pullkey_host *host, const struct pullkey_instance *instance,
                      void **ret, struct pullkey_error *error)
{
    struct json *json = secret_alloc(sizeof(*json));
    int r;

    fake_host = host;
    if (!json)
        return error_memory(error);
    r = json_parse(json, "options", instance->options, strlen(instance->options), 0, error);
    if (r < 0)
        secret_release(json);
    else
        *ret = json;
    return r;
}

static void close_token(void *state)
{
    json_done(state);
    secret_release(state);
}

static const char *text_option(const struct json *json, const char *name)
{
    return cJSON_GetStringValue(json_member(json->root, name));
}

static double number_option(const struct json *json, const char *name, double otherwise)
{
    const cJSON *item = json_member(json->root, name);

    return item ? item->valuedouble : otherwise;
}

static int count_call(const char *path, struct pullkey_error *error)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    bool fine = fd >= 0 && write(fd, ".", 1) == 1;

    if (fd >= 0)
        (void)close(fd);
    return fine ? 0 : error_set(error, PULLKEY_INTERNAL, "cannot count in %s", path);
}

static void wait_for(const char *path, int64_t end_ms)
{
    while (access(path, F_OK) < 0 && fake_host->monotonic_ms() < end_ms)
        (void)poll(NULL, 0, 1);
}

static int get(void *state, const struct pullkey_request *request, struct pullkey_credential *ret,
               struct pullkey_error *error)
{
    const struct json *json = state;
    const char *secret = text_option(json, "secret");
    const char *wait = text_option(json, "wait");
    const char *fail = text_option(json, "fail");
    const char *only_with = text_option(json, "only_with");
    int r = count_call(text_option(json, "calls"), error);

    if (r < 0)
        return r;
    if (request->workload && cJSON_IsTrue(json_member(json->root, "echo")))
        secret = request->workload->token.bytes;
    if (wait)
        wait_for(wait, fake_host->monotonic_ms() + (int64_t)number_option(json, "wait_ms", WAIT_MS));
    if (fail)
        return error_set(error, PULLKEY_UNREACHABLE, "%s", fail);
    if (only_with && access(only_with, F_OK) < 0)
        return error_set(error, PULLKEY_NOT_FOUND, "no token");
    r = fake_answer(strlen(secret), ret, error);
    if (r < 0)
        return r;
    memcpy(ret->secret.bytes, secret, strlen(secret));
    ret->per_pod = cJSON_IsTrue(json_member(json->root, "per_pod"));
    ret->expiry = fake_host->wall_seconds() + (int64_t)number_option(json, "life", 3600);
    return 0;
}

static const struct pullkey_backend backend = {
    .module = {
        .abi_major = PULLKEY_ABI_MAJOR,
        .abi_minor = PULLKEY_ABI_MINOR,
        .size = sizeof(backend),
        .kind = PULLKEY_KIND_BACKEND,
        .type = "fake-token",
        .capabilities = PULLKEY_CAN_GET | PULLKEY_EXPIRES,
        .options = options,
        .inputs = "env FAKE_IDENTITY\nworkload\n",
    },
    .open = open_token,
    .get = get,
    .close = close_token,
};

PULLKEY_EXPORT_MODULE(backend);
