/* SPDX-License-Identifier: Apache-2.0 */
/* Which containerd a node has: what it says itself, else what the package manager knows. */
#include "node.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
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

static const char *const programs[NODE_OWNER_MAX][4] = {
    [NODE_CONTAINERD] = { "/usr/local/bin/containerd", "/usr/bin/containerd",
                          "/usr/sbin/containerd", NULL },
    [NODE_K3S] = { "/var/lib/rancher/k3s/data/current/bin/containerd", NULL },
    [NODE_RKE2] = { "/var/lib/rancher/rke2/bin/containerd", NULL },
};

static int start(const char *program, pid_t *ret_pid, int *ret_fd)
{
    char *const argv[] = { (char[]){ "containerd" }, (char[]){ "--version" }, NULL };
    char *const environment[] = { (char[]){ "PATH=/usr/bin:/bin" }, NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int ends[2], r;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    if (posix_spawn_file_actions_init(&actions) != 0 || posix_spawnattr_init(&attributes) != 0) {
        (void)close(ends[0]);
        (void)close(ends[1]);
        return -1;
    }
    (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    (void)posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setsigdefault(&attributes, &all);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    r = posix_spawn(ret_pid, program, &actions, &attributes, argv, environment);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    (void)close(ends[1]);
    if (r != 0)
        (void)close(ends[0]);
    else
        *ret_fd = ends[0];
    return r == 0 ? 0 : -1;
}

static void read_answer(int fd, char *text, size_t size)
{
    int64_t deadline = clock_monotonic_ms() + ANSWER_WAIT_MS;
    size_t length = 0;

    while (length + 1 < size) {
        struct pollfd wait = { .fd = fd, .events = POLLIN };
        ssize_t count =
            clock_poll(&wait, 1, deadline) > 0 ? read(fd, text + length, size - 1 - length) : 0;

        if (count <= 0)
            break;
        length += (size_t)count;
    }
    text[length] = '\0';
}

static bool ask(const char *program, struct node_version *ret)
{
    char text[ANSWER_MAX];
    pid_t pid;
    int fd;

    if (access(program, X_OK) < 0 || start(program, &pid, &fd) < 0)
        return false;
    read_answer(fd, text, sizeof(text));
    (void)close(fd);
    /* It has said all, or nothing in time. */
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    return node_version_parse(text, ret) == 0;
}

/* -- Packages --------------------------------------------------------------------------------- */

/* Databases of paragraphs of lines: the name and the version of a package each begin one. */
static const struct {
    const char *inner, *name, *version;
} databases[] = {
    { "/var/lib/dpkg/status", "Package: ", "Version: " },
    { "/lib/apk/db/installed", "P:", "V:" },
};

static const char *const packages[] = { "containerd", "containerd.io", "containerd-2.0" };

static bool is_package(const char *line, size_t length)
{
    for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++)
        if (strlen(packages[i]) == length && strncmp(packages[i], line, length) == 0)
            return true;
    return false;
}

/* A package that was removed keeps its paragraph, with another status. */
static bool find_package(const char *text, const char *name, const char *version,
                         struct node_version *ret)
{
    bool is_ours = false, is_removed = false, found = false;

    for (const char *line = text; *line != '\0' && !found;) {
        size_t length = strcspn(line, "\n");

        if (length == 0)
            is_ours = is_removed = false;
        else if (strncmp(line, name, strlen(name)) == 0)
            is_ours = is_package(line + strlen(name), length - strlen(name));
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

void node_version_find(const struct node *node, enum node_owner owner, struct node_version *ret)
{
    *ret = (struct node_version){ 0 };
    for (size_t i = 0; node->root[0] == '\0' && programs[owner][i]; i++)
        if (ask(programs[owner][i], ret))
            return;
    if (owner != NODE_CONTAINERD)
        return;
    for (size_t i = 0; i < sizeof(databases) / sizeof(databases[0]); i++) {
        cleanup_buffer struct buffer text = BUFFER_INIT(STATUS_MAX);
        struct pullkey_error error;

        if (node_read(node, databases[i].inner, &text, &error) == 0 && text.data &&
            find_package(text.data, databases[i].name, databases[i].version, ret))
            return;
    }
}
