/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/depth.h"

static void none_is_the_first(void **state)
{
    static const char *const values[] = { NULL, "", "0" };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(values); i++) {
        uint32_t depth = 4711;

        if (values[i])
            setenv(DEPTH_VARIABLE, values[i], 1);
        else
            unsetenv(DEPTH_VARIABLE);
        assert_fine(depth_read(&depth, &error), error);
        assert_int_equal(depth, 0);
    }
}

static void up_to_the_limit(void **state)
{
    struct pullkey_error error;
    char value[16];

    (void)state;
    for (uint32_t i = 0; i <= DEPTH_MAX + 2; i++) {
        uint32_t depth = 4711;

        (void)snprintf(value, sizeof(value), "%u", i);
        setenv(DEPTH_VARIABLE, value, 1);
        if (i <= DEPTH_MAX) {
            assert_fine(depth_read(&depth, &error), error);
            assert_int_equal(depth, i);
        } else {
            assert_refused(depth_read(&depth, &error), PULLKEY_INVALID, "call each other in a loop",
                           error);
        }
    }
}

/* Only what the exec backend writes counts; whoever writes something else wants to hide a loop. */
static void other_values_are_refused(void **state)
{
    static const char *const values[] = { "-1", "+1", " 1", "1 ", "01", "00",  "10",
                                          "1x", "x",  "/",  ":",  "\n", "0\n", "0x1" };
    struct pullkey_error error;
    uint32_t depth;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(values); i++) {
        setenv(DEPTH_VARIABLE, values[i], 1);
        assert_refused(depth_read(&depth, &error), PULLKEY_INVALID, "exec backend", error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_is_the_first),
        cmocka_unit_test(up_to_the_limit),
        cmocka_unit_test(other_values_are_refused),
    };

    return cmocka_run_group_tests_name("depth", tests, NULL, NULL);
}
