/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <string.h>

#include "admin/kubelet-text.h"

static void scalars(void **state)
{
    static const struct {
        const char *text;
        enum kubelet_scalar type;
    } rows[] = {
        { "", KUBELET_NULL },       { "~", KUBELET_NULL },        { "Null", KUBELET_NULL },
        { "nULL", KUBELET_STRING }, { "on", KUBELET_TRUE },       { "Y", KUBELET_TRUE },
        { "ON", KUBELET_TRUE },     { "oN", KUBELET_STRING },     { "off", KUBELET_FALSE },
        { "n", KUBELET_FALSE },     { "No", KUBELET_FALSE },      { "1", KUBELET_NUMBER },
        { "+1", KUBELET_NUMBER },   { "-08", KUBELET_NUMBER },    { "0o17", KUBELET_NUMBER },
        { "0o8", KUBELET_STRING },  { "-0b101", KUBELET_NUMBER }, { "0b2", KUBELET_STRING },
        { "0xfF", KUBELET_NUMBER }, { "0xg", KUBELET_STRING },    { "1__0", KUBELET_NUMBER },
        { "1.", KUBELET_NUMBER },   { ".5", KUBELET_NUMBER },     { "._5", KUBELET_STRING },
        { ".", KUBELET_STRING },    { "1.2.3", KUBELET_STRING },  { "1e5", KUBELET_NUMBER },
        { "1e", KUBELET_STRING },   { "1.5E-3", KUBELET_NUMBER }, { "-.inf", KUBELET_NUMBER },
        { ".iNF", KUBELET_STRING }, { "+", KUBELET_STRING },      { "-", KUBELET_STRING },
        { "5m", KUBELET_STRING },   { "1:20", KUBELET_STRING },   { "abc", KUBELET_STRING },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        if (kubelet_scalar(rows[i].text) != rows[i].type)
            fail_msg("%s", rows[i].text);
}

static bool meet(const char *a, const char *b)
{
    return kubelet_globs_meet(a, strlen(a), b, strlen(b));
}

static void globs(void **state)
{
    static const char *const together[][2] = {
        { "", "" },        { "a", "a" },     { "*", "" },      { "*", "abc" },
        { "a*", "*b" },    { "a*c", "abc" }, { "*b*", "a*" },  { "a*a", "*" },
        { "a*b", "a*cb" }, { "*", "**" },    { "ab*", "a*c" },
    };
    static const char *const apart[][2] = {
        { "", "a" }, { "a", "" }, { "a", "b" }, { "a*", "b*" }, { "*a", "*b" }, { "ab", "a" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(together); i++)
        if (!meet(together[i][0], together[i][1]))
            fail_msg("%s %s", together[i][0], together[i][1]);
    for (size_t i = 0; i < UNIT_COUNT(apart); i++)
        if (meet(apart[i][0], apart[i][1]))
            fail_msg("%s %s", apart[i][0], apart[i][1]);
}

static void patterns(void **state)
{
    static const struct {
        const char *text;
        enum kubelet_flaw flaw;
        const char *host, *port, *path;
    } rows[] = {
        { "a.example:5000/b/", KUBELET_FINE, "a.example", "5000", "/b/" },
        { "a.example:", KUBELET_FINE, "a.example", "", "" },
        { "[::1]:5000/b/", KUBELET_FINE, "::1", "5000", "/b/" },
        { "[::1]/b/", KUBELET_ADDRESS, "[::1]", "", "/b/" },
        { "https://a", KUBELET_SCHEME, "https", "", "//a" },
        { "a?b/c", KUBELET_QUERY, "a", "", "" },
        { "u:p@a:1/b@c/", KUBELET_USER, "a", "1", "/b@c/" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct kubelet_pattern pattern;

        assert_int_equal(kubelet_pattern_read(rows[i].text, &pattern), rows[i].flaw);
        assert_string_equal(pattern.host, rows[i].host);
        assert_string_equal(pattern.port, rows[i].port);
        assert_string_equal(pattern.path, rows[i].path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars),
        cmocka_unit_test(globs),
        cmocka_unit_test(patterns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
