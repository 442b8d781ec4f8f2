/* SPDX-License-Identifier: Apache-2.0 */
#include "cache-fixture.h"

#include <sys/file.h>

static void second_get_is_a_hit(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    struct backend backend = { .life = 3600, .secret = "first" };
    char path[FILE_PATH_MAX];
    struct stat status;

    (void)state;
    assert_string_equal(get(cache, &key, &backend, NULL), "first");
    backend.secret = "second";
    assert_string_equal(get(cache, &key, &backend, NULL), "first");
    assert_int_equal(backend.calls, 1);
    slot_path(cache, &key, path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(stat(directory, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(count_files(".tmp"), 0);
}

static void whole_credential_survives(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    struct backend backend = { .life = 3600, .secret = "\"\\</\x01\xc3\xa9\xe2\x80\xa8 \xf0\x9f\x94\x91" };
    cleanup_credential struct pullkey_credential credential = { 0 };
    struct pullkey_error error;

    (void)state;
    for (unsigned int i = 0; i < 2; i++) {
        credential_done(&credential);
        assert_fine(cache_get(cache, &key, LONG_DEADLINE, ask, &backend, &credential, &error), error);
        assert_string_equal(credential.username, "robot");
        assert_int_equal(credential.secret.length, strlen(backend.secret));
        assert_string_equal(credential.secret.bytes, backend.secret);
        assert_int_equal(credential.kind, PULLKEY_PASSWORD);
        assert_int_equal(credential.expiry, START + 3600);
        assert_int_equal(credential.scope, PULLKEY_SCOPE_IMAGE);
        assert_true(credential.per_pod);
    }
    assert_int_equal(backend.calls, 1);
}

static int ask_identity(void *context, struct pullkey_credential *ret, int64_t *ret_seconds,
                        struct pullkey_error *error)
{
    (void)ret_seconds;
    ++*(unsigned int *)context;
    ret->username = secret_copy("<token>", 7);
    ret->kind = PULLKEY_IDENTITY_TOKEN;
    ret->expiry = now + 3600;
    return secret_set(&ret->secret, "refresh", 7, error);
}

static void kind_survives(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    struct pullkey_error error;
    unsigned int calls = 0;

    (void)state;
    for (unsigned int i = 0; i < 2; i++) {
        cleanup_credential struct pullkey_credential credential = { 0 };

        assert_fine(cache_get(cache, &key, LONG_DEADLINE, ask_identity, &calls, &credential, &error),
                    error);
        assert_int_equal(credential.kind, PULLKEY_IDENTITY_TOKEN);
        assert_string_equal(credential.username, "<token>");
    }
    assert_int_equal(calls, 1);
}

static void without_inputs_nothing_is_cached(void **state)
{
    static const char *const inputs[] = { NULL, "", "\n", "env", "env A=B", "env 1A", "files /x",
                                          "file x", "file ~root/x", "file $/x", "file $", "file $1", "env A\nnonsense",
                                          "env @", "env @.a", "env @a.", "env @a..b", "file @a/b", "env @A", "workload @a" };
    cleanup_cache struct cache *cache = open_cache();
    struct backend backend = { .life = 3600, .secret = "first" };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(inputs); i++) {
        struct cache_key key = make_key();

        key.inputs = inputs[i];
        backend.calls = 0;
        assert_non_null(get(cache, &key, &backend, NULL));
        assert_non_null(get(cache, &key, &backend, NULL));
        assert_int_equal(backend.calls, 2);
    }
    assert_int_equal(count_files(""), 0);
}

/* A password is kept for the seconds that were allowed, and has no expiry when it comes back. */
static void coalesced_for_seconds(void **state)
{
    static const struct {
        int64_t seconds, kept;
    } cases[] = { { 1, 1 }, { 5, 5 }, { 100000, CACHE_COALESCE_MAX } };
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    char path[FILE_PATH_MAX];

    (void)state;
    slot_path(cache, &key, path);
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct backend backend = { .seconds = cases[i].seconds, .secret = "first" };
        struct stat status;

        assert_string_equal(get(cache, &key, &backend, NULL), "first");
        backend.secret = "second";
        now += cases[i].kept - 1;
        for (unsigned int k = 0; k < 2; k++) {
            cleanup_credential struct pullkey_credential credential = { 0 };
            struct pullkey_error error;

            assert_fine(cache_get(cache, &key, LONG_DEADLINE, ask, &backend, &credential, &error),
                        error);
            assert_string_equal(credential.secret.bytes, "first");
            assert_int_equal(credential.expiry, 0);
        }
        assert_int_equal(backend.calls, 1);
        now++;
        /* Sweeping goes by the time of the file. */
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mtim.tv_sec, now);
        assert_string_equal(get(cache, &key, &backend, NULL), "second");
        assert_int_equal(backend.calls, 2);
        now += CACHE_COALESCE_MAX;
    }
}

/* Set back by less than the leeway that a token of hours has. */
static void coalesced_before_the_clock_was_set_back(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    struct backend backend = { .seconds = 5, .secret = "first" };

    (void)state;
    assert_string_equal(get(cache, &key, &backend, NULL), "first");
    now -= 1;
    backend.secret = "second";
    assert_string_equal(get(cache, &key, &backend, NULL), "second");
    backend = (struct backend){ .life = 3600, .secret = "third" };
    key.path = "long";
    assert_string_equal(get(cache, &key, &backend, NULL), "third");
    now -= CACHE_LEEWAY_SECONDS;
    backend.secret = "fourth";
    assert_string_equal(get(cache, &key, &backend, NULL), "third");
}

/* The old one is not served when asking for the next one fails: it may have been taken away. */
static void coalesced_and_no_longer(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    struct backend backend = { .seconds = 5, .secret = "first" };
    int class;

    (void)state;
    assert_non_null(get(cache, &key, &backend, NULL));
    now += 5;
    backend.failure = PULLKEY_UNREACHABLE;
    assert_null(get(cache, &key, &backend, &class));
    assert_int_equal(class, PULLKEY_UNREACHABLE);
}

static void without_a_cache_every_get_asks(void **state)
{
    struct cache_key key = make_key();
    struct backend backend = { .life = 3600, .secret = "first" };

    (void)state;
    assert_non_null(get(NULL, &key, &backend, NULL));
    assert_non_null(get(NULL, &key, &backend, NULL));
    assert_int_equal(backend.calls, 2);
}

static void served_until_a_minute_before_expiry(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    struct backend backend = { .life = 1000, .secret = "first" };
    struct backend down = { .failure = PULLKEY_UNREACHABLE };

    (void)state;
    assert_string_equal(get(cache, &key, &backend, NULL), "first");
    now = START + 799;
    assert_string_equal(get(cache, &key, &down, NULL), "first");
    assert_int_equal(down.calls, 0);
    /* The last fifth: renewing fails, the old one serves, and the next attempt is half a minute later. */
    now = START + 800;
    assert_string_equal(get(cache, &key, &down, NULL), "first");
    assert_int_equal(down.calls, 1);
    now = START + 829;
    assert_string_equal(get(cache, &key, &down, NULL), "first");
    assert_int_equal(down.calls, 1);
    now = START + 830;
    assert_string_equal(get(cache, &key, &down, NULL), "first");
    assert_int_equal(down.calls, 2);
    now = START + 939;
    assert_string_equal(get(cache, &key, &down, NULL), "first");
    now = START + 940;
    assert_null(get(cache, &key, &down, NULL));
    assert_string_equal(get(cache, &key, &backend, NULL), "first");
    assert_int_equal(backend.calls, 2);
}

static void renewed_early(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    struct backend backend = { .life = 12 * 3600, .secret = "first" };

    (void)state;
    assert_string_equal(get(cache, &key, &backend, NULL), "first");
    backend.secret = "second";
    now = START + 12 * 3600 - 601;
    assert_string_equal(get(cache, &key, &backend, NULL), "first");
    now = START + 12 * 3600 - 600;
    assert_string_equal(get(cache, &key, &backend, NULL), "second");
    assert_string_equal(get(cache, &key, &backend, NULL), "second");
    assert_int_equal(backend.calls, 2);
}

static void refused_renewal_ends_the_old_token(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    struct backend backend = { .life = 1000, .secret = "first" };
    struct backend refusing = { .failure = PULLKEY_DENIED };
    int class;

    (void)state;
    assert_string_equal(get(cache, &key, &backend, NULL), "first");
    now = START + 900;
    assert_null(get(cache, &key, &refusing, &class));
    assert_int_equal(class, PULLKEY_DENIED);
    assert_null(get(cache, &key, &refusing, NULL));
    assert_int_equal(refusing.calls, 2);
}

static void absurd_expiry_is_brought_down(void **state)
{
    static const int64_t lives[] = { 8 * DAY, INT64_MAX - START };
    cleanup_cache struct cache *cache = open_cache();
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(lives); i++) {
        struct backend backend = { .life = lives[i], .secret = "x" };
        struct cache_key key = make_key();

        key.path = i == 0 ? "a" : "b";
        now = START;
        for (unsigned int j = 0; j < 2; j++) {
            cleanup_credential struct pullkey_credential credential = { 0 };

            assert_fine(cache_get(cache, &key, LONG_DEADLINE, ask, &backend, &credential, &error),
                        error);
            assert_int_equal(credential.expiry, START + 7 * DAY);
        }
        assert_int_equal(backend.calls, 1);
        now = START + 7 * DAY - 60;
        assert_true(misses(cache, &key));
    }
}

static void short_or_endless_ones_are_not_kept(void **state)
{
    static const int64_t lives[] = { 0, 1, 60, -5, -START - 5 };
    cleanup_cache struct cache *cache = open_cache();

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(lives); i++) {
        struct backend backend = { .life = lives[i], .secret = "x" };
        struct cache_key key = make_key();

        assert_non_null(get(cache, &key, &backend, NULL));
        assert_non_null(get(cache, &key, &backend, NULL));
        assert_int_equal(backend.calls, 2);
    }
}

static void bytes_that_are_no_text_are_not_kept(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    struct backend backend = { .life = 3600, .secret = "\xff\xfe" };

    (void)state;
    assert_string_equal(get(cache, &key, &backend, NULL), "\xff\xfe");
    assert_string_equal(get(cache, &key, &backend, NULL), "\xff\xfe");
    assert_int_equal(backend.calls, 2);
}

static void misses_are_remembered_briefly(void **state)
{
    static const struct {
        enum pullkey_error_class class;
        int64_t seconds;
    } rows[] = {
        { PULLKEY_NOT_FOUND, 5 },   { PULLKEY_NO_IDENTITY, 300 }, { PULLKEY_LOCKED, 0 },
        { PULLKEY_DENIED, 0 },      { PULLKEY_UNREACHABLE, 0 },   { PULLKEY_INVALID, 0 },
        { PULLKEY_UNSUPPORTED, 0 }, { PULLKEY_INTERNAL, 0 },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_cache struct cache *cache = open_cache();
        struct cache_key key = make_key();
        struct backend backend = { .failure = rows[i].class };
        unsigned int expected = 1;
        int class;

        key.instance = error_class_name(rows[i].class);
        now = START;
        assert_null(get(cache, &key, &backend, NULL));
        if (rows[i].seconds > 0) {
            now = START + rows[i].seconds - 1;
            assert_null(get(cache, &key, &backend, &class));
            assert_int_equal(class, rows[i].class);
            assert_int_equal(backend.calls, expected);
        }
        now = START + rows[i].seconds;
        assert_null(get(cache, &key, &backend, &class));
        assert_int_equal(class, rows[i].class);
        assert_int_equal(backend.calls, ++expected);
    }
}

static void clock_jumps_are_harmless(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    struct backend backend = { .life = 3600, .secret = "x" };
    struct backend none = { .failure = PULLKEY_NO_IDENTITY };

    (void)state;
    /* Set back by a day: the expiry may come from the wrong time, so it is asked again. */
    assert_non_null(get(cache, &key, &backend, NULL));
    now = START - DAY;
    assert_non_null(get(cache, &key, &backend, NULL));
    assert_int_equal(backend.calls, 2);
    assert_non_null(get(cache, &key, &backend, NULL));
    assert_int_equal(backend.calls, 2);
    /* Set forward by a day: it has expired. */
    now = START;
    assert_non_null(get(cache, &key, &backend, NULL));
    assert_int_equal(backend.calls, 3);
    /* A small correction backwards is none. */
    now = START - 30;
    assert_non_null(get(cache, &key, &backend, NULL));
    assert_int_equal(backend.calls, 3);
    /* A remembered miss does not last for a day either. */
    key.path = "team";
    now = START;
    assert_null(get(cache, &key, &none, NULL));
    now = START - DAY;
    assert_non_null(get(cache, &key, &backend, NULL));
}

static void drop_takes_one_registry(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key plain = make_key(), path = make_key(), port = make_key(), other = make_key();
    struct pullkey_error error;

    (void)state;
    path.path = "team/app";
    port.registry = "registry.example.com:5000";
    other.registry = "other.example.com";
    assert_true(misses(cache, &plain) && misses(cache, &path));
    assert_true(misses(cache, &port) && misses(cache, &other));
    assert_fine(cache_drop(cache, "registry.example.com", &error), error);
    assert_false(misses(cache, &port) || misses(cache, &other));
    assert_true(misses(cache, &plain) && misses(cache, &path));
    assert_fine(cache_drop(cache, "absent.example.com", &error), error);
    assert_fine(cache_drop(NULL, "registry.example.com", &error), error);
}

static void drop_reaches_a_fetch_that_is_under_way(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    cleanup_cache struct cache *other = open_cache();
    struct cache_key key = make_key();
    struct backend backend = { .life = 1000, .secret = "old", .drop = other };

    (void)state;
    assert_string_equal(get(cache, &key, &backend, NULL), "old");
    backend.drop = NULL;
    backend.secret = "new";
    assert_string_equal(get(cache, &key, &backend, NULL), "new");
    /* Nor does a renewal that fails bring the old one back. */
    now = START + 900;
    backend.drop = other;
    backend.failure = PULLKEY_UNREACHABLE;
    assert_null(get(cache, &key, &backend, NULL));
    backend = (struct backend){ .life = 1000, .secret = "newest" };
    assert_string_equal(get(cache, &key, &backend, NULL), "newest");
}

static void drop_reports_what_it_cannot_remove(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    struct pullkey_error error;
    char path[FILE_PATH_MAX];

    (void)state;
    slot_path(cache, &key, path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_true(cache_drop(cache, "registry.example.com", &error) < 0);
    assert_non_null(strstr(error.message, "cannot remove"));
}

/* Nor what it cannot count out, which a process that is fetching now would keep. */
static void drop_reports_what_it_cannot_count(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    struct pullkey_error error;
    struct cache_slot slot;

    (void)state;
    assert_fine(cache_slot_make(cache, &key, &slot, &error), error);
    assert_int_equal(mkdirat(cache->fd, slot.drops, 0700), 0);
    assert_true(cache_drop(cache, "registry.example.com", &error) < 0);
    assert_non_null(strstr(error.message, "being fetched now may be kept"));
}

static void sweeping_takes_what_has_expired(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key(), held = make_key();
    struct cache_slot slot;
    struct pullkey_error error;
    int fd;

    (void)state;
    for (unsigned int i = 0; i < 20; i++) {
        char path[16];

        (void)snprintf(path, sizeof(path), "p%u", i);
        key.path = path;
        assert_true(misses(cache, &key));
    }
    held.path = "held";
    assert_true(misses(cache, &held));
    assert_int_equal(count_files(".lock"), 21);
    assert_int_equal(count_files(""), 42);
    assert_fine(cache_slot_make(cache, &held, &slot, &error), error);
    fd = open(slot.lock_path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    now = START + DAY;
    key.path = "late";
    assert_true(misses(cache, &key));
    /* What is locked stays. */
    assert_int_equal(count_files(".lock"), 2);
    assert_int_equal(count_files(""), 4);
    close(fd);
    cache_sweep(cache);
    assert_int_equal(count_files(""), 2);
    assert_false(misses(cache, &key));
}

/* The kernel's time of the directory is another one than that of these tests. */
static struct cache *open_changed(int64_t seconds)
{
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = seconds } };

    assert_int_equal(utimensat(AT_FDCWD, directory, times, 0), 0);
    return open_cache();
}

/* A password that was coalesced goes with hits of other tokens too, once in a minute. */
static void hits_sweep_sometimes(void **state)
{
    static const struct {
        int64_t changed, now;
        bool sweeps;
    } rows[] = { { 0, 0, false },   { 0, 59, false },  { 0, 60, true },
                 { 59, 61, false }, { 100, 61, true }, { 0, 1000, true } };
    struct backend token = { .life = DAY, .secret = "token" };
    struct backend password = { .seconds = 5, .secret = "password" };
    struct cache_key key = make_key(), other = make_key();

    (void)state;
    other.instance = "kubernetes";
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct cache *cache = open_cache();
        char path[FILE_PATH_MAX];
        struct stat status;

        now = START;
        assert_non_null(get(cache, &key, &token, NULL));
        now = START - 10;
        assert_non_null(get(cache, &other, &password, NULL));
        slot_path(cache, &other, path);
        cache_close(&cache);
        cache = open_changed(START + rows[i].changed);
        now = START + rows[i].now;
        assert_non_null(get(cache, &key, &token, NULL));
        if ((access(path, F_OK) < 0) != rows[i].sweeps)
            fail_msg("changed at %d, hit at %d", (int)rows[i].changed, (int)rows[i].now);
        assert_int_equal(stat(directory, &status), 0);
        assert_int_equal(status.st_mtim.tv_sec,
                         START + (rows[i].sweeps ? rows[i].now : rows[i].changed));
        cache_close(&cache);
    }
    assert_int_equal(token.calls, 1);
}

static void sweeping_is_bounded(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();

    (void)state;
    for (unsigned int i = 0; i < 100; i++) {
        char path[16];

        (void)snprintf(path, sizeof(path), "p%u", i);
        key.path = path;
        assert_true(misses(cache, &key));
    }
    now = START + DAY;
    cache_sweep(cache);
    assert_int_equal(count_files(".lock"), 68);
    for (unsigned int i = 0; i < 3; i++)
        cache_sweep(cache);
    assert_int_equal(count_files(""), 0);
}

/* Those that live must not hide those that do not. */
static void sweeping_comes_to_all_of_many(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    struct backend backend = { .secret = "x" };

    (void)state;
    for (unsigned int i = 0; i < 600; i++) {
        char path[16];

        (void)snprintf(path, sizeof(path), "p%u", i);
        key.path = path;
        backend.life = i % 20 == 0 ? 3600 : DAY;
        assert_string_equal(get(cache, &key, &backend, NULL), "x");
    }
    now = START + 7200;
    assert_true(cache_sweep(cache));
    assert_int_equal(count_files(".lock"), 570);
}

static void sweeping_takes_halves(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    struct pullkey_error error;
    struct cache_slot slot;
    char half[CACHE_NAME_SIZE + 4];
    int fd;

    (void)state;
    assert_true(misses(cache, &key));
    assert_fine(cache_slot_make(cache, &key, &slot, &error), error);
    (void)snprintf(half, sizeof(half), "%s.tmp", slot.name);
    fd = openat(cache->fd, half, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    (void)cache_sweep(cache);
    assert_int_equal(count_files(".tmp"), 0);
    assert_int_equal(count_files(""), 2);
}

static void sweeping_takes_old_locks_and_counts(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    struct pullkey_error error;
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = START } };
    struct cache_slot slot;

    (void)state;
    assert_true(misses(cache, &key));
    assert_fine(cache_drop(cache, "registry.example.com", &error), error);
    assert_fine(cache_slot_make(cache, &key, &slot, &error), error);
    assert_int_equal(utimensat(AT_FDCWD, slot.lock_path, times, 0), 0);
    assert_int_equal(utimensat(cache->fd, slot.drops, times, 0), 0);
    assert_int_equal(count_files(""), 2);
    now = START + DAY;
    cache_sweep(cache);
    assert_int_equal(count_files(""), 2);
    now = START + DAY + 1;
    cache_sweep(cache);
    assert_int_equal(count_files(""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(second_get_is_a_hit),
        CASE(whole_credential_survives),
        CASE(kind_survives),
        CASE(without_inputs_nothing_is_cached),
        CASE(coalesced_for_seconds),
        CASE(coalesced_before_the_clock_was_set_back),
        CASE(coalesced_and_no_longer),
        CASE(without_a_cache_every_get_asks),
        CASE(served_until_a_minute_before_expiry),
        CASE(renewed_early),
        CASE(refused_renewal_ends_the_old_token),
        CASE(absurd_expiry_is_brought_down),
        CASE(short_or_endless_ones_are_not_kept),
        CASE(bytes_that_are_no_text_are_not_kept),
        CASE(misses_are_remembered_briefly),
        CASE(clock_jumps_are_harmless),
        CASE(drop_takes_one_registry),
        CASE(drop_reaches_a_fetch_that_is_under_way),
        CASE(drop_reports_what_it_cannot_remove),
        CASE(drop_reports_what_it_cannot_count),
        CASE(sweeping_takes_what_has_expired),
        CASE(hits_sweep_sometimes),
        CASE(sweeping_is_bounded),
        CASE(sweeping_comes_to_all_of_many),
        CASE(sweeping_takes_halves),
        CASE(sweeping_takes_old_locks_and_counts),
    };

    json_start();
    return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
