/* SPDX-License-Identifier: Apache-2.0 */
#include "readers.h"

#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/secret.h"

#define DELETED " (deleted)"
#define SELF "/proc/self/exe"

static const char *const usual[] = {
    "/usr/bin/containerd", "/usr/local/bin/containerd", "/usr/bin/ctr",
    "/usr/local/bin/ctr",  "/usr/bin/nerdctl",          "/usr/local/bin/nerdctl",
};

#define USUAL_COUNT (sizeof(usual) / sizeof(usual[0]))

static bool read_link(const char *path, char *ret, size_t size)
{
    ssize_t length = readlink(path, ret, size - 1);

    ret[length < 0 ? 0 : length] = '\0';
    readers_clean(ret);
    return length > 0;
}

void readers_clean(char *path)
{
    size_t length = strlen(path), end = strlen(DELETED);

    if (length > end && strcmp(path + length - end, DELETED) == 0)
        path[length - end] = '\0';
}

static int add(struct readers *readers, const char *path, struct pullkey_error *error)
{
    char real[PATH_MAX];

    readers->paths[readers->count] = secret_copy(path, strlen(path));
    if (!readers->paths[readers->count++])
        return error_memory(error);
    if (!realpath(path, real) || strcmp(real, path) == 0)
        return 0;
    readers->paths[readers->count] = secret_copy(real, strlen(real));
    return readers->paths[readers->count++] ? 0 : error_memory(error);
}

int readers_load(const struct settings *settings, struct readers *ret, struct pullkey_error *error)
{
    const cJSON *list = settings->readers;
    size_t count = (list ? (size_t)cJSON_GetArraySize(list) : USUAL_COUNT) + 1;
    struct readers readers = { .deny = settings->readers_policy == SETTINGS_READERS_DENY };
    char self[PATH_MAX];
    int r = 0;

    readers.paths = secret_alloc(2 * count * sizeof(*readers.paths));
    if (!readers.paths)
        return error_memory(error);
    if (read_link(SELF, self, sizeof(self)))
        r = add(&readers, self, error);
    for (const cJSON *item = list ? list->child : NULL; r == 0 && item; item = item->next)
        r = add(&readers, item->valuestring, error);
    for (size_t i = 0; r == 0 && !list && i < USUAL_COUNT; i++)
        r = add(&readers, usual[i], error);
    (void)read_link("/proc/self/ns/mnt", readers.namespaces[0], READERS_NAMESPACE_MAX);
    (void)read_link("/proc/1/ns/mnt", readers.namespaces[1], READERS_NAMESPACE_MAX);
    if (r < 0) {
        readers_done(&readers);
        return r;
    }
    *ret = readers;
    return 0;
}

void readers_done(struct readers *readers)
{
    for (size_t i = 0; i < readers->count; i++)
        secret_release(readers->paths[i]);
    secret_release(readers->paths);
    *readers = (struct readers){ 0 };
}

int readers_check(struct pullkey_error *error)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = { 0 };

    if (syscall(SYS_capget, &header, data) == 0 &&
        (data[CAP_TO_INDEX(CAP_SYS_PTRACE)].effective & CAP_TO_MASK(CAP_SYS_PTRACE)))
        return 0;
    return error_set(error, PULLKEY_DENIED,
                     "without CAP_SYS_PTRACE it cannot be told which program opens a file");
}

void readers_look(pid_t thread, struct reader *ret)
{
    char path[64];

    ret->path[0] = '\0';
    ret->namespace[0] = '\0';
    if (thread <= 0)
        return;
    (void)snprintf(path, sizeof(path), "/proc/%ld/exe", (long)thread);
    (void)read_link(path, ret->path, sizeof(ret->path));
    (void)snprintf(path, sizeof(path), "/proc/%ld/ns/mnt", (long)thread);
    (void)read_link(path, ret->namespace, sizeof(ret->namespace));
}

static bool is_at_home(const struct readers *readers, const struct reader *reader)
{
    for (size_t i = 0; i < 2; i++)
        if (reader->namespace[0] != '\0' && strcmp(reader->namespace, readers->namespaces[i]) == 0)
            return true;
    return false;
}

bool readers_know(const struct readers *readers, const struct reader *reader)
{
    if (reader->path[0] == '\0' || !is_at_home(readers, reader))
        return false;
    for (size_t i = 0; i < readers->count; i++)
        if (strcmp(readers->paths[i], reader->path) == 0)
            return true;
    return false;
}

void readers_describe(const struct readers *readers, const struct reader *reader,
                      char ret[READERS_PATH_MAX])
{
    const char *suffix = is_at_home(readers, reader) ? "" : " in another mount namespace";

    if (reader->path[0] == '\0')
        (void)snprintf(ret, READERS_PATH_MAX, "a program that cannot be told");
    else
        (void)snprintf(ret, READERS_PATH_MAX, "%.400s%s", reader->path, suffix);
}
