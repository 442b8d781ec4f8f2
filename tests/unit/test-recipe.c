/* SPDX-License-Identifier: Apache-2.0 */
/* Recipe files: what is one and what is none; values in texts; what is found in answers. */
#include "unit.h"

#include "base/secret.h"
#include "token/recipe.h"

/* A recipe with one member more or changed: the parts are put together as they are. */
#define HEAD "{\"version\":1,\"description\":\"d\","
#define VARIABLES                                                                                  \
    "\"variables\":{\"a\":{\"description\":\"d\",\"default\":\"x\"},\"s\":{\"description\":\"d\"}" \
    "},"
#define SERVERS "\"servers\":[\"https://h.test\",\"https://${host}\",\"${s}\"],"
#define ANSWER "\"answer\":{\"username\":\"u\",\"secret\":\"${t}\"}}"
#define TAKE ",\"take\":{\"t\":\"/t\"}}]," ANSWER
#define LIFETIME(number)                                                                           \
    HEAD "\"answer\":{\"username\":\"u\",\"secret\":\"s\",\"lifetime\":" number "}}"
#define STEP(members) HEAD VARIABLES SERVERS "\"steps\":[{" members TAKE
#define GET(url, more) STEP("\"method\":\"GET\",\"url\":\"" url "\"" more)
#define POST(more) STEP("\"method\":\"POST\",\"url\":\"https://h.test/x\"," more)

static int parse(const char *text, struct recipe *ret, struct pullkey_error *error)
{
    return recipe_parse("r", text, strlen(text), ret, error);
}

static void good(void **state)
{
    static const char *const texts[] = {
        GET("https://h.test/x", ""),
        GET("https://h.test/", ""),
        GET("https://${host}/x/${path}/${host}", ""),
        GET("${s}/x/${a}", ""),
        GET("https://h.test/x%20y;v=1/...", ""),
        GET("https://h.test/x",
            ",\"query\":{\"q\":\"${identity}\"},\"bearer\":\"${identity.sub}\""),
        GET("https://h.test/x", ",\"basic\":{\"username\":\"${a}\",\"password\":\"${identity}\"}"),
        GET("https://h.test/x", ",\"expect\":[200,299]"),
        POST("\"form\":{\"f\":\"${a}\"}"),
        POST("\"json\":{\"j\":\"${a}\",\"n\":{\"number\":\"${a}\"}}"),
        POST("\"json\":{},\"headers\":{\"X-Token_1\":\"${identity}\"}"),
        HEAD "\"answer\":{\"username\":\"u\",\"secret\":\"${identity}$\",\"lifetime\":60}}",
        LIFETIME("0"),
        LIFETIME("604800"),
        HEAD "\"$schema\":\"s\",\"registries\":[\"r.test\",\"*.r.test\"],\"identity\":{},"
             "\"answer\":{\"username\":\"u\","
             "\"secret\":\"s\",\"expires_in\":\"5\"},}",
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(texts); i++) {
        struct pullkey_error error;
        struct recipe recipe;

        assert_fine(parse(texts[i], &recipe, &error), error);
        assert_string_equal(recipe.name, "r");
        recipe_done(&recipe);
    }
}

static void bad(void **state)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        { "", "r:1" },
        { "[]", "must be an object" },
        { "{}", "has no \"version\"" },
        { "{\"version\":0.5,\"description\":\"\",\"answer\":{}}", "version: must be 1" },
        { "{\"version\":\"1\",\"description\":\"\",\"answer\":{}}", "version: must be 1" },
        { "{\"version\":2,\"description\":\"\",\"answer\":{}}", "version: must be 1" },
        { HEAD "\"answer\":{}}", "answer: has no \"username\"" },
        { LIFETIME("-1"), "a whole number of seconds up to a week" },
        { LIFETIME("0.5"), "a whole number of seconds up to a week" },
        { LIFETIME("604801"), "a whole number of seconds up to a week" },
        { LIFETIME("9.2e18"), "a whole number of seconds up to a week" },
        { LIFETIME("1e300"), "a whole number of seconds up to a week" },
        { LIFETIME("\"60\""), "a whole number of seconds up to a week" },
        { HEAD "\"answer\":{\"username\":\"u\",\"secret\":\"${s}\"}}",
          "answer.secret: has in ${}" },
        { HEAD "\"answer\":{\"username\":\"${identity.}\",\"secret\":\"s\"}}",
          "answer.username: has in ${}" },
        { HEAD "\"more\":1," ANSWER, "more: no recipe has such a member" },
        { HEAD "\"variables\":{\"A\":{\"description\":\"\"}}," ANSWER,
          "variables.A: a variable is called" },
        { HEAD "\"variables\":{\"host\":{\"description\":\"\"}}," ANSWER,
          "variables.host: a variable is called" },
        { HEAD "\"variables\":{\"identity\":{\"description\":\"\"}}," ANSWER,
          "a variable is called" },
        { HEAD "\"variables\":{\"a\":{}}," ANSWER, "has no \"description\"" },
        { HEAD "\"variables\":{\"a\":\"b\"}," ANSWER, "must be an object" },
        { HEAD "\"registries\":[1]," ANSWER, "must be text" },
        { HEAD "\"registries\":[\"\"]," ANSWER, "registry's host" },
        { HEAD "\"registries\":[\"*\"]," ANSWER, "registry's host" },
        { HEAD "\"registries\":[\"*.com\"]," ANSWER, "registry's host" },
        { HEAD "\"registries\":[\"a*.test\"]," ANSWER, "registry's host" },
        { HEAD "\"registries\":[\"R.test\"]," ANSWER, "in lower case" },
        { HEAD "\"registries\":[\"https://r.test\"]," ANSWER, "registry's host" },
        { HEAD "\"servers\":[\"http://h.test\"]," ANSWER, "servers[0]: must be https://HOST" },
        { HEAD "\"servers\":[\"https://H.test\"]," ANSWER, "must be https://HOST" },
        { HEAD "\"servers\":[\"https://h.test/\"]," ANSWER, "must be https://HOST" },
        { HEAD "\"servers\":[\"https://h.test/x\"]," ANSWER, "must be https://HOST" },
        { HEAD "\"servers\":[\"https://u@h.test\"]," ANSWER, "must be https://HOST" },
        { HEAD "\"servers\":[\"https://h%2etest\"]," ANSWER, "must be https://HOST" },
        { HEAD "\"servers\":[\"https://h.test?q\"]," ANSWER, "must be https://HOST" },
        { HEAD "\"servers\":[\"https://*.test\"]," ANSWER, "must be https://HOST" },
        { HEAD "\"servers\":[\"https://169.254.169.254\"]," ANSWER, "must be https://HOST" },
        { HEAD "\"servers\":[\"https://169.254.1.2:8443\"]," ANSWER, "must be https://HOST" },
        { HEAD "\"servers\":[\"https://[::ffff:169.254.169.254]\"]," ANSWER,
          "must be https://HOST" },
        { HEAD "\"servers\":[\"https://[fe80::1]\"]," ANSWER, "must be https://HOST" },
        { HEAD "\"servers\":[\"https://[fd00:ec2:7::1]\"]," ANSWER, "must be https://HOST" },
        { HEAD "\"servers\":[\"https://metadata\"]," ANSWER, "must be https://HOST" },
        { HEAD "\"servers\":[\"https://${path}\"]," ANSWER, "must be https://HOST" },
        { HEAD "\"servers\":[\"https://${host}.evil.test\"]," ANSWER, "must be https://HOST" },
        { HEAD "\"servers\":[\"${identity}\"]," ANSWER, "must be https://HOST" },
        { HEAD VARIABLES "\"servers\":[\"${s}${a}\"]," ANSWER, "must be https://HOST" },
        { HEAD VARIABLES "\"servers\":[\"https://${s}\"]," ANSWER, "must be https://HOST" },
        { HEAD VARIABLES "\"servers\":[\"${s}/x\"]," ANSWER, "must be https://HOST" },
        { HEAD "\"servers\":[1]," ANSWER, "must be text" },
        { HEAD
          "\"servers\":[\"https://a.b\",\"https://a.b\",\"https://a.b\",\"https://a.b\"]," ANSWER,
          "more than 3" },
        { GET("https://evil.test/x", ""), "steps[0].url: must begin with one of" },
        { GET("https://h.test", ""), "must begin with one of" },
        { GET("https://h.test:8443/x", ""), "must begin with one of" },
        { GET("https://h.test:443/x", ""), "must begin with one of" },
        { GET("HTTPS://h.test/x", ""), "must begin with one of" },
        { GET("https://H.test/x", ""), "must begin with one of" },
        { GET("https://h.test.evil.test/x", ""), "must begin with one of" },
        { GET("https://h.test@evil.test/x", ""), "must begin with one of" },
        { GET("https://u@h.test/x", ""), "must begin with one of" },
        { GET("https://h.test\\\\@evil.test/x", ""), "must begin with one of" },
        { GET("https://h%2etest/x", ""), "must begin with one of" },
        { GET("//h.test/x", ""), "must begin with one of" },
        { GET("${s}.evil.test/x", ""), "must begin with one of" },
        { GET("${a}/x", ""), "must begin with one of" },
        { GET("${s}", ""), "must begin with one of" },
        { GET("", ""), "must begin with one of" },
        { GET("https://h.test/x?q=${a}", ""), "a character that no path may have" },
        { GET("https://h.test/x#f", ""), "a character that no path may have" },
        { GET("https://h.test/x y", ""), "a character that no path may have" },
        { GET("https://h.test/\\\\x", ""), "a character that no path may have" },
        { GET("https://h.test/\xc3\xa9", ""), "a character that no path may have" },
        { GET("https://h.test/a/../x", ""), "has \".\" or \"..\"" },
        { GET("https://h.test/a/.", ""), "has \".\" or \"..\"" },
        { GET("https://h.test/a/%2e%2E/x", ""), "has \".\" or \"..\"" },
        { GET("https://h.test/a/.%2e;p/x", ""), "has \".\" or \"..\"" },
        { GET("https://h.test/${identity}", ""), "may hold variables, host and path" },
        { GET("https://h.test/${identity.sub}", ""), "may hold variables, host and path" },
        { GET("https://h.test/${t}", ""), "may hold variables, host and path" },
        { GET("https://h.test/${}", ""), "may hold variables, host and path" },
        { GET("https://h.test/${a", ""), "has a \"${\" without its \"}\"" },
        { GET("https://h.test/x", ",\"bearer\":\"${a}${identity\""),
          "has a \"${\" without its \"}\"" },
        { POST("\"form\":{\"f\":\"${\"}"), "has a \"${\" without its \"}\"" },
        { HEAD "\"answer\":{\"username\":\"u\",\"secret\":\"${identity\"}}",
          "answer.secret: has a \"${\" without its \"}\"" },
        { GET("https://h.test/x", ",\"query\":{\"q\":\"${t}\"}"), "steps[0].query.q: has in ${}" },
        { GET("https://h.test/x", ",\"query\":{\"q\":1}"), "an object of texts" },
        { GET("https://h.test/x", ",\"query\":{\"q\":{\"number\":\"1\"}}"), "an object of texts" },
        { GET("https://h.test/x", ",\"form\":{}"), "a GET neither" },
        { GET("https://h.test/x",
              ",\"bearer\":\"x\",\"basic\":{\"username\":\"\",\"password\":\"\"}"),
          "excludes" },
        { GET("https://h.test/x", ",\"basic\":{\"username\":\"\"}"), "has no \"password\"" },
        { GET("https://h.test/x", ",\"expect\":[302]"), "must be a status from 200 to 299" },
        { GET("https://h.test/x", ",\"expect\":[200.5]"), "must be a status from 200 to 299" },
        { GET("https://h.test/x", ",\"expect\":[1e10]"), "must be a status from 200 to 299" },
        { GET("https://h.test/x", ",\"headers\":{\"Host\":\"evil.test\"}"),
          "no header that a recipe may set" },
        { GET("https://h.test/x", ",\"headers\":{\"hOST\":\"evil.test\"}"),
          "no header that a recipe may set" },
        { GET("https://h.test/x", ",\"headers\":{\"Authorization\":\"x\"}"),
          "no header that a recipe may set" },
        { GET("https://h.test/x", ",\"headers\":{\"Transfer-Encoding\":\"x\"}"),
          "no header that a recipe may set" },
        { GET("https://h.test/x", ",\"headers\":{\"Proxy-Authorization\":\"x\"}"),
          "no header that a recipe may set" },
        { GET("https://h.test/x", ",\"headers\":{\"A: b\":\"x\"}"), "is no name of a header" },
        { GET("https://h.test/x", ",\"headers\":{\"\":\"x\"}"), "is no name of a header" },
        { POST("\"form\":{},\"json\":{}"), "a POST has" },
        { POST("\"json\":{\"n\":5}"), "must be text, or an object" },
        { POST("\"json\":{\"n\":{\"number\":5}}"), "must be text, or an object" },
        { POST("\"json\":{\"n\":{\"number\":\"5\",\"x\":\"y\"}}"), "must be text, or an object" },
        { POST("\"json\":{\"n\":{}}"), "must be text, or an object" },
        { STEP("\"method\":\"PUT\",\"url\":\"https://h.test/x\""), "must be GET or POST" },
        { STEP("\"url\":\"https://h.test/x\""), "has no \"method\"" },
        { HEAD SERVERS "\"steps\":[1]," ANSWER, "servers[2]: must be https://HOST" },
        { HEAD VARIABLES SERVERS "\"steps\":[1]," ANSWER, "steps[0]: must be an object" },
        { HEAD VARIABLES SERVERS "\"steps\":[{},{},{},{},{}]," ANSWER, "more than 4 steps" },
        { HEAD VARIABLES SERVERS "\"steps\":[{\"method\":\"GET\",\"url\":\"https://h.test/"
                                 "x\",\"take\":{\"t\":\"t\"}}]," ANSWER,
          "must be a JSON pointer" },
        { HEAD VARIABLES SERVERS "\"steps\":[{\"method\":\"GET\",\"url\":\"https://h.test/"
                                 "x\",\"take\":{\"host\":\"/t\"}}]," ANSWER,
          "not host, path or identity" },
        { HEAD VARIABLES SERVERS "\"steps\":[{\"method\":\"GET\",\"url\":\"${s}/"
                                 "x\",\"take\":{\"s\":\"/t\",\"t\":\"/t\"}}]," ANSWER,
          "may hold variables, host and path" },
        { HEAD VARIABLES SERVERS "\"steps\":[{\"method\":\"GET\",\"url\":\"${s}/"
                                 "x\",\"take\":{\"t\":\"/${identity}\"}}]," ANSWER,
          "may hold variables, and nothing else" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct pullkey_error error = { 0 };
        struct recipe recipe;

        if (parse(cases[i].text, &recipe, &error) == 0)
            fail_msg("taken: %s", cases[i].text);
        if (!strstr(error.message, cases[i].said))
            fail_msg("%s: \"%s\" does not contain \"%s\"", cases[i].text, error.message,
                     cases[i].said);
    }
}

static void registries(void **state)
{
    static const struct {
        const char *host;
        uint16_t port;
        bool is_served;
    } cases[] = {
        { "r.test", 0, true },
        { "r.test", 443, false },
        { "x.r.test", 0, false },
        { "a.w.test", 0, true },
        { "w.test", 0, false },
        { "a.b.w.test", 0, false },
        { ".w.test", 0, false },
        { "aw.test", 0, false },
        { "r.test.evil.test", 0, false },
        { "a.w.test.evil.test", 0, false },
        { "", 0, false },
        { "evilr.test", 0, false },
    };
    struct pullkey_error error;
    struct recipe recipe;

    (void)state;
    assert_fine(parse(HEAD "\"registries\":[\"r.test\",\"*.w.test\"],\"answer\":{\"username\":"
                           "\"u\",\"secret\":\"s\"}}",
                      &recipe, &error),
                error);
    for (size_t i = 0; i < UNIT_COUNT(cases); i++)
        if (recipe_serves(&recipe, cases[i].host, cases[i].port) != cases[i].is_served)
            fail_msg("%s:%u", cases[i].host, cases[i].port);
    recipe_done(&recipe);
    assert_fine(parse(HEAD "\"answer\":{\"username\":\"u\",\"secret\":\"s\"}}", &recipe, &error),
                error);
    assert_true(recipe_serves(&recipe, "any.test", 5000));
    assert_false(recipe.asks_identity);
    recipe_done(&recipe);
}

/* In any text of a step or of the answer; what people read is no such text. */
static void paths_are_used(void **state)
{
    static const char with_words[] =
        "{\"version\":1,\"description\":\"${path}\","
        "\"answer\":{\"username\":\"${host}\",\"secret\":\"$path\"},\"$schema\":\"${path}\"}";
    static const struct {
        const char *text;
        bool is_used;
    } cases[] = {
        { GET("https://${host}/x", ""), false },
        { GET("https://${host}/x/${path}/${host}", ""), true },
        { GET("https://h.test/x", ",\"query\":{\"q\":\"a${path}\"}"), true },
        { POST("\"json\":{\"n\":{\"number\":\"${path}\"}}"), true },
        { POST("\"json\":{},\"headers\":{\"X-Path\":\"${path}\"}"), true },
        { HEAD "\"answer\":{\"username\":\"u\",\"secret\":\"s${path}\"}}", true },
        { with_words, false },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct pullkey_error error;
        struct recipe recipe;

        assert_fine(parse(cases[i].text, &recipe, &error), error);
        if (recipe.uses_path != cases[i].is_used)
            fail_msg("case %zu", i);
        recipe_done(&recipe);
    }
}

static void set(struct recipe_values *values, const char *name, enum recipe_origin origin,
                const char *text)
{
    struct pullkey_error error;

    assert_fine(recipe_set(values, name, origin, text, strlen(text), &error), error);
}

static void texts(void **state)
{
    static const struct {
        const char *text;
        enum recipe_place place;
        const char *result;
    } cases[] = {
        { "plain", RECIPE_TEXT, "plain" },
        { "", RECIPE_TEXT, "" },
        { "${v}", RECIPE_TEXT, "a/b~ c" },
        { "<${v}><${none}>$", RECIPE_TEXT, "<a/b~ c><>$" },
        { "${v", RECIPE_TEXT, "${v" },
        { "${}x$${i}", RECIPE_TEXT, "x$to.ken" },
        { "/x/${v}/${h}", RECIPE_PATH, "/x/a/b~%20c/h%2Fi%3A1" },
        { "/data/${v}", RECIPE_POINTER, "/data/a~1b~0 c" },
        { "${identity.sub}:${identity.n}:${identity.}:${identity.none}", RECIPE_TEXT, "me:::" },
    };
    struct recipe_values values = { .count = 0 };
    struct pullkey_error error;
    struct json claims;

    (void)state;
    assert_fine(json_parse(&claims, "c", "{\"sub\":\"me\",\"n\":1}", 18, 0, &error), error);
    set(&values, "v", RECIPE_VARIABLE, "first");
    set(&values, "v", RECIPE_VARIABLE, "a/b~ c");
    set(&values, "h", RECIPE_REQUEST, "h/i:1");
    set(&values, "i", RECIPE_SECRET, "to.ken");
    assert_int_equal(values.count, 3);
    values.claims = claims.root;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        cleanup_buffer struct buffer text = BUFFER_INIT(200);

        assert_fine(recipe_expand(&values, cases[i].text, cases[i].place, &text, &error), error);
        assert_string_equal(text.data ? text.data : "", cases[i].result);
    }
    assert_true(recipe_is_secret(&values, "${v}${i}"));
    assert_false(recipe_is_secret(&values, "${v}${h}i${none}${identity.sub}"));
    recipe_values_done(&values);
    json_done(&claims);
}

static void paths(void **state)
{
    static const char *const fine[] = { "/",   "/a",         "/a.b/..c/c..", "/...",
                                        "/.a", "/%2e%2e%2e", "/%2fx",        "" };
    static const char *const climbing[] = { "/.",   "/..",   "/../a",     "/a/..", "/a/./b",
                                            "/%2e", "/%2E.", "/a/.%2e/b", "/..;x", "//.." };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(fine); i++)
        if (recipe_path_climbs(fine[i]))
            fail_msg("%s", fine[i]);
    for (size_t i = 0; i < UNIT_COUNT(climbing); i++)
        if (!recipe_path_climbs(climbing[i]))
            fail_msg("%s", climbing[i]);
}

static void pointers(void **state)
{
    static const char text[] =
        "{\"a\":{\"b/c\":\"x\",\"d~\":[\"y\",{\"e\":12}]},\"t\":true,\"n\":null,\"\":\"z\","
        "\"most\":9007199254740991,\"over\":9007199254740992,\"far\":12345678901234567890,"
        "\"under\":-9007199254740992}";
    static const struct {
        const char *pointer, *result;
    } cases[] = {
        { "/a/b~1c", "x" },     { "/a/d~0/0", "y" },
        { "/a/d~0/1/e", "12" }, { "/t", "true" },
        { "/", "z" },           { "/n", NULL },
        { "/a", NULL },         { "/a/d~0/2", NULL },
        { "/a/d~0/01", NULL },  { "/a/d~0/-1", NULL },
        { "/a/d~0/0/x", NULL }, { "/t/x", NULL },
        { "/none", NULL },      { "a", NULL },
        { "", NULL },           { "/~2", NULL },
        { "/a/d~", NULL },      { "/a/d~0/99999", NULL },
        { "/over", NULL },      { "/far", NULL },
        { "/under", NULL },     { "/most", "9007199254740991" },
    };
    struct pullkey_error error;
    struct json json;

    (void)state;
    assert_fine(json_parse(&json, "j", text, strlen(text), 0, &error), error);
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        cleanup_buffer struct buffer found = BUFFER_INIT(100);

        if (recipe_point(json.root, cases[i].pointer, &found) != (cases[i].result != NULL))
            fail_msg("%s", cases[i].pointer);
        if (cases[i].result)
            assert_string_equal(found.data, cases[i].result);
    }
    json_done(&json);
}

static void reasons(void **state)
{
    static const struct {
        const char *body, *reason;
        bool again;
    } cases[] = {
        { "{\"error\":\"invalid_grant\",\"error_description\":\"too old\"}",
          "invalid_grant: too old", false },
        { "{\"error\":\"server_error\"}", "server_error", true },
        { "{\"error\":\"temporarily_unavailable\"}", "temporarily_unavailable", true },
        { "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"no\"}]}", "DENIED: no", false },
        { "{\"errors\":[\"permission denied\"]}", "permission denied", false },
        { "{\"errors\":[]}", "", false },
        { "{\"error\":{\"code\":7,\"message\":\"no\"}}", "7: no", false },
        { "{\"message\":\"401 Unauthorized\"}", "401 Unauthorized", false },
        { "{\"detail\":\"a\\nb\\u001b[1m\"}", "a?b?[1m", false },
        { "{\"detail\":\"has secret-of in it\"}", "", false },
        { "{\"detail\":\"has he-job in it\"}", "has he-job in it", false },
        { "{\"detail\":\"has key1 in it\"}", "", false },
        { "{\"detail\":\"has variable-x in it\"}", "has variable-x in it", false },
        { "{\"error\":\"secret-of-the-job\",\"error_description\":\"x\"}", "", false },
        { "<html>", "", false },
        { "", "", false },
        { "[]", "", false },
    };
    struct recipe_values values = { .count = 0 };

    (void)state;
    set(&values, "identity", RECIPE_SECRET, "secret-of-the-job");
    set(&values, "short", RECIPE_SECRET, "key1");
    set(&values, "tiny", RECIPE_SECRET, "in");
    set(&values, "variable", RECIPE_VARIABLE, "variable-x");
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        cleanup_buffer struct buffer body = BUFFER_INIT(1000);
        char reason[RECIPE_REASON_SIZE];
        bool again;

        buffer_append_text(&body, cases[i].body);
        recipe_reason(&body, &values, reason, &again);
        assert_string_equal(reason, cases[i].reason);
        assert_int_equal(again, cases[i].again);
    }
    recipe_values_done(&values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),       cmocka_unit_test(bad),
        cmocka_unit_test(registries), cmocka_unit_test(texts),
        cmocka_unit_test(paths),      cmocka_unit_test(pointers),
        cmocka_unit_test(reasons),    cmocka_unit_test(paths_are_used),
    };

    json_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
