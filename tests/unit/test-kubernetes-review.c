/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <string.h>

#include "base/json.h"
#include "base/secret.h"
#include "kubernetes/review.h"

static void request(void **state)
{
    struct pullkey_secret text = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_int_equal(review_write("use", "https://a.example/\"x\"", &text, &error), 0);
    assert_string_equal(text.bytes,
                        "{\"apiVersion\":\"authorization.k8s.io/v1\","
                        "\"kind\":\"SelfSubjectAccessReview\",\"spec\":{\"resourceAttributes\":"
                        "{\"group\":\"\",\"verb\":\"use\","
                        "\"resource\":\"https://a.example/\\\"x\\\"\"}}}");
    secret_done(&text);
}

static void answers(void **state)
{
    static const struct {
        const char *text;
        int expected;
        const char *message; /* part of it */
    } rows[] = {
        { "{\"status\":{\"allowed\":true}}", 0, NULL },
        { "{\"status\":{\"allowed\":false}}", -PULLKEY_DENIED, "verb use on aud is not allowed" },
        { "{\"status\":{\"allowed\":false,\"reason\":\"no role\"}}", -PULLKEY_DENIED,
          "not allowed: no role" },
        { "{\"status\":{\"allowed\":\"true\"}}", -PULLKEY_INVALID, "without a status" },
        { "{\"status\":{}}", -PULLKEY_INVALID, "without a status" },
        { "{\"spec\":{\"allowed\":true}}", -PULLKEY_INVALID, "without a status" },
        { "[]", -PULLKEY_INVALID, "without a status" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct pullkey_error error = { 0 };
        struct json json = { 0 };

        assert_int_equal(json_parse(&json, "a", rows[i].text, strlen(rows[i].text), 0, &error), 0);
        assert_int_equal(review_read(&json, "use", "aud", &error), rows[i].expected);
        if (rows[i].message)
            assert_non_null(strstr(error.message, rows[i].message));
        json_done(&json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(request), cmocka_unit_test(answers) };

    json_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
