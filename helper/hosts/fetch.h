/* SPDX-License-Identifier: Apache-2.0 */
/* One asking process (ask.h) seen from the process that renders: started, waited for, ended. */
#ifndef PULLKEY_HOSTS_FETCH_H
#define PULLKEY_HOSTS_FETCH_H

#include <sys/types.h>

#include "ask.h"

#define FETCH_GRACE_MS 2000 /* past the time that the process is given */

struct fetch {
    pid_t pid; /* 0: not running */
    int fd;    /* becomes readable as the process answers or ends */
    struct buffer output;
    int64_t deadline_ms; /* when it is killed */
};

int fetch_start(const struct ask *ask, struct fetch *ret, struct pullkey_error *error);

/* Reads what is there. True once nothing more will come. */
bool fetch_read(struct fetch *fetch);

/*
 * Waits for its end (kills it, with what it started, if that was not reached by itself) and yields
 * its answer, or an error in the record: the process failed, took too long (`timed_out`) or said
 * nothing that makes sense.
 */
void fetch_finish(struct fetch *fetch, bool timed_out, struct record *ret);

#endif
