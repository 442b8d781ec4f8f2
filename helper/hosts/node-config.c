/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.toml with its imports, as containerd loads it (cmd/containerd/server/config/config.go and
 * plugins/cri/images/plugin.go): each import is loaded after the files before it, and what comes
 * later wins. Up to 1.7 the whole table of a plugin is replaced, from 2.0 on tables are merged.
 */
#include "node.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"

#define TABLES_MAX ((size_t)3 * NODE_FILES_MAX)

static const char *const plugin_names[] = {
    [NODE_PLUGIN_SHORT] = "cri",
    [NODE_PLUGIN_CRI] = "io.containerd.grpc.v1.cri",
    [NODE_PLUGIN_IMAGES] = "io.containerd.cri.v1.images",
};

#define PLUGIN_COUNT (sizeof(plugin_names) / sizeof(plugin_names[0]))

bool node_version_may_be_before(const struct node_version *version, int major, int minor, int patch)
{
    if (!version->is_known || version->major != major)
        return !version->is_known || version->major < major;
    return version->minor != minor ? version->minor < minor : version->patch < patch;
}

bool node_may_be_before(const struct node_config *config, int major, int minor, int patch)
{
    return node_version_may_be_before(&config->version, major, minor, patch);
}

bool node_may_be_from(const struct node_config *config, int major, int minor, int patch)
{
    return !config->version.is_known || !node_may_be_before(config, major, minor, patch);
}

/* -- Files ------------------------------------------------------------------------------------ */

/* Paths of files that wait to be loaded. */
struct pending {
    char *items[NODE_FILES_MAX];
    size_t count, next;
};

static void pending_done(struct pending *pending)
{
    for (size_t i = 0; i < pending->count; i++)
        secret_release(pending->items[i]);
}

static int pending_add(struct pending *pending, const char *inner, struct pullkey_error *error)
{
    for (size_t i = 0; i < pending->count; i++)
        if (strcmp(pending->items[i], inner) == 0)
            return 0;
    if (pending->count == NODE_FILES_MAX)
        return error_set(error, PULLKEY_INVALID, "there are more than %d files", NODE_FILES_MAX);
    pending->items[pending->count] = secret_copy(inner, strlen(inner));
    if (!pending->items[pending->count])
        return error_memory(error);
    pending->count++;
    return 0;
}

/* filepath.Glob: a star stays within one component, and takes names that begin with a dot. */
static int expand(const struct node *node, struct pending *pending, const char *before,
                  const char *rest, struct pullkey_error *error)
{
    cleanup_names struct node_names names = { 0 };
    size_t length = strcspn(rest, "/");
    char pattern[FILE_PATH_MAX], path[FILE_PATH_MAX];
    struct pullkey_error why;
    struct stat status;

    if (snprintf(pattern, sizeof(pattern), "%.*s", (int)length, rest) >= (int)sizeof(pattern))
        return 0;
    if (!strpbrk(pattern, "*?[\\")) {
        if (snprintf(path, sizeof(path), "%s/%s", before, pattern) >= (int)sizeof(path))
            return 0;
        if (rest[length] != '\0')
            return expand(node, pending, path, rest + length + 1, error);
        return node_stat(node, path, &status, &why) < 0 ? 0 : pending_add(pending, path, error);
    }
    if (node_list(node, before[0] == '\0' ? "/" : before, &names, &why) < 0)
        return why.code == PULLKEY_INTERNAL ? error_memory(error) : 0;
    for (size_t i = 0; i < names.count; i++) {
        int r = 0;

        if (fnmatch(pattern, names.items[i], FNM_PATHNAME) != 0 ||
            snprintf(path, sizeof(path), "%s/%s", before, names.items[i]) >= (int)sizeof(path))
            continue;
        r = rest[length] == '\0' ? pending_add(pending, path, error)
                                 : expand(node, pending, path, rest + length + 1, error);
        if (r < 0)
            return r;
    }
    return 0;
}

/* filepath.Clean of an absolute path. */
static void clean(char *path)
{
    char *to = path;

    for (const char *at = path; *at != '\0';) {
        size_t length;

        at += strspn(at, "/");
        length = strcspn(at, "/");
        if (length == 2 && at[0] == '.' && at[1] == '.') {
            while (to > path && *--to != '/')
                ;
        } else if (length > 0 && !(length == 1 && at[0] == '.')) {
            *to++ = '/';
            memmove(to, at, length);
            to += length;
        }
        at += length;
    }
    if (to == path)
        *to++ = '/';
    *to = '\0';
}

static int add_import(const struct node *node, struct pending *pending, const char *from,
                      const struct toml_item *item, struct pullkey_error *error)
{
    char path[FILE_PATH_MAX];
    int length;

    if (item->kind != TOML_STRING || item->string[0] == '\0')
        return 0;
    if (item->string[0] == '/')
        length = snprintf(path, sizeof(path), "%s", item->string);
    else
        length = snprintf(path, sizeof(path), "%.*s/%s", (int)(strrchr(from, '/') - from), from,
                          item->string);
    if (length < 0 || length >= (int)sizeof(path))
        return 0;
    clean(path);
    if (strchr(path, '*'))
        return expand(node, pending, "", path + 1, error);
    return pending_add(pending, path, error);
}

/* A file that has a problem is one of the files; only memory is an error. */
static int read_file(const struct node *node, const char *inner, struct node_file *file,
                     struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(TOML_SIZE_MAX);
    int r;

    file->inner = secret_copy(inner, strlen(inner));
    file->path = node_path(node, inner);
    if (!file->inner || !file->path)
        return error_memory(error);
    file->version = 1;
    r = node_read(node, inner, &text, &file->problem);
    if (r == 0)
        r = toml_parse(&file->toml, file->path, text.data ? text.data : "", text.length,
                       &file->problem);
    if (r < 0)
        return r == -PULLKEY_INTERNAL ? error_memory(error) : 0;
    file->problem = (struct pullkey_error){ 0 };
    file->version_item = hosts_member(file->toml.root, "version");
    if (file->version_item && file->version_item->kind == TOML_INTEGER &&
        file->version_item->integer > 1)
        file->version = file->version_item->integer;
    return 0;
}

static int read_files(const struct node *node, struct node_config *config,
                      struct pullkey_error *error)
{
    __attribute__((cleanup(pending_done))) struct pending pending = { 0 };
    struct stat status;
    struct pullkey_error why;
    int r;

    if (node_stat(node, config->inner, &status, &why) == -PULLKEY_NOT_FOUND)
        return 0;
    r = pending_add(&pending, config->inner, error);
    while (r == 0 && pending.next < pending.count) {
        struct node_file *file = &config->files[config->file_count++];
        const struct toml_item *imports;

        r = read_file(node, pending.items[pending.next++], file, error);
        imports = r == 0 ? hosts_member(file->toml.root, "imports") : NULL;
        for (const struct toml_item *item = imports ? imports->first : NULL;
             r == 0 && item && imports->kind == TOML_ARRAY; item = item->next) {
            r = add_import(node, &pending, file->inner, item, &why);
            if (r == -PULLKEY_INTERNAL)
                return error_memory(error);
            if (r < 0)
                r = toml_error(&file->toml, imports, &file->problem, "imports: %s", why.message);
            r = 0;
        }
    }
    return r;
}

/* -- Tables ----------------------------------------------------------------------------------- */

/* The schema by which containerd 1 reads all of its files. */
static int64_t merged_version(const struct node_config *config)
{
    int64_t version = 1;

    for (size_t i = 0; i < config->file_count; i++)
        if (config->files[i].version > 1)
            version = config->files[i].version;
    return version;
}

static bool is_read(const struct node_config *config, const struct node_file *file,
                    enum node_plugin plugin)
{
    bool may_be_old = node_may_be_before(config, 2, 0, 0);
    bool may_be_new = node_may_be_from(config, 2, 0, 0);
    int64_t merged = merged_version(config);

    switch (plugin) {
    case NODE_PLUGIN_SHORT: return may_be_old ? merged == 1 : file->version == 1;
    case NODE_PLUGIN_CRI:
        /* 2.3 moves what it finds in schema 3 on to 4, and this with it. */
        return (may_be_old && merged == 2) ||
               (may_be_new &&
                (file->version < 3 || (file->version == 3 && node_may_be_from(config, 2, 3, 0))));
    case NODE_PLUGIN_IMAGES: return may_be_new;
    default: return false;
    }
}

static void find_tables(struct node_config *config)
{
    for (size_t i = 0; i < config->file_count; i++) {
        const struct node_file *file = &config->files[i];
        const struct toml_item *plugins = hosts_member(file->toml.root, "plugins");

        for (size_t j = 0; j < PLUGIN_COUNT; j++) {
            const struct toml_item *table = toml_member(plugins, plugin_names[j]);
            const struct toml_item *registry = hosts_member(table, "registry");

            if (!table || table->kind != TOML_TABLE)
                continue;
            config->tables[config->table_count++] = (struct node_table){
                .file = file,
                .plugin = (enum node_plugin)j,
                .table = table,
                .registry = registry && registry->kind == TOML_TABLE ? registry : NULL,
                .is_read = is_read(config, file, (enum node_plugin)j),
            };
        }
    }
}

static size_t count_members(const struct node_config *config, const char *key)
{
    size_t count = 0;

    for (size_t i = 0; i < config->table_count; i++) {
        const struct toml_item *map = hosts_member(config->tables[i].registry, key);

        for (const struct toml_item *item = map && map->kind == TOML_TABLE ? map->first : NULL;
             item; item = item->next)
            count++;
    }
    return count;
}

static void add_auth(struct node_config *config, const struct node_table *in,
                     const struct toml_item *item, bool is_url)
{
    const struct toml_item *auth = is_url ? item : hosts_member(item, "auth");

    if (item->kind != TOML_TABLE)
        return;
    config->auths[config->auth_count++] = (struct node_auth){
        .in = in,
        .is_url = is_url,
        .table = item,
        .auth = auth && auth->kind == TOML_TABLE ? auth : NULL,
        .username = hosts_member(auth, "username"),
        .password = hosts_member(auth, "password"),
        .encoded = hosts_member(auth, "auth"),
        .identity_token = hosts_member(auth, "identitytoken"),
        .tls = is_url ? NULL : hosts_member(item, "tls"),
    };
}

static int find_entries(struct node_config *config, struct pullkey_error *error)
{
    size_t mirrors = count_members(config, "mirrors");
    size_t auths = count_members(config, "configs") + count_members(config, "auths");

    config->mirrors = secret_alloc((mirrors + 1) * sizeof(*config->mirrors));
    config->auths = secret_alloc((auths + 1) * sizeof(*config->auths));
    if (!config->mirrors || !config->auths)
        return error_memory(error);
    for (size_t i = 0; i < config->table_count; i++) {
        const struct node_table *in = &config->tables[i];
        const struct toml_item *map = hosts_member(in->registry, "mirrors");
        const struct toml_item *hosts = hosts_member(in->registry, "configs");
        const struct toml_item *urls = hosts_member(in->registry, "auths");

        for (const struct toml_item *item = map && map->kind == TOML_TABLE ? map->first : NULL;
             item; item = item->next)
            if (item->kind == TOML_TABLE)
                config->mirrors[config->mirror_count++] = (struct node_mirror){
                    .in = in, .table = item, .endpoint = hosts_member(item, "endpoint")
                };
        for (const struct toml_item *item = hosts && hosts->kind == TOML_TABLE ? hosts->first
                                                                               : NULL;
             item; item = item->next)
            add_auth(config, in, item, false);
        for (const struct toml_item *item = urls && urls->kind == TOML_TABLE ? urls->first : NULL;
             item; item = item->next)
            add_auth(config, in, item, true);
    }
    return 0;
}

int node_config_read(const struct node *node, struct node_config *config,
                     struct pullkey_error *error)
{
    int r;

    config->files = secret_alloc(NODE_FILES_MAX * sizeof(*config->files));
    config->tables = secret_alloc(TABLES_MAX * sizeof(*config->tables));
    if (!config->files || !config->tables)
        return error_memory(error);
    r = read_files(node, config, error);
    if (r < 0)
        return r;
    find_tables(config);
    return find_entries(config, error);
}

void node_config_done(struct node_config *config)
{
    for (size_t i = 0; config->files && i < config->file_count; i++) {
        toml_done(&config->files[i].toml);
        secret_release(config->files[i].inner);
        secret_release(config->files[i].path);
    }
    secret_release(config->files);
    secret_release(config->tables);
    secret_release(config->mirrors);
    secret_release(config->auths);
    secret_release(config->inner);
    secret_release(config->path);
    *config = (struct node_config){ 0 };
}

/* -- Settings --------------------------------------------------------------------------------- */

/* In schema 2 some settings stand in [plugins."io.containerd.grpc.v1.cri".containerd]. */
static const struct toml_item *image_member(const struct node_table *table, const char *key)
{
    if (table->plugin != NODE_PLUGIN_IMAGES &&
        (strcmp(key, "snapshotter") == 0 || strcmp(key, "disable_snapshot_annotations") == 0 ||
         strcmp(key, "discard_unpacked_layers") == 0))
        return hosts_member(hosts_member(table->table, "containerd"), key);
    return hosts_member(table->table, key);
}

static struct node_setting find_setting(const struct node_config *config, const char *key,
                                        bool in_registry)
{
    struct node_setting found = { 0 };

    for (size_t i = 0; i < config->table_count; i++) {
        const struct node_table *table = &config->tables[i];
        const struct toml_item *item =
            in_registry ? hosts_member(table->registry, key) : image_member(table, key);

        if (!table->is_read)
            continue;
        /* Containerd 1 knows no other table's members any more. */
        if (item || !node_may_be_from(config, 2, 0, 0))
            found = (struct node_setting){ .file = table->file, .item = item };
    }
    return found;
}

struct node_setting node_registry_setting(const struct node_config *config, const char *key)
{
    return find_setting(config, key, true);
}

struct node_setting node_image_setting(const struct node_config *config, const char *key)
{
    return find_setting(config, key, false);
}

static bool forces_local_pull(const char *key, const struct toml_item *item)
{
    if (strcmp(key, "max_concurrent_downloads") == 0)
        return item->kind == TOML_INTEGER && item->integer != 3;
    if (strcmp(key, "disable_snapshot_annotations") == 0)
        return item->kind == TOML_BOOLEAN && !item->boolean;
    return item->kind == TOML_BOOLEAN && item->boolean;
}

struct node_setting node_local_pull(const struct node_config *config)
{
    static const char *const image_keys[] = {
        "use_local_image_pull",     "disable_snapshot_annotations", "discard_unpacked_layers",
        "max_concurrent_downloads", "image_pull_with_sync_fs",
    };
    static const char *const registry_keys[] = { "mirrors", "configs", "auths" };
    struct node_setting setting;

    for (size_t i = 0; i < sizeof(image_keys) / sizeof(image_keys[0]); i++) {
        setting = node_image_setting(config, image_keys[i]);
        if (setting.item && forces_local_pull(image_keys[i], setting.item))
            return setting;
    }
    for (size_t i = 0; i < sizeof(registry_keys) / sizeof(registry_keys[0]); i++) {
        setting = node_registry_setting(config, registry_keys[i]);
        if (setting.item && setting.item->kind == TOML_TABLE && setting.item->first)
            return setting;
    }
    return (struct node_setting){ 0 };
}
