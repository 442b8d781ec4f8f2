/* SPDX-License-Identifier: Apache-2.0 */
/* The target: whether the daemon fills it, who can read it, and where its memory may go. */
#include "check.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/error.h"
#include "base/secret.h"
#include "hosts.h"
#include "mounts.h"
#include "publish.h"

#ifndef TMPFS_MAGIC
#define TMPFS_MAGIC 0x01021994
#endif
#define RAMFS_MAGIC_NUMBER 0x858458f6

bool check_is_target(const struct check *check, const char *inner)
{
    size_t length = strlen(inner);

    while (length > 1 && inner[length - 1] == '/')
        length--;
    if (check->target && strlen(check->target) == length &&
        strncmp(check->target, inner, length) == 0)
        return true;
    if (check->is_overmount && strncmp(inner, HOSTS_SOURCE_DEFAULT, length) == 0 &&
        strlen(HOSTS_SOURCE_DEFAULT) == length)
        return true;
    inner += strncmp(inner, "/var/run/", 9) == 0 ? 4 : 0;
    return strncmp(inner, CHECK_RUN, strlen(CHECK_RUN)) == 0;
}

/* Before the daemon has run, the link leads to the source. */
static bool is_source(const struct check *check, const struct stat *target)
{
    struct pullkey_error ignored;
    struct stat source;

    return node_stat(&check->node, HOSTS_SOURCE_DEFAULT, &source, &ignored) == 0 &&
           source.st_dev == target->st_dev && source.st_ino == target->st_ino;
}

/* What the units fill, and not a directory of somebody's own. */
static bool is_of_service(const struct check *check, const char *inner)
{
    return check->is_overmount || strncmp(inner, CHECK_RUN, strlen(CHECK_RUN)) == 0;
}

/* Of the machine that this runs on. Who may not open the target does not learn it. */
static void check_running_target(struct check *check, int target, const char *path)
{
    int fd = openat(target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    check->is_running = fd >= 0 && publish_is_at_work(fd);
    if (fd >= 0 && !check->is_running)
        findings_add(&check->findings, OUTPUT_ERROR, "daemon-not-running", path, 0,
                     "start pullkey-hosts.service",
                     "the daemon does not run: headers stay as they are until then");
    if (fd >= 0)
        (void)close(fd);
    if (mounts_may_be_swapped(target))
        check_swap_of_machine(check, path);
}

static void check_target_place(struct check *check, const char *inner, const char *path)
{
    struct pullkey_error why;
    struct statfs place;
    struct stat status;
    int fd = node_open_at(&check->node, inner, O_PATH, &why);

    if (fd == -PULLKEY_NOT_FOUND) {
        /* A template has no /run of a running system. */
        if (check->node.root[0] == '\0')
            findings_add(&check->findings, OUTPUT_ERROR, "target-missing", path, 0,
                         "start pullkey-hosts.service before containerd",
                         "it does not exist: containerd pulls from the registries themselves");
        return;
    }
    if (fd < 0) {
        findings_add(&check->findings, OUTPUT_ERROR, "target-missing", path, 0,
                     "start pullkey-hosts.service before containerd", "%s", why.message);
        return;
    }
    if (fstat(fd, &status) == 0 && !check->is_overmount && is_source(check, &status)) {
        findings_add(&check->findings, OUTPUT_WARNING, "target-is-source", path, 0,
                     "start pullkey-hosts.service",
                     "it leads to the source: pullkey has not written anything yet");
    } else if (fstat(fd, &status) == 0) {
        if (status.st_mode & 077)
            findings_add(&check->findings, OUTPUT_ERROR, "target-readable", path, 0,
                         "chmod 0700 it, and change the credentials",
                         "it has mode %04o: others may read the credentials in it",
                         (unsigned int)status.st_mode & 07777);
        if (fstatfs(fd, &place) == 0 && place.f_type != TMPFS_MAGIC &&
            place.f_type != RAMFS_MAGIC_NUMBER)
            findings_add(
                &check->findings, OUTPUT_WARNING, "target-on-disk", path, 0,
                is_of_service(check, inner)
                    ? "run \"systemctl enable --now run-pullkey-hosts.mount\", and restart "
                      "pullkey-hosts.service"
                    : "mount a tmpfs there",
                "it is not a tmpfs: credentials go to a disk");
        if (check->node.root[0] == '\0')
            check_running_target(check, fd, path);
    }
    (void)close(fd);
}

static void check_selinux(struct check *check, const char *path)
{
    if (check_is_selinux_enforcing(check))
        findings_add(&check->findings, OUTPUT_NOTE, "selinux-enforcing", path, 0,
                     "compare \"ls -Zd\" of it with that of " HOSTS_SOURCE_DEFAULT
                     ", and look for it in \"ausearch -m avc -c containerd\"",
                     "SELinux is enforcing, and whether containerd may read this depends on its "
                     "label");
}

void check_target(struct check *check)
{
    for (size_t i = 0; i < check->node.config_count; i++) {
        struct node_setting setting = node_registry_setting(&check->node.configs[i], "config_path");
        cleanup_release char *path = NULL;

        if (!setting.item || setting.item->kind != TOML_STRING ||
            strchr(setting.item->string, ':') || !check_is_target(check, setting.item->string))
            continue;
        path = node_path(&check->node, setting.item->string);
        if (!path) {
            check->findings.has_failed = true;
            return;
        }
        check_target_place(check, setting.item->string, path);
        check_service(check, &check->node.configs[i], &setting);
        check_selinux(check, path);
        if (check->node.root[0] != '\0')
            check_swap_of_template(check);
    }
}
