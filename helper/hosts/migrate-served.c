/* SPDX-License-Identifier: Apache-2.0 */
/* Whether containerd gets what pullkey makes: before that, a credential that leaves a file is lost.
 */
#include "migrate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "hosts.h"
#include "mounts.h"
#include "publish.h"
#include "running.h"

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

/* The source is one of the directories, by whatever name. */
static bool has_source(const char *directories)
{
    char path[FILE_PATH_MAX];

    for (const char *at = directories; *at != '\0'; at += *at == ':') {
        size_t length = strcspn(at, ":");

        (void)snprintf(path, sizeof(path), "%.*s", (int)length, at);
        if (strcmp(path, HOSTS_SOURCE_DEFAULT) == 0 || mounts_are_same(path, HOSTS_SOURCE_DEFAULT))
            return true;
        at += length;
    }
    return false;
}

static bool is_broken(const struct node_config *config)
{
    for (size_t i = 0; i < config->file_count; i++)
        if (config->files[i].problem.code != PULLKEY_OK)
            return true;
    return false;
}

/* containerd reads the source itself. */
static bool reads_source(const struct node_config *config)
{
    const struct node_setting setting = node_registry_setting(config, "config_path");

    if (setting.item && setting.item->kind == TOML_STRING && setting.item->string[0] != '\0')
        return has_source(setting.item->string);
    /* The default from 2.2 on. */
    return node_may_be_from(config, 2, 2, 0) && config->mirror_count == 0;
}

/* What the daemon said last, after it had looked at all of it. */
static bool serves(const char *source)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_LARGE_MAX);
    cleanup_json struct json json = { 0 };
    struct pullkey_error ignored;
    const cJSON *served;

    if (hosts_read_status(HOSTS_TARGET_DEFAULT, &json, &text, &ignored) < 0)
        return false;
    served = json_member(json.root, "source");
    return cJSON_IsString(served) && (strcmp(served->valuestring, source) == 0 ||
                                      mounts_are_same(served->valuestring, source));
}

struct migrate_wait migrate_wait_for_daemon(const struct migrate *migrate, const char *source)
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
    if (!serves(source))
        return (struct migrate_wait){
            "pullkey-hosts has another source",
            "see PULLKEY_HOSTS_SOURCE of pullkey-hosts.service, then run this again",
        };
    return (struct migrate_wait){ 0 };
}

struct migrate_wait migrate_wait_for_reader(const struct migrate *migrate)
{
    const struct migrate_wait wait = migrate_wait_for_daemon(migrate, migrate_source(migrate));
    const struct node_config *config = find_config(migrate->node);

    if (wait.why || !migrate->is_live || !config || migrate_is_overmounted(migrate))
        return wait;
    if (is_broken(config))
        return (struct migrate_wait){
            "containerd's configuration cannot be read, and may name this directory",
            "mend it, then run this again",
        };
    if (reads_source(config))
        return (struct migrate_wait){
            "containerd reads this file itself",
            "with config_path = \"" HOSTS_CONFIG_PATH
            "\" in its configuration restart containerd, then run this again",
        };
    if (running_is_restart_due(migrate->node, config))
        return (struct migrate_wait){
            "containerd runs since before its configuration was changed",
            "restart containerd, then run this again",
        };
    return wait;
}
