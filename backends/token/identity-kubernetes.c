/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "identity-sources.h"
#include "kubernetes/api.h"
#include "token-request.h"

#define SECONDS_MAX (24 * 3600)

static const char *const paths[] = { "kubeconfig", "ca_file", "token_file" };

static bool is_known(const char *name)
{
    static const char *const names[] = { "service_account", "audience", "seconds", "context",
                                         "server" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (strcmp(paths[i], name) == 0)
            return true;
    return false;
}

/* "NAMESPACE/NAME" or "NAME", whose namespace is "" then. */
static bool split_account(const char *text, char namespace_name[API_NAME_MAX + 1],
                          const char **name)
{
    const char *slash = strchr(text, '/');
    const size_t length = slash ? (size_t)(slash - text) : 0;

    *name = slash ? slash + 1 : text;
    if (length > API_NAME_MAX)
        return false;
    memcpy(mempcpy(namespace_name, text, length), "", 1);
    return api_is_name(*name) && (!slash || api_is_name(namespace_name));
}

static int check_seconds(const struct settings *settings, const cJSON *value,
                         struct pullkey_error *error)
{
    if (!value ||
        (cJSON_IsNumber(value) && value->valuedouble >= TOKEN_REQUEST_SECONDS_MIN &&
         value->valuedouble <= SECONDS_MAX && value->valuedouble == (double)value->valueint))
        return 0;
    return json_error(&settings->json, value, error, "must be a number from %d to %d",
                      TOKEN_REQUEST_SECONDS_MIN, SECONDS_MAX);
}

static int check_access(const struct settings *settings, const cJSON *value,
                        struct pullkey_error *error)
{
    const bool has_server = json_member(value, "server");

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        const cJSON *path = json_member(value, paths[i]);

        if (path && path->valuestring[0] != '/' && strcmp(path->valuestring, "auto") != 0)
            return json_error(&settings->json, path, error, "must be an absolute path");
    }
    if (has_server && (json_member(value, "kubeconfig") || json_member(value, "context")))
        return json_error(&settings->json, value, error,
                          "\"server\" and \"kubeconfig\" exclude each other");
    if (!has_server && (json_member(value, "ca_file") || json_member(value, "token_file")))
        return json_error(&settings->json, value, error,
                          "\"ca_file\" and \"token_file\" go with \"server\"");
    return 0;
}

int identity_check_kubernetes(const struct settings *settings, const cJSON *value,
                              struct pullkey_error *error)
{
    const char *account = settings_text(value, "service_account"), *name;
    const cJSON *seconds = json_member(value, "seconds"), *item;
    char namespace_name[API_NAME_MAX + 1];

    if (!cJSON_IsObject(value))
        return json_error(&settings->json, value, error, "must be an object");
    cJSON_ArrayForEach(item, value) {
        if (!is_known(item->string))
            return json_error(&settings->json, item, error, "there is no such option");
        if (item != seconds && (!cJSON_IsString(item) || item->valuestring[0] == '\0'))
            return json_error(&settings->json, item, error, "must be text");
    }
    if (!account || !json_member(value, "audience"))
        return json_error(&settings->json, value, error,
                          "needs \"service_account\" and \"audience\"");
    if (!split_account(account, namespace_name, &name))
        return json_error(&settings->json, json_member(value, "service_account"), error,
                          "must be NAMESPACE/NAME or NAME");
    if (check_seconds(settings, seconds, error) < 0)
        return -(int)error->code;
    return check_access(settings, value, error);
}

static int ask(struct api *api, const struct api_object *object, const cJSON *value,
               struct identity_token *ret, struct pullkey_error *error)
{
    const cJSON *seconds = json_member(value, "seconds");
    cleanup_secret struct pullkey_secret body = { 0 };
    cleanup_json struct json answer = { 0 };
    int r =
        token_request_write(settings_text(value, "audience"),
                            seconds ? seconds->valueint : TOKEN_REQUEST_SECONDS_MIN, &body, error);

    if (r == 0)
        r = api_call(api, object, &body, &answer, error);
    /* What is missing there is no credential that is missing here. */
    if (r == -PULLKEY_NOT_FOUND)
        r = error_set(error, PULLKEY_DENIED, "%s", error->message);
    if (r == API_CONFLICT)
        r = error_set(error, PULLKEY_INVALID, "the API server answers 409 to a TokenRequest");
    return r < 0 ? r : token_request_read(&answer, &ret->token, error);
}

int identity_get_kubernetes(struct exchange *exchange, const cJSON *value,
                            struct identity_token *ret, struct pullkey_error *error)
{
    const struct access_settings settings = {
        .kubeconfig = settings_text(value, "kubeconfig"),
        .context = settings_text(value, "context"),
        .server = settings_text(value, "server"),
        .ca_file = settings_text(value, "ca_file"),
        .token_file = settings_text(value, "token_file"),
        .system = exchange->settings->system,
        .depth = exchange->settings->depth,
    };
    char namespace_name[API_NAME_MAX + 1];
    struct api_object object = { .verb = "create", .resource = "serviceaccounts", .part = "token" };
    cleanup_api struct api api = { 0 };
    int r;

    (void)split_account(settings_text(value, "service_account"), namespace_name, &object.name);
    r = api_open(exchange->host, &settings, exchange->request->deadline_ms, &api, error);
    if (r < 0)
        return r;
    object.namespace_name = namespace_name[0] != '\0' ? namespace_name : api.access.namespace_name;
    if (object.namespace_name[0] == '\0')
        return error_set(error, PULLKEY_INVALID,
                         "%s names no namespace: name the service account NAMESPACE/%s",
                         api.access.origin, object.name);
    (void)snprintf(ret->what, sizeof(ret->what), "the service account %.60s/%.70s",
                   object.namespace_name, object.name);
    r = ask(&api, &object, value, ret, error);
    return r < 0 ? error_wrap(error, "a token for the service account %s/%s", object.namespace_name,
                              object.name)
                 : 0;
}
