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

/* The hosts directories that the daemon reads; without an overmount it may see them twice. */
static const char *source_of(const struct check *check)
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
    length = snprintf(inner, sizeof(inner), "%s/%s%s/hosts.toml", source_of(check),
                      entry->reference.host, port);
    if (length < 0 || length >= (int)sizeof(inner))
        return;
    path = node_path(&check->node, inner);
    if (!path) {
        check->findings.has_failed = true;
        return;
    }
    findings_add(&check->findings, OUTPUT_WARNING, "helper-without-file", path, 0,
                 is_managed ? "name the registry under mirrors in registries.yaml, from which this "
                              "file is written"
                            : "write this file, or that of the registry that it is a mirror of, "
                              "with a [host.\"URL\"] for it",
                 "containerd.hosts names a helper for %s, which no hosts.toml has: a header is put "
                 "into files alone, and certificates in a directory are none",
                 entry->reference.text);
}

void check_settings(struct check *check)
{
    if (check->node.root[0] == '\0' && check->has_helpers && !sandbox_has_landlock())
        findings_add(&check->findings, OUTPUT_NOTE, "landlock-missing", NULL, 0,
                     "boot a kernel of 5.13 or later, with landlock among its security modules",
                     "%s", SANDBOX_NO_LANDLOCK);
    for (size_t i = 0; check->settings && i < check->settings->host_count; i++)
        if (!is_in_source(check, &check->settings->hosts[i]))
            check_entry(check, &check->settings->hosts[i]);
}
