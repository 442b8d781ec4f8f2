/* SPDX-License-Identifier: Apache-2.0 */
#include "exec-credential.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/depth.h"
#include "base/error.h"
#include "base/process.h"
#include "base/secret.h"
#include "base/text.h"
#include "exec-answer.h"
#include "run/run.h"

#define INFO_VARIABLE "KUBERNETES_EXEC_INFO"
#define OUTPUT_MAX (256 * 1024)
#define INFO_MAX (512 * 1024)
#define VARIABLE_MAX (128 * 1024)
#define ARGUMENTS_MAX 64
#define VARIABLES_MAX 64

/* What is run; strings of the kubeconfig are pointed to, the others are in `owned`. */
struct plugin {
    const struct kubeconfig *config;
    char name[FILE_PATH_MAX]; /* what it is told that it is called: some go by that */
    char path[FILE_PATH_MAX]; /* the same without links */
    char *arguments[ARGUMENTS_MAX + 2];
    char **environment;
    char *owned[VARIABLES_MAX + 2];
    size_t owned_count;
};

static void plugin_done(struct plugin *plugin)
{
    for (size_t i = 0; i < plugin->owned_count; i++)
        secret_release(plugin->owned[i]);
    secret_release(plugin->environment);
}

#define cleanup_plugin __attribute__((cleanup(plugin_done)))

static int refuse(const struct plugin *plugin, const char *key, const char *text,
                  struct pullkey_error *error)
{
    const cJSON *item = json_member(plugin->config->exec, key);

    if (item)
        return json_error(&plugin->config->json, item, error, "%s", text);
    return json_error(&plugin->config->json, plugin->config->exec, error, "\"%s\" %s", key, text);
}

static const char *text_of(const cJSON *object, const char *key)
{
    const cJSON *item = json_member(object, key);

    return cJSON_IsString(item) && item->valuestring[0] != '\0' ? item->valuestring : NULL;
}

static int search_path(const char *name, char *ret)
{
    const char *path = secure_getenv("PATH");
    struct pullkey_error ignored;

    for (const char *at = path ? path : "/usr/local/bin:/usr/bin:/bin";; at++) {
        size_t length = strcspn(at, ":");
        char directory[FILE_PATH_MAX];

        /* Never the present directory. */
        if (length > 0 && at[0] == '/' && length < sizeof(directory)) {
            memcpy(mempcpy(directory, at, length), "", 1);
            if (file_join(ret, directory, name, &ignored) == 0 && access(ret, X_OK) == 0)
                return 0;
        }
        at += length;
        if (*at == '\0')
            return -1;
    }
}

/* Links are followed, so that the checks are of the file that will run. */
static int check_program(struct plugin *plugin, struct pullkey_error *error)
{
    int r;

    if (!realpath(plugin->name, plugin->path))
        return error_errno(error, errno, "cannot find %s", plugin->name);
    r = file_check(plugin->path, FILE_LINKED, error);
    return r < 0 ? error_wrap(error, "%s: its exec plugin", plugin->config->path) : 0;
}

static int find_program(struct plugin *plugin, struct pullkey_error *error)
{
    const char *command = text_of(plugin->config->exec, "command");
    const char *hint = text_of(plugin->config->exec, "installHint");
    bool found;

    if (!command)
        return refuse(plugin, "command", "must be the name of a program", error);
    if (!strchr(command, '/')) {
        found = search_path(command, plugin->name) == 0;
    } else {
        if (kubeconfig_resolve(plugin->config, command, plugin->name, error) < 0)
            return -(int)error->code;
        found = access(plugin->name, X_OK) == 0;
    }
    if (found)
        return check_program(plugin, error);
    return error_set(error, PULLKEY_INVALID,
                     "%s: its exec plugin %s is not there, or cannot be run%s%.*s",
                     plugin->config->path, command, hint ? ": " : "",
                     hint ? (int)strcspn(hint, "\r\n") : 0, hint ? hint : "");
}

static int set_arguments(struct plugin *plugin, struct pullkey_error *error)
{
    const cJSON *list = json_member(plugin->config->exec, "args"), *item;
    size_t count = 0;

    plugin->arguments[count++] = plugin->name;
    if (list && !cJSON_IsNull(list) && !cJSON_IsArray(list))
        return refuse(plugin, "args", "must be a list of texts", error);
    cJSON_ArrayForEach(item, list) {
        if (!cJSON_IsString(item))
            return json_error(&plugin->config->json, item, error, "must be a text");
        if (count > ARGUMENTS_MAX)
            return refuse(plugin, "args", "has too many of them", error);
        plugin->arguments[count++] = item->valuestring;
    }
    return 0;
}

static int own_variable(struct plugin *plugin, const char *name, const char *value,
                        struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(INFO_MAX + VARIABLE_MAX);
    struct pullkey_secret variable = { 0 };
    int r;

    if (plugin->owned_count == sizeof(plugin->owned) / sizeof(plugin->owned[0]))
        return refuse(plugin, "env", "has too many of them", error);
    buffer_printf(&text, "%s=", name);
    buffer_append_text(&text, value);
    r = buffer_steal(&text, &variable, error);
    if (r == 0)
        plugin->owned[plugin->owned_count++] = variable.bytes;
    return r;
}

static bool is_owned(const struct plugin *plugin, const char *entry)
{
    size_t length = strcspn(entry, "=") + 1;

    for (size_t i = 0; i < plugin->owned_count; i++)
        if (strncmp(plugin->owned[i], entry, length) == 0)
            return true;
    return false;
}

/* "env" of the kubeconfig: a list of {name, value}. */
static int add_given_variables(struct plugin *plugin, struct pullkey_error *error)
{
    const cJSON *list = json_member(plugin->config->exec, "env"), *item;
    int r = 0;

    if (list && !cJSON_IsNull(list) && !cJSON_IsArray(list))
        return refuse(plugin, "env", "must be a list of {name, value}", error);
    cJSON_ArrayForEach(item, list) {
        const char *name = text_of(item, "name"), *value = text_of(item, "value");

        if (!name || strchr(name, '=') || process_is_hostile(name))
            return json_error(&plugin->config->json, item, error,
                              "must have the name of a variable that loads no code");
        r = own_variable(plugin, name, value ? value : "", error);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The cluster, for plugins that serve several (exec-cluster, KEP-541). */
static int write_cluster(const struct kubeconfig *config, struct buffer *info,
                         struct pullkey_error *error)
{
    const char *server_name = config->server_name, *proxy = config->proxy;
    cleanup_secret struct pullkey_secret authority = { 0 };
    int r = kubeconfig_load(config, &config->authority, "certificate-authority", &authority, error);

    if (r < 0)
        return r;

    buffer_append_text(info, ",\"cluster\":{\"server\":");
    json_write_string(info, config->server, strlen(config->server));
    if (server_name) {
        buffer_append_text(info, ",\"tls-server-name\":");
        json_write_string(info, server_name, strlen(server_name));
    }
    if (proxy) {
        buffer_append_text(info, ",\"proxy-url\":");
        json_write_string(info, proxy, strlen(proxy));
    }
    if (authority.length > 0) {
        buffer_append_text(info, ",\"certificate-authority-data\":\"");
        text_base64_encode(info, authority.bytes, authority.length);
        buffer_append_text(info, "\"");
    }
    if (config->insecure)
        buffer_append_text(info, ",\"insecure-skip-tls-verify\":true");
    if (config->exec_config) {
        buffer_append_text(info, ",\"config\":");
        r = json_write_tree(info, config->exec_config, false, error);
    }
    buffer_append_text(info, "}");
    return r;
}

static int add_own_variables(struct plugin *plugin, const char *version, uint32_t depth,
                             struct pullkey_error *error)
{
    cleanup_buffer struct buffer info = BUFFER_INIT(INFO_MAX);
    char number[16];
    int r = 0;

    buffer_append_text(&info, "{\"kind\":\"ExecCredential\",\"apiVersion\":");
    json_write_string(&info, version, strlen(version));
    buffer_append_text(&info, ",\"spec\":{\"interactive\":false");
    if (cJSON_IsTrue(json_member(plugin->config->exec, "provideClusterInfo")))
        r = write_cluster(plugin->config, &info, error);
    if (r < 0)
        return r;
    buffer_append_text(&info, "}}");
    r = buffer_check(&info, error);
    if (r == 0)
        r = own_variable(plugin, INFO_VARIABLE, info.data, error);
    (void)snprintf(number, sizeof(number), "%u", depth + 1);
    return r < 0 ? r : own_variable(plugin, DEPTH_VARIABLE, number, error);
}

static int set_environment(struct plugin *plugin, const char *version, uint32_t depth,
                           struct pullkey_error *error)
{
    size_t count = 0, at = 0;
    int r = add_given_variables(plugin, error);

    if (r == 0)
        r = add_own_variables(plugin, version, depth, error);
    if (r < 0)
        return r;
    while (environ && environ[count])
        count++;
    plugin->environment = secret_alloc((count + plugin->owned_count + 1) * sizeof(char *));
    if (!plugin->environment)
        return error_memory(error);
    for (size_t i = 0; i < count; i++)
        if (!is_owned(plugin, environ[i]))
            plugin->environment[at++] = environ[i];
    for (size_t i = 0; i < plugin->owned_count; i++)
        plugin->environment[at++] = plugin->owned[i];
    plugin->environment[at] = NULL;
    return 0;
}

static int check_version(const struct plugin *plugin, const char **ret, struct pullkey_error *error)
{
    static const char *const versions[] = { "client.authentication.k8s.io/v1",
                                            "client.authentication.k8s.io/v1beta1" };
    const char *version = text_of(plugin->config->exec, "apiVersion");
    const char *mode = text_of(plugin->config->exec, "interactiveMode");

    if (mode && strcmp(mode, "Always") == 0)
        return refuse(plugin, "interactiveMode",
                      "is \"Always\", and there is nobody to be asked here", error);
    if (mode && strcmp(mode, "Never") != 0 && strcmp(mode, "IfAvailable") != 0)
        return refuse(plugin, "interactiveMode", "must be Never, IfAvailable or Always", error);
    for (size_t i = 0; version && i < sizeof(versions) / sizeof(versions[0]); i++)
        if (strcmp(version, versions[i]) == 0) {
            *ret = versions[i];
            return 0;
        }
    return refuse(plugin, "apiVersion", "must be client.authentication.k8s.io/v1 or .../v1beta1",
                  error);
}

int exec_credential_get(const struct pullkey_host *host, const struct kubeconfig *config,
                        uint32_t depth, int64_t deadline_ms, struct pullkey_secret *ret_token,
                        struct pullkey_secret *ret_certificate, struct pullkey_secret *ret_key,
                        struct pullkey_error *error)
{
    cleanup_plugin struct plugin plugin = { .config = config };
    cleanup_buffer struct buffer output = BUFFER_INIT(OUTPUT_MAX);
    const char *version = NULL;
    struct run run;
    int r = check_version(&plugin, &version, error), status;

    if (r == 0)
        r = find_program(&plugin, error);
    if (r == 0)
        r = set_arguments(&plugin, error);
    if (r == 0)
        r = set_environment(&plugin, version, depth, error);
    if (r < 0)
        return r;
    run = (struct run){
        .path = plugin.path,
        .arguments = plugin.arguments,
        .environment = plugin.environment,
        .deadline_ms = deadline_ms,
    };
    r = run_program(&run, &output, &status, error);
    if (r < 0)
        return error_wrap(error, "%s: its exec plugin %s", config->path, plugin.name);
    if (status != 0)
        return error_set(error, PULLKEY_UNREACHABLE,
                         "%s: its exec plugin %s ends with status %d; run it by hand to see why",
                         config->path, plugin.name, status);
    return exec_answer_read(plugin.name, version, host->wall_seconds(), &output, ret_token,
                            ret_certificate, ret_key, error);
}
