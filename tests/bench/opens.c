/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Times open() of a file, in several threads at one time, each of which opens, reads and closes it
 * so many times.
 *
 *   opens FILE ROUNDS THREADS
 *
 * Prints the minimum, median, 99th percentile and maximum of the opens, in nanoseconds of the
 * monotonic clock.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 256
#define MAX_ROUNDS 1000000

static const char *path;
static long rounds;
static pthread_barrier_t together;

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *open_often(void *context)
{
    uint64_t *times = context;
    char chunk[8192];

    pthread_barrier_wait(&together);
    for (long i = 0; i < rounds; i++) {
        uint64_t begin = now_ns();
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        times[i] = now_ns() - begin;
        if (fd < 0 || read(fd, chunk, sizeof(chunk)) < 0) {
            fprintf(stderr, "opens: %s: %s\n", path, strerror(errno));
            exit(1);
        }
        close(fd);
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;

    return (*left > *right) - (*left < *right);
}

int main(int argc, char **argv)
{
    pthread_t threads[MAX_THREADS];
    long count = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
    uint64_t *times;
    size_t all;

    rounds = argc == 4 ? strtol(argv[2], NULL, 10) : 0;
    if (rounds < 1 || rounds > MAX_ROUNDS || count < 1 || count > MAX_THREADS) {
        fprintf(stderr, "usage: opens FILE ROUNDS THREADS\n");
        return 2;
    }
    path = argv[1];
    all = (size_t)(rounds * count);
    times = calloc(all, sizeof(*times));
    if (!times || pthread_barrier_init(&together, NULL, (unsigned int)count) != 0)
        return 1;
    for (long i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, open_often, times + i * rounds) != 0)
            return 1;
    for (long i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    qsort(times, all, sizeof(*times), compare);
    printf("%llu %llu %llu %llu\n", (unsigned long long)times[0],
           (unsigned long long)times[all / 2], (unsigned long long)times[all - 1 - all / 100],
           (unsigned long long)times[all - 1]);
    free(times);
    return 0;
}
