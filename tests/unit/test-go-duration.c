/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/go-duration.h"

/* As time.ParseDuration of Go 1.26 answers. */
static void durations(void **state)
{
    static const struct {
        const char *text;
        bool is_read, is_negative;
    } rows[] = {
        { "0", true, false },
        { "-0", true, false },
        { "0s", true, false },
        { "-0s", true, false },
        { "5s", true, false },
        { "+5s", true, false },
        { "-5s", true, true },
        { "-1ns", true, true },
        { "1h15m30.918s", true, false },
        { "-2m3.4s", true, true },
        { "5.s", true, false },
        { ".5s", true, false },
        { "-.5s", true, true },
        { "1.0000000000000000000000000000001s", true, false },
        { "0.100000000000000000000h", true, false },
        { "9223372036854775807ns", true, false },
        { "9223372036854775.807us", true, false },
        { "-9223372036854775808ns", true, true },
        { "9223372036854775808ns", false, false },
        { "9223372036854775.808us", false, false },
        { "-9223372036854775809ns", false, false },
        { "9223372036854ms775us808ns", false, false },
        { "3000000h", false, false },
        { "18446744073709551616ns", false, false },
        { "", false, false },
        { "3", false, false },
        { "-", false, false },
        { "s", false, false },
        { ".", false, false },
        { "-.", false, false },
        { ".s", false, false },
        { "+.s", false, false },
        { "1d", false, false },
        { "1 s", false, false },
        { "1s ", false, false },
        { "--1s", false, false },
        { "1S", false, false },
        { "1h30", false, false },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        bool is_negative = true;
        bool is_read = go_duration(rows[i].text, &is_negative);

        if (is_read != rows[i].is_read || (is_read && is_negative != rows[i].is_negative))
            fail_msg("%s", rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
