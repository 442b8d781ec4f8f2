/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fake of systemctl, systemd-sysusers and systemd-tmpfiles for a root directory with nothing else
 * in it: linked statically. It notes its words in /calls. A unit is enabled, active, or bound to
 * fail where there is a file of that name in /run.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int make(const char *path)
{
    FILE *file = fopen(path, "w");

    return file && fclose(file) == 0 ? 0 : 3;
}

int main(int argc, char *argv[])
{
    const char *slash = strrchr(argv[0], '/'), *verb = "";
    FILE *calls = fopen("/calls", "a");

    if (!calls)
        return 2;
    fputs(slash ? slash + 1 : argv[0], calls);
    for (int i = 1; i < argc; i++) {
        fprintf(calls, " %s", argv[i]);
        if (verb[0] == '\0' && argv[i][0] != '-')
            verb = argv[i];
    }
    fputs("\n", calls);
    if (fclose(calls) != 0)
        return 2;

    if (strcmp(verb, "is-enabled") == 0)
        return access("/run/enabled", F_OK) == 0 ? 0 : 1;
    if (strcmp(verb, "is-active") == 0)
        return access("/run/active", F_OK) == 0 ? 0 : 3;
    if (strcmp(verb, "enable") == 0)
        return make("/run/enabled");
    if (strcmp(verb, "start") == 0 || strcmp(verb, "restart") == 0)
        return access("/run/fails", F_OK) == 0 ? 1 : make("/run/active");
    if (strcmp(verb, "disable") == 0) {
        unlink("/run/active");
        unlink("/run/enabled");
    }
    return 0;
}
