/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any other docker-credential-NAME program as a backend. It is found in pullkey's own bindir,
 * /usr/local/bin, /usr/bin or at an absolute "path", never through PATH, and must belong to the
 * caller or root and be writable by nobody else.
 *
 * A user's helper gets the user's environment, less what process_is_hostile names (dropped when we
 * started). In system programs it gets HOME of the account, a fixed PATH and the variables that
 * "env" names.
 */
#include <pullkey/backend.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auths/auths.h"
#include "base/depth.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/text.h"
#include "exec/reply.h"
#include "run/run.h"
#include "pullkey-build.h"

#define PREFIX "docker-credential-"
#define HUB_SERVER "https://index.docker.io/v1/"
#define FIXED_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define NAME_MAX_BYTES 64
#define OUTPUT_MAX (1024 * 1024)
#define PAYLOAD_MAX (PULLKEY_SECRET_MAX * 6 + 64 * 1024) /* each byte may become \u00xx */

struct exec {
    const struct pullkey_host *host;
    char path[FILE_PATH_MAX];
    char **environment; /* one block of pointers; the strings in `owned` are ours */
    char *owned[2];
};

static const struct pullkey_option exec_options[] = {
    { "helper", PULLKEY_OPTION_STRING, false },
    { "path", PULLKEY_OPTION_STRING, false },
    { "env", PULLKEY_OPTION_STRINGS, false },
    { NULL, 0, false },
};

static void exec_close(void *state)
{
    struct exec *exec = state;

    secret_release(exec->environment);
    for (size_t i = 0; i < sizeof(exec->owned) / sizeof(exec->owned[0]); i++)
        secret_release(exec->owned[i]);
    secret_release(exec);
}

/* Links are followed first, so that the checks are of the file that will run. */
static int check_program(const char *path, char *ret, struct pullkey_error *error)
{
    cleanup_release char *resolved = secret_alloc(FILE_PATH_MAX);
    int r;

    if (!resolved)
        return error_memory(error);
    if (!realpath(path, resolved))
        return error_errno(error, errno, "cannot find %s", path);
    r = file_check(resolved, FILE_LINKED, error);
    if (r < 0)
        return r;
    if (strcmp(strrchr(resolved, '/') + 1, PREFIX "pullkey") == 0)
        return error_set(error, PULLKEY_INVALID, "pullkey cannot be its own helper");
    if (access(resolved, X_OK) < 0)
        return error_errno(error, errno, "cannot run %s", resolved);
    memcpy(ret, resolved, strlen(resolved) + 1);
    return 0;
}

static int find_helper(const char *name, char *ret, struct pullkey_error *error)
{
    static const char *const directories[] = { PULLKEY_BINDIR, "/usr/local/bin", "/usr/bin" };
    char path[FILE_PATH_MAX];

    if (!text_is_name(name, NAME_MAX_BYTES))
        return error_set(error, PULLKEY_INVALID,
                         "\"helper\" is the part after docker-credential- of a program's name: "
                         "lower-case letters, digits, '-' and '_'");
    if (strcmp(name, "pullkey") == 0)
        return error_set(error, PULLKEY_INVALID, "pullkey cannot be its own helper");
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
        if (snprintf(path, sizeof(path), "%s/" PREFIX "%s", directories[i], name) >=
            (int)sizeof(path))
            continue;
        if (access(path, F_OK) == 0)
            return check_program(path, ret, error);
    }
    return error_set(error, PULLKEY_UNSUPPORTED,
                     "there is no " PREFIX "%s in " PULLKEY_BINDIR ", /usr/local/bin or /usr/bin",
                     name);
}

static int find_program(const struct json *options, char *ret, struct pullkey_error *error)
{
    const cJSON *helper = json_member(options->root, "helper");
    const cJSON *path = json_member(options->root, "path");

    if (!helper == !path)
        return error_set(error, PULLKEY_INVALID,
                         "give \"helper\" (a name) or \"path\" (an absolute path)");
    if (helper)
        return find_helper(helper->valuestring, ret, error);
    if (path->valuestring[0] != '/')
        return error_set(error, PULLKEY_INVALID, "\"path\" must be absolute");
    return check_program(path->valuestring, ret, error);
}

static bool is_variable(const char *entry, const char *name)
{
    size_t length = strlen(name);

    return strncmp(entry, name, length) == 0 && entry[length] == '=';
}

static size_t count_environment(void)
{
    size_t count = 0;

    while (environ && environ[count])
        count++;
    return count;
}

/* What a user's helper inherits: all but our own depth. */
static size_t inherit_all(char **to)
{
    size_t at = 0;

    for (char **from = environ; from && *from; from++)
        if (!is_variable(*from, DEPTH_VARIABLE))
            to[at++] = *from;
    return at;
}

/* What a system program's helper gets: the names in "env" only, and of them not what is fixed. */
static size_t inherit_named(const cJSON *names, char **to)
{
    size_t at = 0;

    for (char **from = environ; from && *from; from++) {
        if (is_variable(*from, DEPTH_VARIABLE) || is_variable(*from, "PATH") ||
            is_variable(*from, "HOME"))
            continue;
        for (const cJSON *name = names ? names->child : NULL; name; name = name->next)
            if (is_variable(*from, name->valuestring)) {
                to[at++] = *from;
                break;
            }
    }
    return at;
}

static char *format_variable(const char *name, const char *value)
{
    cleanup_buffer struct buffer buffer = BUFFER_INIT(FILE_PATH_MAX + 64);
    struct pullkey_secret text = { 0 };
    struct pullkey_error ignored;

    buffer_append_text(&buffer, name);
    buffer_append_text(&buffer, "=");
    buffer_append_text(&buffer, value);
    return buffer_steal(&buffer, &text, &ignored) < 0 ? NULL : text.bytes;
}

static int make_environment(struct exec *exec, const struct pullkey_instance *instance,
                            const cJSON *names, struct pullkey_error *error)
{
    static char fixed_path[] = FIXED_PATH;
    char depth[16], home[FILE_PATH_MAX];
    size_t at;

    exec->environment = secret_alloc((count_environment() + 4) * sizeof(char *));
    (void)snprintf(depth, sizeof(depth), "%u", instance->depth + 1);
    exec->owned[0] = format_variable(DEPTH_VARIABLE, depth);
    if (!exec->environment || !exec->owned[0])
        return error_memory(error);
    if (!instance->system) {
        at = inherit_all(exec->environment);
    } else {
        at = inherit_named(names, exec->environment);
        exec->environment[at++] = fixed_path;
        if (file_account_home(home, error) == 0) {
            exec->owned[1] = format_variable("HOME", home);
            if (!exec->owned[1])
                return error_memory(error);
            exec->environment[at++] = exec->owned[1];
        }
    }
    exec->environment[at++] = exec->owned[0];
    exec->environment[at] = NULL;
    return 0;
}

static int exec_open(const struct pullkey_host *host, const struct pullkey_instance *instance,
                     void **ret, struct pullkey_error *error)
{
    cleanup_json struct json options = { 0 };
    struct exec *exec;
    int r = json_parse(&options, instance->name, instance->options, strlen(instance->options), 0,
                       error);

    if (r < 0)
        return r;
    exec = secret_alloc(sizeof(*exec));
    if (!exec)
        return error_memory(error);
    exec->host = host;
    r = find_program(&options, exec->path, error);
    if (r == 0)
        r = make_environment(exec, instance, json_member(options.root, "env"), error);
    if (r < 0) {
        exec_close(exec);
        return r;
    }
    *ret = exec;
    return 0;
}

/* One run: 0, or the error that the helper answered. */
static int call(const struct exec *exec, const char *verb, const char *input, size_t length,
                int64_t deadline_ms, struct buffer *output, struct pullkey_error *error)
{
    char *const arguments[] = { (char *)(uintptr_t)exec->path, (char *)(uintptr_t)verb, NULL };
    const struct run run = {
        .path = exec->path,
        .arguments = arguments,
        .environment = exec->environment,
        .input = input,
        .input_length = length,
        .deadline_ms = deadline_ms,
    };
    int status;
    int r = run_program(&run, output, &status, error);

    if (r == 0 && status != 0)
        r = reply_error(output, verb, status, error);
    if (r < 0)
        return error_wrap(error, "%s %s", strrchr(exec->path, '/') + 1, verb);
    return 0;
}

static int get_name(const struct exec *exec, const char *name, int64_t deadline_ms,
                    struct pullkey_credential *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer output = BUFFER_INIT(OUTPUT_MAX);
    int r = call(exec, "get", name, strlen(name), deadline_ms, &output, error);

    if (r < 0)
        return r;
    r = reply_credential(exec->host, &output, ret, error);
    return r < 0 ? error_wrap(error, "%s get", strrchr(exec->path, '/') + 1) : 0;
}

static int exec_get(void *state, const struct pullkey_request *request,
                    struct pullkey_credential *ret, struct pullkey_error *error)
{
    int r = -PULLKEY_NOT_FOUND;

    for (size_t i = 0; i < request->name_count && r == -PULLKEY_NOT_FOUND; i++)
        r = get_name(state, request->names[i], request->deadline_ms, ret, error);
    return r;
}

/* An answer that makes no sense is one as well. pass answers a miss with an empty credential. */
static int find_name(const struct exec *exec, const char *name, int64_t deadline_ms,
                     struct pullkey_error *error)
{
    cleanup_buffer struct buffer output = BUFFER_INIT(OUTPUT_MAX);
    struct pullkey_credential found = { 0 };
    int r = call(exec, "get", name, strlen(name), deadline_ms, &output, error);

    if (r < 0)
        return r;
    r = reply_credential(exec->host, &output, &found, error);
    exec->host->release(found.username);
    exec->host->release(found.secret.bytes);
    return r == -PULLKEY_INVALID ? 0 : r;
}

/* The helper cannot be asked for aliases, and some fail to erase what is not there: so each name is
 * asked for first. */
static int erase_name(const struct exec *exec, const char *name, int64_t deadline_ms,
                      struct pullkey_error *error)
{
    cleanup_buffer struct buffer output = BUFFER_INIT(OUTPUT_MAX);
    int r = find_name(exec, name, deadline_ms, error);

    return r < 0 ? r : call(exec, "erase", name, strlen(name), deadline_ms, &output, error);
}

static int erase_names(const struct exec *exec, const struct pullkey_request *request,
                       const char *except, struct pullkey_error *error)
{
    bool found = false;

    for (size_t i = 0; i < request->alias_count; i++) {
        int r;

        if (except && strcmp(request->names[i], except) == 0)
            continue;
        r = erase_name(exec, request->names[i], request->deadline_ms, error);
        if (r < 0 && r != -PULLKEY_NOT_FOUND)
            return r;
        found = found || r == 0;
    }
    return found ? 0 : error_set(error, PULLKEY_NOT_FOUND, "it has none");
}

static int exec_erase(void *state, const struct pullkey_request *request,
                      struct pullkey_error *error)
{
    return erase_names(state, request, NULL, error);
}

/* Under which name other programs look for it: Docker Hub has one that all of them know. */
static const char *store_name(const struct pullkey_request *request)
{
    bool hub = strcmp(request->host, "docker.io") == 0 && request->port == 0 && !request->http &&
               request->path[0] == '\0';

    return hub ? HUB_SERVER : request->text;
}

static int store_payload(const struct exec *exec, const struct buffer *payload, int64_t deadline_ms,
                         struct pullkey_error *error)
{
    cleanup_buffer struct buffer output = BUFFER_INIT(OUTPUT_MAX);

    return call(exec, "store", payload->data, payload->length, deadline_ms, &output, error);
}

/* Some helpers take one name for another: then the new entry went with the alias that was erased.
 */
static int store_again(const struct exec *exec, const char *name, const struct buffer *payload,
                       int64_t deadline_ms, struct pullkey_error *error)
{
    int r = find_name(exec, name, deadline_ms, error);

    return r == -PULLKEY_NOT_FOUND ? store_payload(exec, payload, deadline_ms, error) : r;
}

static int exec_store(void *state, const struct pullkey_request *request,
                      const struct pullkey_credential *credential, struct pullkey_error *error)
{
    cleanup_buffer struct buffer payload = BUFFER_INIT(PAYLOAD_MAX);
    const char *name = store_name(request);
    int r = auths_check(credential, error);

    if (r < 0)
        return r;
    buffer_append_text(&payload, "{\"ServerURL\":");
    json_write_string(&payload, name, strlen(name));
    buffer_append_text(&payload, ",\"Username\":");
    json_write_string(&payload, credential->username, strlen(credential->username));
    buffer_append_text(&payload, ",\"Secret\":");
    json_write_string(&payload, credential->secret.bytes, credential->secret.length);
    buffer_append_text(&payload, "}\n");
    r = buffer_check(&payload, error);
    if (r == 0)
        r = store_payload(state, &payload, request->deadline_ms, error);
    if (r < 0)
        return r;
    r = erase_names(state, request, name, error);
    if (r == 0)
        return store_again(state, name, &payload, request->deadline_ms, error);
    return r == -PULLKEY_NOT_FOUND ? 0 : r;
}

static int exec_list(void *state, int64_t deadline_ms, struct pullkey_list *ret,
                     struct pullkey_error *error)
{
    const struct exec *exec = state;
    cleanup_buffer struct buffer output = BUFFER_INIT(OUTPUT_MAX);
    int r = call(exec, "list", "unused", 6, deadline_ms, &output, error);

    /* Many helpers have no list; what they hold then does not appear. */
    if (r == -PULLKEY_UNSUPPORTED || r == -PULLKEY_NOT_FOUND)
        return 0;
    if (r < 0)
        return r;
    r = reply_list(exec->host, &output, ret, error);
    return r < 0 ? error_wrap(error, "%s list", strrchr(exec->path, '/') + 1) : 0;
}

extern const struct pullkey_backend exec_backend;
const struct pullkey_backend exec_backend = {
    .module = {
        .abi_major = PULLKEY_ABI_MAJOR,
        .abi_minor = PULLKEY_ABI_MINOR,
        .size = sizeof(exec_backend),
        .kind = PULLKEY_KIND_BACKEND,
        .type = "exec",
        .capabilities = PULLKEY_CAN_GET | PULLKEY_CAN_STORE | PULLKEY_CAN_LIST,
        .options = exec_options,
    },
    .open = exec_open,
    .get = exec_get,
    .store = exec_store,
    .erase = exec_erase,
    .list = exec_list,
    .close = exec_close,
};
