/* SPDX-License-Identifier: Apache-2.0 */
/* Who else may write to a hosts.toml. pullkey does not read it then, and containerd does. */
#include "check.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/secret.h"

#define OTHERS_MAY_WRITE (S_IWGRP | S_IWOTH)
#define FIX_OWNER "chown root it, after a look at what is in it"
#define FIX_MODE "chmod go-w it, after a look at what is in it"

static void check_file(struct check *check, const struct node_host_directory *directory)
{
    struct pullkey_error ignored;
    struct stat status;

    if (node_stat(&check->node, directory->inner, &status, &ignored) < 0 ||
        !S_ISREG(status.st_mode))
        return;
    if (!file_is_trusted_owner(status.st_uid))
        findings_add(&check->findings, OUTPUT_ERROR, "hosts-file-untrusted", directory->path, 0,
                     FIX_OWNER, "it belongs to user %u: pullkey reads it only if it is root's",
                     (unsigned int)status.st_uid);
    if (status.st_mode & OTHERS_MAY_WRITE)
        findings_add(&check->findings, OUTPUT_ERROR, "hosts-file-untrusted", directory->path, 0,
                     FIX_MODE,
                     "it has mode %04o: pullkey does not read it while others may write to it",
                     (unsigned int)status.st_mode & 07777);
}

/* pullkey does not look at that; but whoever may is the one who says where credentials go. */
static void check_directory(struct check *check, const char *inner)
{
    struct pullkey_error ignored;
    struct stat status;
    cleanup_release char *path = NULL;

    if (node_stat(&check->node, inner, &status, &ignored) < 0 || !S_ISDIR(status.st_mode))
        return;
    path = node_path(&check->node, inner);
    if (!path) {
        check->findings.has_failed = true;
        return;
    }
    if (!file_is_trusted_owner(status.st_uid))
        findings_add(&check->findings, OUTPUT_WARNING, "directory-untrusted", path, 0, FIX_OWNER,
                     "it belongs to user %u, who may put any hosts.toml there",
                     (unsigned int)status.st_uid);
    if (status.st_mode & OTHERS_MAY_WRITE)
        findings_add(&check->findings, OUTPUT_WARNING, "directory-untrusted", path, 0, FIX_MODE,
                     "it has mode %04o: others may put any hosts.toml there",
                     (unsigned int)status.st_mode & 07777);
}

void check_trust(struct check *check, const struct check_root *root)
{
    if (!root->hosts.exists)
        return;
    check_directory(check, root->hosts.inner);
    for (size_t i = 0; i < root->hosts.count; i++) {
        const struct node_host_directory *directory = &root->hosts.directories[i];
        char inner[FILE_PATH_MAX];

        (void)snprintf(inner, sizeof(inner), "%.*s",
                       (int)(strrchr(directory->inner, '/') - directory->inner), directory->inner);
        check_directory(check, inner);
        check_file(check, directory);
    }
}
