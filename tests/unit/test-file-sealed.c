/* SPDX-License-Identifier: Apache-2.0 */
/* The encrypted store: its key, and what happens when one of the two is not what it was. */
#include "file-backend.h"

static void the_key_lies_away_from_the_store(void **state)
{
    const char *linked = "{\"path\":\"~/a/auth\",\"key\":\"~/b/key\"}";
    struct pullkey_error error;

    (void)state;
    store(SEALED);
    assert_int_equal(mode_of(SEALED_STORE), 0600);
    assert_int_equal(mode_of(KEY), 0400);
    assert_int_equal(mode_of(".local/state/pullkey"), 0700);
    assert_null(memmem(content(SEALED_STORE), 200, REGISTRY, strlen(REGISTRY)));
    assert_int_equal(mkdir(at("a"), 0700), 0);
    assert_int_equal(symlink("a", at("b")), 0);
    assert_refused(run(linked, STORE, REGISTRY, &error), PULLKEY_INVALID, "another directory",
                   error);
    assert_false(exists("a/key") || exists("a/auth"));
}

static void a_missing_key_is_never_made_anew(void **state)
{
    (void)state;
    store(SEALED);
    assert_int_equal(rename(at(KEY), at("key")), 0);
    for (enum verb verb = GET; verb <= LIST; verb++)
        refuse(SEALED, verb, PULLKEY_INVALID, "key");
    assert_false(exists(KEY));
    assert_int_equal(rename(at("key"), at(KEY)), 0);
    expect(SEALED, REGISTRY, "alice new-s3cret");
    /* A key without a store is one that is taken. */
    assert_int_equal(rename(at(SEALED_STORE), at("old.cms")), 0);
    store(SEALED);
    assert_int_equal(rename(at("old.cms"), at(SEALED_STORE)), 0);
    expect(SEALED, REGISTRY, "alice new-s3cret");
}

static void bad_keys_are_refused(void **state)
{
    static const mode_t modes[] = { 0440, 0404, 0640, 0644, 0666, 0604, 0620 };
    char bytes[33];

    (void)state;
    store(SEALED);
    for (size_t i = 0; i < UNIT_COUNT(modes); i++) {
        assert_int_equal(chmod(at(KEY), modes[i]), 0);
        refuse(SEALED, GET, PULLKEY_DENIED, "chmod 0400");
        refuse(SEALED, STORE, PULLKEY_DENIED, "chmod 0400");
    }
    assert_int_equal(unlink(at(KEY)), 0);
    memset(bytes, 'k', sizeof(bytes));
    for (size_t size = 0; size <= 33; size += 11) {
        unit_write(at(KEY), bytes, size, 0600);
        refuse(SEALED, GET, PULLKEY_INVALID, "exactly 32 bytes");
    }
    unit_write(at(KEY), bytes, 32, 0600);
    refuse(SEALED, GET, PULLKEY_INVALID, "the key is not the one");
    refuse(SEALED, STORE, PULLKEY_INVALID, "the key is not the one");
    assert_int_equal(unlink(at(KEY)), 0);
    assert_int_equal(symlink("/dev/zero", at(KEY)), 0);
    refuse(SEALED, GET, PULLKEY_DENIED, "symbolic link");
}

static void changed_stores_are_refused(void **state)
{
    char sealed[4096], *read;
    size_t length;
    struct stat status;

    (void)state;
    store(SEALED);
    assert_int_equal(stat(at(SEALED_STORE), &status), 0);
    length = (size_t)status.st_size;
    assert_true(length < sizeof(sealed));
    read = content(SEALED_STORE);
    memcpy(sealed, read, length);
    for (size_t i = 0; i < length; i++) {
        sealed[i] = (char)(sealed[i] ^ 0x10);
        unit_write(at(SEALED_STORE), sealed, length, 0600);
        refuse(SEALED, GET, PULLKEY_INVALID, ADVICE);
        sealed[i] = (char)(sealed[i] ^ 0x10);
    }
    unit_write(at(SEALED_STORE), sealed, length - 1, 0600);
    refuse(SEALED, STORE, PULLKEY_INVALID, ADVICE);
    unit_write(at(SEALED_STORE), "", 0, 0600);
    refuse(SEALED, STORE, PULLKEY_INVALID, ADVICE);
    unit_write(at(SEALED_STORE), sealed, length, 0600);
    expect(SEALED, REGISTRY, "alice new-s3cret");
}

/* Each in a store of its own, so that no lock but the key's is between them. */
static void first_stores_agree_on_a_key(void **state)
{
    enum { CHILDREN = 16, ROUNDS = 5 };

    (void)state;
    for (size_t round = 0; round < ROUNDS; round++) {
        pid_t children[CHILDREN];
        char options[CHILDREN][512];

        for (size_t i = 0; i < CHILDREN; i++) {
            (void)snprintf(options[i], sizeof(options[i]),
                           "{\"path\":\"~/%zu/%zu/auth\",\"key\":\"~/%zu/keys/key\"}", round, i,
                           round);
            children[i] = fork();
            assert_true(children[i] >= 0);
            if (children[i] == 0)
                store_in_child(options[i], i);
        }
        for (size_t i = 0; i < CHILDREN; i++) {
            char server[64];

            assert_int_equal(unit_wait(children[i]), 0);
            (void)snprintf(server, sizeof(server), "host-%zu.example.com", i);
            expect(options[i], server, "alice new-s3cret");
        }
    }
}

static void parallel_stores_keep_every_entry(void **state)
{
    (void)state;
    parallel_stores_keep_all(SEALED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_key_lies_away_from_the_store),
        TEST(a_missing_key_is_never_made_anew),
        TEST(bad_keys_are_refused),
        TEST(changed_stores_are_refused),
        TEST(first_stores_agree_on_a_key),
        TEST(parallel_stores_keep_every_entry),
    };

    json_start();
    return cmocka_run_group_tests_name("file-sealed", tests, NULL, NULL);
}
