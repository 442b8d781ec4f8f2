/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials from the environment: "username" and "password" name two variables; without them
 * DOCKER_AUTH_CONFIG holds the text of a docker config.json (GitLab CI, docker CLI 28). Read only.
 * A variable that is not set is no credential.
 */
#include <pullkey/backend.h>

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"
#include "auths/auths.h"

#define AUTH_CONFIG "DOCKER_AUTH_CONFIG"

struct env {
    const struct pullkey_host *host;
    char *username; /* names of variables; both NULL for DOCKER_AUTH_CONFIG */
    char *password;
};

static const struct pullkey_option env_options[] = {
    { "username", PULLKEY_OPTION_STRING, false },
    { "password", PULLKEY_OPTION_STRING, false },
    { NULL, 0, false },
};

static void env_close(void *state)
{
    struct env *env = state;

    secret_release(env->username);
    secret_release(env->password);
    secret_release(env);
}

/* Copies a string option; absent leaves NULL. */
static int copy_option(const struct json *options, const char *key, char **ret,
                       struct pullkey_error *error)
{
    const cJSON *item = json_member(options->root, key);

    if (!item)
        return 0;
    if (!cJSON_IsString(item) || item->valuestring[0] == '\0' || strchr(item->valuestring, '='))
        return error_set(error, PULLKEY_INVALID, "\"%s\" must be the name of a variable", key);
    *ret = secret_copy(item->valuestring, strlen(item->valuestring));
    return *ret ? 0 : error_memory(error);
}

static int env_open(const struct pullkey_host *host, const struct pullkey_instance *instance,
                    void **ret, struct pullkey_error *error)
{
    cleanup_json struct json options = { 0 };
    struct env *env;
    int r = json_parse(&options, instance->name, instance->options, strlen(instance->options), 0,
                       error);

    if (r < 0)
        return r;
    env = secret_alloc(sizeof(*env));
    if (!env)
        return error_memory(error);
    env->host = host;
    r = copy_option(&options, "username", &env->username, error);
    if (r == 0)
        r = copy_option(&options, "password", &env->password, error);
    if (r == 0 && !env->username != !env->password)
        r = error_set(error, PULLKEY_INVALID,
                      "\"username\" and \"password\" go together: name both variables or neither");
    if (r < 0) {
        env_close(env);
        return r;
    }
    *ret = env;
    return 0;
}

static int get_pair(const struct env *env, struct pullkey_credential *ret,
                    struct pullkey_error *error)
{
    const char *username = secure_getenv(env->username);
    const char *password = secure_getenv(env->password);
    int r;

    if (!username || username[0] == '\0' || !password || password[0] == '\0')
        return error_set(error, PULLKEY_NOT_FOUND, "%s is not set",
                         username && username[0] != '\0' ? env->password : env->username);
    ret->username = secret_copy(username, strlen(username));
    if (!ret->username)
        return error_memory(error);
    r = secret_set(&ret->secret, password, strlen(password), error);
    ret->scope = PULLKEY_SCOPE_REGISTRY;
    if (r == 0 && strcmp(username, "<token>") == 0)
        ret->kind = PULLKEY_IDENTITY_TOKEN;
    return r;
}

static int read_auth_config(struct json *ret, struct pullkey_error *error)
{
    const char *text = secure_getenv(AUTH_CONFIG);

    if (!text || text[0] == '\0')
        return error_set(error, PULLKEY_NOT_FOUND, AUTH_CONFIG " is not set");
    return json_parse(ret, AUTH_CONFIG, text, strlen(text), 0, error);
}

static int env_get(void *state, const struct pullkey_request *request,
                   struct pullkey_credential *ret, struct pullkey_error *error)
{
    const struct env *env = state;
    cleanup_json struct json document = { 0 };
    const cJSON *entry;
    cJSON *map;
    int r;

    if (env->username)
        return get_pair(env, ret, error);
    r = read_auth_config(&document, error);
    if (r == 0)
        r = auths_map(&document, &map, error);
    if (r < 0)
        return r;
    entry = map ? auths_find(env->host, map, request) : NULL;
    if (!entry)
        return error_set(error, PULLKEY_NOT_FOUND, AUTH_CONFIG " has no entry for it");
    r = auths_read(env->host, &document, entry, ret, error);
    if (r == 0)
        ret->scope = auths_scope(env->host, map, request);
    return r;
}

static int env_store(void *state, const struct pullkey_request *request,
                     const struct pullkey_credential *credential, struct pullkey_error *error)
{
    (void)state;
    (void)request;
    (void)credential;
    return error_set(error, PULLKEY_UNSUPPORTED, "the environment can only be read");
}

static int env_erase(void *state, const struct pullkey_request *request,
                     struct pullkey_error *error)
{
    (void)state;
    (void)request;
    return error_set(error, PULLKEY_UNSUPPORTED, "the environment can only be read");
}

static int env_list(void *state, int64_t deadline_ms, struct pullkey_list *ret,
                    struct pullkey_error *error)
{
    const struct env *env = state;
    cleanup_json struct json document = { 0 };
    int r;

    (void)deadline_ms;
    /* Two variables serve whatever registry their rule sends here, so there is no key to list. */
    if (env->username)
        return 0;
    r = read_auth_config(&document, error);
    if (r == -PULLKEY_NOT_FOUND)
        return 0;
    return r < 0 ? r : auths_list(env->host, &document, ret, error);
}

extern const struct pullkey_backend env_backend;
const struct pullkey_backend env_backend = {
    .module = {
        .abi_major = PULLKEY_ABI_MAJOR,
        .abi_minor = PULLKEY_ABI_MINOR,
        .size = sizeof(env_backend),
        .kind = PULLKEY_KIND_BACKEND,
        .type = "env",
        .capabilities = PULLKEY_CAN_GET | PULLKEY_CAN_LIST,
        .options = env_options,
    },
    .open = env_open,
    .get = env_get,
    .store = env_store,
    .erase = env_erase,
    .list = env_list,
    .close = env_close,
};
