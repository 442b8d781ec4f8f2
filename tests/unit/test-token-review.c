/* SPDX-License-Identifier: Apache-2.0 */
/* What a TokenReview asks, and which answers are believed. */
#include "unit.h"

#include "base/json.h"
#include "base/secret.h"
#include "kubernetes/token-review.h"

#define TOKEN "eyJh.eyJiIjoiYyJ9.c2lnbmF0dXJlLW9mLWl0"

static const struct pullkey_workload workload = {
    .token = { (char[]){ TOKEN }, sizeof(TOKEN) - 1 },
    .audiences = "[\"pullkey\",\"other\"]",
    .pod = "web-1",
    .pod_uid = "p-1",
    .service_account = "web",
    .service_account_uid = "s-1",
    .namespace_name = "team",
    .node = "node-a",
};

static void request(void **state)
{
    struct pullkey_secret text = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_fine(token_review_write(&workload, &text, &error), error);
    assert_string_equal(text.bytes,
                        "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenReview\","
                        "\"spec\":{\"audiences\":[\"pullkey\",\"other\"],"
                        "\"token\":\"" TOKEN "\"}}");
    secret_done(&text);
}

#define USER "\"username\":\"system:serviceaccount:team:web\""
#define UID "\"uid\":\"s-1\""
#define POD "\"authentication.kubernetes.io/pod-name\":[\"web-1\"]"
#define POD_UID "\"authentication.kubernetes.io/pod-uid\":[\"p-1\"]"
#define NODE(name) "\"authentication.kubernetes.io/node-name\":" name
#define STATUS(text) "{\"status\":{" text "}}"
#define GOOD "\"authenticated\":true,\"audiences\":[\"other\"],"
#define AS(user, uid, extra) STATUS(GOOD "\"user\":{" user "," uid ",\"extra\":{" extra "}}")

static void answers(void **state)
{
    static const struct {
        const char *text, *said; /* NULL: it is believed */
        enum pullkey_error_class code;
    } rows[] = {
        { AS(USER, UID, POD "," POD_UID), NULL, 0 },
        { AS(USER, UID, POD "," POD_UID "," NODE("[\"node-a\"]")), NULL, 0 },
        { AS(USER, UID, POD "," POD_UID "," NODE("[\"node-b\"]")), "another node", PULLKEY_DENIED },
        { AS(USER, UID, POD "," POD_UID "," NODE("null")), "another node", PULLKEY_DENIED },
        { AS("\"username\":\"system:serviceaccount:team:webs\"", UID, POD "," POD_UID),
          "another service account than", PULLKEY_DENIED },
        { AS("\"username\":\"system:serviceaccount:teams:web\"", UID, POD "," POD_UID),
          "another service account than", PULLKEY_DENIED },
        { AS("\"username\":null", UID, POD "," POD_UID), "another service account than",
          PULLKEY_DENIED },
        { AS(USER, "\"uid\":\"s-2\"", POD "," POD_UID), "uid of its service account",
          PULLKEY_DENIED },
        { AS(USER, "\"x\":1", POD "," POD_UID), "uid of its service account", PULLKEY_DENIED },
        { AS(USER, UID, POD_UID), "another pod", PULLKEY_DENIED },
        { AS(USER, UID, POD), "uid of its pod", PULLKEY_DENIED },
        { AS(USER, UID, "\"authentication.kubernetes.io/pod-name\":[\"web-2\"]," POD_UID),
          "another pod", PULLKEY_DENIED },
        { AS(USER, UID, "\"authentication.kubernetes.io/pod-name\":\"web-1\"," POD_UID),
          "another pod", PULLKEY_DENIED },
        { AS(USER, UID, "\"authentication.kubernetes.io/pod-name\":[]," POD_UID), "another pod",
          PULLKEY_DENIED },
        { AS(USER, UID, "\"authentication.kubernetes.io/pod-name\":[\"web-1\",\"b\"]," POD_UID),
          "another pod", PULLKEY_DENIED },
        { AS(USER, UID, POD ",\"authentication.kubernetes.io/pod-uid\":[\"p-2\"]"),
          "uid of its pod", PULLKEY_DENIED },
        { STATUS(GOOD "\"user\":null"), "another service account than", PULLKEY_DENIED },
        { STATUS("\"authenticated\":true,\"user\":{}"), "for the audience", PULLKEY_DENIED },
        { STATUS("\"authenticated\":true,\"audiences\":[\"https://api\"],\"user\":{}"),
          "for the audience", PULLKEY_DENIED },
        { STATUS("\"authenticated\":true,\"audiences\":[1,null],\"user\":{}"), "for the audience",
          PULLKEY_DENIED },
        { STATUS("\"authenticated\":true,\"audiences\":\"pullkey\",\"user\":{}"),
          "for the audience", PULLKEY_DENIED },
        { STATUS("\"authenticated\":\"true\",\"audiences\":[\"pullkey\"]"), "does not know",
          PULLKEY_DENIED },
        { STATUS("\"authenticated\":false,\"error\":\"it is not\""),
          "does not know this token: it is not", PULLKEY_DENIED },
        { STATUS(""), "does not know", PULLKEY_DENIED },
        { "{\"status\":[]}", "without a status", PULLKEY_INVALID },
        { "{\"spec\":{\"authenticated\":true}}", "without a status", PULLKEY_INVALID },
        { "[]", "without a status", PULLKEY_INVALID },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_json struct json json = { 0 };
        struct pullkey_error error = { 0 };
        int r;

        assert_fine(json_parse(&json, "a", rows[i].text, strlen(rows[i].text), 0, &error), error);
        r = token_review_read(&json, &workload, &error);
        if (rows[i].said)
            assert_refused(r, rows[i].code, rows[i].said, error);
        else
            assert_fine(r, error);
    }
}

/* Whoever verifies tokens may say which one it was, or a part of it. */
static void reasons_with_a_token(void **state)
{
    static const struct {
        const char *text;
        bool is_shown;
    } rows[] = {
        { STATUS("\"error\":\"no such token: " TOKEN "\""), false },
        { STATUS("\"error\":\"bad signature c2lnbmF0dXJlLW9m\""), false },
        { STATUS("\"error\":\"bad: iIjoiYyJ9.c2lnbm\""), false },
        { STATUS("\"error\":\"bad signature c2lnbmF0\""), true },
        { STATUS("\"error\":\"it has expired\""), true },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_json struct json json = { 0 };
        struct pullkey_error error = { 0 };

        assert_fine(json_parse(&json, "a", rows[i].text, strlen(rows[i].text), 0, &error), error);
        assert_int_equal(token_review_read(&json, &workload, &error), -PULLKEY_DENIED);
        assert_int_equal(strcmp(error.message, "the API server does not know this token") != 0,
                         rows[i].is_shown);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(request), cmocka_unit_test(answers),
                                        cmocka_unit_test(reasons_with_a_token) };

    json_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
