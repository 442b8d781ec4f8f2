/* SPDX-License-Identifier: Apache-2.0 */
/* Whether containerd gets what pullkey makes: before that, a credential that leaves a file is lost.
 */
#include "migrate.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "hosts.h"
#include "mounts.h"
#include "publish.h"

/* A mount of its own: the place of one that is gone stays behind as an empty directory. */
const char *migrate_source(const struct migrate *migrate)
{
    struct pullkey_error ignored;
    struct stat above, status;

    if (migrate->is_live &&
        node_stat(migrate->node, MIGRATE_OVERMOUNT_SOURCE, &status, &ignored) == 0 &&
        node_stat(migrate->node, MIGRATE_OVERMOUNT_SOURCE "/..", &above, &ignored) == 0 &&
        S_ISDIR(status.st_mode) && status.st_dev != above.st_dev)
        return MIGRATE_OVERMOUNT_SOURCE;
    return HOSTS_SOURCE_DEFAULT;
}

bool migrate_is_overmounted(const struct migrate *migrate)
{
    return strcmp(migrate_source(migrate), MIGRATE_OVERMOUNT_SOURCE) == 0;
}

static const struct node_config *find_config(const struct node *node)
{
    for (size_t i = 0; i < node->config_count; i++)
        if (node->configs[i].owner == NODE_CONTAINERD)
            return &node->configs[i];
    return NULL;
}

/* containerd reads the source itself. */
static bool reads_source(const struct migrate *migrate)
{
    const struct node_config *config = find_config(migrate->node);
    struct node_setting setting;

    if (!config || migrate_is_overmounted(migrate))
        return false;
    setting = node_registry_setting(config, "config_path");
    if (setting.item && setting.item->kind == TOML_STRING && setting.item->string[0] != '\0')
        return strstr(setting.item->string, HOSTS_SOURCE_DEFAULT) != NULL;
    /* The default from 2.2 on. */
    return node_may_be_from(config, 2, 2, 0) && config->mirror_count == 0;
}

struct migrate_wait migrate_wait_for_daemon(const struct migrate *migrate)
{
    if (!migrate->is_live)
        return (struct migrate_wait){ 0 };
    if (access(HOSTS_TARGET_DEFAULT, R_OK) < 0 && errno == EACCES)
        return (struct migrate_wait){
            "only root can see whether pullkey-hosts runs",
            "run this as root",
        };
    if (!publish_is_held(HOSTS_TARGET_DEFAULT))
        return (struct migrate_wait){
            "pullkey-hosts does not run",
            "start pullkey-hosts.service, then run this again",
        };
    if (migrate_is_overmounted(migrate) &&
        !mounts_are_same(HOSTS_SOURCE_DEFAULT, HOSTS_TARGET_DEFAULT))
        return (struct migrate_wait){
            HOSTS_TARGET_DEFAULT " is not mounted over " HOSTS_SOURCE_DEFAULT,
            "start etc-containerd-certs.d.mount, then run this again",
        };
    if (!migrate_is_overmounted(migrate) &&
        !mounts_are_same(HOSTS_CONFIG_PATH, HOSTS_TARGET_DEFAULT))
        return (struct migrate_wait){
            HOSTS_CONFIG_PATH " does not lead to what pullkey-hosts makes",
            "restart pullkey-hosts.service, which makes the link, then run this again",
        };
    return (struct migrate_wait){ 0 };
}

struct migrate_wait migrate_wait_for_reader(const struct migrate *migrate)
{
    const struct migrate_wait wait = migrate_wait_for_daemon(migrate);

    if (wait.why || !migrate->is_live || !reads_source(migrate))
        return wait;
    return (struct migrate_wait){
        "containerd reads this file itself",
        "with config_path = \"" HOSTS_CONFIG_PATH
        "\" in its configuration restart containerd, then run this again",
    };
}
