/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "admin/export.h"
#include "admin/table.h"

static void words_of_a_shell(void **state)
{
    static const struct {
        const char *bytes, *quoted;
    } cases[] = {
        { "", "''" },
        { "plain", "'plain'" },
        { "a b\t$c`d`\\\"!", "'a b\t$c`d`\\\"!'" },
        { "it's", "'it'\\''s'" },
        { "''", "''\\'''\\'''" },
        { "\xc3\xa4\n\x80", "'\xc3\xa4\n\x80'" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cleanup_buffer struct buffer text = BUFFER_INIT(64);

        export_quote(&text, cases[i].bytes, strlen(cases[i].bytes));
        assert_string_equal(text.data, cases[i].quoted);
    }
}

static void names_of_kubernetes(void **state)
{
    static const char *const good[] = { "a", "0", "a-b", "a.b", "a-1.b-2.c" };
    static const char *const bad[] = { "",     "-a",   "a-", ".a",  "a.",   "a..b",
                                       "a-.b", "a.-b", "A",  "a_b", "a\"b", "a b" };
    char longest[65];

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(export_is_name(good[i], 253));
        assert_int_equal(export_is_name(good[i], 63), !strchr(good[i], '.'));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (export_is_name(bad[i], 253) || export_is_name(bad[i], 63))
            fail_msg("%s", bad[i]);
    memset(longest, 'a', 64);
    longest[64] = '\0';
    assert_false(export_is_name(longest, 63));
    assert_true(export_is_name(longest + 1, 63));
}

static void times(void **state)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {
        { -5, "0s" },
        { 0, "0s" },
        { 59, "59s" },
        { 60, "1m" },
        { 61, "1m 1s" },
        { 3599, "59m 59s" },
        { 3600, "1h" },
        { 3659, "1h" },
        { 7260, "2h 1m" },
        { 86400, "1d" },
        { 90000, "1d 1h" },
        { 604799, "6d 23h" },
        { INT64_MAX, "106751991167300d 15h" },
    };
    char text[TABLE_TIME_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(table_time(cases[i].seconds, text), cases[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_of_a_shell),
        cmocka_unit_test(names_of_kubernetes),
        cmocka_unit_test(times),
    };

    return cmocka_run_group_tests_name("export", tests, NULL, NULL);
}
