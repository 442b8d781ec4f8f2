/* SPDX-License-Identifier: Apache-2.0 */
/* Files with Google credentials, and what their sources of tokens and IAM answer. */
#include "unit.h"

#include "base/json.h"
#include "base/secret.h"
#include "token/google.h"

#define NOW 1700000000

static struct buffer body_of(const char *text)
{
    struct buffer body = BUFFER_INIT(65536);

    buffer_append_text(&body, text);
    return body;
}

static int read_file(const char *text, struct json *json, struct google_credentials *ret,
                     struct pullkey_error *error)
{
    assert_fine(json_parse(json, "c.json", text, strlen(text), 0, error), *error);
    return google_credentials_read(json, json->root, ret, error);
}

#define SOURCE(text) "\"credential_source\":{" text "}"
#define EXTERNAL                                                                                   \
    "{\"type\":\"external_account\",\"audience\":\"a\",\"subject_token_type\":\"s\","              \
    "\"token_url\":\"t\","

static void kinds(void **state)
{
    struct google_credentials credentials;
    struct pullkey_error error;

    (void)state;
    {
        cleanup_json struct json json = { 0 };

        assert_fine(
            read_file("{\"type\":\"service_account\",\"client_email\":\"e\",\"private_key\":"
                      "\"k\",\"private_key_id\":\"i\",\"token_uri\":\"u\"}",
                      &json, &credentials, &error),
            error);
        assert_int_equal(credentials.kind, GOOGLE_SERVICE_ACCOUNT);
        assert_string_equal(credentials.email, "e");
        assert_string_equal(credentials.private_key, "k");
        assert_string_equal(credentials.key_id, "i");
        assert_string_equal(credentials.token_url, "u");
    }
    {
        cleanup_json struct json json = { 0 };

        assert_fine(read_file(EXTERNAL SOURCE("\"executable\":{\"command\":\"/p q\","
                                              "\"timeout_millis\":5000}") "}",
                              &json, &credentials, &error),
                    error);
        assert_int_equal(credentials.kind, GOOGLE_EXTERNAL_ACCOUNT);
        assert_string_equal(credentials.source.command, "/p q");
        assert_int_equal(credentials.source.timeout_ms, 5000);
        assert_int_equal(credentials.lifetime, 3600);
        assert_null(credentials.impersonation_url);
    }
}

static void refusals(void **state)
{
    static const struct {
        const char *text, *said;
        enum pullkey_error_class code;
    } rows[] = {
        { "1", "has no \"type\"", PULLKEY_INVALID },
        { "{\"type\":\"\"}", "has no \"type\"", PULLKEY_INVALID },
        { "{\"type\":\"Service_Account\"}", "not known here", PULLKEY_INVALID },
        { "{\"type\":\"gdch_service_account\"}", "not known here", PULLKEY_INVALID },
        { "{\"type\":\"authorized_user\",\"client_id\":\"a\",\"client_secret\":1}",
          "has no \"client_secret\"", PULLKEY_INVALID },
        { "{\"type\":\"authorized_user\",\"client_id\":\"a\",\"client_secret\":\"b\"}",
          "has no \"refresh_token\"", PULLKEY_INVALID },
        { "{\"type\":\"external_account\",\"audience\":\"a\"}", "has no \"subject_token_type\"",
          PULLKEY_INVALID },
        { EXTERNAL "\"credential_source\":[]}", "has no \"credential_source\"", PULLKEY_INVALID },
        { EXTERNAL SOURCE("\"certificate\":{}") "}", "must have either", PULLKEY_INVALID },
        { EXTERNAL SOURCE("\"file\":\"/a\",\"executable\":{}") "}", "exactly one",
          PULLKEY_INVALID },
        { EXTERNAL SOURCE("\"executable\":{\"command\":\"/a\",\"timeout_millis\":4999}") "}",
          "number of 5000 to 120000", PULLKEY_INVALID },
        { EXTERNAL SOURCE("\"executable\":{\"command\":\"/a\",\"timeout_millis\":\"9\"}") "}",
          "number of 5000 to 120000", PULLKEY_INVALID },
        { EXTERNAL SOURCE("\"file\":\"/a\",\"format\":{\"type\":\"xml\"}") "}", "text or json",
          PULLKEY_INVALID },
        { EXTERNAL SOURCE("\"file\":\"/a\",\"format\":{\"type\":\"json\"}") "}",
          "has no \"subject_token_field_name\"", PULLKEY_INVALID },
        { EXTERNAL SOURCE("\"url\":\"u\",\"headers\":{\"A\":1}") "}", "must be text",
          PULLKEY_INVALID },
        { EXTERNAL "\"service_account_impersonation\":{\"token_lifetime_seconds\":43201}," SOURCE(
              "\"file\":\"/a\"") "}",
          "number of 600 to 43200", PULLKEY_INVALID },
        { "{\"type\":\"impersonated_service_account\",\"service_account_impersonation_url\":\"u\","
          "\"source_credentials\":{},\"delegates\":[1]}",
          "must be text", PULLKEY_INVALID },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_json struct json json = { 0 };
        struct google_credentials credentials;
        struct pullkey_error error = { 0 };

        assert_refused(read_file(rows[i].text, &json, &credentials, &error), rows[i].code,
                       rows[i].said, error);
        assert_non_null(strstr(error.message, "c.json"));
    }
}

static void iam(void **state)
{
    static const struct {
        const char *text, *said; /* NULL: it is taken */
        int64_t expiry;
    } rows[] = {
        { "{\"accessToken\":\"t\",\"expireTime\":\"2023-11-14T23:13:20Z\"}", NULL, NOW + 3600 },
        { "{\"accessToken\":\"t\",\"expireTime\":\"2023-11-14T23:13:20.123456789Z\"}", NULL,
          NOW + 3600 },
        { "{\"accessToken\":\"t\",\"expireTime\":\"2023-11-15T00:13:20+01:00\"}", NULL,
          NOW + 3600 },
        { "{\"accessToken\":\"t\",\"expireTime\":\"2023-11-14T22:13:20Z\"}", "expired already", 0 },
        { "{\"accessToken\":\"t\",\"expireTime\":1700003600}", "no expireTime", 0 },
        { "{\"accessToken\":\"\",\"expireTime\":\"2023-11-14T23:13:20Z\"}", "no accessToken", 0 },
        { "{\"accessToken\":\"t\",\"expireTime\":\"tomorrow\"}", "no date", 0 },
        { "", "no proper JSON", 0 },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_buffer struct buffer body = body_of(rows[i].text);
        cleanup_oauth_reply struct oauth_reply reply = { 0 };
        struct pullkey_error error = { 0 };
        int r = google_read_iam(&body, NOW, &reply, &error);

        if (rows[i].said) {
            assert_refused(r, PULLKEY_INVALID, rows[i].said, error);
            continue;
        }
        assert_fine(r, error);
        assert_string_equal(reply.access_token.bytes, "t");
        assert_int_equal(reply.expiry, rows[i].expiry);
    }
}

static void executables(void **state)
{
    static const struct {
        const char *text, *said;
    } rows[] = {
        { "{\"version\":1,\"success\":true,\"id_token\":\"t\"}", NULL },
        { "{\"version\":1,\"success\":true,\"saml_response\":\"t\"}", NULL },
        { "{\"version\":1,\"success\":true,\"id_token\":\"t\",\"expiration_time\":1700000001}",
          NULL },
        { "{\"version\":1,\"success\":true,\"id_token\":\"t\",\"expiration_time\":1700000000}",
          "has expired" },
        { "{\"version\":1,\"success\":\"true\",\"id_token\":\"t\"}", "no token (no code)" },
        { "{\"version\":1,\"success\":false,\"code\":\"4\\n1\"}", "no token (4?1)" },
        { "{\"version\":\"1\",\"success\":true,\"id_token\":\"t\"}", "version 1" },
        { "{\"version\":1,\"success\":true,\"id_token\":\"a b\"}", "no token may have" },
        { "{\"version\":1,\"success\":true,\"id_token\":\"\\n\"}", "empty" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_buffer struct buffer body = body_of(rows[i].text);
        cleanup_secret struct pullkey_secret token = { 0 };
        struct pullkey_error error = { 0 };
        int r = google_executable_read(&body, NOW, &token, &error);

        if (!rows[i].said) {
            assert_fine(r, error);
            assert_string_equal(token.bytes, "t");
        } else {
            assert_true(r < 0 && !token.bytes);
            if (!strstr(error.message, rows[i].said))
                fail_msg("\"%s\" does not contain \"%s\"", error.message, rows[i].said);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(kinds), cmocka_unit_test(refusals),
                                        cmocka_unit_test(iam), cmocka_unit_test(executables) };

    json_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
