/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A library for LD_PRELOAD that lets a program see a wall clock that somebody has set, or time that
 * has not passed. A test tool.
 *
 *   CLOCK_SHIFT   a file of 16 bytes that is mapped and shared: seconds, as two numbers of 64 bits
 *                 in the machine's order, that are added to CLOCK_REALTIME and CLOCK_MONOTONIC.
 *                 Other clocks stay right, and so does the kernel when the program waits.
 */

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct shift {
    _Atomic int64_t wall, monotonic;
};

static struct shift none;
static struct shift *shift = &none;

__attribute__((constructor)) static void map_shift(void)
{
    const char *path = getenv("CLOCK_SHIFT");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *memory = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*shift), PROT_READ, MAP_SHARED, fd, 0);

    if (memory != MAP_FAILED)
        shift = memory;
    if (fd >= 0)
        close(fd);
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *ret)
{
    int r = (int)syscall(SYS_clock_gettime, clock, ret);

    if (r == 0 && clock == CLOCK_REALTIME)
        ret->tv_sec += shift->wall;
    if (r == 0 && clock == CLOCK_MONOTONIC)
        ret->tv_sec += shift->monotonic;
    return r;
}
