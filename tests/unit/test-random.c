/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <sys/random.h>

#include "base/random.h"

ssize_t __real_getrandom(void *bytes, size_t length, unsigned int flags);
ssize_t __wrap_getrandom(void *bytes, size_t length, unsigned int flags);

/* What the kernel does, one call after the other: yields at most so much, or fails. */
static const struct answer {
    ssize_t most;
    int errnum;
} *answers;
static unsigned int calls;

ssize_t __wrap_getrandom(void *bytes, size_t length, unsigned int flags)
{
    const struct answer *answer = answers ? &answers[calls] : NULL;

    calls++;
    /* 0: on a machine that has just started it waits until there is enough. */
    assert_int_equal(flags, 0);
    if (!answer)
        return __real_getrandom(bytes, length, flags);
    if (answer->most < 0) {
        errno = answer->errnum;
        return -1;
    }
    assert_true(length > 0);
    length = length < (size_t)answer->most ? length : (size_t)answer->most;
    memset(bytes, (int)('a' + calls - 1), length);
    return (ssize_t)length;
}

static int fill_with(const struct answer *given, char *bytes, size_t length,
                     struct pullkey_error *error)
{
    int r;

    calls = 0;
    answers = given;
    r = random_fill(bytes, length, error);
    answers = NULL;
    return r;
}

static void pieces_are_put_together(void **state)
{
    static const struct answer pieces[] = { { 3, 0 }, { -1, EINTR }, { 1, 0 }, { 100, 0 } };
    char bytes[11] = "----------";
    struct pullkey_error error;

    (void)state;
    assert_fine(fill_with(pieces, bytes, 8, &error), error);
    assert_int_equal(calls, 4);
    assert_string_equal(bytes, "aaacdddd--");
}

static void nothing_is_asked_for_nothing(void **state)
{
    struct pullkey_error error;
    char byte = '-';

    (void)state;
    assert_fine(fill_with(NULL, &byte, 0, &error), error);
    assert_int_equal(calls, 0);
    assert_int_equal(byte, '-');
}

static void all_or_an_error(void **state)
{
    static const struct answer refused[] = { { 3, 0 }, { -1, ENOSYS } };
    struct pullkey_error error;
    char bytes[8];

    (void)state;
    assert_refused(fill_with(refused, bytes, sizeof(bytes), &error), PULLKEY_INTERNAL,
                   "cannot get random bytes", error);
    assert_int_equal(calls, 2);
}

/* More than the kernel gives at once to a caller that may be interrupted, and no byte of it stays as it was. */
static void the_kernel_fills_all_of_it(void **state)
{
    enum { LENGTH = 4000, ROUNDS = 16 };
    static unsigned char bytes[LENGTH + 1], changed[LENGTH];
    struct pullkey_error error;

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        memset(bytes, 0, sizeof(bytes));
        assert_fine(random_fill(bytes, LENGTH, &error), error);
        assert_int_equal(bytes[LENGTH], 0);
        for (size_t i = 0; i < LENGTH; i++)
            changed[i] |= bytes[i];
    }
    for (size_t i = 0; i < LENGTH; i++)
        assert_int_not_equal(changed[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_put_together),
        cmocka_unit_test(nothing_is_asked_for_nothing),
        cmocka_unit_test(all_or_an_error),
        cmocka_unit_test(the_kernel_fills_all_of_it),
    };

    return cmocka_run_group_tests_name("random", tests, NULL, NULL);
}
