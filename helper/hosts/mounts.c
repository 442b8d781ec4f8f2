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
static bool read_root(const char *line, long mount, char *ret, size_t size)
{
    char *end;
    size_t length;

    if (strtol(line, &end, 10) != mount || *end != ' ')
        return false;
    for (int i = 0; end && i < 3; i++)
        end = strchr(end + (i > 0), ' ');
    if (!end)
        return false;
    length = strcspn(++end, " \n");
    if (length >= size)
        return false;
    memcpy(mempcpy(ret, end, length), "", 1);
    return true;
}

/* The directory of its file system that is mounted where `fd` leads. */
static int find_root(int fd, char *ret, size_t size, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(MOUNTS_MAX);
    long mount = -1;
    int r = mount_of(fd, &mount, error);

    if (r == 0)
        r = read_proc("/proc/self/mountinfo", &text, error);
    if (r < 0)
        return r;
    for (const char *line = text.data; line && *line != '\0'; line++) {
        if (read_root(line, mount, ret, size))
            return 0;
        line = strchr(line, '\n');
        if (!line)
            break;
    }
    return error_set(error, PULLKEY_UNSUPPORTED, "/proc/self/mountinfo does not tell the mount");
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
