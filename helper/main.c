/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One program under three names, as nearly all of it is the same: docker-credential-pullkey;
 * pullkey-kubelet, or any name that begins so (a kubelet tells its plugins apart by their names);
 * and pullkey. The name picks what is spoken, never a privilege.
 */
#include <stdbool.h>
#include <string.h>

#include "admin/main.h"
#include "docker/main.h"
#include "kubelet/main.h"

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static bool is_kubelet(const char *name)
{
    static const char kubelet[] = "pullkey-kubelet";

    return strncmp(name, kubelet, strlen(kubelet)) == 0;
}

int main(int argc, char *argv[])
{
    const char *name = argc > 0 ? base_name(argv[0]) : "";

    if (is_kubelet(name))
        return kubelet_main(argc, argv);
    return strcmp(name, "pullkey") == 0 ? admin_main(argc, argv) : docker_main(argc, argv);
}
