/* SPDX-License-Identifier: Apache-2.0 */
/* What of a kubelet can be seen from outside: it tells its version, or lives until its input ends.
 */
#include <stdio.h>
#include <string.h>

#ifndef KUBELET_VERSION
#define KUBELET_VERSION "v1.34.2"
#endif

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("Kubernetes " KUBELET_VERSION);
        return 0;
    }
    while (getchar() != EOF)
        ;
    return 0;
}
