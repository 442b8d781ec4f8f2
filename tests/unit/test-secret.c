/* SPDX-License-Identifier: Apache-2.0 */
#include "unit-free.h"

#include "base/secret.h"

static void memory_comes_zeroed(void **state)
{
    (void)state;
    for (size_t size = 0; size < 300; size += 7) {
        unsigned char *memory = secret_alloc(size);

        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(memory[i], 0);
        memset(memory, 0xff, size);
        secret_release(memory);
    }
}

static void release_wipes(void **state)
{
    char *memory = secret_alloc(200);

    (void)state;
    assert_non_null(memory);
    /* At the very end, too. */
    memcpy(memory, MARKER, strlen(MARKER));
    memcpy(memory + 200 - strlen(MARKER), MARKER, strlen(MARKER));
    assert_wiped(secret_release(memory));
    secret_release(NULL);
}

static void copies_are_wiped(void **state)
{
    char *copy = secret_copy(MARKER, strlen(MARKER));
    struct pullkey_secret secret;
    struct pullkey_error error;

    (void)state;
    assert_string_equal(copy, MARKER);
    assert_wiped(secret_release(copy));
    assert_fine(secret_set(&secret, MARKER, strlen(MARKER), &error), error);
    assert_int_equal(secret.length, strlen(MARKER));
    assert_int_equal(secret.bytes[secret.length], '\0');
    assert_wiped(secret_done(&secret));
    assert_null(secret.bytes);
    assert_int_equal(secret.length, 0);
    secret_done(&secret);
    {
        cleanup_release char *scoped = secret_copy("a\0b", 3);

        assert_memory_equal(scoped, "a\0b", 4);
    }
}

static void scopes_wipe(void **state)
{
    (void)state;
    assert_wiped({
        cleanup_release char *scoped = secret_copy(MARKER, strlen(MARKER));

        assert_non_null(scoped);
    });
    assert_wiped({
        cleanup_secret struct pullkey_secret scoped = { 0 };
        struct pullkey_error error;

        assert_fine(secret_set(&scoped, MARKER, strlen(MARKER), &error), error);
    });
}

static void impossible_sizes_are_refused(void **state)
{
    (void)state;
    assert_null(secret_alloc(SIZE_MAX));
    assert_null(secret_alloc(SIZE_MAX - 15));
    assert_null(secret_copy("", SIZE_MAX));
}

static void want_of_memory_is_an_error(void **state)
{
    struct pullkey_secret secret = { .bytes = NULL, .length = 7 };
    struct pullkey_error error;

    (void)state;
    allocations_left = 0;
    assert_null(secret_alloc(1));
    assert_int_equal(secret_set(&secret, "x", 1, &error), -PULLKEY_INTERNAL);
    allocations_left = -1;
    /* Outputs are set only on success. */
    assert_int_equal(secret.length, 7);
}

static void equality(void **state)
{
    char a[] = "abc", b[] = "abd", c[] = "abc", d[] = "a\0c", e[] = "a\0d";
    const struct pullkey_secret empty = { 0 }, first = { a, 3 }, last = { b, 3 }, same = { c, 3 };
    const struct pullkey_secret shorter = { a, 2 }, inner = { d, 3 }, inner_other = { e, 3 };

    (void)state;
    assert_true(secret_equal(&first, &same));
    assert_true(secret_equal(&empty, &empty));
    assert_false(secret_equal(&first, &last));
    assert_false(secret_equal(&first, &shorter));
    assert_false(secret_equal(&first, &empty));
    assert_false(secret_equal(&inner, &inner_other));
    for (unsigned int bit = 0; bit < 24; bit++) {
        c[bit / 8] = (char)(a[bit / 8] ^ 1 << bit % 8);
        assert_false(secret_equal(&first, &same));
        c[bit / 8] = a[bit / 8];
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counting_works),
        cmocka_unit_test(memory_comes_zeroed),
        cmocka_unit_test(release_wipes),
        cmocka_unit_test(copies_are_wiped),
        cmocka_unit_test(scopes_wipe),
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(want_of_memory_is_an_error),
        cmocka_unit_test(equality),
    };

    return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
