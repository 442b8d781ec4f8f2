/* SPDX-License-Identifier: Apache-2.0 */
/* When a token ends, in all the ways in which servers say it. */
#include "unit.h"

#include "base/json.h"
#include "base/secret.h"
#include "base/text.h"
#include "token/expiry.h"

#define NOW 1700000000
#define MOST (NOW + EXPIRY_MAX_SECONDS)
#define NONE (-1) /* refused */

struct sample {
    const char *text;
    int64_t want;
};

static int64_t read_value(const char *text, int (*read)(const cJSON *item, int64_t now,
                                                        int64_t *ret, struct pullkey_error *error))
{
    cleanup_json struct json json = { 0 };
    struct pullkey_error error;
    int64_t end = 42;

    assert_fine(json_parse(&json, "v", text, strlen(text), 0, &error), error);
    if (read(json.root, NOW, &end, &error) == 0)
        return end;
    assert_int_equal(error.code, PULLKEY_INVALID);
    assert_int_equal(end, 42);
    return NONE;
}

static void lives(void **state)
{
    static const struct sample samples[] = {
        { "1", NOW + 1 },
        { "3600", NOW + 3600 },
        { "\"3600\"", NOW + 3600 },
        { "3599.9", NOW + 3599 },
        { "\"3599.9\"", NOW + 3599 },
        { "1e3", NOW + 1000 },
        { "604800", MOST },
        { "604801", MOST },
        { "1e300", MOST },
        { "\"999999999999999\"", MOST },
        { "null", 0 },
        { "0", NONE },
        { "0.5", NONE },
        { "\"0.5\"", NONE },
        { "-1", NONE },
        { "\"-1\"", NONE },
        { "\"\"", NONE },
        { "\"soon\"", NONE },
        { "\"60s\"", NONE },
        { "\"60.\"", NONE },
        { "\".5\"", NONE },
        { "\" 60\"", NONE },
        { "\"1e3\"", NONE },
        { "\"1000000000000000\"", NONE },
        { "true", NONE },
        { "[60]", NONE },
        { "{}", NONE },
    };
    struct pullkey_error error;
    int64_t end;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(samples); i++)
        if (read_value(samples[i].text, expiry_in) != samples[i].want)
            fail_msg("expires_in %s", samples[i].text);
    assert_fine(expiry_in(NULL, NOW, &end, &error), error);
    assert_int_equal(end, 0);
}

static void epochs(void **state)
{
    static const struct sample samples[] = {
        { "1700000060", NOW + 60 },
        { "\"1700000060\"", NOW + 60 },
        { "1700000060.75", NOW + 60 },
        { "\"1700000060.75\"", NOW + 60 },
        { "1700000060123", NOW + 60 },
        { "\"1700000060123\"", NOW + 60 },
        { "1420070400", 1420070400 },
        { "1420070400000", 1420070400 },
        { "99999999999", MOST },
        { "100000000000", 100000000 },
        { "1", 1 },
        { "0", NONE },
        { "-1700000060", NONE },
        { "1e18", NONE },
        { "\"1e9\"", NONE },
        { "null", NONE },
        { "\"2030-01-01T00:00:00Z\"", NONE },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(samples); i++)
        if (read_value(samples[i].text, expiry_epoch) != samples[i].want)
            fail_msg("epoch %s", samples[i].text);
}

static void dates(void **state)
{
    static const struct sample samples[] = {
        { "2023-11-14T22:14:20Z", NOW + 60 },
        { "2023-11-14t22:14:20z", NOW + 60 },
        { "2023-11-14 22:14:20Z", NOW + 60 },
        { "2023-11-14T22:14:20.999999999Z", NOW + 60 },
        { "2023-11-14T23:14:20+01:00", NOW + 60 },
        { "2023-11-14T16:44:20-05:30", NOW + 60 },
        { "2023-11-14T22:14:20.5+00:00", NOW + 60 },
        { "2015-01-01T00:00:00Z", 1420070400 },
        { "2016-02-29T00:00:00Z", 1456704000 },
        { "2016-12-31T23:59:60Z", 1483228800 },
        { "2030-01-01T00:00:00Z", MOST },
        { "0001-01-01T00:00:00Z", NONE },
        { "1969-12-31T23:59:59Z", NONE },
        { "2015-02-29T00:00:00Z", NONE },
        { "1900-02-29T00:00:00Z", NONE },
        { "2015-00-01T00:00:00Z", NONE },
        { "2015-13-01T00:00:00Z", NONE },
        { "2015-01-00T00:00:00Z", NONE },
        { "2015-04-31T00:00:00Z", NONE },
        { "2015-01-01T24:00:00Z", NONE },
        { "2015-01-01T00:60:00Z", NONE },
        { "2015-01-01T00:00:61Z", NONE },
        { "2015-01-01T00:00:00", NONE },
        { "2015-01-01T00:00:00.Z", NONE },
        { "2015-01-01T00:00:00ZZ", NONE },
        { "2015-01-01T00:00:00+1:00", NONE },
        { "2015-01-01T00:00:00+24:00", NONE },
        { "2015-01-01T00:00:00+01:60", NONE },
        { "2015-01-01T00:00:00+01:00Z", NONE },
        { "2015-01-01T00:00:00+0100", NONE },
        { "2015-1-01T00:00:00Z", NONE },
        { " 2015-01-01T00:00:00Z", NONE },
        { "+015-01-01T00:00:00Z", NONE },
        { "2015-01-01X00:00:00Z", NONE },
        { "2015-01-01", NONE },
        { "", NONE },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(samples); i++) {
        struct pullkey_error error = { 0 };
        int64_t end = NONE;

        if (expiry_date(samples[i].text, NOW, &end, &error) < 0)
            assert_int_equal(error.code, PULLKEY_INVALID);
        if (end != samples[i].want)
            fail_msg("\"%s\": %lld", samples[i].text, (long long)end);
    }
}

static int64_t jwt(const char *claims)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(1024);
    struct pullkey_secret token;

    buffer_append_text(&text, "e30.");
    text_base64url_encode(&text, claims, strlen(claims));
    buffer_append_text(&text, ".c2ln");
    token = (struct pullkey_secret){ text.data, text.length };
    return expiry_jwt(&token, NOW);
}

static void tokens(void **state)
{
    const struct pullkey_secret opaque = { (char[]){ "opaque" }, 6 };

    (void)state;
    assert_int_equal(jwt("{\"exp\":1700000060}"), NOW + 60);
    assert_int_equal(jwt("{\"exp\":1700000060.5}"), NOW + 60);
    assert_int_equal(jwt("{\"exp\":1600000000}"), 1600000000);
    assert_int_equal(jwt("{\"exp\":2000000000}"), MOST);
    assert_int_equal(jwt("{\"exp\":\"1700000060\"}"), 0);
    assert_int_equal(jwt("{\"exp\":-1}"), 0);
    assert_int_equal(jwt("{}"), 0);
    assert_int_equal(expiry_jwt(&opaque, NOW), 0);
}

static void over(void **state)
{
    struct pullkey_error error;

    (void)state;
    assert_fine(expiry_check(NOW + 1, NOW, &error), error);
    assert_refused(expiry_check(NOW, NOW, &error), PULLKEY_INVALID, "clock", error);
    assert_refused(expiry_check(1420070400, NOW, &error), PULLKEY_INVALID, "expired", error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lives),  cmocka_unit_test(epochs), cmocka_unit_test(dates),
        cmocka_unit_test(tokens), cmocka_unit_test(over),
    };

    json_start();
    return cmocka_run_group_tests_name("expiry", tests, NULL, NULL);
}
