/* SPDX-License-Identifier: Apache-2.0 */
#include "node.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/secret.h"

#define OPEN_TRIES 8

static const struct {
    const char *config;
    const char *registries; /* or NULL */
} places[NODE_OWNER_MAX] = {
    [NODE_CONTAINERD] = { "/etc/containerd/config.toml", NULL },
    [NODE_K3S] = { "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
                   "/etc/rancher/k3s/registries.yaml" },
    [NODE_RKE2] = { "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
                    "/etc/rancher/rke2/registries.yaml" },
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

#define cleanup_fd __attribute__((cleanup(close_fd)))

char *node_path(const struct node *node, const char *inner)
{
    size_t root = strlen(node->root), length = strlen(inner);
    char *path = secret_alloc(root + length + 1);

    if (path)
        memcpy(mempcpy(path, node->root, root), inner, length + 1);
    return path;
}

/* Links, absolute ones too, lead to what is below the root. */
static int open_below(const struct node *node, const char *inner, int flags)
{
    struct open_how how = { .flags = (unsigned int)flags, .resolve = RESOLVE_IN_ROOT };
    int fd = -1;

    for (int i = 0; i < OPEN_TRIES; i++) {
        fd = (int)syscall(SYS_openat2, node->root_fd, inner, &how, sizeof(how));
        /* Something was renamed meanwhile. */
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    if (fd < 0 && errno == ENOSYS && node->root[0] == '\0')
        fd = openat(node->root_fd, inner, flags);
    return fd;
}

/* What a node has is never an internal error: those are of memory, and end the program. */
static int node_error(struct pullkey_error *error, int errnum, const char *what,
                      const struct node *node, const char *inner)
{
    if (errnum == ENOMEM)
        return error_memory(error);
    (void)error_errno(error, errnum, "cannot %s %s%s", what, node->root ? node->root : "", inner);
    if (error->code == PULLKEY_INTERNAL)
        error->code = PULLKEY_DENIED;
    return -(int)error->code;
}

int node_open_at(const struct node *node, const char *inner, int flags, struct pullkey_error *error)
{
    /* openat2 refuses what means nothing with O_PATH. */
    int more = flags & O_PATH ? O_CLOEXEC : O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    int fd = open_below(node, inner, flags | more), errnum = errno;

    if (fd >= 0)
        return fd;
    if (errnum == ELOOP)
        return error_set(error, PULLKEY_DENIED, "%s%s is a link that leads nowhere", node->root,
                         inner);
    return node_error(error, errnum, "open", node, inner);
}

int node_stat(const struct node *node, const char *inner, struct stat *ret,
              struct pullkey_error *error)
{
    cleanup_fd int fd = node_open_at(node, inner, O_PATH, error);

    if (fd < 0)
        return fd;
    if (fstat(fd, ret) < 0)
        return node_error(error, errno, "examine", node, inner);
    return 0;
}

int node_read(const struct node *node, const char *inner, struct buffer *ret,
              struct pullkey_error *error)
{
    cleanup_fd int fd = node_open_at(node, inner, O_RDONLY, error);
    struct stat status;
    int r;

    if (fd < 0)
        return fd;
    if (fstat(fd, &status) < 0)
        return node_error(error, errno, "examine", node, inner);
    if (!S_ISREG(status.st_mode))
        return error_set(error, PULLKEY_DENIED, "%s%s is not a regular file", node->root, inner);
    r = buffer_read_file(ret, fd, (size_t)status.st_size, error);
    if (r == -PULLKEY_INTERNAL && ret->state == BUFFER_FINE)
        error->code = PULLKEY_DENIED;
    return r < 0 ? error_wrap(error, "%s%s", node->root, inner) : 0;
}

static int order_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Most directories have a few entries. */
static int make_room(struct node_names *names, const char *inner, struct pullkey_error *error)
{
    size_t capacity = names->capacity > 0 ? 2 * names->capacity : 32;
    char **items;

    if (names->count == NODE_NAMES_MAX)
        return error_set(error, PULLKEY_INVALID, "%s has more than %d entries", inner,
                         NODE_NAMES_MAX);
    if (names->count < names->capacity)
        return 0;
    items = secret_alloc(capacity * sizeof(*items));
    if (!items)
        return error_memory(error);
    if (names->count > 0)
        memcpy(items, names->items, names->count * sizeof(*items));
    secret_release(names->items);
    names->items = items;
    names->capacity = capacity;
    return 0;
}

static int read_names(DIR *directory, struct node_names *names, const char *inner,
                      struct pullkey_error *error)
{
    const struct dirent *entry;

    while ((entry = readdir(directory))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (make_room(names, inner, error) < 0)
            return -(int)error->code;
        names->items[names->count] = secret_copy(entry->d_name, strlen(entry->d_name));
        if (!names->items[names->count])
            return error_memory(error);
        names->count++;
    }
    return 0;
}

int node_list(const struct node *node, const char *inner, struct node_names *ret,
              struct pullkey_error *error)
{
    int fd = node_open_at(node, inner, O_RDONLY | O_DIRECTORY, error);
    cleanup_names struct node_names names = { 0 };
    DIR *directory;
    int r;

    if (fd < 0)
        return fd;
    directory = fdopendir(fd);
    if (!directory) {
        (void)close(fd);
        return error_memory(error);
    }
    r = read_names(directory, &names, inner, error);
    (void)closedir(directory);
    if (r < 0)
        return r;
    if (names.count > 0)
        qsort(names.items, names.count, sizeof(*names.items), order_names);
    *ret = names;
    names = (struct node_names){ 0 };
    return 0;
}

void node_names_done(struct node_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        secret_release(names->items[i]);
    secret_release(names->items);
    *names = (struct node_names){ 0 };
}

static int set_paths(const struct node *node, const char *inner, char **ret_inner, char **ret_path,
                     struct pullkey_error *error)
{
    *ret_inner = secret_copy(inner, strlen(inner));
    *ret_path = node_path(node, inner);
    return *ret_inner && *ret_path ? 0 : error_memory(error);
}

bool node_exists(const struct node *node, const char *inner)
{
    struct pullkey_error error;
    struct stat status;

    return node_stat(node, inner, &status, &error) != -PULLKEY_NOT_FOUND;
}

/* k3s and RKE2 run a containerd of their own; the node's other one is there if it has a file. */
static int read_configs(struct node *node, struct pullkey_error *error)
{
    int r = 0;

    for (int owner = NODE_OWNER_MAX - 1; r == 0 && owner >= 0; owner--) {
        struct node_config *config = &node->configs[node->config_count];

        if (!node_exists(node, places[owner].config) &&
            (owner != NODE_CONTAINERD || node->config_count > 0))
            continue;
        node->config_count++;
        config->owner = (enum node_owner)owner;
        r = set_paths(node, places[owner].config, &config->inner, &config->path, error);
        if (r < 0)
            break;
        node_version_find(node, config->owner, &config->version);
        r = node_config_read(node, config, error);
    }
    return r;
}

static int read_yamls(struct node *node, struct pullkey_error *error)
{
    int r = 0;

    for (int owner = 0; r == 0 && owner < NODE_OWNER_MAX; owner++) {
        struct node_yaml *yaml = &node->yamls[node->yaml_count];

        if (!places[owner].registries || !node_exists(node, places[owner].registries))
            continue;
        node->yaml_count++;
        yaml->owner = (enum node_owner)owner;
        r = set_paths(node, places[owner].registries, &yaml->inner, &yaml->path, error);
        if (r == 0)
            r = node_yaml_read(node, yaml, error);
    }
    return r;
}

int node_open(const char *root, struct node *ret, struct pullkey_error *error)
{
    cleanup_node struct node node = { .root_fd = -1 };
    size_t length = strlen(root);
    int r;

    while (length > 0 && root[length - 1] == '/')
        length--;
    node.root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (node.root_fd < 0)
        return node_error(error, errno, "open the directory", &node, root);
    node.root = secret_copy(root, length);
    node.configs = secret_alloc(NODE_OWNER_MAX * sizeof(*node.configs));
    node.yamls = secret_alloc(NODE_OWNER_MAX * sizeof(*node.yamls));
    if (!node.root || !node.configs || !node.yamls)
        return error_memory(error);
    r = read_configs(&node, error);
    if (r == 0)
        r = read_yamls(&node, error);
    if (r < 0)
        return r;
    *ret = node;
    node = (struct node){ .root_fd = -1 };
    return 0;
}

void node_done(struct node *node)
{
    for (size_t i = 0; i < node->config_count; i++)
        node_config_done(&node->configs[i]);
    for (size_t i = 0; i < node->yaml_count; i++)
        node_yaml_done(&node->yamls[i]);
    secret_release(node->configs);
    secret_release(node->yamls);
    secret_release(node->root);
    if (node->root_fd >= 0 && node->root)
        (void)close(node->root_fd);
    *node = (struct node){ .root_fd = -1 };
}
