/* SPDX-License-Identifier: Apache-2.0 */
/* Service account tokens: their claims, and what is no such token. The clock is the test's. */
#include "unit.h"

#include "base/clock.h"
#include "base/secret.h"
#include "base/text.h"
#include "kubelet/claims.h"

#define NOW 1800000000
#define SIGNATURE "c2lnbmF0dXJl"
#define HEADER "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ" /* {"alg":"RS256","kid":"x"} */
#define NO_TOKEN "is no service account token"

/* As an API server issues them (KEP-1205, KEP-4193), but for the values. */
#define NAMES                                                                                      \
    "\"kubernetes.io\":{\"namespace\":\"team-a\",\"node\":{\"name\":\"node-1\",\"uid\":\"7-8\"},"  \
    "\"pod\":{\"name\":\"app-0\",\"uid\":\"4-5-6\"},"                                              \
    "\"serviceaccount\":{\"name\":\"builder\",\"uid\":\"1-2-3\"}},"
#define SUB "\"sub\":\"system:serviceaccount:team-a:builder\""
#define AUD "\"aud\":[\"registry.example.com\"],"
#define EXP "\"exp\":1800003600,"
#define REST "\"iat\":1800000000,\"iss\":\"https://kubernetes.default.svc\",\"jti\":\"a-b\","
#define GOOD "{" AUD EXP REST NAMES "\"nbf\":1800000000," SUB "}"

static int64_t now;

int64_t __wrap_clock_wall_seconds(void);

int64_t __wrap_clock_wall_seconds(void)
{
    return now;
}

static int begin(void **state)
{
    (void)state;
    json_start();
    now = NOW;
    return 0;
}

/* HEADER.payload.SIGNATURE; to be released. */
static char *make_token(const char *payload, size_t length)
{
    cleanup_buffer struct buffer buffer = BUFFER_INIT(4 * JSON_SIZE_MAX);
    struct pullkey_secret text = { 0 };
    struct pullkey_error error;

    buffer_append_text(&buffer, HEADER ".");
    text_base64url_encode(&buffer, payload, length);
    buffer_append_text(&buffer, "." SIGNATURE);
    assert_fine(buffer_steal(&buffer, &text, &error), error);
    return text.bytes;
}

static void refused_token(const char *text, enum pullkey_error_class class, const char *part)
{
    char *token = secret_copy(text, strlen(text));
    struct claims claims;
    struct pullkey_error error = { 0 };

    assert_refused(claims_read(token, NULL, NULL, &claims, &error), class, part, error);
    assert_null(claims.json.root);
    assert_null(claims.annotations.data);
    assert_null(claims.audiences.data);
    secret_release(token);
}

static void refused(const char *payload)
{
    char *token = make_token(payload, strlen(payload));

    refused_token(token, PULLKEY_INVALID, NO_TOKEN);
    secret_release(token);
}

static void accepted(const char *payload)
{
    char *token = make_token(payload, strlen(payload));
    cleanup_claims struct claims claims;
    struct pullkey_error error;

    assert_fine(claims_read(token, NULL, NULL, &claims, &error), error);
    secret_release(token);
}

static void claims_of_a_pod(void **state)
{
    char *token = make_token(GOOD, strlen(GOOD));
    cleanup_claims struct claims claims;
    const struct pullkey_workload *workload = &claims.workload;
    struct pullkey_error error;

    (void)state;
    assert_fine(claims_read(token, NULL, NULL, &claims, &error), error);
    assert_int_equal(workload->size, sizeof(*workload));
    assert_ptr_equal(workload->token.bytes, token);
    assert_int_equal(workload->token.length, strlen(token));
    assert_int_equal(workload->token_expiry, NOW + 3600);
    assert_string_equal(workload->namespace_name, "team-a");
    assert_string_equal(workload->service_account, "builder");
    assert_string_equal(workload->service_account_uid, "1-2-3");
    assert_string_equal(workload->pod, "app-0");
    assert_string_equal(workload->pod_uid, "4-5-6");
    assert_string_equal(workload->node, "node-1");
    assert_string_equal(workload->node_uid, "7-8");
    assert_string_equal(workload->annotations, "{}");
    assert_string_equal(workload->audiences, "[\"registry.example.com\"]");
    secret_release(token);
}

/* A release before 1.30 names no node, and a token may be bound to nothing. */
static void what_a_token_may_lack(void **state)
{
    static const char payload[] =
        "{\"aud\":\"one\",\"exp\":1800003600.5,\"kubernetes.io\":{\"namespace\":\"team-a\","
        "\"serviceaccount\":{\"name\":\"builder\"},\"warnafter\":1800003607}," SUB "}";
    char *token = make_token(payload, strlen(payload));
    cleanup_claims struct claims claims;
    struct pullkey_error error;

    (void)state;
    assert_fine(claims_read(token, NULL, NULL, &claims, &error), error);
    assert_string_equal(claims.workload.service_account_uid, "");
    assert_string_equal(claims.workload.pod, "");
    assert_string_equal(claims.workload.pod_uid, "");
    assert_string_equal(claims.workload.node, "");
    assert_string_equal(claims.workload.node_uid, "");
    assert_int_equal(claims.workload.token_expiry, NOW + 3600);
    assert_string_equal(claims.workload.audiences, "[\"one\"]");
    secret_release(token);
}

static void annotations_are_passed_on(void **state)
{
    static const char text[] = "{\"example.com/role\": \"a \\\"b\\\"\", \"c\": \"\"}";
    char *token = make_token(GOOD, strlen(GOOD));
    cleanup_json struct json json = { 0 };
    cleanup_claims struct claims claims;
    struct pullkey_error error;

    (void)state;
    assert_fine(json_parse(&json, "annotations", text, strlen(text), 0, &error), error);
    assert_fine(claims_read(token, json.root, NULL, &claims, &error), error);
    assert_string_equal(claims.workload.annotations,
                        "{\"example.com/role\":\"a \\\"b\\\"\",\"c\":\"\"}");
    secret_release(token);
}

/* Row 26 of the threat model: a minute of difference between two clocks, and no more. */
static void times(void **state)
{
    char *token = make_token(GOOD, strlen(GOOD));
    struct pullkey_error error;
    static const struct {
        int64_t now;
        const char *part; /* NULL: accepted */
    } cases[] = {
        { NOW, NULL },
        { NOW + 3600, NULL },
        { NOW + 3600 + CLAIMS_LEEWAY_SECONDS - 1, NULL },
        { NOW + 3600 + CLAIMS_LEEWAY_SECONDS, "has expired" },
        { NOW + 24 * 3600, "has expired" },
        { NOW - CLAIMS_LEEWAY_SECONDS, NULL },
        { NOW - CLAIMS_LEEWAY_SECONDS - 1, "is not valid yet" },
        { NOW - 24 * 3600, "is not valid yet" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct claims claims;
        int r;

        now = cases[i].now;
        r = claims_read(token, NULL, NULL, &claims, &error);
        if (cases[i].part)
            assert_refused(r, PULLKEY_DENIED, cases[i].part, error);
        else
            assert_fine(r, error);
        claims_done(&claims);
    }
    secret_release(token);
    refused("{" AUD REST NAMES SUB "}");
    refused("{" AUD "\"exp\":\"1800003600\"," REST NAMES SUB "}");
    refused("{" AUD "\"exp\":null," REST NAMES SUB "}");
    refused("{" AUD "\"exp\":0," REST NAMES SUB "}");
    refused("{" AUD "\"exp\":-1," REST NAMES SUB "}");
    refused("{" AUD "\"exp\":1e300," REST NAMES SUB "}");
    refused("{" AUD EXP REST NAMES "\"nbf\":\"1800000000\"," SUB "}");
    refused("{" AUD EXP REST NAMES "\"nbf\":null," SUB "}");
    now = NOW;
    accepted("{" AUD EXP NAMES SUB "}");
}

static void subjects_that_disagree(void **state)
{
    static const char *const subjects[] = {
        "",
        "builder",
        "system:serviceaccount:",
        "system:serviceaccount:team-a",
        "system:serviceaccount:team-a:",
        "system:serviceaccount:team-a:builder2",
        "system:serviceaccount:team-a:builde",
        "system:serviceaccount:team-b:builder",
        "system:serviceaccount:team-a-:builder",
        "system:serviceaccount:team:a:builder",
        "system:serviceaccount::builder",
        "System:serviceaccount:team-a:builder",
        "system:node:node-1",
        " system:serviceaccount:team-a:builder",
        "system:serviceaccount:team-a:builder ",
    };
    char payload[1024];

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(subjects); i++) {
        (void)snprintf(payload, sizeof(payload), "{" AUD EXP REST NAMES "\"sub\":\"%s\"}",
                       subjects[i]);
        refused(payload);
    }
    refused("{" AUD EXP REST NAMES "\"x\":1}");
    refused("{" AUD EXP REST NAMES "\"sub\":[\"system:serviceaccount:team-a:builder\"]}");
    /* Empty names agree with an empty subject. */
    refused("{" AUD EXP "\"kubernetes.io\":{\"namespace\":\"\",\"serviceaccount\":{\"name\":\"\"}},"
            "\"sub\":\"system:serviceaccount::\"}");
    refused("{" AUD EXP
            "\"kubernetes.io\":{\"namespace\":\"a\",\"serviceaccount\":{\"name\":\"\"}},"
            "\"sub\":\"system:serviceaccount:a:\"}");
    refused("{" AUD EXP "\"kubernetes.io\":{\"serviceaccount\":{\"name\":\"b\"}},"
            "\"sub\":\"system:serviceaccount::b\"}");
}

/* Row 27: a token that is not for an audience is not what a kubelet asks for. */
static void audiences(void **state)
{
    static const char *const none[] = { "null",          "\"\"",      "[]",     "[\"\"]",
                                        "[\"a\",\"\"]",  "[\"a\",1]", "[null]", "{}",
                                        "{\"a\":\"b\"}", "7",         "true",   "[[\"a\"]]" };
    char payload[1024];

    (void)state;
    refused("{" EXP REST NAMES SUB "}");
    for (size_t i = 0; i < UNIT_COUNT(none); i++) {
        (void)snprintf(payload, sizeof(payload), "{\"aud\":%s," EXP REST NAMES SUB "}", none[i]);
        refused(payload);
    }
    accepted("{\"aud\":[\"a\",\"b\"]," EXP REST NAMES SUB "}");
    accepted("{\"aud\":\"a\"," EXP REST NAMES SUB "}");
}

/* Row 27: nor is one for another audience than the configuration names. */
static void configured_audience(void **state)
{
    static const struct {
        const char *audiences, *expected;
        bool is_fine;
    } rows[] = {
        { "[\"a\"]", "a", true },  { "\"a\"", "a", true },   { "[\"b\",\"a\"]", "a", true },
        { "[\"b\"]", "a", false }, { "\"ab\"", "a", false }, { "[\"A\",\"a \"]", "a", false },
    };
    char payload[1024];

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_claims struct claims claims;
        struct pullkey_error error;
        char *token;
        int r;

        (void)snprintf(payload, sizeof(payload), "{\"aud\":%s," EXP REST NAMES SUB "}",
                       rows[i].audiences);
        token = make_token(payload, strlen(payload));
        r = claims_read(token, NULL, rows[i].expected, &claims, &error);
        if (rows[i].is_fine)
            assert_fine(r, error);
        else
            assert_refused(r, PULLKEY_DENIED, "is not for the audience \"a\"", error);
        secret_release(token);
    }
}

/* Of other issuers, of Kubernetes before bound tokens, and payloads that are none. */
static void tokens_of_others(void **state)
{
    static const char *const payloads[] = {
        "{}",
        "[]",
        "null",
        "7",
        "\"" SIGNATURE "\"",
        "{\"aud\":\"a\"," EXP "\"sub\":\"alice\",\"iss\":\"https://issuer.example.com\"}",
        "{\"iss\":\"kubernetes/serviceaccount\",\"kubernetes.io/serviceaccount/namespace\":"
        "\"team-a\",\"kubernetes.io/serviceaccount/service-account.name\":\"builder\"," SUB "}",
        "{" AUD EXP "\"kubernetes.io\":[]," SUB "}",
        "{" AUD EXP "\"kubernetes.io\":{\"namespace\":7,\"serviceaccount\":[]}," SUB "}",
        "{" AUD EXP "\"kubernetes.io\":\"team-a\"," SUB "}",
        GOOD "x",
        GOOD GOOD,
        "{" AUD EXP REST NAMES NAMES SUB "}",
        "{" AUD EXP EXP REST NAMES SUB "}",
        "{" AUD EXP REST NAMES "\"sub\":\"system:serviceaccount:team-a:builder\\u0000x\"}",
        "{" AUD EXP REST NAMES SUB ",\"x\":\"\xff\"}",
        "{" AUD EXP REST NAMES SUB ",}",
        "",
        " ",
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(payloads); i++)
        refused(payloads[i]);
}

static void nul_in_the_payload(void **state)
{
    static const char payload[] = "{" AUD EXP REST NAMES SUB "}\0";
    char *token = make_token(payload, sizeof(payload) - 1);

    (void)state;
    refused_token(token, PULLKEY_INVALID, NO_TOKEN);
    secret_release(token);
}

/* A token, each way that its parts can be wrong. */
static void parts(void **state)
{
    char *token = make_token(GOOD, strlen(GOOD));
    const char *payload = strchr(token, '.') + 1;
    const int length = (int)strcspn(payload, ".");
    char text[4096];
    static const char *const around[][2] = {
        { "", "" },
        { HEADER ".", "" },
        { HEADER ".", "." },
        { ".", "." SIGNATURE },
        { HEADER, "." SIGNATURE },
        { HEADER ".", SIGNATURE },
        { HEADER ".", "." SIGNATURE "." SIGNATURE },
        { HEADER ".", "=." SIGNATURE },
        { HEADER ".", "==." SIGNATURE },
        { HEADER ".", "A." SIGNATURE },
        { HEADER ".=", "." SIGNATURE },
        { HEADER ".+", "." SIGNATURE },
        { HEADER ".", "/." SIGNATURE },
        { HEADER ".", "\n." SIGNATURE },
        { HEADER ". ", "." SIGNATURE },
        { HEADER ".", "." SIGNATURE "\n" },
        { " " HEADER ".", "." SIGNATURE },
        { HEADER "\r\n.", "." SIGNATURE },
        { HEADER ".", "." SIGNATURE "=" },
        { HEADER "\xff.", "." SIGNATURE },
        { HEADER "..", "." SIGNATURE },
    };
    static const char *const fixed[] = { "",
                                         ".",
                                         "..",
                                         "...",
                                         "a.b",
                                         "a.b.c",
                                         "a..c",
                                         HEADER ".." SIGNATURE,
                                         HEADER ".e30." SIGNATURE,
                                         "not a token" };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(around); i++) {
        assert_true(snprintf(text, sizeof(text), "%s%.*s%s", around[i][0], length, payload,
                             around[i][1]) < (int)sizeof(text));
        refused_token(text, PULLKEY_INVALID, NO_TOKEN);
    }
    for (size_t i = 0; i < UNIT_COUNT(fixed); i++)
        refused_token(fixed[i], PULLKEY_INVALID, NO_TOKEN);
    secret_release(token);
}

/* All three remainders of base64, and the two characters that differ. */
static void alphabet(void **state)
{
    (void)state;
    accepted("{" AUD EXP NAMES SUB ",\"x\":\"\"}");
    accepted("{" AUD EXP NAMES SUB ",\"x\":\"1\"}");
    accepted("{" AUD EXP NAMES SUB ",\"x\":\"12\"}");
    for (unsigned int shift = 0; shift < 3; shift++) {
        char payload[1024];
        char *token;

        (void)snprintf(payload, sizeof(payload),
                       "{\"x\":\"%.*s~~~>?>?>?~~~>>>\"," AUD EXP NAMES SUB "}", (int)shift, "aa");
        token = make_token(payload, strlen(payload));
        assert_non_null(strpbrk(token, "-_"));
        secret_release(token);
        accepted(payload);
    }
}

/* As long as a secret may be, and one byte more. */
static void sizes(void **state)
{
    cleanup_buffer struct buffer token = BUFFER_INIT(2 * PULLKEY_SECRET_MAX);
    char *good = make_token(GOOD, strlen(GOOD));
    struct claims claims;
    struct pullkey_error error;

    (void)state;
    buffer_append_text(&token, good);
    while (token.length < PULLKEY_SECRET_MAX)
        buffer_append_text(&token, "x");
    assert_fine(claims_read(token.data, NULL, NULL, &claims, &error), error);
    claims_done(&claims);
    buffer_append_text(&token, "x");
    refused_token(token.data, PULLKEY_INVALID, NO_TOKEN);
    secret_release(good);
}

/* An error holds nothing of the token. */
static void errors_repeat_nothing(void **state)
{
    static const char payload[] =
        "{" AUD EXP REST NAMES "\"sub\":\"MARKER\",\"MARKER\":\"MARKER\"}";
    char *token = make_token(payload, strlen(payload));
    struct claims claims;
    struct pullkey_error error = { 0 };

    (void)state;
    assert_int_equal(claims_read(token, NULL, NULL, &claims, &error), -PULLKEY_INVALID);
    assert_null(strstr(error.message, "MARKER"));
    assert_null(strstr(error.message, HEADER));
    secret_release(token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(claims_of_a_pod, begin),
        cmocka_unit_test_setup(what_a_token_may_lack, begin),
        cmocka_unit_test_setup(annotations_are_passed_on, begin),
        cmocka_unit_test_setup(times, begin),
        cmocka_unit_test_setup(subjects_that_disagree, begin),
        cmocka_unit_test_setup(audiences, begin),
        cmocka_unit_test_setup(configured_audience, begin),
        cmocka_unit_test_setup(tokens_of_others, begin),
        cmocka_unit_test_setup(nul_in_the_payload, begin),
        cmocka_unit_test_setup(parts, begin),
        cmocka_unit_test_setup(alphabet, begin),
        cmocka_unit_test_setup(sizes, begin),
        cmocka_unit_test_setup(errors_repeat_nothing, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
