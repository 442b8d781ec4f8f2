/* SPDX-License-Identifier: Apache-2.0 */
/* pullkey's own configuration, as far as it is about files that have to be there. */
#include "check.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/secret.h"
#include "hosts.h"
#include "sandbox.h"

/* -- containerd.hosts ------------------------------------------------------------------------- */

/* What was found to be wrong with a file has been said, and its hosts are not known. */
static bool is_about_directory(const struct settings_host *entry,
                               const struct node_host_directory *directory)
{
    char registry[REGISTRY_HOST_MAX + 8];
    struct registry_reference reference;
    struct pullkey_error ignored;

    for (size_t i = 0; i < directory->file.host_count; i++)
        if (directory->file.hosts[i].reference &&
            settings_is_about(entry, directory->file.hosts[i].reference))
            return true;
    if (directory->problem.code == PULLKEY_OK)
        return false;
    hosts_directory_registry(directory->name, registry);
    return registry_parse(registry, strlen(registry), &reference, &ignored) == 0 &&
           strcmp(reference.host, entry->reference.host) == 0;
}

static bool is_in_source(const struct check *check, const struct settings_host *entry)
{
    for (size_t i = 0; i < check->root_count; i++)
        for (size_t j = 0; !check->roots[i].is_target && j < check->roots[i].hosts.count; j++)
            if (is_about_directory(entry, &check->roots[i].hosts.directories[j]))
                return true;
    return false;
}

const char *check_source(const struct check *check)
{
    if (check->is_overmount)
        return HOSTS_SOURCE_OVERMOUNTED;
    for (size_t i = 0; i < check->root_count; i++)
        if (check->roots[i].config && !check->roots[i].is_target)
            return check->roots[i].hosts.inner;
    return HOSTS_SOURCE_DEFAULT;
}

static void check_entry(struct check *check, const struct settings_host *entry)
{
    bool is_managed = check->node.configs[0].owner != NODE_CONTAINERD;
    cleanup_release char *path = NULL;
    char inner[FILE_PATH_MAX], port[8] = "";
    int length;

    if (entry->reference.port != 0)
        (void)snprintf(port, sizeof(port), ":%u", (unsigned int)entry->reference.port);
    length = snprintf(inner, sizeof(inner), "%s/%s%s/hosts.toml", check_source(check),
                      entry->reference.host, port);
    if (length < 0 || length >= (int)sizeof(inner))
        return;
    path = node_path(&check->node, inner);
    if (!path) {
        check->findings.has_failed = true;
        return;
    }
    findings_add(
        &check->findings, OUTPUT_WARNING, "helper-without-file", path, 0,
        is_managed ? "name the registry under mirrors in registries.yaml, from which this "
                     "file is written"
                   : "write this file, or that of the registry that it is a mirror of, "
                     "with a [host.\"URL\"] for it",
        "containerd.hosts names a helper for %s, but no hosts.toml has that host: pullkey "
        "adds headers to the hosts of such files and writes none itself, so this host gets "
        "none",
        entry->reference.text);
}

/* -- containerd.readers ----------------------------------------------------------------------- */

#define FIX_READERS                                                                                \
    "list it with a * for the part that changes: /var/lib/rancher/k3s/data/*/bin/containerd, or "  \
    "/var/lib/rancher/rke2/data/*/bin/containerd"

/* What follows is a name that another release changes, or a link to it. */
static const struct {
    enum node_owner owner;
    const char *name, *data, *link;
} movers[] = {
    { NODE_K3S, "k3s", "/var/lib/rancher/k3s/data/", NULL },
    { NODE_RKE2, "RKE2", "/var/lib/rancher/rke2/data/", "/var/lib/rancher/rke2/bin/" },
};

static bool has_start(const char *text, const char *start)
{
    return start && strncmp(text, start, strlen(start)) == 0;
}

static bool has_owner(const struct check *check, enum node_owner owner)
{
    for (size_t i = 0; i < check->node.config_count; i++)
        if (check->node.configs[i].owner == owner)
            return true;
    return false;
}

static void check_mover(struct check *check, size_t mover)
{
    const cJSON *list = check->settings->readers;
    const char *data = movers[mover].data;
    bool is_listed = false;

    for (const cJSON *item = list ? list->child : NULL; item; item = item->next) {
        const char *path = item->valuestring;
        bool is_literal = has_start(path, data) && !has_start(path + strlen(data), "*/");

        is_listed = is_listed || has_start(path, data) || has_start(path, movers[mover].link);
        if (is_literal || has_start(path, movers[mover].link))
            findings_add(&check->findings, OUTPUT_WARNING, "readers-moves", NULL, 0, FIX_READERS,
                         "readers has %s, and an upgrade of %s puts its programs elsewhere: with "
                         "readers_policy \"deny\" every pull fails then",
                         path, movers[mover].name);
    }
    if (!is_listed && has_owner(check, movers[mover].owner))
        findings_add(&check->findings, OUTPUT_WARNING, "readers-unlisted", NULL, 0, FIX_READERS,
                     "readers does not have the containerd of %s: with readers_policy \"deny\" "
                     "every pull fails",
                     movers[mover].name);
}

void check_settings(struct check *check)
{
    if (check->node.root[0] == '\0' && check->has_helpers && !sandbox_has_landlock())
        findings_add(&check->findings, OUTPUT_NOTE, "landlock-missing", NULL, 0,
                     "boot a kernel of 5.13 or later, with landlock among its security modules",
                     "%s", SANDBOX_NO_LANDLOCK);
    for (size_t i = 0;
         check->settings && check->settings->readers_policy == SETTINGS_READERS_DENY &&
         i < sizeof(movers) / sizeof(movers[0]);
         i++)
        check_mover(check, i);
    for (size_t i = 0; check->settings && i < check->settings->host_count; i++)
        if (!is_in_source(check, &check->settings->hosts[i]))
            check_entry(check, &check->settings->hosts[i]);
}
