/* SPDX-License-Identifier: Apache-2.0 */
/* The asking processes that run at one time. */
#ifndef PULLKEY_HOSTS_CREW_H
#define PULLKEY_HOSTS_CREW_H

#include <poll.h>

#include "fetch.h"
#include "needs.h"

struct crew_job {
    struct fetch fetch; /* pid 0: free */
    struct need *need;
};

struct crew {
    struct crew_job jobs[NEEDS_RUNNING_MAX];
    int64_t timeout_ms; /* of one helper */
};

/* Starts a process for each need that is due, as far as there is room. */
void crew_start(struct crew *crew, struct needs *needs);

/* What to wait for: at most NEEDS_RUNNING_MAX entries. */
nfds_t crew_poll(const struct crew *crew, struct pollfd *ret);

/* Monotonic milliseconds: when to call crew_collect although nothing is readable; INT64_MAX where
 * none runs. */
int64_t crew_deadline(const struct crew *crew);

/* Takes the answers that are there, and ends what took too long. True if a need was answered. */
bool crew_collect(struct crew *crew, struct needs *needs);

/* Asks each need once, and waits for all answers. */
int crew_ask_all(struct crew *crew, struct needs *needs, struct pullkey_error *error);

/* Ends all of them, within three seconds; their needs stay unanswered. */
void crew_end(struct crew *crew);

struct moment crew_now(void);

#endif
