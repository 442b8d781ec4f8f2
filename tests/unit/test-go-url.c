/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/go-url.h"

/* As net/url answers; hosts-render-property compares with containerd itself. */
static void read_ones(void **state)
{
    static const char *const rows[] = {
        "",
        "a",
        "a.example",
        "a.example:5000/v2/x",
        "https://a.example",
        "http://a.example:80",
        "https://",
        "https:///x",
        "https:a",
        "https:",
        "http",
        "httpx",
        "http/x:1",
        "httpx://a",
        "httpbin.example",
        "ftp://a",
        "HTTPS://a",
        "//a",
        "/a",
        "a//b/../c",
        "a:",
        "https://a:/",
        "https://a:99999",
        "u@a",
        "u:p@a",
        "u:p@b@a",
        "https://u%20@a",
        "a?x",
        "a?%zz",
        "a#f",
        "a#%41",
        "a/%41",
        "a%c3%a9",
        "a%25",
        "\xc3\xa9",
        "a/\xc3\xa9 \"<>",
        "[::1]",
        "[::1]:5000",
        "https://[::ffff:1.2.3.4]/x",
        "a_b",
        "a\"b",
        "a<b>",
        "a'b",
        "a,b;c=d&e!f$g*(h)+i~",
        "a/[b]",
        "a/:x",
        "http?x:y",
        "https:a%zz",
        "a#\n",
        "httpx:80x@",
        "HTTPS:/x y",
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        if (!go_url_is_read(rows[i], strlen(rows[i])))
            fail_msg("refused: %s", rows[i]);
}

static void others(void **state)
{
    static const char *const rows[] = {
        "a b",          " a",         "a ",        "a\t",    "a\n",     "\x7f",        "a\x01",
        "https://a\r",  "a\\b",       "a^b",       "a`b",    "a|b",     "a{b}",        "a/\n",
        "a?\n",         "a:x",        "a:80x",     "a:b:1",  "a:1:2",   "https://::1", "[::1",
        "[a]",          "[]",         "[1.2.3.4]", "[::1]x", "[::1]:x", "x[::1]",      "[::1][::1]",
        "[::1%25eth0]", "a[b",        "a%41",      "a%20",   "a%zz",    "a%",          "a%2",
        "a/%zz",        "a/%",        "a#%zz",     "u v@a",  "u%zz@a",  "\xc3\xa9@a",  "u<@a",
        "http_x:80",    "https:/%zz", "http/%zz",
    };
    static const char *const bytes[] = { "a\0b", "\0", "https://a\0" };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        if (go_url_is_read(rows[i], strlen(rows[i])))
            fail_msg("read: %s", rows[i]);
    assert_false(go_url_is_read(bytes[0], 3));
    assert_false(go_url_is_read(bytes[1], 1));
    assert_false(go_url_is_read(bytes[2], 10));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_ones),
        cmocka_unit_test(others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
