/* SPDX-License-Identifier: Apache-2.0 */
/* Files of profiles: sections, settings and comments, and what is none of them. */
#include "unit.h"

#include "token/aws-ini.h"

static const char *get(const struct aws_ini *ini, const char *profile, const char *key)
{
    const char *value = aws_ini_get(ini, "profile", profile, key);

    return value ? value : "-";
}

static void settings(void **state)
{
    static const char text[] = "# a comment = here\n"
                               "; and = here\n"
                               "\n"
                               "[default] # behind\n"
                               "region = eu-west-1\r\n"
                               "[profile  alice]\n"
                               "KEY=a=b # c\n"
                               "hash = a#b;c\n"
                               "blanks =   a b \t\n"
                               "none =\n"
                               "only = # a comment\n"
                               "s3 =\n"
                               "  region = inside\n"
                               "\tregion = inside\n"
                               "twice = 1\n"
                               "twice = 2\n"
                               "[profile \"with blank\"]\n"
                               "key = quoted\n"
                               "[sso-session alice]\n"
                               "key = session\n"
                               "[profile alice]\n"
                               "later = 1\n"
                               "[alice]\n"
                               "key = plain";
    static const struct {
        const char *profile, *key, *value;
    } rows[] = {
        { "alice", "key", "a=b" },
        { "alice", "hash", "a#b;c" },
        { "alice", "blanks", "a b" },
        { "alice", "none", "-" },
        { "alice", "only", "-" },
        { "alice", "region", "-" },
        { "alice", "twice", "2" },
        { "alice", "later", "1" },
        { "with blank", "key", "quoted" },
        { "alic", "key", "-" },
        { "alicee", "key", "-" },
        { "default", "region", "-" },
        { "", "key", "-" },
        { "\"with blank\"", "key", "quoted" },
    };
    struct pullkey_error error;
    struct aws_ini ini;

    (void)state;
    assert_fine(aws_ini_parse("config", text, sizeof(text) - 1, &ini, &error), error);
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        assert_string_equal(get(&ini, rows[i].profile, rows[i].key), rows[i].value);
    assert_string_equal(aws_ini_get(&ini, "", "default", "region"), "eu-west-1");
    assert_string_equal(aws_ini_get(&ini, "", "alice", "key"), "plain");
    assert_string_equal(aws_ini_get(&ini, "sso-session", "alice", "key"), "session");
    assert_true(aws_ini_has(&ini, "profile", "alice") && aws_ini_has(&ini, "", "alice"));
    assert_false(aws_ini_has(&ini, "profile", "default") || aws_ini_has(&ini, "", "alic"));
    assert_false(aws_ini_has(&ini, "sso", "alice") || aws_ini_has(&ini, "profil", "alice"));
    aws_ini_done(&ini);
    assert_null(aws_ini_get(&ini, "", "alice", "key"));
}

static void refused(void **state)
{
    static const struct {
        const char *text, *said;
    } rows[] = {
        { "key = MARKER\n", "c:1: a setting stands in front of the first [section]" },
        { "[a]\nMARKER\n", "c:2: neither a [section] nor \"key = value\"" },
        { "[a]\n\n= MARKER\n", "c:3: a setting has no name" },
        { "[a\nk = MARKER\n", "c:1: the name of a section must end with ']'" },
        { "[a] MARKER\n", "c:1: something stands behind the name of a section" },
        { "[]\n", "c:1: a section has no name" },
        { "[ \t]\n", "c:1: a section has no name" },
    };
    struct pullkey_error error;
    struct aws_ini ini;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        assert_int_equal(aws_ini_parse("c", rows[i].text, strlen(rows[i].text), &ini, &error),
                         -PULLKEY_INVALID);
        assert_string_equal(error.message, rows[i].said);
        assert_null(ini.text);
    }
    assert_int_equal(aws_ini_parse("c", "[a]\0", 4, &ini, &error), -PULLKEY_INVALID);
    assert_string_equal(error.message, "c: too long, or not text");
    assert_fine(aws_ini_parse("c", "", 0, &ini, &error), error);
    assert_false(aws_ini_has(&ini, "", "default"));
    aws_ini_done(&ini);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(settings), cmocka_unit_test(refused) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
