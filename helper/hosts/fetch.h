/* SPDX-License-Identifier: Apache-2.0 */
/* One asking process (ask.h) seen from the process that renders: started, waited for, ended. */
#ifndef PULLKEY_HOSTS_FETCH_H
#define PULLKEY_HOSTS_FETCH_H

#include <sys/types.h>

#include "ask.h"

#define FETCH_GRACE_MS 2000 /* past the time that the process is given */
#define FETCH_END_MS 1000   /* that it has to end by itself, and then to do what it is told */

enum fetch_stage {
    FETCH_ASKS,
    FETCH_ENDS,   /* it has closed its output */
    FETCH_TOLD,   /* SIGTERM: it ends, and what it has started */
    FETCH_KILLED, /* SIGKILL */
};

/* Nothing here waits: a process that stays, for whatever reason, only keeps its place. */
struct fetch {
    pid_t pid; /* 0: not running */
    int fd;    /* becomes readable as the process answers or ends; -1: nothing more is read */
    struct buffer output;
    enum fetch_stage stage;
    bool timed_out;
    int64_t deadline_ms; /* of the stage */
};

int fetch_start(const struct ask *ask, struct fetch *ret, struct pullkey_error *error);

/*
 * Goes on as far as it can. True once the process has ended: then *ret is its answer, or an error
 * in the record: the process failed, took too long or said nothing that makes sense.
 */
bool fetch_step(struct fetch *fetch, int64_t now_ms, struct record *ret);

/* Monotonic milliseconds: when to call it although nothing is readable. */
int64_t fetch_wake_ms(const struct fetch *fetch, int64_t now_ms);

/* The answer is not wanted any more: tells it to end. */
void fetch_cancel(struct fetch *fetch, int64_t now_ms);

#endif
