/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/json.h"
#include "http/retry.h"

#define NOW 784111777 /* Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110 section 5.6.7 */

static void test_status(void **state)
{
    static const long again[] = { 408, 429, 500, 502, 503, 504 };

    (void)state;
    for (long status = 100; status < 600; status++) {
        bool expected = false;

        for (size_t i = 0; i < UNIT_COUNT(again); i++)
            expected = expected || status == again[i];
        assert_int_equal(retry_status(status), expected);
    }
}

static void test_body(void **state)
{
    static const struct {
        const char *text;
        bool expected;
    } cases[] = {
        { "{\"error\": \"server_error\"}", true },
        { "{\"error\": \"temporarily_unavailable\", \"error_description\": \"x\"}", true },
        { "{\"error\": \"internal_failure\"}", true },
        { "{\"error\": \"invalid_grant\"}", false },
        { "{\"error\": \"invalid_client\"}", false },
        { "{\"error\": \"invalid_target\"}", false },
        { "{\"error\": \"access_denied\"}", false },
        { "{\"error\": \"SERVER_ERROR\"}", false },
        { "{\"error\": {\"error\": \"server_error\"}}", false },
        { "{\"error\": \"invalid_grant\", \"error\": \"server_error\"}", false },
        { "[\"server_error\"]", false },
        { "server_error", false },
        { "", false },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct buffer body = BUFFER_INIT(1024);

        buffer_append_text(&body, cases[i].text);
        assert_int_equal(retry_body(&body), cases[i].expected);
        buffer_done(&body);
    }
}

static void test_after(void **state)
{
    static const struct {
        const char *value;
        int64_t expected;
    } cases[] = {
        { "0", 0 },
        { "7", 7000 },
        { "120", 120000 },
        { "86400", 86400000 },
        { "86401", 86400000 },
        { "999999999999999999999999", 86400000 },
        { "-1", -1 },
        { "1.5", -1 },
        { "", -1 },
        { "soon", -1 },
        { "7 s", -1 },
        { "Sun, 06 Nov 1994 08:49:37 GMT", 0 },
        { "Sun, 06 Nov 1994 08:49:40 GMT", 3000 },
        { "Sunday, 06-Nov-94 08:49:40 GMT", 3000 },
        { "Sun Nov  6 08:49:40 1994", 3000 },
        { "Sun, 06 Nov 1994 08:00:00 GMT", 0 },
        { "Tue, 08 Nov 2094 08:00:00 GMT", 86400000 },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++)
        if (retry_after_ms(cases[i].value, NOW) != cases[i].expected)
            fail_msg("%s gives %lld", cases[i].value,
                     (long long)retry_after_ms(cases[i].value, NOW));
}

static void test_delay(void **state)
{
    int64_t least = INT64_MAX, most = 0;

    (void)state;
    for (unsigned int random = 0; random < 65536; random++) {
        int64_t delay = retry_delay_ms(0, random);

        least = delay < least ? delay : least;
        most = delay > most ? delay : most;
        assert_true(retry_delay_ms(1, random) >= 1800 && retry_delay_ms(1, random) <= 2200);
    }
    assert_int_equal(least, 900);
    assert_int_equal(most, 1100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_body),
        cmocka_unit_test(test_after),
        cmocka_unit_test(test_delay),
    };

    json_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
