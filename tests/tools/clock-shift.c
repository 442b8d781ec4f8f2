/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A library for LD_PRELOAD that lets a program see a wall clock that somebody has set, or time that
 * has not passed, and tells what it has set alarm(2) to. A test tool.
 *
 *   CLOCK_SHIFT   a file of 16 bytes that is mapped and shared: seconds, as two numbers of 64 bits
 *                 in the machine's order, that are added to CLOCK_REALTIME and CLOCK_MONOTONIC.
 *                 Other clocks stay right, and so does the kernel when the program waits.
 *   CLOCK_TIME    anything: time(2) is shifted too, by which OpenSSL looks at certificates.
 *   CLOCK_ALARM   a file: the seconds of each alarm are added to it, one a line.
 */

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct shift {
    _Atomic int64_t wall, monotonic;
};

static struct shift none;
static struct shift *shift = &none;
static const char *alarms, *times;

__attribute__((constructor)) static void map_shift(void)
{
    const char *path = getenv("CLOCK_SHIFT");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *memory = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*shift), PROT_READ, MAP_SHARED, fd, 0);

    if (memory != MAP_FAILED)
        shift = memory;
    if (fd >= 0)
        close(fd);
    alarms = getenv("CLOCK_ALARM");
    times = getenv("CLOCK_TIME");
}

__attribute__((visibility("default"))) unsigned alarm(unsigned seconds)
{
    const struct itimerval new = {.it_value.tv_sec = seconds};
    struct itimerval old = {0};
    FILE *file = alarms ? fopen(alarms, "ae") : NULL;

    if (file) {
        fprintf(file, "%u\n", seconds);
        fclose(file);
    }
    setitimer(ITIMER_REAL, &new, &old);
    return (unsigned)old.it_value.tv_sec;
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

__attribute__((visibility("default"))) time_t time(time_t *ret)
{
    struct timespec now;
    time_t seconds;

    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    seconds = now.tv_sec + (times ? (time_t)shift->wall : 0);
    if (ret)
        *ret = seconds;
    return seconds;
}
