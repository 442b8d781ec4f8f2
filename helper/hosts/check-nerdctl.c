/* SPDX-License-Identifier: Apache-2.0 */
/* nerdctl has a list of hosts directories of its own. From 2.3 on, with containerd 2, it pulls and
 * pushes with the first of them alone. */
#include "check.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "hosts.h"

#define NERDCTL_CONFIG "/etc/nerdctl/nerdctl.toml"

/* One directory by two names, or both of them what pullkey writes. */
static bool is_same(const struct check *check, const char *a, const char *b)
{
    struct pullkey_error ignored;
    struct stat first, second;

    if (strcmp(a, b) == 0 || (check_is_target(check, a) && check_is_target(check, b)))
        return true;
    return node_stat(&check->node, a, &first, &ignored) == 0 &&
           node_stat(&check->node, b, &second, &ignored) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

/* Of any containerd of the node, because nerdctl may be told another one each time. True also where
 * none reads a directory. */
static bool is_read(struct check *check, const char *inner)
{
    bool found = false, has_paths = false;

    for (size_t i = 0; !found && i < check->node.config_count; i++) {
        cleanup_paths struct check_paths paths = { 0 };
        struct pullkey_error error;

        if (check_paths_read(&check->node.configs[i], &paths, &error) < 0) {
            check->findings.has_failed = true;
            return true;
        }
        has_paths = has_paths || paths.count > 0;
        for (size_t j = 0; !found && j < paths.count; j++)
            found = is_same(check, paths.items[j], inner);
    }
    return found || !has_paths;
}

static bool may_be_containerd_2(const struct check *check)
{
    for (size_t i = 0; i < check->node.config_count; i++)
        if (node_may_be_from(&check->node.configs[i], 2, 0, 0))
            return true;
    return false;
}

static void check_directories(struct check *check, const char *path, const struct toml_item *list,
                              enum output_level level)
{
    const struct toml_item *first = list->kind == TOML_ARRAY ? list->first : NULL;

    if (!first || first->kind != TOML_STRING)
        return;
    if (first->next)
        check_at(check, level, "nerdctl-hosts-list", path, list,
                 "name one directory that has everything",
                 "hosts_dir is a list: nerdctl from 2.3 on pulls with %s alone", first->string);
    if (!is_read(check, first->string))
        check_at(check, level, "nerdctl-reads-other", path, first,
                 "name the directory first that config_path of containerd names",
                 "nerdctl reads %s, and containerd does not", first->string);
}

/* Without a setting it looks where helpers do nothing. */
static void check_default(struct check *check, const char *path)
{
    if (check->has_helpers && !is_read(check, HOSTS_SOURCE_DEFAULT))
        findings_add(&check->findings, OUTPUT_NOTE, "nerdctl-reads-other", path, 0,
                     "write hosts_dir = [\"" HOSTS_CONFIG_PATH "\"] into this file",
                     "nerdctl reads " HOSTS_SOURCE_DEFAULT ", where credHelper does nothing");
}

void check_nerdctl(struct check *check)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(TOML_SIZE_MAX);
    cleanup_toml struct toml_document toml = { 0 };
    cleanup_release char *path = node_path(&check->node, NERDCTL_CONFIG);
    struct node_version version;
    struct pullkey_error ignored;
    const struct toml_item *list = NULL;
    bool is_there = node_nerdctl_find(&check->node, &version);

    if (!path) {
        check->findings.has_failed = true;
        return;
    }
    if (node_read(&check->node, NERDCTL_CONFIG, &text, &ignored) == 0) {
        is_there = true;
        if (toml_parse(&toml, path, text.data ? text.data : "", text.length, &ignored) == 0)
            list = hosts_member(toml.root, "hosts_dir");
    }
    if (!is_there)
        return;
    if (!list)
        check_default(check, path);
    else if (may_be_containerd_2(check) &&
             (!version.is_known || !node_version_may_be_before(&version, 2, 3, 0)))
        check_directories(check, path, list, version.is_known ? OUTPUT_WARNING : OUTPUT_NOTE);
}
