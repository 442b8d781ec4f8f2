/* SPDX-License-Identifier: Apache-2.0 */
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"

#define INFO_MAX 4096
#define MOUNTS_MAX (16 * 1024 * 1024)

static int read_proc(const char *path, struct buffer *ret, struct pullkey_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), r;

    if (fd < 0)
        return error_errno(error, errno, "cannot read %s", path);
    r = buffer_read_file(ret, fd, 0, error);
    (void)close(fd);
    return r < 0 ? r : buffer_check(ret, error);
}

/* The number of the mount that a descriptor was opened through. */
static int mount_of(int fd, long *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(INFO_MAX);
    static const char key[] = "mnt_id:";
    char path[64];
    const char *found;
    int r;

    (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    r = read_proc(path, &text, error);
    if (r < 0)
        return r;
    found = text.data ? strstr(text.data, key) : NULL;
    if (!found)
        return error_set(error, PULLKEY_UNSUPPORTED, "%s does not tell the mount", path);
    *ret = strtol(found + strlen(key), NULL, 10);
    return 0;
}

/* "36 35 98:0 /mnt1 /mnt2 ...": number, parent, device, root, place. */
static bool read_root(const char *line, char *ret, size_t size)
{
    const char *at = line;
    size_t length;

    for (int i = 0; at && i < 3; i++)
        at = strchr(at + (i > 0), ' ');
    if (!at)
        return false;
    length = strcspn(++at, " \n");
    if (length >= size)
        return false;
    memcpy(mempcpy(ret, at, length), "", 1);
    return true;
}

/* The line of /proc/self/mountinfo for the mount that `fd` was opened through. */
static int find_mount(int fd, struct buffer *text, const char **ret, struct pullkey_error *error)
{
    char *end;
    long mount = -1;
    int r = mount_of(fd, &mount, error);

    if (r == 0)
        r = read_proc("/proc/self/mountinfo", text, error);
    if (r < 0)
        return r;
    for (const char *line = text->data; line && *line != '\0'; line++) {
        if (strtol(line, &end, 10) == mount && *end == ' ') {
            *ret = line;
            return 0;
        }
        line = strchr(line, '\n');
        if (!line)
            break;
    }
    return error_set(error, PULLKEY_UNSUPPORTED, "/proc/self/mountinfo does not tell the mount");
}

/* The directory of its file system that is mounted where `fd` leads. */
static int find_root(int fd, char *ret, size_t size, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(MOUNTS_MAX);
    const char *line;
    int r = find_mount(fd, &text, &line, error);

    if (r < 0 || read_root(line, ret, size))
        return r;
    return error_set(error, PULLKEY_UNSUPPORTED, "/proc/self/mountinfo does not tell the mount");
}

/* Behind " - ": the type of the file system, its device, and its own options. */
bool mounts_may_be_swapped(int fd)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(MOUNTS_MAX);
    struct pullkey_error ignored;
    const char *line, *end, *options;

    if (find_mount(fd, &text, &line, &ignored) < 0)
        return false;
    end = strchrnul(line, '\n');
    options = memmem(line, (size_t)(end - line), " - tmpfs ", 9);
    return options && !memmem(options, (size_t)(end - options), ",noswap", 7);
}

int mounts_check_target(int target, const char *target_path, struct pullkey_error *error)
{
    struct stat status, parent;
    struct statfs system;
    char root[INFO_MAX];
    int r;

    if (fstat(target, &status) < 0 || fstatat(target, "..", &parent, 0) < 0 ||
        fstatfs(target, &system) < 0)
        return error_errno(error, errno, "cannot look at %s", target_path);
    r = find_root(target, root, sizeof(root), error);
    if (r < 0)
        return r;
    if (status.st_dev == parent.st_dev || strcmp(root, "/") != 0)
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "%s is no file system of its own; mount a tmpfs there", target_path);
    if (system.f_type != TMPFS_MAGIC && system.f_type != RAMFS_MAGIC)
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "%s is no file system in memory; mount a tmpfs there", target_path);
    return 0;
}

bool mounts_are_same(const char *path, const char *other)
{
    struct stat a, b;

    return stat(path, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

static bool is_mounted(const char *path)
{
    char above[PATH_MAX];
    struct stat status, parent;
    struct statx extended;

    if (statx(AT_FDCWD, path, 0, STATX_TYPE, &extended) == 0 &&
        (extended.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT))
        return (extended.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
    if (snprintf(above, sizeof(above), "%s/..", path) >= (int)sizeof(above))
        return false;
    return stat(path, &status) == 0 && stat(above, &parent) == 0 && status.st_dev != parent.st_dev;
}

static bool is_of_rancher(const char *path)
{
    static const char *const owned[] = { "/rancher/k3s/agent/etc/containerd/certs.d",
                                         "/rancher/rke2/agent/etc/containerd/certs.d" };

    for (size_t i = 0; i < sizeof(owned) / sizeof(owned[0]); i++) {
        const char *found = strstr(path, owned[i]);
        char next = found ? found[strlen(owned[i])] : 'x';

        if (next == '\0' || next == '/')
            return true;
    }
    return false;
}

/* Where links lead, and what is mounted there. */
static int check_rancher(const char *path, struct pullkey_error *error)
{
    char real[PATH_MAX], root[INFO_MAX];
    struct pullkey_error ignored;
    bool is_owned = is_of_rancher(path) || (realpath(path, real) && is_of_rancher(real));
    int fd = is_owned ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        is_owned = find_root(fd, root, sizeof(root), &ignored) == 0 && is_of_rancher(root);
        (void)close(fd);
    }
    if (!is_owned)
        return 0;
    return error_set(error, PULLKEY_UNSUPPORTED,
                     "--overmount: %s belongs to k3s or RKE2, which write it themselves; give the "
                     "directory as --source instead, and containerd the target",
                     path);
}

int mounts_check_over(const char *source, const char *target, const char *visible,
                      bool must_be_mounted, struct pullkey_error *error)
{
    int r = check_rancher(visible, error);

    if (r == 0)
        r = check_rancher(source, error);
    if (r == 0)
        r = check_rancher(target, error);
    if (r < 0)
        return r;
    if (access(visible, F_OK) < 0)
        return error_set(error, PULLKEY_INVALID,
                         "--overmount: there is no %s for the target to be mounted over", visible);
    if (access(source, F_OK) < 0 || (must_be_mounted && !is_mounted(source)))
        return error_set(error, PULLKEY_INVALID,
                         "--overmount: nothing is mounted at %s; bind %s there before the target "
                         "is mounted over it",
                         source, visible);
    if (mounts_are_same(source, target))
        return error_set(error, PULLKEY_INVALID,
                         "--overmount: %s is the target again; it must be bound before the target "
                         "is mounted over %s",
                         source, visible);
    if (!mounts_are_same(visible, target) && !mounts_are_same(visible, source))
        return error_set(error, PULLKEY_INVALID,
                         "--overmount: %s is neither the target %s nor the source %s; mount the "
                         "target over it",
                         visible, target, source);
    return 0;
}
