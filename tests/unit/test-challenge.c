/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "http/challenge.h"

/* Writes a list so that a test can compare it: scheme{token68}[name=value|name=value] scheme... */
static void show(const struct challenges *list, char *ret, size_t size)
{
    size_t used = 0;

    ret[0] = '\0';
#define ADD(...) (used += (size_t)snprintf(ret + used, size - used, __VA_ARGS__))
    for (size_t i = 0; i < list->count; i++) {
        const struct challenge *challenge = &list->items[i];

        ADD("%s%s", i > 0 ? " " : "", challenge->scheme);
        if (challenge->token68)
            ADD("{%s}", challenge->token68);
        for (size_t j = 0; j < challenge->parameter_count; j++)
            ADD("%s%s=%s%s", j == 0 ? "[" : "|", challenge->parameters[j].name,
                challenge->parameters[j].value, j + 1 == challenge->parameter_count ? "]" : "");
    }
#undef ADD
    assert_true(used < size);
}

static void test_accepts(void **state)
{
    static const struct {
        const char *header, *expected;
    } cases[] = {
        { "Bearer realm=\"https://auth.example.com/token\",service=\"registry\"",
          "bearer[realm=https://auth.example.com/token|service=registry]" },
        { "Basic realm=simple", "basic[realm=simple]" },
        { "Negotiate", "negotiate" },
        { "Negotiate YWJj/+==", "negotiate{YWJj/+==}" },
        { "Negotiate abc", "negotiate{abc}" },
        { "NTLM, Basic realm=\"x\"", "ntlm basic[realm=x]" },
        { "Negotiate abc=, Basic realm=\"a, b\", charset=\"UTF-8\", Digest nonce=n , x=\"y\"",
          "negotiate{abc=} basic[realm=a, b|charset=UTF-8] digest[nonce=n|x=y]" },
        { "bAsIc ReAlM=\"CaSe\"", "basic[realm=CaSe]" },
        { "Basic realm=\"a\\\"b\\\\c\\d\"", "basic[realm=a\"b\\cd]" },
        { "Basic realm=\"\"", "basic[realm=]" },
        { "Basic realm = \"x\" , a\t=\tb", "basic[realm=x|a=b]" },
        { ", ,Basic realm=x,,, Bearer a=b , ,", "basic[realm=x] bearer[a=b]" },
        { "  \t Basic   realm=x  ", "basic[realm=x]" },
        { "Basic realm=\"tab\there\"", "basic[realm=tab\there]" },
        { "Basic realm=\"\xc3\xbc\"", "basic[realm=\xc3\xbc]" },
        { "Bearer realm=\"x\",scope=\"repository:a/b:pull,push\",error=\"invalid_token\"",
          "bearer[realm=x|scope=repository:a/b:pull,push|error=invalid_token]" },
        { "Basic realm=", "basic{realm=}" }, /* RFC 9110 reads it so */
        { "", "" },
        { " , ", "" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct challenges list = { 0 };
        struct pullkey_error error;
        char text[1024];

        assert_fine(challenges_add(&list, cases[i].header, strlen(cases[i].header), &error), error);
        show(&list, text, sizeof(text));
        assert_string_equal(text, cases[i].expected);
        challenges_done(&list);
    }
}

static void test_refuses(void **state)
{
    static const char *const headers[] = {
        "realm=\"x\"",
        "Basic realm=\"x",
        "Basic realm=\"x\\",
        "Basic realm=\"x\" y",
        "Basic realm=\"x\"y=z",
        "Basic realm=\"a\", realm=\"b\"",
        "Basic realm=\"a\", REALM=b",
        "Basic a b",
        "Basic a b=c",
        "Basic abc=, x=y",
        "Basic =x",
        "Basic x==y",
        "\"Basic\" realm=x",
        "Basic@x",
        "Basic/x y=z",
        "Basic realm=\"a\nb\"",
        "Basic realm=a\x01",
        "Basic realm=http://x",
        "B\xc3\xbc realm=x",
        "Basic realm=\"a\x7f\"",
        ";",
        "Basic realm=x;y=z",
        "Bearer a=b c=d",
        "Basic realm=\"x\"\"y\"",
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(headers); i++) {
        struct challenges list = { 0 };
        struct pullkey_error error = { 0 };
        int r = challenges_add(&list, headers[i], strlen(headers[i]), &error);

        if (r == 0)
            fail_msg("accepted: %s", headers[i]);
        assert_refused(r, PULLKEY_INVALID, "WWW-Authenticate", error);
        assert_int_equal(list.count, 0);
        assert_int_equal(list.text_count, 0);
        challenges_done(&list);
    }
}

static void add_text(struct challenges *list, const char *text)
{
    struct pullkey_error error;

    assert_fine(challenges_add(list, text, strlen(text), &error), error);
}

static void test_several_headers(void **state)
{
    struct challenges list = { 0 };
    struct pullkey_error error = { 0 };
    const struct challenge *bearer;

    (void)state;
    add_text(&list, "Basic realm=one");
    assert_int_equal(challenges_add(&list, "Digest a=b, Basic \"", 19, &error), -PULLKEY_INVALID);
    assert_int_equal(list.count, 1); /* a bad header leaves nothing, not even its good part */
    add_text(&list, "BEARER Realm=\"two\", service=three, Bearer realm=four");
    bearer = challenges_find(&list, "bearer");
    assert_non_null(bearer);
    assert_string_equal(challenge_parameter(bearer, "realm"), "two");
    assert_null(challenge_parameter(bearer, "scope"));
    assert_string_equal(challenge_parameter(challenges_find(&list, "basic"), "realm"), "one");
    assert_null(challenges_find(&list, "digest"));
    challenges_done(&list);
    assert_int_equal(list.count, 0);
}

static int add_repeated(const char *first, const char *piece, size_t times)
{
    size_t size = strlen(first) + strlen(piece) * times + 1;
    char *text = malloc(size);
    struct challenges list = { 0 };
    struct pullkey_error error;
    int r;

    assert_non_null(text);
    (void)snprintf(text, size, "%s", first);
    for (size_t i = 0; i < times; i++)
        memcpy(text + strlen(first) + i * strlen(piece), piece, strlen(piece));
    r = challenges_add(&list, text, size - 1, &error);
    challenges_done(&list);
    free(text);
    return r;
}

static void test_limits(void **state)
{
    struct challenges list = { 0 };
    struct pullkey_error error;
    char parameters[512] = "A a=b";
    size_t used = strlen(parameters);

    (void)state;
    assert_int_equal(add_repeated("", "A,", CHALLENGES_MAX), 0);
    assert_int_equal(add_repeated("", "A,", CHALLENGES_MAX + 1), -PULLKEY_INVALID);
    assert_int_equal(add_repeated("A ", "x", CHALLENGE_HEADER_MAX - 2), 0);
    assert_int_equal(add_repeated("A ", "x", CHALLENGE_HEADER_MAX - 1), -PULLKEY_INVALID);
    assert_int_equal(add_repeated("", ",", CHALLENGE_HEADER_MAX), 0);
    for (int i = 1; i < CHALLENGE_PARAMETERS_MAX; i++)
        used += (size_t)snprintf(parameters + used, sizeof(parameters) - used, ",p%d=v", i);
    add_text(&list, parameters);
    assert_int_equal(list.items[0].parameter_count, CHALLENGE_PARAMETERS_MAX);
    (void)snprintf(parameters + used, sizeof(parameters) - used, ",more=v");
    assert_refused(challenges_add(&list, parameters, strlen(parameters), &error), PULLKEY_INVALID,
                   "too many", error);
    assert_int_equal(challenges_add(&list, "A\0B", 3, &error), -PULLKEY_INVALID);
    challenges_done(&list);
    for (int i = 0; i < CHALLENGES_MAX; i++)
        add_text(&list, "");
    assert_int_equal(challenges_add(&list, "", 0, &error), -PULLKEY_INVALID);
    challenges_done(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_several_headers),
        cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
