/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which credentials the rendered files need, what is known of each, and when it is asked for next.
 * Nothing here waits, runs or reads a clock: times are handed in, so that a day passes in a test's
 * blink.
 *
 * Equal needs of several files are one. A credential with an expiry is renewed when a sixteenth of
 * its life is left (at least a minute, at most a quarter), some of them a little earlier so that
 * not all are renewed at once; one without is asked for again after `assume_lifetime`, since
 * whoever keeps it may have changed it. An expiry more than 7 days away counts as 7 days
 * (CACHE_LONGEST_SECONDS). After a failure the header stays until it expires, and the
 * next try comes after 5 seconds, then twice as many each time, at most 5 minutes. "Not found"
 * takes the header away at once.
 *
 * Wall time moves; so a header has expired when either clock says so, and is renewed when either
 * says so, and one that was fetched in the future is renewed now.
 *
 * Whoever opens a file waits for a need that has no header (unless it failed a moment ago), whose
 * header is about to be renewed or is doubtful because a store has changed; not for one whose
 * renewal has failed: its header is good until it expires.
 */
#ifndef PULLKEY_HOSTS_NEEDS_H
#define PULLKEY_HOSTS_NEEDS_H

#include "record.h"

#define NEEDS_RUNNING_MAX 8
#define NEEDS_RETRYING_MAX 4 /* of them: helpers that hang must not keep others waiting */
#define NEEDS_BOOT_SPREAD_MS 1000

struct moment {
    int64_t wall; /* seconds since 1970 */
    int64_t monotonic_ms;
};

/* As struct pullkey_error, in as many bytes as it needs: there are thousands of needs. */
struct need_error {
    enum pullkey_error_class code;
    char *message; /* NULL where the code is 0, or there was no memory */
};

/* Nobody has to wait: from that wall time on, before the other and before the monotonic one. */
struct fresh {
    int64_t from_wall, until_wall, until_ms;
};

#define FRESH_ALWAYS                                                                               \
    {                                                                                              \
        .from_wall = INT64_MIN, .until_wall = INT64_MAX, .until_ms = INT64_MAX                     \
    }

struct need {
    const char *helper; /* NAME of docker-credential-NAME */
    const char *url;    /* of hosts.toml */
    int64_t assume_lifetime;

    struct pullkey_secret header; /* empty: there is none */
    int64_t expiry;               /* of the header, wall seconds; 0: not known */
    struct moment fetched;        /* wall is 0 before the first answer */
    int64_t expires_ms;           /* monotonic; INT64_MAX where it is not known */
    int64_t renew_wall;           /* INT64_MAX where it is not known */
    int64_t due_ms;               /* monotonic: when it is asked for next */

    bool is_running;
    bool is_doubtful;        /* a store has changed since it was asked for */
    bool is_wanted;          /* somebody waits for it: it is asked for before others */
    bool is_used;            /* see needs_begin_marking */
    bool has_changed;        /* the header is another one than when this was last false */
    unsigned int failures;   /* in a row */
    struct need_error error; /* of the last answer; code 0: it was a header */
    int64_t success_wall;    /* of the last header, 0: none yet */
    uint32_t hash;           /* of helper and url */
    uint32_t asked;
    uint32_t open_timeouts; /* opens that waited for it in vain */
    uint32_t *failed;       /* by class of error; NULL before the first failure */
    struct need *next;
    struct need *next_in_bucket;
    char text[]; /* memory of url and helper */
};

#define NEEDS_BUCKETS 512 /* a power of two */

struct needs {
    struct need *first, *last;           /* in the order in which they were first needed */
    struct need *buckets[NEEDS_BUCKETS]; /* by hash */
    size_t running;
    size_t wanted;   /* by somebody who waits, and not running yet */
    size_t retrying; /* running, and failed the last time */
};

void needs_done(struct needs *needs);

/* The need of that kind, made if it is not there; a new one is due within the spread at boot, or at
 * once if `spread` is false. NULL: out of memory. */
struct need *needs_get(struct needs *needs, const char *helper, const char *url,
                       int64_t assume_lifetime, const struct moment *now, bool spread);

/* A header that an earlier run left, if it has not expired. */
int needs_recover(struct need *need, const struct pullkey_secret *header, int64_t expiry,
                  const struct moment *now, struct pullkey_error *error);

/* Why the last answer was no header; never NULL. */
const char *needs_message(const struct need *need);

/* Mark, use (is_used = true) what is still needed, sweep the rest; one that is running stays until
 * it has ended. */
void needs_begin_marking(struct needs *needs);
void needs_sweep(struct needs *needs);

/* A store has changed: what that helper answered, or all of them (NULL), is due now. */
void needs_ask_again(struct needs *needs, const char *helper, const struct moment *now);

/* Somebody opens a file that needs it. True if that has to wait: then it is due now, or runs. */
bool needs_want(struct needs *needs, struct need *need, const struct moment *now);
bool needs_has_failed(const struct need *need);
bool needs_is_awaited(const struct need *need, const struct moment *now);

/* Narrows *ret to the time in which needs_is_awaited stays false if nothing happens. */
void needs_narrow_fresh(const struct need *need, const struct moment *now, struct fresh *ret);
bool fresh_is_now(const struct fresh *fresh, const struct moment *now);

/* A header with that expiry (0: not known) is not to be seen any more at that wall time. */
bool needs_is_past(int64_t expiry, int64_t wall);

/* Takes away headers that have expired. True if there was one. */
bool needs_expire(struct needs *needs, const struct moment *now);

/* The next one to ask for now, marked as running, or NULL: what somebody waits for, then what did
 * not fail the last time, each the longest due first. */
struct need *needs_take_due(struct needs *needs, const struct moment *now);

/* The answer for one that is running. The record is emptied. */
void needs_answer(struct needs *needs, struct need *need, struct record *record,
                  const struct moment *now);

/* Milliseconds until something is due or expires: 0 for now, -1 for never. */
int64_t needs_wait_ms(const struct needs *needs, const struct moment *now);

/* Where randomness comes from; NULL is the kernel. For tests. */
extern uint32_t (*needs_random)(void);

#endif
