/* SPDX-License-Identifier: Apache-2.0 */
/* Where the containerd of a machine is. */
#include "node.h"

#include <fcntl.h>
#include <unistd.h>

/* Where the project's own archives, distributions, k3s and RKE2 put it. */
static const char *const programs[NODE_OWNER_MAX][5] = {
    [NODE_CONTAINERD] = { "/usr/local/bin/containerd", "/usr/bin/containerd",
                          "/usr/local/sbin/containerd", "/usr/sbin/containerd", NULL },
    [NODE_K3S] = { "/var/lib/rancher/k3s/data/current/bin/containerd", NULL },
    [NODE_RKE2] = { "/var/lib/rancher/rke2/bin/containerd", NULL },
};

const char *node_containerd(enum node_owner owner)
{
    for (size_t i = 0; programs[owner][i]; i++)
        if (access(programs[owner][i], X_OK) == 0)
            return programs[owner][i];
    return NULL;
}

int node_open_containerd(const struct node *node, enum node_owner owner, const char **ret_inner)
{
    struct pullkey_error ignored;
    struct stat status;

    for (size_t i = 0; programs[owner][i]; i++) {
        int fd = node_open_at(node, programs[owner][i], O_RDONLY, &ignored);

        if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
            *ret_inner = programs[owner][i];
            return fd;
        }
        if (fd >= 0)
            (void)close(fd);
    }
    return -1;
}
