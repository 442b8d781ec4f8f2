/* SPDX-License-Identifier: Apache-2.0 */
/* Which containerd and nerdctl a node has: what they say themselves, else what the package manager
 * knows. */
#include "node.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/error.h"

#define ANSWER_MAX 4096
#define ANSWER_WAIT_MS 5000
#define STATUS_MAX (64u * 1024 * 1024)

/* "1.7.22", "v2.2.0-rc.1", "1.6.20~ds1-1+deb12u3", with words before it as in
 * "containerd github.com/containerd/containerd/v2 v2.2.0 HASH". */
int node_version_parse(const char *text, struct node_version *ret)
{
    for (const char *at = text; *at != '\0'; at++) {
        struct node_version version = { .is_known = true };

        if ((at == text || strchr(" \tv:", at[-1])) && *at >= '0' && *at <= '9' &&
            sscanf(at, "%3d.%3d.%4d", &version.major, &version.minor, &version.patch) == 3) {
            *ret = version;
            return 0;
        }
    }
    return -PULLKEY_NOT_FOUND;
}

/* -- Its own word ----------------------------------------------------------------------------- */

static bool ask(const char *program, const char *name, struct node_version *ret)
{
    const char *const words[] = { name, "--version", NULL };
    struct pullkey_error ignored;
    char text[ANSWER_MAX];

    return program &&
           child_run(program, words, NULL, ANSWER_WAIT_MS, text, sizeof(text), &ignored) == 0 &&
           node_version_parse(text, ret) == 0;
}

/* -- Packages --------------------------------------------------------------------------------- */

/* Databases of paragraphs of lines: the name and the version of a package each begin one. */
static const struct {
    const char *inner, *name, *version;
} databases[] = {
    { "/var/lib/dpkg/status", "Package: ", "Version: " },
    { "/lib/apk/db/installed", "P:", "V:" },
};

static bool is_package(const char *const *packages, const char *line, size_t length)
{
    for (; *packages; packages++)
        if (strlen(*packages) == length && strncmp(*packages, line, length) == 0)
            return true;
    return false;
}

/* A package that was removed keeps its paragraph, with another status. */
static bool find_package(const char *text, const char *const *packages, const char *name,
                         const char *version, struct node_version *ret)
{
    bool is_ours = false, is_removed = false, found = false;

    for (const char *line = text; *line != '\0' && !found;) {
        size_t length = strcspn(line, "\n");

        if (length == 0)
            is_ours = is_removed = false;
        else if (strncmp(line, name, strlen(name)) == 0)
            is_ours = is_package(packages, line + strlen(name), length - strlen(name));
        else if (strncmp(line, "Status: ", 8) == 0)
            is_removed = !memmem(line, length, " installed", 10);
        else if (is_ours && !is_removed && strncmp(line, version, strlen(version)) == 0) {
            char value[128];

            (void)snprintf(value, sizeof(value), "%.*s", (int)(length - strlen(version)),
                           line + strlen(version));
            found = node_version_parse(value, ret) == 0;
        }
        line += length + (line[length] == '\n');
    }
    return found;
}

static void find_in_packages(const struct node *node, const char *const *packages,
                             struct node_version *ret)
{
    for (size_t i = 0; i < sizeof(databases) / sizeof(databases[0]); i++) {
        cleanup_buffer struct buffer text = BUFFER_INIT(STATUS_MAX);
        struct pullkey_error error;

        if (node_read(node, databases[i].inner, &text, &error) == 0 && text.data &&
            find_package(text.data, packages, databases[i].name, databases[i].version, ret))
            return;
    }
}

void node_version_find(const struct node *node, enum node_owner owner, struct node_version *ret)
{
    static const char *const packages[] = { "containerd", "containerd.io", "containerd-2.0", NULL };

    *ret = (struct node_version){ 0 };
    if ((node->root[0] == '\0' && ask(node_containerd(owner), "containerd", ret)) ||
        owner != NODE_CONTAINERD)
        return;
    find_in_packages(node, packages, ret);
}

bool node_nerdctl_find(const struct node *node, struct node_version *ret)
{
    static const char *const packages[] = { "nerdctl", NULL };
    static const char *const programs[] = { "/usr/local/bin/nerdctl", "/usr/bin/nerdctl" };
    bool is_there = false;

    *ret = (struct node_version){ 0 };
    for (size_t i = 0; !is_there && i < sizeof(programs) / sizeof(programs[0]); i++) {
        is_there = node_exists(node, programs[i]);
        if (is_there && node->root[0] == '\0' && ask(programs[i], "nerdctl", ret))
            return true;
    }
    find_in_packages(node, packages, ret);
    return is_there || ret->is_known;
}

bool node_machine_is_before(int major, int minor)
{
    struct node node = { .root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC),
                         .root = (char[]){ "" } };
    bool found = false;

    for (int owner = 0; owner < NODE_OWNER_MAX; owner++) {
        struct node_version version;

        node_version_find(&node, (enum node_owner)owner, &version);
        found = found || (version.is_known && (version.major < major ||
                                               (version.major == major && version.minor < minor)));
    }
    if (node.root_fd >= 0)
        (void)close(node.root_fd);
    return found;
}
