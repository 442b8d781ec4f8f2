/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Days of the daemon (watch.c and all below it, with real files on a tmpfs) with many hosts whose
 * tokens live an hour, on a machine whose time is the test's (machine.h). The issuer remembers each
 * token that it has given. After everything that the daemon does, and at least once a minute, what
 * containerd would read is compared with that:
 *
 * - No header is visible that the issuer takes no more, at no moment.
 * - The newest one that the daemon was given is visible, as soon as it was given it.
 * - There is one wherever the issuer, the target and the clock were fine for a while.
 * - Each is that of its own host; what has no helper has none.
 *
 * A token cannot be shown for longer than it lives, so that at least hosts * time / life of them
 * are needed. Runs that gave one are at most a tenth more, and one for each host wherever the test
 * has made all of them void.
 */
#ifndef PULLKEY_TESTS_SOAK_H
#define PULLKEY_TESTS_SOAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MINUTE 60
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define SOAK_LATER 10 /* hosts that are not there from the beginning */

/* Until each host has a header; and after nobody could be asked: the longest pause, and a queue. */
#define SETTLE_MS 60000
#define BACKOFF_MS 360000

struct soak_event {
    int64_t at; /* seconds since the beginning */
    void (*happen)(void);
};

struct soak {
    unsigned int hosts;
    int64_t length;           /* seconds */
    unsigned int per_mille;   /* of the answers fail */
    unsigned int void_rounds; /* how often all tokens become useless */
    unsigned int failures_max;
    const struct soak_event *events;
    size_t event_count;
};

/* How things are, for events to change. Times are machine_ms(); INT64_MAX: not now. */
extern struct soak_now {
    char scratch[512];
    bool is_down;      /* the issuer */
    int64_t slept_ms;  /* in which the monotonic clock stood */
    int64_t woken_ms;  /* then the machine has woken up, and the daemon could do nothing yet */
    int64_t calm_ms;   /* since when all is fine */
    int64_t settle_ms; /* from then on until each host has a header */
    int64_t strict_ms; /* since when the newest token is visible at once */
} soak_now;

/* The path of a host in the source, or of something in it. */
void soak_path(char ret[600], unsigned int host, const char *rest);

/* Writes its file, with more lines in the table of its host. */
void soak_write(unsigned int host, const char *more);

/* Is there to be a header? */
void soak_set_managed(unsigned int host, bool is_managed);
void soak_add(unsigned int host);
void soak_remove(unsigned int host);
unsigned int soak_hosts(void); /* those that come later included */

/* The headers there are mean nothing any more. */
void soak_forget_given(void);

/* For cmocka. */
int soak_set_up(void **ignored);
int soak_tear_down(void **ignored);

void soak_run(const struct soak *given);

#endif
