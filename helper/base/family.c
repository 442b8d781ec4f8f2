/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void file_state(const char *path, struct file_state *ret)
{
    struct stat status;

    *ret = (struct file_state){ 0 };
    if (stat(path, &status) == 0)
        *ret = (struct file_state){
            .device = status.st_dev,
            .inode = status.st_ino,
            .size = (uint64_t)status.st_size,
            .modified =
                (uint64_t)status.st_mtim.tv_sec * 1000000000 + (uint64_t)status.st_mtim.tv_nsec,
        };
}

static bool is_state(const struct file_state *a, const struct file_state *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

void file_family(const char *path, struct file_family *ret)
{
    struct file_family kept;
    char name[FILE_PATH_MAX + 8]; /* what does not fit is too long for the kernel too */
    ssize_t length = 0;
    int fd;

    file_state(path, &ret->now);
    ret->founder = ret->now;
    (void)snprintf(name, sizeof(name), "%s.family", path);
    fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0) {
        length = read(fd, &kept, sizeof(kept));
        (void)close(fd);
    }
    if (length == sizeof(kept) &&
        (is_state(&ret->now, &kept.now) || is_state(&ret->now, &kept.next)))
        ret->founder = kept.founder;
}
