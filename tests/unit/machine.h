/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine that a daemon runs on, as far as time passes on it: the clocks, waiting, the setting
 * of the wall clock, the processes that it starts, and room for its files. The linker puts these in
 * the place of the C library's functions (--wrap); files, pipes, inotify and signals are the
 * kernel's. There is one thread and no real waiting: each run is the same, and a day of it takes as
 * long as what is done in it.
 */
#ifndef PULLKEY_TESTS_MACHINE_H
#define PULLKEY_TESTS_MACHINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MACHINE_START 1795570000 /* wall seconds at the beginning */
#define MACHINE_PROCESSES_MAX 16

/* One that the daemon has started. */
struct machine_process {
    pid_t pid; /* 0: free */
    int out;   /* its standard output */
    int64_t ends_ms;
    bool has_ended;
    int status;         /* as wait(2) has it */
    char request[8192]; /* what stood in its standard input */
    int kind;           /* for the test */
};

struct machine_test {
    /* A process begins: says when it ends; INT64_MAX: when it is told to. */
    void (*begin)(struct machine_process *process);
    /* It ends: writes what it has to say. */
    void (*end)(struct machine_process *process);
    /* The daemon has nothing to do now. */
    void (*rest)(void);
    /* When the test wants to do something, and its doing. */
    int64_t (*due_ms)(void);
    void (*act)(void);
    /* Time has passed, and the daemon does not know yet. */
    void (*pass)(void);
};

/* Puts its clock in place, at the beginning of time. */
void machine_start(const struct machine_test *test);

/* The real clock again. */
void machine_stop(void);

int64_t machine_ms(void);   /* monotonic */
int64_t machine_wall(void); /* seconds since 1970 */

/* Somebody sets the wall clock; or the machine was asleep, in which its monotonic clock stood. */
void machine_move_wall(int64_t seconds);

/* No file can be written any more, or can again. */
void machine_fill(bool full);

/* How often the daemon has waited. */
uint64_t machine_waits(void);

#endif
