/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <string.h>

#include "api.h"
#include "base/error.h"

#define SELECTOR_MAX 1024
#define COALESCE_MAX 60 /* seconds */

const struct pullkey_option options_table[] = {
    { "kubeconfig", PULLKEY_OPTION_STRING, false },
    { "context", PULLKEY_OPTION_STRING, false },
    { "server", PULLKEY_OPTION_STRING, false },
    { "ca_file", PULLKEY_OPTION_STRING, false },
    { "token_file", PULLKEY_OPTION_STRING, false },
    { "insecure_skip_tls_verify", PULLKEY_OPTION_BOOL, false },
    { "secret", PULLKEY_OPTION_STRING, false },
    { "service_account", PULLKEY_OPTION_STRING, false },
    { "namespace", PULLKEY_OPTION_STRING, false },
    { "selector", PULLKEY_OPTION_STRING, false },
    { "pod_secrets", PULLKEY_OPTION_BOOL, false },
    { "identity", PULLKEY_OPTION_STRING, false },
    { "keep", PULLKEY_OPTION_OBJECT, false },
    { "coalesce", PULLKEY_OPTION_NUMBER, false },
    { NULL, 0, false },
};

static const char *text_option(const struct json *json, const char *name)
{
    const cJSON *item = json_member(json->root, name);

    return cJSON_IsString(item) ? item->valuestring : NULL;
}

/* "NAMESPACE/NAME" or "NAME": the text is cut in two. */
static int split_name(const char *option, const char *text, struct options *ret,
                      struct pullkey_error *error)
{
    char *slash = strchr(text, '/');

    ret->name = text;
    if (slash) {
        if (ret->namespace_name)
            return error_set(error, PULLKEY_INVALID,
                             "the namespace is named twice: in \"%s\" and as \"namespace\"",
                             option);
        *slash = '\0';
        ret->namespace_name = text;
        ret->name = slash + 1;
    }
    if (!api_is_name(ret->name) || (ret->namespace_name && !api_is_name(ret->namespace_name)))
        return error_set(error, PULLKEY_INVALID, "\"%s\" must be NAMESPACE/NAME or NAME", option);
    return 0;
}

static int read_source(struct options *ret, struct pullkey_error *error)
{
    const char *secret = text_option(&ret->json, "secret");
    const char *account = text_option(&ret->json, "service_account");
    const bool is_pod = cJSON_IsTrue(json_member(ret->json.root, "pod_secrets"));

    ret->namespace_name = text_option(&ret->json, "namespace");
    ret->selector = text_option(&ret->json, "selector");
    if (!!secret + !!account + !!ret->selector + is_pod != 1)
        return error_set(error, PULLKEY_INVALID,
                         "give one of \"secret\", \"service_account\", \"selector\" and "
                         "\"pod_secrets\": true");
    if (is_pod) {
        ret->source = OPTIONS_POD;
        if (ret->namespace_name)
            return error_set(error, PULLKEY_INVALID,
                             "\"pod_secrets\" are in the namespace of the pod: leave out "
                             "\"namespace\"");
        return 0;
    }
    if (secret) {
        ret->source = OPTIONS_SECRET;
        return split_name("secret", secret, ret, error);
    }
    if (account) {
        ret->source = OPTIONS_SERVICE_ACCOUNT;
        return split_name("service_account", account, ret, error);
    }
    ret->source = OPTIONS_SELECTOR;
    if (strlen(ret->selector) > SELECTOR_MAX)
        return error_set(error, PULLKEY_INVALID, "\"selector\" is too long");
    if (ret->namespace_name && !api_is_name(ret->namespace_name))
        return error_set(error, PULLKEY_INVALID, "\"namespace\" must be the name of one");
    return 0;
}

static int check_path(const char *option, const char *path, struct pullkey_error *error)
{
    if (!path || path[0] == '/')
        return 0;
    return error_set(error, PULLKEY_INVALID, "\"%s\" must be an absolute path", option);
}

static int read_access(const struct pullkey_instance *instance, struct options *ret,
                       struct pullkey_error *error)
{
    struct access_settings *access = &ret->access;
    bool is_auto;

    *access = (struct access_settings){
        .kubeconfig = text_option(&ret->json, "kubeconfig"),
        .context = text_option(&ret->json, "context"),
        .server = text_option(&ret->json, "server"),
        .ca_file = text_option(&ret->json, "ca_file"),
        .token_file = text_option(&ret->json, "token_file"),
        .insecure = cJSON_IsTrue(json_member(ret->json.root, "insecure_skip_tls_verify")),
        .system = instance->system,
        .depth = instance->depth,
    };
    is_auto = access->kubeconfig && strcmp(access->kubeconfig, "auto") == 0;
    if (access->server && (access->kubeconfig || access->context))
        return error_set(error, PULLKEY_INVALID,
                         "\"server\" and \"kubeconfig\" exclude each other");
    if (!access->server && (access->ca_file || access->token_file))
        return error_set(error, PULLKEY_INVALID,
                         "\"ca_file\" and \"token_file\" go with \"server\"");
    if (!is_auto && check_path("kubeconfig", access->kubeconfig, error) < 0)
        return -(int)error->code;
    if (check_path("ca_file", access->ca_file, error) < 0)
        return -(int)error->code;
    return check_path("token_file", access->token_file, error);
}

static int read_identity(struct options *ret, struct pullkey_error *error)
{
    const char *identity = text_option(&ret->json, "identity");

    if (!identity)
        return 0;
    if (strcmp(identity, "workload") != 0)
        return error_set(error, PULLKEY_INVALID, "\"identity\" must be \"workload\"");
    if (ret->access.token_file)
        return error_set(error, PULLKEY_INVALID,
                         "\"identity\" and \"token_file\" exclude each other");
    if (!ret->access.server && !ret->access.kubeconfig)
        return error_set(error, PULLKEY_INVALID,
                         "\"identity\" needs a \"server\" with its \"ca_file\", or a "
                         "\"kubeconfig\" for the address");
    ret->as_workload = true;
    return 0;
}

/* What one identity may read is not kept for another, and a list changes all the time. */
static int read_keep(const struct pullkey_instance *instance, struct options *ret,
                     struct pullkey_error *error)
{
    const cJSON *option = json_member(ret->json.root, "keep");

    if (!option)
        return 0;
    if (ret->as_workload || ret->source == OPTIONS_POD || ret->source == OPTIONS_SELECTOR)
        return error_set(error, PULLKEY_INVALID,
                         "\"keep\" is for a \"secret\" or a \"service_account\", not for "
                         "\"pod_secrets\", a \"selector\" or the \"identity\" of a workload");
    return keep_read_option(option, instance->system, &ret->keep, error);
}

/* How long what was read is kept is up to the host; here only the limit is. */
static int check_coalesce(const struct json *json, struct pullkey_error *error)
{
    const cJSON *item = json_member(json->root, "coalesce");

    if (!item || (cJSON_IsNumber(item) && item->valuedouble <= COALESCE_MAX))
        return 0;
    return error_set(error, PULLKEY_INVALID, "\"coalesce\" must be whole seconds from 0 to %d",
                     COALESCE_MAX);
}

int options_read(const struct pullkey_instance *instance, struct options *ret,
                 struct pullkey_error *error)
{
    int r = json_parse(&ret->json, instance->name, instance->options, strlen(instance->options), 0,
                       error);

    if (r == 0)
        r = read_access(instance, ret, error);
    if (r == 0)
        r = read_source(ret, error);
    if (r == 0)
        r = read_identity(ret, error);
    if (r == 0)
        r = read_keep(instance, ret, error);
    if (r == 0)
        r = check_coalesce(&ret->json, error);
    if (r < 0)
        options_done(ret);
    return r;
}

void options_done(struct options *options)
{
    json_done(&options->json);
}
