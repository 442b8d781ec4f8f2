/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong in config.toml, and with the directories that it names. */
#include "check.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "hosts.h"

#define DEFAULT_PATHS "/etc/containerd/certs.d:/etc/docker/certs.d" /* from 2.2 on */
#define TRANSFER_PLUGIN "io.containerd.transfer.v1.local"

#define FIX_TARGET "set config_path to " HOSTS_CONFIG_PATH ", and restart containerd"
#define FIX_START "start pullkey-hosts.service, which makes " HOSTS_CONFIG_PATH "; then " FIX_TARGET
#define FIX_MIGRATE                                                                                \
    "run \"pullkey hosts migrate\": it moves the credential into a store and the file to "         \
    "hosts.toml"

static const char *name_of(enum node_plugin plugin)
{
    switch (plugin) {
    case NODE_PLUGIN_SHORT: return "plugins.cri";
    case NODE_PLUGIN_IMAGES: return "plugins.\"io.containerd.cri.v1.images\"";
    case NODE_PLUGIN_CRI:
    default: return "plugins.\"io.containerd.grpc.v1.cri\"";
    }
}

/* -- Files ------------------------------------------------------------------------------------ */

static void check_file(struct check *check, const struct node_config *config,
                       const struct node_file *file)
{
    int64_t newest = node_may_be_from(config, 2, 3, 0)   ? 4
                     : node_may_be_from(config, 2, 0, 0) ? 3
                                                         : 2;

    if (file->problem.code == PULLKEY_NOT_FOUND) {
        findings_add(&check->findings, OUTPUT_ERROR, "import-missing", config->path, 0,
                     "remove it from imports, or make the file",
                     "imports names %s, which does not exist: containerd does not start",
                     file->path);
        return;
    }
    if (file->problem.code != PULLKEY_OK)
        findings_add_error(&check->findings, OUTPUT_ERROR, "config-refused", file->path,
                           "mend the file: containerd does not start with it", &file->problem);
    if (!file->version_item)
        return;
    if (file->version > newest)
        check_at(check, OUTPUT_ERROR, "config-version", file->path, file->version_item,
                 "use a version that this containerd knows",
                 "version = %lld: this containerd knows schemas up to %lld and does not start",
                 (long long)file->version, (long long)newest);
    if (file != config->files && node_may_be_from(config, 2, 0, 0) &&
        file->version > config->files[0].version)
        check_at(check, OUTPUT_ERROR, "import-version", file->path, file->version_item,
                 "give both files the same version",
                 "its version is higher than that of %s, which imports it: containerd 2 does not "
                 "start",
                 config->path);
}

/* -- Tables ----------------------------------------------------------------------------------- */

static bool is_one_of(const char *key, const char *const *names)
{
    for (; *names; names++)
        if (text_equal_any_case(key, *names))
            return true;
    return false;
}

static void check_keys(struct check *check, const struct node_file *file,
                       const struct toml_item *table, const char *const *names, const char *where)
{
    for (const struct toml_item *item = table && table->kind == TOML_TABLE ? table->first : NULL;
         item; item = item->next)
        if (!is_one_of(item->key, names))
            check_at(check, OUTPUT_WARNING, "unknown-key", file->path, item,
                     "remove it: it does nothing", "%s is no key that containerd has in %s",
                     item->key, where);
}

/* The table of a release that is not this one. */
static void check_is_read(struct check *check, const struct node_config *config,
                          const struct node_table *table)
{
    const char *fix = "use the table that this release reads";

    if (table->is_read || !table->registry)
        return;
    if (node_may_be_before(config, 2, 0, 0) && table->plugin == NODE_PLUGIN_CRI)
        fix = "write version = 2 at the top of the file";
    else if (node_may_be_before(config, 2, 0, 0))
        fix = "with version = 2, use plugins.\"io.containerd.grpc.v1.cri\"";
    else if (table->plugin == NODE_PLUGIN_CRI)
        fix = "with version = 3, use plugins.\"io.containerd.cri.v1.images\"";
    check_at(check, OUTPUT_ERROR, "table-not-read", table->file->path, table->registry, fix,
             "containerd %d.%d does not read %s in a file of version %lld", config->version.major,
             config->version.minor, name_of(table->plugin), (long long)table->file->version);
}

/* Containerd 1 knows the last table of a plugin only. */
static void check_replaced(struct check *check, const struct node_config *config, size_t number)
{
    const struct node_table *table = &config->tables[number];

    if (node_may_be_from(config, 2, 0, 0) || !table->registry || !table->registry->first)
        return;
    for (size_t i = number + 1; i < config->table_count; i++)
        if (config->tables[i].plugin == table->plugin)
            check_at(check, OUTPUT_ERROR, "table-replaced", table->file->path, table->registry,
                     "have the whole table in the file that is imported last",
                     "containerd 1 drops this: %s has a table of the same plugin and is loaded "
                     "later",
                     config->tables[i].file->path);
}

static void check_headers(struct check *check, const struct node_table *table)
{
    const struct toml_item *headers = hosts_member(table->registry, "headers");

    for (const struct toml_item *item = headers && headers->kind == TOML_TABLE ? headers->first
                                                                               : NULL;
         item; item = item->next) {
        if (check_is_secret_name(item->key))
            check_at(check, OUTPUT_ERROR, "registry-headers-secret", table->file->path, item,
                     "remove it, and change the secret; credentials belong to one host",
                     "registry.headers are sent to every registry, and to any address that a "
                     "manifest names: %s must not be among them",
                     item->key);
        else
            check_at(check, OUTPUT_NOTE, "registry-headers", table->file->path, item,
                     "make sure that it holds nothing secret",
                     "registry.headers are sent to every registry, and to any address that a "
                     "manifest names");
    }
}

static void check_tables(struct check *check, const struct node_config *config)
{
    static const char *const registry_keys[] = { "config_path", "mirrors", "configs",
                                                 "auths",       "headers", NULL };

    for (size_t i = 0; i < config->table_count; i++) {
        const struct node_table *table = &config->tables[i];

        check_is_read(check, config, table);
        check_replaced(check, config, i);
        check_keys(check, table->file, table->registry, registry_keys, "registry");
        check_headers(check, table);
    }
    for (size_t i = 0; i < config->file_count; i++) {
        const struct toml_item *plugins = hosts_member(config->files[i].toml.root, "plugins");
        const struct toml_item *item =
            hosts_member(toml_member(plugins, TRANSFER_PLUGIN), "config_path");

        if (item)
            check_at(check, OUTPUT_WARNING, "transfer-config-path", config->files[i].path, item,
                     "set config_path in the registry table of the CRI plugin",
                     "containerd reads this config_path and never uses it");
    }
}

/* -- Entries ---------------------------------------------------------------------------------- */

/* Who prints it besides: found with 1.7, and not with 2.2. */
static const char *leak_of(const struct node_config *config, const struct node_auth *auth)
{
    if (auth->is_url || !node_may_be_before(config, 2, 0, 0))
        return "";
    return config->version.is_known ? ", and \"crictl info\" prints it"
                                    : ", and with containerd 1 \"crictl info\" prints it";
}

static void check_secret(struct check *check, const struct node_config *config,
                         const struct node_auth *auth, const struct toml_item *item,
                         const char *what)
{
    if (!item || (item->kind == TOML_STRING && item->string_length == 0))
        return;
    check_at(check, OUTPUT_ERROR, "plaintext-config", auth->in->file->path, item, FIX_MIGRATE,
             "%s of %s is in plain text%s", what, check_host_name(auth->table->key),
             leak_of(config, auth));
}

/* Endpoints of mirrors have been seen with a user name and password in front of the host. */
static void check_endpoints(struct check *check, const struct node_mirror *mirror)
{
    const struct toml_item *list = mirror->endpoint;

    for (const struct toml_item *item = list && list->kind == TOML_ARRAY ? list->first : NULL; item;
         item = item->next)
        if (item->kind == TOML_STRING && check_has_user(item->string))
            check_at(check, OUTPUT_ERROR, "url-credential", mirror->in->file->path, item,
                     "remove it from the URL, and name a credHelper in hosts.toml",
                     "the URL of %s has a user name in it, which containerd ignores",
                     check_host_name(item->string));
}

static void check_auth(struct check *check, const struct node_config *config,
                       const struct node_auth *auth)
{
    static const char *const auth_keys[] = { "username", "password", "auth", "identitytoken",
                                             NULL };
    static const char *const config_keys[] = { "auth", "tls", NULL };
    static const char *const tls_keys[] = { "insecure_skip_verify", "ca_file", "cert_file",
                                            "key_file", NULL };
    const struct node_file *file = auth->in->file;

    check_secret(check, config, auth, auth->password, "the password");
    check_secret(check, config, auth, auth->encoded, "the user name and password (auth)");
    check_secret(check, config, auth, auth->identity_token, "the identity token");
    if (!auth->is_url)
        check_keys(check, file, auth->table, config_keys, "registry.configs");
    check_keys(check, file, auth->auth, auth_keys,
               auth->is_url ? "registry.auths" : "registry.configs.auth");
    if (!auth->tls)
        return;
    check_keys(check, file, auth->tls, tls_keys, "registry.configs.tls");
    if (!node_may_be_before(config, 2, 0, 0))
        check_at(check, OUTPUT_ERROR, "config-tls-gone", file->path, auth->tls,
                 "put ca, client and skip_verify into the hosts.toml of the registry",
                 "containerd 2 ignores registry.configs.tls of %s",
                 check_host_name(auth->table->key));
}

static void check_local_pull(struct check *check, const struct node_config *config)
{
    struct node_setting setting = node_local_pull(config);

    if (setting.item && config->version.is_known && node_may_be_from(config, 2, 1, 0))
        check_at(check, OUTPUT_NOTE, "local-pull", setting.file->path, setting.item,
                 "remove it where it is not needed",
                 "%s makes containerd pull without its transfer service", setting.item->key);
}

static void check_disabled(struct check *check, const struct node_file *file)
{
    static const char *const names[] = { "cri", "io.containerd.grpc.v1.cri",
                                         "io.containerd.cri.v1.images", NULL };
    const struct toml_item *list = hosts_member(file->toml.root, "disabled_plugins");

    for (const struct toml_item *item = list && list->kind == TOML_ARRAY ? list->first : NULL; item;
         item = item->next)
        if (item->kind == TOML_STRING && is_one_of(item->string, names))
            check_at(check, OUTPUT_NOTE, "cri-disabled", file->path, item,
                     "remove it from disabled_plugins if this node runs pods",
                     "the plugin that pulls for the kubelet is disabled");
}

void check_config(struct check *check, const struct node_config *config)
{
    for (size_t i = 0; i < config->file_count; i++) {
        check_file(check, config, &config->files[i]);
        check_disabled(check, &config->files[i]);
    }
    check_types(check, config);
    check_tables(check, config);
    for (size_t i = 0; i < config->mirror_count; i++) {
        const struct node_mirror *mirror = &config->mirrors[i];
        static const char *const mirror_keys[] = { "endpoint", NULL };

        check_keys(check, mirror->in->file, mirror->table, mirror_keys, "registry.mirrors");
        check_endpoints(check, mirror);
        check_at(check, OUTPUT_WARNING, "mirrors-deprecated", mirror->in->file->path, mirror->table,
                 "run \"pullkey hosts migrate\": it writes a hosts.toml instead",
                 "registry.mirrors is deprecated, and pullkey cannot serve the mirrors of %s there",
                 check_host_name(mirror->table->key));
    }
    for (size_t i = 0; i < config->auth_count; i++)
        check_auth(check, config, &config->auths[i]);
    check_local_pull(check, config);
}

/* -- config_path ------------------------------------------------------------------------------ */

void check_paths_done(struct check_paths *paths)
{
    secret_release(paths->memory);
}

int check_paths_read(const struct node_config *config, struct check_paths *ret,
                     struct pullkey_error *error)
{
    struct check_paths paths = { .setting = node_registry_setting(config, "config_path") };
    struct node_setting mirrors = node_registry_setting(config, "mirrors");
    const struct toml_item *item = paths.setting.item;
    char *rest, *path;

    if (item && item->kind == TOML_STRING && item->string[0] != '\0') {
        paths.text = item->string;
    } else if (config->version.is_known && node_may_be_from(config, 2, 2, 0) &&
               !(mirrors.item && mirrors.item->first)) {
        paths.text = DEFAULT_PATHS;
        paths.is_default = true;
    }
    if (paths.text) {
        paths.memory = secret_copy(paths.text, strlen(paths.text));
        if (!paths.memory)
            return error_memory(error);
        paths.is_one = config->version.is_known && node_may_be_from(config, 2, 1, 0) &&
                       !node_local_pull(config).item;
        rest = paths.memory;
        while (paths.count < CHECK_ROOTS_MAX && (path = strsep(&rest, ":")))
            if (path[0] == '/')
                paths.items[paths.count++] = path;
    }
    *ret = paths;
    return 0;
}

static bool has_registries(const struct check *check, const char *inner)
{
    for (size_t i = 0; i < check->root_count; i++)
        if (strcmp(check->roots[i].hosts.inner, inner) == 0)
            return check->roots[i].hosts.count > 0;
    return false;
}

/* Before the daemon was ever started, there is nothing to point to. A template has it at boot. */
static const char *fix_target(const struct check *check)
{
    return check->node.root[0] != '\0' || node_exists(&check->node, HOSTS_CONFIG_PATH) ? FIX_TARGET
                                                                                       : FIX_START;
}

/* Nobody has set it. */
static void check_unset(struct check *check, const struct node_config *config,
                        const struct check_paths *paths)
{
    static const char source[] = HOSTS_SOURCE_DEFAULT, docker[] = "/etc/docker/certs.d";
    static const char fix[] = "set config_path to one directory, in the registry table of the CRI "
                              "plugin";

    if (check->has_helpers)
        findings_add(&check->findings, OUTPUT_ERROR, "config-path-not-target", config->path, 0,
                     fix_target(check),
                     "config_path is not set: containerd does not read what pullkey "
                     "writes");
    if (config->mirror_count > 0)
        return;
    if (!paths->is_default) {
        if (has_registries(check, source))
            findings_add(&check->findings, config->version.is_known ? OUTPUT_ERROR : OUTPUT_WARNING,
                         "config-path-unset", config->path, 0, fix,
                         "config_path is not set: containerd before 2.2 reads no hosts.toml");
    } else if (paths->is_one && (has_registries(check, source) || has_registries(check, docker))) {
        findings_add(&check->findings, OUTPUT_ERROR, "config-path-default-list", config->path, 0,
                     fix,
                     "config_path is not set, and its default is a list of two directories, which "
                     "containerd from 2.1 on takes for one: it reads no hosts.toml");
    }
}

static void check_list(struct check *check, const struct node_config *config,
                       const struct check_paths *paths)
{
    struct node_setting local = node_local_pull(config);

    if (paths->count < 2 || paths->is_default || !node_may_be_from(config, 2, 1, 0))
        return;
    if (!config->version.is_known && local.item)
        return;
    if (local.item)
        check_at(check, OUTPUT_NOTE, "config-path-list-local", paths->setting.file->path,
                 paths->setting.item, "name one directory",
                 "a list of directories works only as long as %s (%s:%zu) is there",
                 local.item->key, local.file->path, local.item->line);
    else
        check_at(check, config->version.is_known ? OUTPUT_ERROR : OUTPUT_WARNING,
                 "config-path-list", paths->setting.file->path, paths->setting.item,
                 "name one directory that has everything",
                 "config_path is a list: containerd from 2.1 on takes it for one directory, and "
                 "reads no hosts.toml");
}

static void check_directory(struct check *check, const struct check_paths *paths, const char *inner)
{
    struct pullkey_error why;
    struct stat status;
    int r = node_stat(&check->node, inner, &status, &why);

    /* What is made at boot is not in a template, and the target has findings of its own. */
    if (check_is_target(check, inner) ||
        (r < 0 && check->node.root[0] != '\0' && strncmp(inner, "/run/", 5) == 0))
        return;
    if (r == -PULLKEY_NOT_FOUND)
        check_at(check, OUTPUT_WARNING, "config-path-missing", paths->setting.file->path,
                 paths->setting.item, "make the directory, or correct config_path",
                 "there is no directory %s: containerd pulls from the registries themselves",
                 inner);
    else if (r < 0)
        check_at(check, OUTPUT_ERROR, "config-path-unreadable", paths->setting.file->path,
                 paths->setting.item, "make it a directory that containerd can read",
                 "%s: every pull fails", why.message);
    else if (!S_ISDIR(status.st_mode))
        check_at(check, OUTPUT_ERROR, "config-path-unreadable", paths->setting.file->path,
                 paths->setting.item, "make it a directory", "%s is no directory: every pull fails",
                 inner);
}

/* What containerd refuses to start its plugin with. */
static void check_conflicts(struct check *check, const struct node_config *config,
                            const struct check_paths *paths)
{
    const struct toml_item *item = paths->setting.item;
    struct node_setting mirrors = node_registry_setting(config, "mirrors");

    if (mirrors.item && mirrors.item->kind == TOML_TABLE && mirrors.item->first)
        check_at(check, OUTPUT_ERROR, "config-path-and-mirrors", paths->setting.file->path, item,
                 "remove registry.mirrors; \"pullkey hosts migrate\" writes hosts.toml files for "
                 "them",
                 "config_path and registry.mirrors (%s:%zu) exclude each other: the plugin that "
                 "pulls does not start",
                 mirrors.file->path, mirrors.item->line);
    for (size_t i = 0; i < config->auth_count; i++)
        if (config->auths[i].tls && config->auths[i].in->is_read &&
            node_may_be_before(config, 2, 0, 0))
            check_at(check, config->version.is_known ? OUTPUT_ERROR : OUTPUT_WARNING,
                     "config-path-and-tls", config->auths[i].in->file->path, config->auths[i].tls,
                     "put ca, client and skip_verify into the hosts.toml of the registry",
                     "config_path and registry.configs.tls exclude each other: the plugin of "
                     "containerd 1 that pulls does not start");
}

void check_config_path(struct check *check, const struct node_config *config,
                       const struct check_paths *paths)
{
    bool has_target = false;

    if (!paths->setting.item || !paths->text || paths->is_default) {
        check_unset(check, config, paths);
        return;
    }
    check_list(check, config, paths);
    check_conflicts(check, config, paths);
    for (size_t i = 0; i < paths->count; i++) {
        has_target = has_target || check_is_target(check, paths->items[i]);
        if (!paths->is_one || paths->count == 1)
            check_directory(check, paths, paths->items[i]);
    }
    if (check->has_helpers && !has_target)
        check_at(check, OUTPUT_ERROR, "config-path-not-target", paths->setting.file->path,
                 paths->setting.item, fix_target(check),
                 "containerd reads %s, where credHelper does nothing, and not what pullkey writes",
                 paths->text);
}
