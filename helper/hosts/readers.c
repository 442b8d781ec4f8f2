/* SPDX-License-Identifier: Apache-2.0 */
#include "readers.h"

#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/secret.h"

#define DELETED " (deleted)"
#define SELF "/proc/self/exe"
#define ANY_PART "/*/"

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

static int append(struct readers *readers, const char *path, struct pullkey_error *error)
{
    char *copy = secret_copy(path, strlen(path));

    if (!copy)
        return error_memory(error);
    readers->paths[readers->count++] = copy;
    return 0;
}

/* Links are followed up to the first "*": what is behind it is not known yet. */
static int add(struct readers *readers, const char *path, struct pullkey_error *error)
{
    const char *any = strstr(path, ANY_PART);
    char before[PATH_MAX], place[PATH_MAX], real[2 * PATH_MAX];
    int length = any ? (int)(any - path) : (int)strlen(path);

    if (append(readers, path, error) < 0)
        return -(int)error->code;
    if (length >= PATH_MAX)
        return 0;
    (void)snprintf(before, sizeof(before), "%.*s", length, path);
    if (!realpath(length > 0 ? before : "/", place))
        return 0;
    (void)snprintf(real, sizeof(real), "%s%s", strcmp(place, "/") == 0 ? "" : place,
                   any ? any : "");
    return strcmp(real, path) == 0 ? 0 : append(readers, real, error);
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

/* -- A "*" in a path -------------------------------------------------------------------------- */

static bool matches(const char *pattern, const char *path)
{
    while (*pattern != '\0') {
        size_t part = strcspn(path, "/");

        if (*pattern == '*' && part > 0) {
            pattern++;
            path += part;
        } else if (*pattern != *path) {
            return false;
        } else {
            pattern++;
            path++;
        }
    }
    return *path == '\0';
}

static bool is_own(const char *path, mode_t kind, bool may_be_sticky)
{
    struct stat status;

    return lstat(path, &status) == 0 && (status.st_mode & S_IFMT) == kind &&
           (status.st_uid == 0 || status.st_uid == geteuid()) &&
           ((status.st_mode & (S_IWGRP | S_IWOTH)) == 0 ||
            (may_be_sticky && (status.st_mode & S_ISVTX)));
}

/* `length` is that of the directory that the first "*" stands in. The reader runs this program, so
 * that nothing here has to be fetched from a disk. */
static bool is_trusted(const char *path, size_t length)
{
    char above[PATH_MAX];

    (void)snprintf(above, sizeof(above), "%s", path);
    if (!is_own("/", S_IFDIR, length > 0))
        return false;
    for (char *slash = strchr(above + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (!is_own(above, S_IFDIR, (size_t)(slash - above) < length))
            return false;
        *slash = '/';
    }
    return is_own(path, S_IFREG, false);
}

static bool is_listed(const char *listed, const char *path)
{
    const char *any = strstr(listed, ANY_PART);

    return any ? matches(listed, path) && is_trusted(path, (size_t)(any - listed))
               : strcmp(listed, path) == 0;
}

bool readers_know(const struct readers *readers, const struct reader *reader)
{
    if (reader->path[0] == '\0' || !is_at_home(readers, reader))
        return false;
    for (size_t i = 0; i < readers->count; i++)
        if (is_listed(readers->paths[i], reader->path))
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
