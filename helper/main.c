/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One program under two names, as nearly all of it is the same: docker-credential-pullkey, and
 * pullkey-kubelet or any name that begins so (a kubelet tells its plugins apart by their names).
 */
#include <stdbool.h>
#include <string.h>

#include "docker/main.h"
#include "kubelet/main.h"

static bool is_kubelet(const char *path)
{
    static const char name[] = "pullkey-kubelet";
    const char *slash = strrchr(path, '/');

    return strncmp(slash ? slash + 1 : path, name, strlen(name)) == 0;
}

int main(int argc, char *argv[])
{
    return argc > 0 && is_kubelet(argv[0]) ? kubelet_main(argc, argv) : docker_main(argc, argv);
}
