/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts directories, as containerd and docker have them below certs.d. */
#include "node.h"

#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"

bool node_name_ends(const char *name, const char *suffix)
{
    size_t length = strlen(name), end = strlen(suffix);

    return length >= end && strcmp(name + length - end, suffix) == 0;
}

static int look_for_certificates(const struct node *node, const char *inner,
                                 struct node_host_directory *directory, struct pullkey_error *error)
{
    cleanup_names struct node_names names = { 0 };
    int r = node_list(node, inner, &names, error);

    if (r < 0)
        return r;
    for (size_t i = 0; i < names.count; i++)
        if (node_name_ends(names.items[i], ".crt") || node_name_ends(names.items[i], ".cert") ||
            node_name_ends(names.items[i], ".key"))
            directory->has_certificates = true;
    return 0;
}

/* What containerd refuses, and the tree or the text of it for those who look for secrets. */
static int read_hosts_file(struct node_host_directory *directory, const struct settings *settings)
{
    const char *text = directory->text.data ? directory->text.data : "";
    struct pullkey_error ignored;
    int r = hosts_file_parse(directory->path, directory->name, text, directory->text.length,
                             settings, &directory->file, &directory->problem);

    if (r < 0 && r != -PULLKEY_INTERNAL)
        (void)toml_parse(&directory->toml, directory->path, text, directory->text.length, &ignored);
    if (r == 0 || directory->toml.root)
        buffer_done(&directory->text);
    return r;
}

static int set_paths(const struct node *node, const char *inner,
                     struct node_host_directory *directory, struct pullkey_error *error)
{
    char file[FILE_PATH_MAX];
    int r = file_join(file, inner, "hosts.toml", error);

    if (r < 0)
        return r;
    directory->inner = secret_copy(file, strlen(file));
    directory->path = node_path(node, file);
    return directory->inner && directory->path ? 0 : error_memory(error);
}

static int read_directory(const struct node *node, const char *inner,
                          const struct settings *settings, struct node_host_directory *directory,
                          struct pullkey_error *error)
{
    int r = look_for_certificates(node, inner, directory, &directory->problem);

    if (r == 0) {
        r = node_read(node, directory->inner, &directory->text, &directory->problem);
        directory->has_file = r != -PULLKEY_NOT_FOUND;
        if (r == -PULLKEY_NOT_FOUND) {
            directory->problem = (struct pullkey_error){ 0 };
            return 0;
        }
    }
    if (r == 0)
        r = read_hosts_file(directory, settings);
    if (r == 0)
        directory->problem = (struct pullkey_error){ 0 };
    return r == -PULLKEY_INTERNAL ? error_memory(error) : 0;
}

/* Files beside the directories mean nothing to containerd. */
static int read_entry(const struct node *node, struct node_hosts *hosts, const char *name,
                      const struct settings *settings, struct pullkey_error *error)
{
    struct node_host_directory *directory = &hosts->directories[hosts->count];
    struct pullkey_error why;
    struct stat status;
    char inner[FILE_PATH_MAX];
    int r;

    if (file_join(inner, hosts->inner, name, &why) < 0)
        return 0;
    r = node_stat(node, inner, &status, &why);
    if (r == -PULLKEY_NOT_FOUND || (r == 0 && !S_ISDIR(status.st_mode)))
        return 0;
    hosts->count++;
    directory->text = (struct buffer)BUFFER_INIT(TOML_SIZE_MAX);
    directory->name = secret_copy(name, strlen(name));
    if (!directory->name)
        return error_memory(error);
    if (set_paths(node, inner, directory, error) < 0)
        return -(int)error->code;
    if (r == 0)
        return read_directory(node, inner, settings, directory, error);
    directory->problem = why;
    return 0;
}

int node_hosts_read(const struct node *node, const char *inner, const struct settings *settings,
                    struct node_hosts *ret, struct pullkey_error *error)
{
    cleanup_node_hosts struct node_hosts hosts = { 0 };
    cleanup_names struct node_names names = { 0 };
    int r = node_list(node, inner, &names, error);

    if (r < 0 && r != -PULLKEY_NOT_FOUND)
        return r;
    hosts.exists = r == 0;
    hosts.inner = secret_copy(inner, strlen(inner));
    hosts.path = node_path(node, inner);
    hosts.directories = secret_alloc((names.count + 1) * sizeof(*hosts.directories));
    if (!hosts.inner || !hosts.path || !hosts.directories)
        return error_memory(error);
    for (size_t i = 0; i < names.count; i++) {
        r = read_entry(node, &hosts, names.items[i], settings, error);
        if (r < 0)
            return r;
    }
    *ret = hosts;
    hosts = (struct node_hosts){ 0 };
    return 0;
}

void node_hosts_done(struct node_hosts *hosts)
{
    for (size_t i = 0; i < hosts->count; i++) {
        struct node_host_directory *directory = &hosts->directories[i];

        hosts_file_done(&directory->file);
        toml_done(&directory->toml);
        buffer_done(&directory->text);
        secret_release(directory->name);
        secret_release(directory->inner);
        secret_release(directory->path);
    }
    secret_release(hosts->directories);
    secret_release(hosts->inner);
    secret_release(hosts->path);
    *hosts = (struct node_hosts){ 0 };
}
