/* SPDX-License-Identifier: Apache-2.0 */
/* What is a JSON Web Token, and when it ends. */
#include "unit.h"

#include "base/jwt.h"
#include "base/secret.h"

/* {"sub":"a","exp":1795573632} and some that differ from it */
#define CLAIMS "eyJzdWIiOiJhIiwiZXhwIjoxNzk1NTczNjMyfQ"

static struct pullkey_secret view(const char *text)
{
    return (struct pullkey_secret){ (char *)(uintptr_t)text, strlen(text) };
}

static void tokens(void **state)
{
    const struct pullkey_secret token = view("eyJhbGciOiJub25lIn0." CLAIMS ".c2ln");
    cleanup_json struct json claims = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_fine(jwt_claims(&token, &claims, &error), error);
    assert_string_equal(json_member(claims.root, "sub")->valuestring, "a");
    assert_int_equal(jwt_expiry(&token), 1795573632);
}

static void no_tokens(void **state)
{
    static const char *const texts[] = {
        "",
        ".",
        "..",
        "a.b",
        "a..c",
        "." CLAIMS ".c",
        CLAIMS,
        "a." CLAIMS,
        "a." CLAIMS ".",
        "a." CLAIMS ".c.d",
        "a." CLAIMS "=.c",
        "a." CLAIMS "\n.c",
        "a.+" CLAIMS ".c",
        "a.WzFd.c",                             /* [1] */
        "a.MQ.c",                               /* 1 */
        "a.eyJhIjoxLCJhIjoyfQ.c",               /* {"a":1,"a":2} */
        "a.eyJhIjoxfSB4.c",                     /* {"a":1} x */
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(texts); i++) {
        const struct pullkey_secret token = view(texts[i]);
        cleanup_json struct json claims = { 0 };
        struct pullkey_error error;

        assert_refused(jwt_claims(&token, &claims, &error), PULLKEY_INVALID,
                       "this is no JSON Web Token", error);
        assert_int_equal(jwt_expiry(&token), 0);
    }
    assert_int_equal(jwt_expiry(&(struct pullkey_secret){ 0 }), 0);
}

static void ends_that_are_none(void **state)
{
    static const char *const texts[] = {
        "a.eyJhIjoxfQ.c",                         /* {"a":1} */
        "a.eyJleHAiOiIxNzk1NTczNjMyIn0.c",        /* {"exp":"1795573632"} */
        "a.eyJleHAiOi0xfQ.c",                     /* {"exp":-1} */
        "a.eyJleHAiOjFlMzAwfQ.c",                 /* {"exp":1e300} */
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(texts); i++) {
        const struct pullkey_secret token = view(texts[i]);
        cleanup_json struct json claims = { 0 };
        struct pullkey_error error;

        assert_fine(jwt_claims(&token, &claims, &error), error);
        assert_int_equal(jwt_expiry(&token), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(tokens), cmocka_unit_test(no_tokens),
                                        cmocka_unit_test(ends_that_are_none) };

    json_start();
    return cmocka_run_group_tests_name("JSON Web Tokens", tests, NULL, NULL);
}
