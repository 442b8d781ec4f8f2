/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"
#include "hosts.h"
#include "migrate.h"
#include "pullkey-build.h"

#define JSON_TEXT_MAX (32u * 1024 * 1024)

void check_done(struct check *check)
{
    for (size_t i = 0; i < check->root_count; i++)
        node_hosts_done(&check->roots[i].hosts);
    secret_release(check->answers);
    node_done(&check->node);
    findings_done(&check->findings);
}

/* -- Roots ------------------------------------------------------------------------------------ */

static int add_root(struct check *check, const struct node_config *config, const char *inner,
                    struct pullkey_error *error)
{
    struct check_root *root = &check->roots[check->root_count];
    struct pullkey_error why;
    int r;

    for (size_t i = 0; i < check->root_count; i++)
        if (strcmp(check->roots[i].hosts.inner, inner) == 0)
            return 0;
    if (check->root_count == CHECK_ROOTS_MAX)
        return 0;
    r = node_hosts_read(&check->node, inner, check->settings, &root->hosts, &why);
    if (r == -PULLKEY_INTERNAL)
        return error_memory(error);
    if (r < 0) {
        cleanup_release char *path = node_path(&check->node, inner);

        if (!path)
            return error_memory(error);
        findings_add_error(&check->findings, OUTPUT_ERROR, "directory-unreadable", path,
                           why.code == PULLKEY_INVALID
                               ? "have fewer: containerd has no such limit, but pullkey does"
                               : "make it a directory that containerd can read",
                           &why);
        return 0;
    }
    root->config = config;
    check->root_count++;
    return 0;
}

/* What k3s and RKE2 write beside their config.toml is the source wherever that leads. */
static int add_managed_root(struct check *check, const struct node_config *config,
                            struct pullkey_error *error)
{
    const int length = (int)(strrchr(config->inner, '/') - config->inner);
    struct pullkey_error ignored;
    char inner[FILE_PATH_MAX];
    struct stat status;

    if (config->owner == NODE_CONTAINERD ||
        snprintf(inner, sizeof(inner), "%.*s/certs.d", length, config->inner) >=
            (int)sizeof(inner) ||
        node_stat(&check->node, inner, &status, &ignored) < 0)
        return 0;
    return add_root(check, config, inner, error);
}

static int add_roots(struct check *check, struct pullkey_error *error)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < check->node.config_count; i++) {
        cleanup_paths struct check_paths paths = { 0 };

        r = check_paths_read(&check->node.configs[i], &paths, error);
        for (size_t j = 0; r == 0 && j < paths.count; j++)
            r = add_root(check, &check->node.configs[i], paths.items[j], error);
        if (r == 0)
            r = add_managed_root(check, &check->node.configs[i], error);
    }
    if (r == 0)
        r = add_root(check, NULL, HOSTS_SOURCE_OVERMOUNTED, error);
    if (r == 0)
        r = add_root(check, NULL, HOSTS_SOURCE_DEFAULT, error);
    if (r == 0)
        r = add_root(check, NULL, "/etc/docker/certs.d", error);
    return r;
}

/* The daemon's view of the source may be there without an overmount, and be the same directory. */
static bool is_mounted_over(const struct check *check)
{
    struct stat source, place;
    struct pullkey_error ignored;

    return node_stat(&check->node, HOSTS_SOURCE_OVERMOUNTED, &source, &ignored) == 0 &&
           node_stat(&check->node, HOSTS_SOURCE_DEFAULT, &place, &ignored) == 0 &&
           (source.st_dev != place.st_dev || source.st_ino != place.st_ino);
}

/* Under an overmount, what stands in the source's place is the target. */
static void find_overmount(struct check *check)
{
    for (size_t i = 0; i < check->root_count; i++)
        if (strcmp(check->roots[i].hosts.inner, HOSTS_SOURCE_OVERMOUNTED) == 0 &&
            check->roots[i].hosts.count > 0)
            check->is_overmount = is_mounted_over(check);
    for (size_t i = 0; i < check->root_count; i++) {
        struct check_root *root = &check->roots[i];

        root->is_target =
            check_is_target(check, root->hosts.inner) &&
            !(check->is_overmount && strcmp(root->hosts.inner, HOSTS_SOURCE_OVERMOUNTED) == 0);
    }
}

static int find_reader(struct check *check, struct pullkey_error *error)
{
    for (size_t i = 0; i < check->node.config_count; i++) {
        cleanup_paths struct check_paths paths = { 0 };
        int r = check_paths_read(&check->node.configs[i], &paths, error);

        if (r < 0)
            return r;
        for (size_t j = 0; j < paths.count; j++)
            check->reads_target |= check_is_target(check, paths.items[j]);
    }
    return 0;
}

/* -- Configuration ---------------------------------------------------------------------------- */

/* Below another root, the files that a system program reads there. */
static int load_configuration(const struct check *check, struct config *ret,
                              struct pullkey_error *error)
{
    char directory[FILE_PATH_MAX];
    struct config_source source;
    int r;

    if (check->node.root[0] == '\0')
        return hosts_load(ret, error);
    r = migrate_real_path(&check->node, PULLKEY_SYSCONFDIR, directory, error);
    if (r == 0)
        r = config_source_default(true, &source, error);
    if (r < 0)
        return r;
    source.system_directory = directory;
    source.only_file = NULL;
    source.text = NULL;
    return config_load(&source, ret, error);
}

static int load_settings(struct check *check, struct config *config, struct settings *settings,
                         struct pullkey_error *error)
{
    struct pullkey_error why;
    int r = load_configuration(check, config, &why);

    if (r == 0)
        r = settings_load(config, settings, &why);
    if (r == -PULLKEY_INTERNAL) {
        *error = why;
        return r;
    }
    if (r < 0)
        findings_add(&check->findings, OUTPUT_ERROR, "configuration", NULL, 0,
                     "run \"pullkey config check\"", "%s", why.message);
    else
        check->settings = settings;
    if (r == 0)
        check->config = config;
    return 0;
}

/* -- Report ----------------------------------------------------------------------------------- */

static void write_text(struct buffer *json, const char *text)
{
    if (text)
        json_write_name(json, text);
    else
        buffer_append_text(json, "null");
}

/* Of a release that is known. */
static bool pulls_locally(const struct node_config *config)
{
    return node_may_be_before(config, 2, 1, 0) || node_local_pull(config).item;
}

/* Which containerd the rest is about. */
static int print_configs(const struct check *check, struct pullkey_error *error)
{
    static const char *const owners[NODE_OWNER_MAX] = {
        [NODE_CONTAINERD] = "", [NODE_K3S] = "k3s: ", [NODE_RKE2] = "RKE2: "
    };

    for (size_t i = 0; output_is_terminal() && i < check->node.config_count; i++) {
        const struct node_config *config = &check->node.configs[i];
        const struct node_version *version = &config->version;
        cleanup_paths struct check_paths paths = { 0 };
        char release[64] = " of an unknown release";
        int r = check_paths_read(config, &paths, error);

        if (r < 0)
            return r;
        if (version->is_known)
            (void)snprintf(release, sizeof(release), " %d.%d.%d", version->major, version->minor,
                           version->patch);
        output_line("%scontainerd%s, %s%s%s", owners[config->owner], release,
                    paths.text ? "config_path " : "no config_path", paths.text ? paths.text : "",
                    !version->is_known      ? ""
                    : pulls_locally(config) ? ", local pull"
                                            : ", transfer service");
    }
    return 0;
}

static int write_configs(const struct check *check, struct buffer *json,
                         struct pullkey_error *error)
{
    for (size_t i = 0; i < check->node.config_count; i++) {
        const struct node_config *config = &check->node.configs[i];
        const struct node_version *version = &config->version;
        cleanup_paths struct check_paths paths = { 0 };
        int r = check_paths_read(config, &paths, error);

        if (r < 0)
            return r;
        buffer_append_text(json, i > 0 ? ",\n {\"config\":" : "{\"config\":");
        write_text(json, config->path);
        if (version->is_known)
            buffer_printf(json, ",\"version\":\"%d.%d.%d\"", version->major, version->minor,
                          version->patch);
        else
            buffer_append_text(json, ",\"version\":null");
        buffer_append_text(json, ",\"config_path\":");
        write_text(json, paths.text);
        buffer_printf(json, ",\"pull\":%s}",
                      !version->is_known      ? "null"
                      : pulls_locally(config) ? "\"local\""
                                              : "\"transfer\"");
    }
    return 0;
}

static int report_json(const struct check *check, struct pullkey_error *error)
{
    cleanup_buffer struct buffer json = BUFFER_INIT(JSON_TEXT_MAX);
    int r;

    buffer_append_text(&json, "{\"containerd\":[");
    r = write_configs(check, &json, error);
    if (r < 0)
        return r;
    buffer_append_text(&json, "],\n\"hosts\":");
    check_write_hosts(check, &json);
    buffer_append_text(&json, ",\n\"findings\":");
    findings_write(&check->findings, &json);
    buffer_append_text(&json, "}\n");
    return output_buffer(&json, error);
}

static int report(struct check *check, bool json, struct pullkey_error *error)
{
    bool is_fine;
    int r = findings_sort(&check->findings, error);

    if (r < 0)
        return r;
    is_fine = check->findings.levels[OUTPUT_ERROR] + check->findings.levels[OUTPUT_WARNING] == 0;
    r = json ? report_json(check, error) : print_configs(check, error);
    if (r == 0 && !json)
        r = findings_print(&check->findings, error);
    if (r < 0)
        return r;
    if (!json)
        r = check_print_hosts(check, error);
    if (r < 0)
        return r;
    if (is_fine && !json)
        output_progress("No problem found");
    return is_fine ? 0 : HOSTS_PROBLEM;
}

static int check_everything(struct check *check, struct pullkey_error *error)
{
    int r = check_network(check, error);

    if (r < 0)
        return r;
    for (size_t i = 0; i < check->root_count; i++)
        check_hosts(check, &check->roots[i]);
    for (size_t i = 0; i < check->node.config_count; i++) {
        cleanup_paths struct check_paths paths = { 0 };

        check_config(check, &check->node.configs[i]);
        r = check_paths_read(&check->node.configs[i], &paths, error);
        if (r < 0)
            return r;
        check_config_path(check, &check->node.configs[i], &paths);
    }
    for (size_t i = 0; i < check->node.yaml_count; i++)
        check_yaml(check, &check->node.yamls[i]);
    check_settings(check);
    check_helpers(check);
    check_rules(check);
    check_target(check);
    check_nerdctl(check);
    check_program(check);
    check_pull_secrets(check);
    check_system(check);
    return 0;
}

int check_open(const struct hosts_call *call, struct config *config, struct settings *settings,
               struct check *ret, struct pullkey_error *error)
{
    const char *root = call->values[HOSTS_ROOT] ? call->values[HOSTS_ROOT] : "/";
    int r = node_open(root, &ret->node, error);

    if (r < 0)
        return r == -PULLKEY_INTERNAL ? r : hosts_usage(error, "--root: %s", error->message);
    ret->target = call->values[HOSTS_TARGET];
    r = load_settings(ret, config, settings, error);
    if (r == 0)
        r = add_roots(ret, error);
    if (r < 0)
        return r;
    find_overmount(ret);
    return find_reader(ret, error);
}

int hosts_check(const struct hosts_call *call, struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    cleanup_settings struct settings settings = { 0 };
    cleanup_check struct check check = CHECK_INIT;
    int r = check_open(call, &config, &settings, &check, error);

    if (r == 0)
        r = check_everything(&check, error);
    return r < 0 ? r : report(&check, call->values[HOSTS_JSON] != NULL, error);
}
