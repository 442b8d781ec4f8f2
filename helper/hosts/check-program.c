/* SPDX-License-Identifier: Apache-2.0 */
/* What containerd was built with. Its file is read, and not run. */
#include "check.h"

#include <unistd.h>

#include "base/secret.h"
#include "go-version.h"

/* Go's HTTP client sends credentials to other hosts after several redirects (CVE-2024-45336: fixed
 * in 1.22.11, 1.23.5, 1.24rc2), or to the proxies of other hosts (CVE-2025-4673: 1.23.10, 1.24.4).
 */
static bool lacks_2024_45336(const struct go_version *go)
{
    return go->minor < 22 || (go->minor == 22 && go->patch < 11) ||
           (go->minor == 23 && go->patch < 5) ||
           (go->minor == 24 && go->candidate != 0 && go->candidate < 2);
}

static bool lacks_2025_4673(const struct go_version *go)
{
    return go->minor < 23 || (go->minor == 23 && go->patch < 10) ||
           (go->minor == 24 && go->patch < 4);
}

static void check_go(struct check *check, const char *inner, const struct go_version *go)
{
    cleanup_release char *path = node_path(&check->node, inner);

    if (!path)
        check->findings.has_failed = true;
    else if (lacks_2025_4673(go))
        findings_add(
            &check->findings, OUTPUT_NOTE, "go-old", path, 0,
            "see whether your distribution has mended its Go, or use a containerd that was "
            "built with Go 1.23.10, 1.24.4 or later",
            "it was built with %s, in which redirects may carry credentials elsewhere "
            "(%sCVE-2025-4673)",
            go->text, lacks_2024_45336(go) ? "CVE-2024-45336, " : "");
}

/* Only where there are credentials that it could carry. */
void check_program(struct check *check)
{
    if (!check_has_credential(check))
        return;
    for (size_t i = 0; i < check->node.config_count; i++) {
        const char *inner;
        struct go_version go;
        int fd = node_open_containerd(&check->node, check->node.configs[i].owner, &inner);

        if (fd < 0)
            continue;
        if (go_version_read_file(fd, &go) == 0)
            check_go(check, inner, &go);
        (void)close(fd);
    }
}
