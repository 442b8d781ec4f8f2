/* SPDX-License-Identifier: Apache-2.0 */
#include "cache-fixture.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>

struct crowd {
    unsigned int size;
    struct backend backend;
    const char *secret;               /* expected; NULL: */
    enum pullkey_error_class failure; /* expected */
};

static int crowd_member(const struct crowd *crowd, int start)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    struct backend backend = crowd->backend;
    cleanup_credential struct pullkey_credential credential = { 0 };
    struct pullkey_error error;
    struct pollfd ready = { .fd = start };
    int64_t deadline = LONG_DEADLINE;
    int r;

    if (!cache || poll(&ready, 1, 20000) != 1)
        return 10;
    is_waiting = false;
    r = cache_get(cache, &key, deadline, ask, &backend, &credential, &error);
    if (!crowd->secret)
        return r == -(int)crowd->failure ? 0 : 11;
    if (r < 0)
        return 12;
    return strcmp(credential.secret.bytes, crowd->secret) == 0 ? 0 : 13;
}

static pid_t start_member(const struct crowd *crowd, const int start[2], const int answer[2])
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child > 0)
        return child;
    close(start[1]);
    close(answer[1]);
    _exit(crowd_member(crowd, start[0]));
}

/* How often the backend is asked by a crowd that starts at once. It answers when all others wait. */
static unsigned int run_crowd(struct crowd *crowd)
{
    pid_t children[200];
    int start[2], answer[2];
    unsigned int count;

    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    assert_int_equal(pipe2(start, O_CLOEXEC), 0);
    assert_int_equal(pipe2(answer, O_CLOEXEC), 0);
    crowd->backend.wait_fd = answer[0];
    for (unsigned int i = 0; i < crowd->size; i++)
        children[i] = start_member(crowd, start, answer);
    close(start[1]);
    while (shared->waiting < crowd->size - 1)
        (void)poll(NULL, 0, 1);
    close(answer[1]);
    for (unsigned int i = 0; i < crowd->size; i++)
        assert_int_equal(unit_wait(children[i]), 0);
    close(start[0]);
    close(answer[0]);
    count = shared->calls;
    munmap(shared, sizeof(*shared));
    shared = NULL;
    return count;
}

static void many_ask_once(void **state)
{
    struct crowd crowd = {
        .size = 100, .backend = { .life = 3600, .secret = "one" }, .secret = "one"
    };

    (void)state;
    assert_int_equal(run_crowd(&crowd), 1);
}

static void many_share_a_failure(void **state)
{
    struct crowd crowd = {
        .size = 50, .backend = { .failure = PULLKEY_UNREACHABLE }, .failure = PULLKEY_UNREACHABLE
    };

    (void)state;
    assert_int_equal(run_crowd(&crowd), 1);
    /* Who comes later asks again. */
    assert_int_equal(run_crowd(&crowd), 1);
}

static void own_failures_are_not_shared(void **state)
{
    struct crowd crowd = {
        .size = 20, .backend = { .failure = PULLKEY_INTERNAL }, .failure = PULLKEY_INTERNAL
    };

    (void)state;
    assert_int_equal(run_crowd(&crowd), 20);
}

static void many_get_what_is_not_kept(void **state)
{
    struct crowd crowd = { .size = 20, .backend = { .secret = "endless" }, .secret = "endless" };

    (void)state;
    assert_int_equal(run_crowd(&crowd), 20);
}

struct looker {
    struct cache_slot slot;
    struct backend backend;
    bool was_free; /* the lock, while the backend was asked */
};

static int ask_and_look(void *context, struct pullkey_credential *ret, int64_t *ret_seconds,
                        struct pullkey_error *error)
{
    struct looker *looker = context;
    int fd = open(looker->slot.lock_path, O_RDWR | O_CLOEXEC);

    looker->was_free = flock(fd, LOCK_EX | LOCK_NB) == 0;
    (void)close(fd);
    return ask(&looker->backend, ret, ret_seconds, error);
}

static int wait_and_look(const struct cache_slot *slot, const struct cache_key *key)
{
    cleanup_cache struct cache *cache = open_cache();
    struct looker looker = { .slot = *slot, .backend = { .life = 3600, .secret = "x" } };
    cleanup_credential struct pullkey_credential credential = { 0 };
    struct pullkey_error error;
    int64_t deadline = LONG_DEADLINE; /* which looks at the clock, and is no wait */

    is_waiting = false;
    if (cache_get(cache, key, deadline, ask_and_look, &looker, &credential, &error) < 0)
        return 9;
    return looker.was_free;
}

/* On a full disk each would wait for all before it; after a process that was killed they do. */
static void waiting_for_what_cannot_be_written(void **state)
{
    (void)state;
    for (int is_marked = 0; is_marked < 2; is_marked++) {
        cleanup_cache struct cache *cache = open_cache();
        struct cache_key key = make_key();
        struct pullkey_error error;
        struct cache_slot slot;
        pid_t child;
        int fd;

        key.path = is_marked ? "marked" : "plain";
        shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                      0);
        assert_true(shared != MAP_FAILED);
        assert_fine(cache_slot_make(cache, &key, &slot, &error), error);
        fd = open(slot.lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(flock(fd, LOCK_EX), 0);
        child = fork();
        if (child == 0) {
            (void)close(fd);
            _exit(wait_and_look(&slot, &key));
        }
        while (shared->waiting < 1)
            (void)poll(NULL, 0, 1);
        if (is_marked)
            cache_mark_unwritten(&slot);
        close(fd);
        assert_int_equal(unit_wait(child), is_marked);
        munmap(shared, sizeof(*shared));
        shared = NULL;
    }
}

/* As waiting_for_what_cannot_be_written has it, the mark made by the cache itself. */
static void what_cannot_be_written_is_marked(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    struct backend backend = { .life = 3600, .secret = "\xff" };
    struct pullkey_error error;
    struct cache_slot slot;

    (void)state;
    assert_fine(cache_slot_make(cache, &key, &slot, &error), error);
    assert_string_equal(get(cache, &key, &backend, NULL), "\xff");
    assert_true(cache_is_unwritten(&slot, START));
    assert_false(cache_is_unwritten(&slot, START + 1));
}

static void others_are_served_during_renewal(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    struct backend backend = { .life = 1000, .secret = "old" };
    struct cache_slot slot;
    struct pullkey_error error;
    int fd;

    (void)state;
    assert_string_equal(get(cache, &key, &backend, NULL), "old");
    now = START + 900;
    assert_fine(cache_slot_make(cache, &key, &slot, &error), error);
    fd = open(slot.lock_path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    backend.secret = "new";
    assert_string_equal(get(cache, &key, &backend, NULL), "old");
    close(fd);
    assert_string_equal(get(cache, &key, &backend, NULL), "new");
    assert_int_equal(backend.calls, 2);
}

static void waiting_ends_at_the_deadline(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    struct backend backend = { .life = 1000, .secret = "x" };
    struct pullkey_credential credential = { 0 };
    struct pullkey_error error;
    struct cache_slot slot;
    int fd;

    (void)state;
    assert_fine(cache_slot_make(cache, &key, &slot, &error), error);
    fd = open(slot.lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_refused(cache_get(cache, &key, clock_monotonic_ms() + 30, ask, &backend, &credential,
                             &error),
                   PULLKEY_UNREACHABLE, "another process", error);
    assert_int_equal(backend.calls, 0);
    close(fd);
}

static void killed_leader_is_followed(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    struct backend backend = { .life = 3600, .secret = "x" };
    struct pullkey_error error;
    struct cache_slot slot;
    int ready[2], status;
    pid_t child;
    char byte;

    (void)state;
    assert_fine(cache_slot_make(cache, &key, &slot, &error), error);
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int fd = open(slot.lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        int half = openat(cache->fd, slot.name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        if (flock(fd, LOCK_EX) == 0 && write(half, "{\"ver", 5) == 5)
            (void)!write(ready[1], "x", 1);
        (void)pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_string_equal(get(cache, &key, &backend, NULL), "x");
    assert_false(misses(cache, &key));
    close(ready[0]);
    close(ready[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(many_ask_once),
        CASE(many_share_a_failure),
        CASE(own_failures_are_not_shared),
        CASE(many_get_what_is_not_kept),
        CASE(waiting_for_what_cannot_be_written),
        CASE(what_cannot_be_written_is_marked),
        CASE(others_are_served_during_renewal),
        CASE(waiting_ends_at_the_deadline),
        CASE(killed_leader_is_followed),
    };

    json_start();
    return cmocka_run_group_tests_name("cache and many processes", tests, NULL, NULL);
}
