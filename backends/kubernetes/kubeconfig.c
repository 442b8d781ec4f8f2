/* SPDX-License-Identifier: Apache-2.0 */
#include "kubeconfig.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"

#define READER "yaml"
#define EXEC_EXTENSION "client.authentication.k8s.io/exec"
#define PEM_MAX (256 * 1024)

/* A string that is not empty, or NULL where there is none: kubectl takes "" for nothing. */
static int string_member(const struct json *json, const cJSON *object, const char *key,
                         const char **ret, struct pullkey_error *error)
{
    const cJSON *item = json_member(object, key);

    *ret = NULL;
    if (!item || cJSON_IsNull(item))
        return 0;
    if (!cJSON_IsString(item))
        return json_error(json, item, error, "must be a text");
    if (item->valuestring[0] != '\0')
        *ret = item->valuestring;
    return 0;
}

static int bool_member(const struct json *json, const cJSON *object, const char *key, bool *ret,
                       struct pullkey_error *error)
{
    const cJSON *item = json_member(object, key);

    *ret = cJSON_IsTrue(item);
    if (item && !cJSON_IsNull(item) && !cJSON_IsBool(item))
        return json_error(json, item, error, "must be true or false");
    return 0;
}

/* What a list of named things has under a name: contexts, clusters, users. */
static int find_named(const struct json *json, const char *list_key, const char *member,
                      const char *name, const cJSON **ret, struct pullkey_error *error)
{
    const cJSON *list = json_member(json->root, list_key), *item, *found = NULL;

    if (list && !cJSON_IsNull(list) && !cJSON_IsArray(list))
        return json_error(json, list, error, "must be a list");
    cJSON_ArrayForEach(item, list) {
        const char *other;

        if (string_member(json, item, "name", &other, error) < 0)
            return -(int)error->code;
        if (!other || strcmp(other, name) != 0)
            continue;
        if (found)
            return json_error(json, item, error, "there are two of this name");
        found = json_member(item, member);
        if (!cJSON_IsObject(found))
            return json_error(json, item, error, "has no \"%s\"", member);
    }
    if (!found)
        return json_error(json, list, error, "there is no \"%s\" in \"%s\"", name, list_key);
    *ret = found;
    return 0;
}

static int read_cluster(struct kubeconfig *config, const cJSON *cluster,
                        struct pullkey_error *error)
{
    const struct json *json = &config->json;
    const cJSON *extension;

    if (string_member(json, cluster, "server", &config->server, error) < 0 ||
        string_member(json, cluster, "tls-server-name", &config->server_name, error) < 0 ||
        string_member(json, cluster, "proxy-url", &config->proxy, error) < 0 ||
        bool_member(json, cluster, "insecure-skip-tls-verify", &config->insecure, error) < 0 ||
        string_member(json, cluster, "certificate-authority", &config->authority.path, error) < 0 ||
        string_member(json, cluster, "certificate-authority-data", &config->authority.data, error) <
            0)
        return -(int)error->code;
    if (!config->server)
        return json_error(json, cluster, error, "has no \"server\"");
    cJSON_ArrayForEach(extension, json_member(cluster, "extensions")) {
        const cJSON *name = json_member(extension, "name");

        if (cJSON_IsString(name) && strcmp(name->valuestring, EXEC_EXTENSION) == 0)
            config->exec_config = json_member(extension, "extension");
    }
    /* As kubectl: which of the two is meant cannot be known. */
    if (config->insecure && (config->authority.path || config->authority.data))
        return json_error(json, cluster, error,
                          "\"insecure-skip-tls-verify\" and a certificate authority exclude each "
                          "other");
    return 0;
}

static int refuse_member(const struct json *json, const cJSON *user, const char *key,
                         const char *advice, struct pullkey_error *error)
{
    const cJSON *item = json_member(user, key);

    if (!item || cJSON_IsNull(item) || (cJSON_IsString(item) && item->valuestring[0] == '\0'))
        return 0;
    return json_error(json, item, error, "is not supported: %s", advice);
}

static int read_user(struct kubeconfig *config, const cJSON *user, struct pullkey_error *error)
{
    static const char *const refused[] = { "as", "as-uid", "as-groups", "as-user-extra" };
    const struct json *json = &config->json;
    int r = refuse_member(json, user, "auth-provider", "use an \"exec\" plugin, as kubectl does",
                          error);

    for (size_t i = 0; r == 0 && i < sizeof(refused) / sizeof(refused[0]); i++)
        r = refuse_member(json, user, refused[i], "use a user that has the rights itself", error);
    if (r < 0)
        return r;
    if (string_member(json, user, "client-certificate", &config->certificate.path, error) < 0 ||
        string_member(json, user, "client-certificate-data", &config->certificate.data, error) <
            0 ||
        string_member(json, user, "client-key", &config->key.path, error) < 0 ||
        string_member(json, user, "client-key-data", &config->key.data, error) < 0 ||
        string_member(json, user, "token", &config->token, error) < 0 ||
        string_member(json, user, "tokenFile", &config->token_path, error) < 0 ||
        string_member(json, user, "username", &config->username, error) < 0 ||
        string_member(json, user, "password", &config->password, error) < 0)
        return -(int)error->code;
    config->exec = json_member(user, "exec");
    if (config->exec && cJSON_IsNull(config->exec))
        config->exec = NULL;
    if (config->exec && !cJSON_IsObject(config->exec))
        return json_error(json, config->exec, error, "must be a map");
    if ((config->certificate.data || config->certificate.path) !=
        (config->key.data || config->key.path))
        return json_error(json, user, error, "a client certificate and its key go together");
    return 0;
}

static int find_context(struct kubeconfig *config, const char *name, struct pullkey_error *error)
{
    const struct json *json = &config->json;
    const char *cluster_name, *user_name;
    const cJSON *context, *cluster, *user;
    int r = 0;

    if (!cJSON_IsObject(json->root))
        return json_error(json, json->root, error, "is no kubeconfig");
    if (!name)
        r = string_member(json, json->root, "current-context", &name, error);
    if (r == 0 && !name)
        r = json_error(json, json->root, error,
                       "has no \"current-context\": name one with \"context\"");
    if (r == 0)
        r = find_named(json, "contexts", "context", name, &context, error);
    if (r < 0)
        return r;
    config->context = name;
    if (string_member(json, context, "cluster", &cluster_name, error) < 0 ||
        string_member(json, context, "user", &user_name, error) < 0 ||
        string_member(json, context, "namespace", &config->namespace_name, error) < 0)
        return -(int)error->code;
    if (!cluster_name || !user_name)
        return json_error(json, context, error, "has no \"%s\"", cluster_name ? "user" : "cluster");
    config->user = user_name;
    r = find_named(json, "clusters", "cluster", cluster_name, &cluster, error);
    if (r == 0)
        r = find_named(json, "users", "user", user_name, &user, error);
    if (r == 0)
        r = read_cluster(config, cluster, error);
    return r < 0 ? r : read_user(config, user, error);
}

static int to_json(const struct pullkey_host *host, const char *name, const char *text,
                   size_t length, struct pullkey_secret *ret, struct pullkey_error *error)
{
    const struct pullkey_reader *reader;
    struct pullkey_place *places;
    size_t count;
    int r = host->reader(READER, &reader, error);

    if (r == 0)
        r = reader->read(host, name, text, length, ret, &places, &count, error);
    if (r == 0)
        host->release(places);
    return r;
}

int kubeconfig_parse(const struct pullkey_host *host, const char *path, const char *text,
                     size_t length, const char *context, struct kubeconfig *ret,
                     struct pullkey_error *error)
{
    struct pullkey_secret json = { 0 };
    int r;

    *ret = (struct kubeconfig){ 0 };
    if (strlen(path) >= sizeof(ret->path))
        return error_set(error, PULLKEY_INVALID, "the path of a kubeconfig is too long");
    memcpy(ret->path, path, strlen(path) + 1);
    r = to_json(host, path, text, length, &json, error);
    if (r < 0)
        return r;
    r = json_parse(&ret->json, path, json.bytes, json.length, 0, error);
    host->release(json.bytes);
    if (r == 0)
        r = find_context(ret, context, error);
    if (r < 0)
        kubeconfig_done(ret);
    return r;
}

int kubeconfig_read(const struct pullkey_host *host, const char *path, const char *context,
                    struct kubeconfig *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(KUBECONFIG_MAX);
    int r = file_read(path, FILE_INPUT, 0, &text, NULL, error);

    return r < 0 ? r
                 : kubeconfig_parse(host, path, text.data ? text.data : "", text.length, context,
                                    ret, error);
}

void kubeconfig_done(struct kubeconfig *config)
{
    json_done(&config->json);
    *config = (struct kubeconfig){ 0 };
}

int kubeconfig_resolve(const struct kubeconfig *config, const char *path, char *ret,
                       struct pullkey_error *error)
{
    const char *slash = strrchr(config->path, '/');
    char directory[FILE_PATH_MAX];

    if (path[0] == '/' || !slash) {
        if (strlen(path) >= FILE_PATH_MAX)
            return error_set(error, PULLKEY_INVALID, "%s: a path in it is too long", config->path);
        memcpy(ret, path, strlen(path) + 1);
        return 0;
    }
    memcpy(mempcpy(directory, config->path, (size_t)(slash - config->path)), "", 1);
    return file_join(ret, directory, path, error);
}

/* Base64 in lines, as Go reads it. */
static int decode_lines(const char *text, struct buffer *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer whole = BUFFER_INIT(2 * PEM_MAX);
    int r;

    for (size_t length; *text != '\0'; text += length) {
        text += strspn(text, "\r\n");
        length = strcspn(text, "\r\n");
        buffer_append(&whole, text, length);
    }
    r = buffer_check(&whole, error);
    return r < 0 ? r : text_base64_decode(whole.data ? whole.data : "", whole.length, ret, error);
}

int kubeconfig_load(const struct kubeconfig *config, const struct kubeconfig_pem *pem,
                    const char *what, struct pullkey_secret *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(PEM_MAX);
    char path[FILE_PATH_MAX];
    int r;

    if (pem->data) {
        r = decode_lines(pem->data, &text, error);
        if (r < 0)
            return error_wrap(error, "%s: %s-data", config->path, what);
        return buffer_steal(&text, ret, error);
    }
    if (!pem->path)
        return 0;
    r = kubeconfig_resolve(config, pem->path, path, error);
    if (r == 0)
        r = file_read(path, FILE_INPUT, 0, &text, NULL, error);
    if (r < 0) {
        /* Nobody may take it for a missing credential. */
        if (error->code == PULLKEY_NOT_FOUND)
            error->code = PULLKEY_INVALID;
        (void)error_wrap(error, "%s: %s", config->path, what);
        return -(int)error->code;
    }
    return buffer_steal(&text, ret, error);
}
