/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"
#include "pullkey-build.h"

#define CREDENTIAL_NAME_MAX 255
#define SOURCES_MAX 16
#define KEY_NAME "store.key"
#define ENCRYPTED_NAME "auth.cms"
#define PLAIN_NAME "auth.json"

/* The options as strings; NULL where one is not given. */
struct options {
    const char *path;
    const char *encryption;
    const char *key;
    const char *credential;
    const cJSON *sources;
};

static int string_option(const struct json *json, const char *name, const char **ret,
                         struct pullkey_error *error)
{
    const cJSON *item = json_member(json->root, name);

    if (item && (!cJSON_IsString(item) || item->valuestring[0] == '\0'))
        return error_set(error, PULLKEY_INVALID, "\"%s\" must be a text that is not empty", name);
    *ret = item ? item->valuestring : NULL;
    return 0;
}

static int read_options(const struct json *json, struct options *ret, struct pullkey_error *error)
{
    ret->sources = json_member(json->root, "sources");
    if (ret->sources && !cJSON_IsArray(ret->sources))
        return error_set(error, PULLKEY_INVALID, "\"sources\" must be a list of paths");
    if (string_option(json, "path", &ret->path, error) < 0 ||
        string_option(json, "encryption", &ret->encryption, error) < 0 ||
        string_option(json, "key", &ret->key, error) < 0 ||
        string_option(json, "credential", &ret->credential, error) < 0)
        return -(int)error->code;
    if (ret->encryption && strcmp(ret->encryption, "cms") != 0 &&
        strcmp(ret->encryption, "none") != 0)
        return error_set(error, PULLKEY_INVALID, "\"encryption\" is \"cms\" or \"none\"");
    return 0;
}

/*
 * The options say one thing only: a store, a credential of the service manager, or files of other
 * programs.
 */
static int check_options(const struct options *options, struct pullkey_error *error)
{
    bool plain = options->encryption && strcmp(options->encryption, "none") == 0;
    const char *kind = options->credential ? "credential" : "sources";

    if (options->credential && options->sources)
        return error_set(error, PULLKEY_INVALID,
                         "\"credential\" and \"sources\" exclude each other");
    if ((options->credential || options->sources) &&
        (options->path || options->key || (options->encryption && !plain)))
        return error_set(error, PULLKEY_INVALID,
                         "\"path\", \"key\" and \"encryption\" do not go with \"%s\"", kind);
    if (plain && options->key)
        return error_set(error, PULLKEY_INVALID,
                         "\"key\" does not go with \"encryption\": \"none\"");
    return 0;
}

static int copy_path(char **ret, const char *path, struct pullkey_error *error)
{
    *ret = secret_copy(path, strlen(path));
    return *ret ? 0 : error_memory(error);
}

/* An absolute path, or one that begins with ~/ and is below the caller's home, in system mode the
 * account's. */
static int expand_path(char **ret, const char *path, bool system, struct pullkey_error *error)
{
    char home[FILE_PATH_MAX], full[FILE_PATH_MAX];
    int r;

    if (strlen(path) >= FILE_PATH_MAX)
        return error_set(error, PULLKEY_INVALID, "a path is longer than %d bytes",
                         FILE_PATH_MAX - 1);
    if (path[0] == '/')
        return copy_path(ret, path, error);
    if (strncmp(path, "~/", 2) != 0)
        return error_set(error, PULLKEY_INVALID,
                         "the path \"%s\" must be absolute or begin with ~/", path);
    r = system ? file_account_home(home, error) : file_home(home, error);
    if (r == 0)
        r = file_join(full, home, path + 2, error);
    return r < 0 ? r : copy_path(ret, full, error);
}

static int place_path(char **ret, enum file_place place, const char *system_directory, bool system,
                      const char *name, struct pullkey_error *error)
{
    char directory[FILE_PATH_MAX], full[FILE_PATH_MAX];
    int r = 0;

    if (!system)
        r = file_place(place, directory, error);
    if (r == 0)
        r = file_join(full, system ? system_directory : directory, name, error);
    return r < 0 ? r : copy_path(ret, full, error);
}

static int refuse_key_beside(const struct store *store, struct pullkey_error *error)
{
    const char *path = store->paths[0];
    size_t length = (size_t)(strrchr(path, '/') - path);

    if (length == (size_t)(strrchr(store->key_path, '/') - store->key_path) &&
        strncmp(path, store->key_path, length) == 0)
        return error_set(error, PULLKEY_INVALID,
                         "the key %s lies beside the store, where every copy of the store takes it "
                         "along: put it into another directory",
                         store->key_path);
    return 0;
}

static int set_store(struct store *store, const struct options *options, bool system,
                     struct pullkey_error *error)
{
    bool encrypted = !options->encryption || strcmp(options->encryption, "cms") == 0;
    const char *name = encrypted ? ENCRYPTED_NAME : PLAIN_NAME;
    const char *other = encrypted ? PLAIN_NAME : ENCRYPTED_NAME;
    int r;

    if (options->path) {
        r = expand_path(&store->paths[0], options->path, system, error);
    } else {
        r = place_path(&store->paths[0], FILE_CONFIG_HOME, PULLKEY_SYSCONFDIR, system, name, error);
        if (r == 0)
            r = place_path(&store->other_path, FILE_CONFIG_HOME, PULLKEY_SYSCONFDIR, system, other,
                           error);
    }
    if (r < 0 || !encrypted)
        return r;
    r = options->key ? expand_path(&store->key_path, options->key, system, error)
                     : place_path(&store->key_path, FILE_STATE_HOME, PULLKEY_STATEDIR, system,
                                  KEY_NAME, error);
    return r < 0 ? r : refuse_key_beside(store, error);
}

static bool is_credential_name(const char *name)
{
    size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                 "0123456789._-@:");

    return name[length] == '\0' && length <= CREDENTIAL_NAME_MAX && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

/*
 * systemd.exec(5), "Credentials": the service manager puts them into the directory that this
 * variable names.
 */
static int set_credential(struct store *store, const char *name, struct pullkey_error *error)
{
    const char *directory = secure_getenv("CREDENTIALS_DIRECTORY");
    char full[FILE_PATH_MAX];
    int r;

    store->read_only = true;
    store->credential = true;
    if (!is_credential_name(name))
        return error_set(error, PULLKEY_INVALID, "\"%s\" is not the name of a credential", name);
    if (!directory || directory[0] != '/')
        return error_set(error, PULLKEY_NO_IDENTITY,
                         "CREDENTIALS_DIRECTORY is not set: the service needs "
                         "LoadCredentialEncrypted=%s or LoadCredential=%s",
                         name, name);
    r = file_join(full, directory, name, error);
    return r < 0 ? r : copy_path(&store->paths[0], full, error);
}

static int set_sources(struct store *store, const cJSON *sources, bool system,
                       struct pullkey_error *error)
{
    const cJSON *source;
    size_t at = 0;

    store->read_only = true;
    cJSON_ArrayForEach(source, sources) {
        int r;

        if (!cJSON_IsString(source))
            return error_set(error, PULLKEY_INVALID, "\"sources\" must be a list of paths");
        r = expand_path(&store->paths[at++], source->valuestring, system, error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int set_paths(struct store *store, const struct options *options, bool system,
                     struct pullkey_error *error)
{
    int count = options->sources ? cJSON_GetArraySize(options->sources) : 1;

    if (count < 1 || count > SOURCES_MAX)
        return error_set(error, PULLKEY_INVALID, "\"sources\" must name 1 to %d files",
                         SOURCES_MAX);
    store->paths = secret_alloc((size_t)count * sizeof(*store->paths));
    if (!store->paths)
        return error_memory(error);
    store->path_count = (size_t)count;
    if (options->sources)
        return set_sources(store, options->sources, system, error);
    if (options->credential)
        return set_credential(store, options->credential, error);
    return set_store(store, options, system, error);
}

int store_init(struct store *store, const struct pullkey_host *host,
               const struct pullkey_instance *instance, struct pullkey_error *error)
{
    const char *text = instance->options ? instance->options : "{}";
    cleanup_json struct json json = { 0 };
    struct options options = { 0 };
    int r;

    *store = (struct store){ .host = host };
    r = json_parse(&json, "options", text, strlen(text), 0, error);
    if (r == 0)
        r = read_options(&json, &options, error);
    if (r == 0)
        r = check_options(&options, error);
    if (r == 0)
        r = set_paths(store, &options, instance->system, error);
    if (r < 0)
        store_done(store);
    return r;
}

void store_done(struct store *store)
{
    for (size_t i = 0; i < store->path_count; i++)
        secret_release(store->paths[i]);
    secret_release(store->paths);
    secret_release(store->key_path);
    secret_release(store->other_path);
    *store = (struct store){ 0 };
}
