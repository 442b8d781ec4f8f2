/* SPDX-License-Identifier: Apache-2.0 */
/* What token servers answer: tokens, refusals, and what neither is. */
#include "unit.h"

#include "base/json.h"
#include "base/secret.h"
#include "token/expiry.h"
#include "token/oauth.h"

#define NOW 1700000000
#define SECRET "sEcReT-0123456789-abcdefghij.klmnop"
#define JWT_LONG_AGO "e30.eyJleHAiOjE2MDAwMDAwMDB9.c2ln" /* exp 1600000000 */
#define JWT_SOON "e30.eyJleHAiOjE3MDAwMDAxMDB9.c2ln"     /* exp 1700000100 */

static struct buffer body_of(const char *text)
{
    struct buffer body = BUFFER_INIT(2 * PULLKEY_SECRET_MAX);

    buffer_append_text(&body, text);
    return body;
}

static int reply_of(const char *text, struct oauth_reply *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer body = body_of(text);

    *ret = (struct oauth_reply){ 0 };
    return oauth_read_reply(&body, NOW, ret, error);
}

static void replies(void **state)
{
    cleanup_oauth_reply struct oauth_reply reply = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_fine(
        reply_of(
            "{\"access_token\":\"a\",\"token_type\":\"N_A\",\"expires_in\":\"600\","
            "\"issued_token_type\":\"urn:x\",\"refresh_token\":\"r\",\"scope\":\"s\",\"more\":{}}",
            &reply, &error),
        error);
    assert_string_equal(reply.access_token.bytes, "a");
    assert_string_equal(reply.refresh_token.bytes, "r");
    assert_string_equal(reply.issued_type, "urn:x");
    assert_int_equal(reply.expiry, NOW + 600);
}

static void ends(void **state)
{
    static const struct {
        const char *text;
        int64_t end;
    } samples[] = {
        { "{\"access_token\":\"a\"}", NOW + 60 },
        { "{\"access_token\":\"a\",\"expires_in\":null,\"refresh_token\":\"\"}", NOW + 60 },
        { "{\"access_token\":\"" JWT_SOON "\"}", NOW + 100 },
        { "{\"access_token\":\"" JWT_SOON "\",\"expires_in\":50,\"token_type\":\"bearer\"}",
          NOW + 50 },
        { "{\"access_token\":\"a\",\"expires_in\":1e9}", NOW + EXPIRY_MAX_SECONDS },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(samples); i++) {
        cleanup_oauth_reply struct oauth_reply reply = { 0 };
        struct pullkey_error error;

        assert_fine(reply_of(samples[i].text, &reply, &error), error);
        assert_int_equal(reply.expiry, samples[i].end);
        assert_null(reply.refresh_token.bytes);
        assert_string_equal(reply.issued_type, "");
    }
}

static void no_replies(void **state)
{
    static const struct {
        const char *text, *said;
    } samples[] = {
        { "", "reply" },
        { "[]", "access_token" },
        { "{\"access_token\":\"\"}", "access_token" },
        { "{\"access_token\":1}", "access_token" },
        { "{\"access_token\":\"a b\"}", "bytes that no token may have" },
        { "{\"access_token\":\"a\\nb\"}", "bytes that no token may have" },
        { "{\"access_token\":\"\\u00e9\",\"refresh_token\":\"r\"}",
          "bytes that no token may have" },
        { "{\"token\":\"a\"}", "access_token" },
        { "{\"access_token\":\"a\",\"token_type\":\"DPoP\"}", "token_type" },
        { "{\"access_token\":\"a\",\"token_type\":\"mac\"}", "token_type" },
        { "{\"access_token\":\"a\",\"token_type\":1}", "token_type" },
        { "{\"access_token\":\"a\",\"token_type\":\"\"}", "token_type" },
        { "{\"access_token\":\"a\",\"issued_token_type\":[]}", "issued_token_type" },
        { "{\"access_token\":\"a\",\"expires_in\":0.5}", "expires_in" },
        { "{\"access_token\":\"a\",\"expires_in\":\"soon\",\"refresh_token\":\"r\"}",
          "expires_in" },
        { "{\"access_token\":\"" JWT_LONG_AGO "\"}", "clock" },
        { "{\"access_token\":\"a\",\"access_token\":\"b\"}", "reply" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(samples); i++) {
        cleanup_oauth_reply struct oauth_reply reply = { 0 };
        struct pullkey_error error;

        assert_refused(reply_of(samples[i].text, &reply, &error), PULLKEY_INVALID, samples[i].said,
                       error);
        assert_null(reply.access_token.bytes);
        /* The one that was sent is used up. */
        assert_true(!reply.refresh_token.bytes ==
                    !strstr(samples[i].text, "\"refresh_token\":\"r"));
    }
}

static int error_of(const char *text, long status, const struct buffer *form,
                    struct pullkey_error *error)
{
    cleanup_buffer struct buffer body = body_of(text);

    return oauth_read_error(&body, status, "issuer.test", "the job", form, error);
}

static void refusals(void **state)
{
    static const struct {
        const char *text;
        long status;
        enum pullkey_error_class class;
        const char *said;
    } samples[] = {
        { "{\"error\":\"invalid_request\"}", 400, PULLKEY_DENIED, "a parameter is missing" },
        { "{\"error\":\"invalid_client\"}", 401, PULLKEY_DENIED, "client_auth" },
        { "{\"error\":\"invalid_grant\"}", 400, PULLKEY_DENIED, "has expired" },
        { "{\"error\":\"unauthorized_client\"}", 400, PULLKEY_DENIED, "allow this grant" },
        { "{\"error\":\"unsupported_grant_type\"}", 400, PULLKEY_DENIED,
          "does not know this grant" },
        { "{\"error\":\"invalid_scope\"}", 400, PULLKEY_DENIED, "\"scope\"" },
        { "{\"error\":\"invalid_target\"}", 400, PULLKEY_DENIED, "\"audience\" and" },
        { "{\"error\":\"access_denied\"}", 401, PULLKEY_DENIED, "its issuer" },
        { "{\"error\":\"consent_required\"}", 400, PULLKEY_DENIED, "consent_required (see" },
        { "{\"error\":\"server_error\"}", 400, PULLKEY_UNREACHABLE, "server_error (try" },
        { "{\"error\":\"temporarily_unavailable\"}", 400, PULLKEY_UNREACHABLE, "later" },
        { "{\"error\":\"internal_failure\"}", 400, PULLKEY_UNREACHABLE, "later" },
        { "{\"error\":\"invalid_grant\"}", 500, PULLKEY_UNREACHABLE, "invalid_grant" },
        { "{\"error\":\"invalid_request\"}", 429, PULLKEY_UNREACHABLE, "invalid_request" },
        { "busy", 429, PULLKEY_UNREACHABLE, "429" },
        { "", 501, PULLKEY_UNREACHABLE, "501" },
        { "", 401, PULLKEY_DENIED, "is its address right" },
        { "<html>", 403, PULLKEY_DENIED, "is its address right" },
        { "{}", 404, PULLKEY_INVALID, "404" },
        { "{\"error\":{\"code\":1}}", 400, PULLKEY_INVALID, "400" },
        { "{\"error\":\"No Code, But Text\"}", 400, PULLKEY_INVALID, "400" },
        { "{\"error\":\"invalid_grant\",\"error_description\":\"too\\nold\"}", 400, PULLKEY_DENIED,
          "the token server issuer.test refuses the job: invalid_grant, \"too?old\" (" },
        { "{\"error\":\"invalid_grant\",\"error_description\":[1]}", 400, PULLKEY_DENIED,
          "invalid_grant (" },
    };
    const struct buffer form = BUFFER_INIT(16);

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(samples); i++) {
        struct pullkey_error error;

        assert_refused(error_of(samples[i].text, samples[i].status, &form, &error),
                       samples[i].class, samples[i].said, error);
    }
}

/* Only what the server says is dropped, and only where it has a secret in it. */
static void nothing_secret_is_repeated(void **state)
{
    static const char *const names[] = { "subject_token", "actor_token",      "assertion",
                                         "client_secret", "client_assertion", "refresh_token",
                                         "access_token" };
    char text[1024];

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(names); i++) {
        cleanup_buffer struct buffer form = BUFFER_INIT(4096);
        struct pullkey_error error;

        http_query_add(&form, "grant_type", "urn:ietf:params:oauth:x", 23);
        http_query_add(&form, names[i], SECRET, strlen(SECRET));
        http_query_add(&form, "audience", "https://registry.example.com", 28);
        (void)snprintf(text, sizeof(text),
                       "{\"error\":\"invalid_grant\",\"error_description\":\"bad %.20s\"}",
                       &SECRET[5]);
        assert_refused(error_of(text, 400, &form, &error), PULLKEY_DENIED,
                       "refuses the job: invalid_grant (the identity", error);
        /* A description that is cut in the midst of it. */
        (void)snprintf(text, sizeof(text),
                       "{\"error\":\"invalid_grant\",\"error_description\":\"%190s%s\"}", "x",
                       SECRET);
        assert_refused(error_of(text, 400, &form, &error), PULLKEY_DENIED, "invalid_grant (",
                       error);
        (void)snprintf(
            text, sizeof(text),
            "{\"error\":\"invalid_grant\",\"error_description\":\"https://registry.example.com\"}");
        assert_refused(error_of(text, 400, &form, &error), PULLKEY_DENIED,
                       "invalid_grant, \"https://registry.example.com\" (", error);
    }
    for (size_t i = 0; i < 2; i++) {
        cleanup_buffer struct buffer form = BUFFER_INIT(4096);
        const char *secret = i == 0 ? "a+b" : "p%c";
        struct pullkey_error error;

        http_query_add(&form, "client_secret", secret, 3);
        (void)snprintf(text, sizeof(text),
                       "{\"error\":\"invalid_client\",\"error_description\":\"no %s here\"}",
                       secret);
        assert_refused(error_of(text, 401, &form, &error), PULLKEY_DENIED, "invalid_client (",
                       error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies),
        cmocka_unit_test(ends),
        cmocka_unit_test(no_replies),
        cmocka_unit_test(refusals),
        cmocka_unit_test(nothing_secret_is_repeated),
    };

    json_start();
    return cmocka_run_group_tests_name("oauth", tests, NULL, NULL);
}
