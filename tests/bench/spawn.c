/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Times the start, run and end of programs, in turns, so that noise hits all alike.
 *
 *   spawn ROUNDS CASE [-- CASE]...     with CASE = STDIN [NAME=VALUE...] PROG [ARG...]
 *
 * Each program is run ROUNDS times by posix_spawn (which is vfork underneath), its input from the
 * file STDIN, its output to /dev/null, with the caller's environment and the variables of the case.
 * Prints one line a case, in order: minimum, median and 90th percentile in nanoseconds of the
 * monotonic clock, the largest resident set of any run in KiB (wait4) and the median of all, and
 * how many runs did not end with exit 0. A program that cannot be started ends everything with
 * exit 1.
 *
 * The resident set of a child can never look smaller than that of this program, which the kernel
 * counts in at exec: so this program is kept as small as an empty one.
 */

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_CASES 16
#define MAX_VARIABLES 16
#define MAX_ENVIRONMENT 512
#define MAX_ROUNDS 100000

struct timed_case {
    const char *input;
    char **argv;
    char *environment[MAX_ENVIRONMENT];
    uint64_t *times;
    uint64_t *rss;
    int failures;
};

static struct timed_case cases[MAX_CASES];

static int usage(void)
{
    fputs("usage: spawn ROUNDS STDIN [NAME=VALUE...] PROG [ARG...] [-- ...]\n", stderr);
    return 2;
}

/* The caller's variables less those that the case sets, then those. */
static int build_environment(struct timed_case *c, char **variables, size_t n_variables)
{
    size_t n = 0;

    for (char **v = environ; *v; v++) {
        int replaced = 0;

        for (size_t i = 0; i < n_variables; i++) {
            size_t length = strcspn(variables[i], "=") + 1;

            replaced |= !strncmp(*v, variables[i], length);
        }
        if (replaced)
            continue;
        if (n + n_variables + 1 >= MAX_ENVIRONMENT)
            return -1;
        c->environment[n++] = *v;
    }
    for (size_t i = 0; i < n_variables; i++)
        c->environment[n++] = variables[i];
    c->environment[n] = NULL;
    return 0;
}

/* Takes the words up to "--" or the end, and ends them with NULL; returns the words after them. */
static char **parse_case(char **words, struct timed_case *c, size_t rounds)
{
    char **end = words;
    char **variables;
    size_t n = 0;

    while (*end && strcmp(*end, "--") != 0)
        end++;
    if (end - words < 2)
        return NULL;
    c->input = words[0];
    variables = words + 1;
    while (variables + n < end && strchr(variables[n], '='))
        n++;
    if (variables + n == end || n > MAX_VARIABLES)
        return NULL;
    c->argv = variables + n;
    if (build_environment(c, variables, n) < 0)
        return NULL;
    c->times = calloc(rounds, sizeof(*c->times));
    c->rss = calloc(rounds, sizeof(*c->rss));
    if (!c->times || !c->rss)
        return NULL;
    if (*end) {
        *end = NULL;
        end++;
    }
    return end;
}

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static int run_once(struct timed_case *c, size_t round)
{
    posix_spawn_file_actions_t actions;
    struct rusage usage;
    uint64_t before;
    pid_t pid;
    int status;
    int r;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, c->input, O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    before = now();
    r = posix_spawn(&pid, c->argv[0], &actions, NULL, c->argv, c->environment);
    if (r == 0 && wait4(pid, &status, 0, &usage) != pid)
        r = errno;
    c->times[round] = now() - before;
    posix_spawn_file_actions_destroy(&actions);
    if (r) {
        fprintf(stderr, "spawn: %s: %s\n", c->argv[0], strerror(r));
        return -1;
    }
    c->rss[round] = (uint64_t)usage.ru_maxrss;
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        c->failures++;
    return 0;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void print_case(const struct timed_case *c, size_t rounds)
{
    qsort(c->times, rounds, sizeof(*c->times), by_size);
    qsort(c->rss, rounds, sizeof(*c->rss), by_size);
    printf("%llu %llu %llu %llu %llu %d\n", (unsigned long long)c->times[0],
           (unsigned long long)c->times[rounds / 2], (unsigned long long)c->times[rounds * 9 / 10],
           (unsigned long long)c->rss[rounds - 1], (unsigned long long)c->rss[rounds / 2],
           c->failures);
}

int main(int argc, char **argv)
{
    size_t n_cases = 0;
    size_t rounds;
    char **words;

    if (argc < 4)
        return usage();
    rounds = strtoul(argv[1], NULL, 10);
    if (rounds < 1 || rounds > MAX_ROUNDS)
        return usage();
    for (words = argv + 2; *words; n_cases++) {
        if (n_cases == MAX_CASES)
            return usage();
        words = parse_case(words, &cases[n_cases], rounds);
        if (!words)
            return usage();
    }
    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < n_cases; i++) {
            if (run_once(&cases[i], round) < 0)
                return 1;
        }
    }
    for (size_t i = 0; i < n_cases; i++)
        print_case(&cases[i], rounds);
    return 0;
}
