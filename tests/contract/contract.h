/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract suite: the behaviour that every backend must show, run against one backend at a
 * time. A setup says how to bring one into a state that is known; behaviours.c is the table of what
 * must be true then.
 */
#ifndef PULLKEY_TEST_CONTRACT_H
#define PULLKEY_TEST_CONTRACT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pullkey/backend.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define OPTIONS_MAX 8192

/* Every secret of the suite has it inside, and no error or log line may. */
#define MARKER "m4rk3r"

struct fixture;

enum {
    /* store and erase work; otherwise they must answer PULLKEY_UNSUPPORTED */
    SETUP_WRITABLE = 1 << 0,
    /* It keeps exact names only and is asked for the names of a request, one after the other. */
    SETUP_EXACT_NAMES = 1 << 1,
    /* It only gets, and what it gets is its own affair: the seeds are not there. */
    SETUP_WITHOUT_SEEDS = 1 << 2,
    SETUP_WITHOUT_LIST = 1 << 3,
    /* What is stored outlives a case: the next one removes all of it first. */
    SETUP_LASTING = 1 << 4,
};

struct setup {
    const char *name;
    const char *type;
    unsigned int flags;
    /* Writes the options. What cannot be stored into is filled with the seeds here. */
    void (*prepare)(struct fixture *fixture);
    /* Makes store wait for something that does not come; NULL where nothing can. */
    void (*block)(struct fixture *fixture);
    const char *bad_options; /* that open must refuse; NULL where none are known */
};

/* A module that somebody wants to be judged: "@ROOT@" in its options stands for a scratch directory. */
struct stranger {
    const char *type;
    const char *options;
    const char *bad_options; /* NULL: none */
    bool exact_names;
    bool lasting;
};

struct fixture {
    const struct setup *setup;
    const struct pullkey_backend *backend;
    struct pullkey_host host;
    char root[64]; /* a scratch directory */
    char options[OPTIONS_MAX];
    bool is_open;
    void *state; /* while it is open: whatever the backend wants, NULL too */
    int block_fd;
    unsigned int logged; /* lines */
};

/* One credential that is there when a behaviour begins. */
struct seed {
    const char *server;
    const char *username;
    const char *secret; /* NULL: the largest that there may be */
    enum pullkey_credential_kind kind;
};

/* Which setups a behaviour is for; what does not apply is not run, so that nothing is skipped. */
enum need {
    ALWAYS,
    NEEDS_SEEDS,
    NEEDS_LIST,
    NEEDS_STORE,
    NEEDS_SEARCH,
    NEEDS_READ_ONLY,
    NEEDS_BLOCK,
    NEEDS_BAD_OPTIONS,
};

struct behaviour {
    const char *name;
    void (*function)(void **state);
    enum need need;
};

extern const struct seed seeds[];
extern const size_t seed_count;
extern const struct setup setups[];
extern const size_t setup_count;
extern const struct behaviour behaviours[];
extern const size_t behaviour_count;
extern const char *fake_helper; /* path of tests/fakes/docker-credential-fake */

/* The text of a seed's secret; release with free(). */
char *seed_secret(const struct seed *seed);

/* Finds the module and makes fixture_setup one for what it can do. */
int fixture_use_module(const struct stranger *stranger, struct pullkey_error *error);

/* Before and after each behaviour, and after all: cmocka ends none whose beginning has failed. */
int fixture_begin(void **state);
int fixture_end(void **state);
int fixture_end_all(void **state);
extern const struct setup *fixture_setup; /* the one that the process runs with */

void fixture_reopen(struct fixture *fixture);
int fixture_open(struct fixture *fixture, const char *options, void **ret,
                 struct pullkey_error *error);

#endif
