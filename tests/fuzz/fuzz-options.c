/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of file, env, exec and probe: the first byte of the input chooses which, and for the
 * backends whether it is for the system; the rest is the JSON text. A backend is opened with what
 * its table lets through, as the host does it. What is refused is refused in one line; what is
 * accepted names absolute paths, and a key that does not lie beside its store.
 */
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "core/config.h"
#include "core/module.h"
#include "file/store.h"
#include "probe/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const struct pullkey_backend file_backend, env_backend, exec_backend;
extern const struct pullkey_module *const module_builtin_table[];
const struct pullkey_module *const module_builtin_table[] = { NULL };

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_refused(int r, const struct pullkey_error *error)
{
    require(r < 0 && r == -(int)error->code && error->message[0] != '\0' &&
            !strpbrk(error->message, "\r\n"));
}

static void read_settings(const char *text)
{
    cleanup_settings struct settings settings = { 0 };
    struct pullkey_error error = { 0 };
    int r = probe_settings_parse(text, &settings, &error);

    if (r < 0) {
        check_refused(r, &error);
        require(error.code == PULLKEY_INVALID && !settings.json.root && !settings.has_endpoint);
        return;
    }
    require(!settings.ca_file || settings.ca_file[0] == '/');
    require(settings.realms.count <= REALM_LIST_MAX);
    require(!settings.has_endpoint ||
            (settings.endpoint.host[0] != '\0' && strcmp(settings.endpoint.target, "/") == 0));
}

static size_t directory_length(const char *path)
{
    return (size_t)(strrchr(path, '/') - path);
}

static void check_store(const struct store *store, const cJSON *options)
{
    require(store->path_count > 0);
    for (size_t i = 0; i < store->path_count; i++)
        require(store->paths[i][0] == '/');
    require(store->path_count == 1 || store->read_only);
    require(store->read_only ==
            (json_member(options, "credential") || json_member(options, "sources")));
    require(!store->key_path || (store->key_path[0] == '/' && !store->read_only));
    require(!store->key_path ||
            directory_length(store->key_path) != directory_length(store->paths[0]) ||
            strncmp(store->key_path, store->paths[0], directory_length(store->key_path)) != 0);
}

static void read_file(const struct pullkey_instance *instance, const cJSON *options)
{
    struct pullkey_error error = { 0 };
    struct store store;
    int r = store_init(&store, &module_host, instance, &error);

    if (r < 0)
        check_refused(r, &error);
    else
        check_store(&store, options);
    store_done(&store);
}

static void open_backend(const struct pullkey_backend *backend,
                         const struct pullkey_instance *instance)
{
    struct pullkey_error error = { 0 };
    void *state = NULL;
    int r = backend->open(&module_host, instance, &state, &error);

    if (r < 0) {
        check_refused(r, &error);
        require(!state);
        return;
    }
    require(state != NULL);
    backend->close(state);
}

static void read_instance(const struct pullkey_backend *backend, bool system, const char *text,
                          size_t length)
{
    cleanup_buffer struct buffer options = BUFFER_INIT(CONFIG_FILE_MAX);
    cleanup_json struct json json = { 0 };
    struct pullkey_instance instance = { sizeof(instance), "x", NULL, system, 0 };
    struct config_instance configured = { .name = "x", .type = backend->module.type };
    struct pullkey_error error = { 0 };
    int r = json_parse(&json, "configuration", text, length, 0, &error);

    if (r < 0 || !cJSON_IsObject(json.root))
        return;
    configured.options = json.root;
    configured.document = &json;
    r = config_instance_options(&configured, &backend->module, &options, &error);
    if (r < 0) {
        check_refused(r, &error);
        return;
    }
    instance.options = options.data;
    if (backend == &file_backend)
        read_file(&instance, json.root);
    open_backend(backend, &instance);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct pullkey_backend *const backends[] = { &file_backend, &env_backend,
                                                              &exec_backend };
    cleanup_release char *text = NULL;

    if (size == 0)
        return 0;
    json_start();
    require(setenv("HOME", "/nonexistent", 1) == 0);
    require(setenv("CREDENTIALS_DIRECTORY", "/nonexistent", 1) == 0);
    text = secret_copy((const char *)data + 1, size - 1);
    if (!text)
        return 0;
    if (data[0] % 4 == 3)
        read_settings(text);
    else
        read_instance(backends[data[0] % 4], data[0] & 4, text, size - 1);
    return 0;
}
