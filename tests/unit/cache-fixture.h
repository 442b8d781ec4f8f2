/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the cache share: a clock and a backend of their own, and a place that is new for each case. */
#ifndef PULLKEY_TESTS_CACHE_FIXTURE_H
#define PULLKEY_TESTS_CACHE_FIXTURE_H

#include "unit.h"

#include <dirent.h>
#include <poll.h>
#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/secret.h"
#include "core/cache-file.h"
#include "core/credential.h"

#define START 1700000000
#define DAY (24 * 3600)
#define LONG_DEADLINE (clock_monotonic_ms() + 20000)
#define INPUTS "env UNIT_IDENTITY\nfile $UNIT_DIR/identity\n"

static int64_t now;
static char place[512]; /* the parent */
static char directory[FILE_PATH_MAX]; /* the cache */
static char identity[FILE_PATH_MAX];

static inline int64_t wall(void)
{
    return now;
}

/* Between processes: how often a backend was asked, and how many callers have found the lock taken. */
static struct {
    atomic_uint calls;
    atomic_uint waiting;
} *shared;
static bool is_waiting = true; /* set to false before a wait that is to be counted */

static inline int64_t monotonic(void)
{
    struct timespec time;

    if (shared && !is_waiting) {
        is_waiting = true;
        shared->waiting++;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static const struct clock fake_clock = { wall, monotonic };

/* A backend: what it answers, and how often it was asked. */
struct backend {
    int64_t life; /* seconds; 0: no expiry */
    int64_t seconds; /* that it may be kept without one */
    enum pullkey_error_class failure;
    const char *secret;
    unsigned int calls;
    struct cache *drop; /* log out while it is being asked */
    int wait_fd;        /* if not 0: answer when this is at its end */
};

static inline int ask(void *context, struct pullkey_credential *ret, int64_t *ret_seconds,
                      struct pullkey_error *error)
{
    struct backend *backend = context;

    backend->calls++;
    if (shared)
        shared->calls++;
    if (backend->wait_fd) {
        struct pollfd end = { .fd = backend->wait_fd };

        assert_int_equal(poll(&end, 1, 20000), 1);
    }
    if (backend->drop)
        assert_fine(cache_drop(backend->drop, "registry.example.com", error), *error);
    if (backend->failure)
        return error_set(error, backend->failure, "the server says no");
    ret->username = secret_copy("robot", 5);
    ret->expiry = backend->life ? now + backend->life : 0;
    ret->scope = PULLKEY_SCOPE_IMAGE;
    ret->per_pod = true;
    *ret_seconds = backend->seconds;
    return secret_set(&ret->secret, backend->secret, strlen(backend->secret), error);
}

static inline struct cache_key make_key(void)
{
    return (struct cache_key){
        .instance = "aws",
        .type = "token",
        .options = "{\"recipe\":\"ecr\"}",
        .registry = "registry.example.com",
        .path = "",
        .inputs = INPUTS,
        .subject = "",
    };
}

/* The secret that a get yields, in static memory; NULL with its class in *ret_class. */
static inline const char *get(struct cache *cache, const struct cache_key *key, struct backend *backend,
                       int *ret_class)
{
    static char secret[64];
    cleanup_credential struct pullkey_credential credential = { 0 };
    struct pullkey_error error;
    int r = cache_get(cache, key, LONG_DEADLINE, ask, backend, &credential, &error);

    if (ret_class)
        *ret_class = -r;
    if (r < 0) {
        assert_non_null(strstr(error.message, "the server says no"));
        return NULL;
    }
    assert_string_equal(credential.username, "robot");
    (void)snprintf(secret, sizeof(secret), "%s", credential.secret.bytes);
    return secret;
}

static inline struct cache *open_cache(void)
{
    struct cache *cache;
    struct pullkey_error error;

    assert_fine(cache_open(false, &cache, &error), error);
    return cache;
}

static inline int set_up(void **state)
{
    (void)state;
    now = START;
    unit_make_directory(place);
    (void)snprintf(directory, sizeof(directory), "%s/cache", place);
    (void)snprintf(identity, sizeof(identity), "%s/identity", place);
    unit_write(identity, "one", 3, 0600);
    setenv("PULLKEY_CACHE_DIR", directory, 1);
    setenv("UNIT_DIR", place, 1);
    setenv("UNIT_IDENTITY", "hunter2", 1);
    clock_replace(&fake_clock);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    clock_replace(NULL);
    unit_remove_directory(place);
    return 0;
}

/* The names in the cache that end so. */
static inline unsigned int count_files(const char *end)
{
    DIR *list = opendir(directory);
    struct dirent *item;
    unsigned int count = 0;

    assert_non_null(list);
    while ((item = readdir(list))) {
        size_t length = strlen(item->d_name);

        if (item->d_name[0] != '.' && length >= strlen(end) &&
            strcmp(item->d_name + length - strlen(end), end) == 0)
            count++;
    }
    closedir(list);
    return count;
}

static inline void slot_path(struct cache *cache, const struct cache_key *key, char ret[FILE_PATH_MAX])
{
    struct cache_slot slot;
    struct pullkey_error error;

    assert_fine(cache_slot_make(cache, key, &slot, &error), error);
    assert_fine(file_join(ret, directory, slot.name, &error), error);
}

/* True if a get with this key asks the backend. */
static inline bool misses(struct cache *cache, const struct cache_key *key)
{
    struct backend backend = { .life = 3600, .secret = "x" };

    assert_non_null(get(cache, key, &backend, NULL));
    return backend.calls == 1;
}

static inline void read_all(const char *path, char *ret, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got;

    assert_true(fd >= 0);
    got = read(fd, ret, size - 1);
    assert_true(got >= 0);
    ret[got] = '\0';
    close(fd);
}

/* What is at the path of the outcome makes a miss, and is replaced. */
static inline void check_replaced(struct cache *cache, const struct cache_key *key, const char *what)
{
    if (!misses(cache, key))
        fail_msg("%s is a hit", what);
    if (misses(cache, key))
        fail_msg("%s is not replaced", what);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
