/* SPDX-License-Identifier: Apache-2.0 */
/* What the services of AWS answer: XML, keys, tokens, logins, and failures. */
#include "unit.h"

#include "base/json.h"
#include "base/secret.h"
#include "token/aws-failure.h"
#include "token/aws-login.h"
#include "token/aws-reply.h"
#include "token/aws-xml.h"

#define NOW 1700000000 /* 2023-11-14T22:13:20Z */

static struct buffer body_of(const char *text)
{
    struct buffer body = BUFFER_INIT(1 << 20);

    buffer_append_text(&body, text);
    return body;
}

static void xml(void **state)
{
    static const struct {
        const char *text, *value; /* of a/b; NULL: refused; "-": not there */
    } rows[] = {
        { "<a><b>x</b></a>", "x" },
        { "<?xml version=\"1.0\"?>\n<a x=\"1\" y='2'>\n <c/>\n <b >x</b ></a>\n", "x" },
        { "<a><b>&lt;&amp;&gt;&quot;&apos;&#65;&#x42;</b></a>", "<&>\"'AB" },
        { "<a><b/></a>", "" },
        { "<a><b></b></a>", "" },
        { "<a></a>", "-" },
        { "<a><c><b>x</b></c></a>", "-" },
        { "<b>x</b>", "-" },
        { "<a><b>x</b><b>y</b></a>", NULL },
        { "<a><b>x<c/></b></a>", NULL },
        { "<a><b>x</b>", NULL },
        { "<a><b>x</c></a>", NULL },
        { "<a><b>x</bb></a>", NULL },
        { "<a><b>x</b></a><a/>", NULL },
        { "<a><b>x</b></a>y", NULL },
        { "y<a><b>x</b></a>", NULL },
        { "<a><b>&e;</b></a>", NULL },
        { "<a><b>&#0;</b></a>", NULL },
        { "<a><b>&#128;</b></a>", NULL },
        { "<a><b>&#x;</b></a>", NULL },
        { "<a><b>&lt</b></a>", NULL },
        { "<!DOCTYPE a [<!ENTITY e \"x\">]><a><b>&e;</b></a>", NULL },
        { "<a><!-- c --><b>x</b></a>", NULL },
        { "<a><b><![CDATA[x]]></b></a>", NULL },
        { "<a x=1><b>x</b></a>", NULL },
        { "<a x=\"<\"><b>x</b></a>", NULL },
        { "<a x><b>x</b></a>", NULL },
        { "<1><b>x</b></1>", NULL },
        { "", NULL },
        { "<", NULL },
        { "<a", NULL },
        { "</a>", NULL },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_buffer struct buffer body = body_of(rows[i].text), value = BUFFER_INIT(100);
        struct pullkey_error error;
        int r = aws_xml_find(&body, "a/b", &value, &error);

        if (!rows[i].value || strcmp(rows[i].value, "-") == 0) {
            if (r != (rows[i].value ? -PULLKEY_NOT_FOUND : -PULLKEY_INVALID))
                fail_msg("%s: %d", rows[i].text, r);
            continue;
        }
        if (r < 0)
            fail_msg("%s: %s", rows[i].text, error.message);
        assert_string_equal(value.data ? value.data : "", rows[i].value);
    }
}

static void keys(void **state)
{
    static const struct {
        enum aws_json kind;
        const char *text, *session, *expiration; /* session NULL: refused */
        enum pullkey_error_class code;
    } rows[] = {
        { AWS_JSON_METADATA,
          "{\"AccessKeyId\":\"ID\",\"SecretAccessKey\":\"S\",\"Token\":\"T\",\"Expiration\":\"E\","
          "\"Code\":\"Success\"}",
          "T", "E", 0 },
        { AWS_JSON_METADATA, "{\"AccessKeyId\":\"ID\",\"SecretAccessKey\":\"S\"}", "", "", 0 },
        { AWS_JSON_METADATA,
          "{\"AccessKeyId\":\"ID\",\"SecretAccessKey\":\"S\",\"SessionToken\":\"T\"}", "", "", 0 },
        { AWS_JSON_METADATA, "{\"Code\":\"AssumeRoleUnauthorizedAccess\"}", NULL, "",
          PULLKEY_DENIED },
        { AWS_JSON_METADATA, "{\"Code\":\"Success\"}", NULL, "", PULLKEY_INVALID },
        { AWS_JSON_METADATA, "{\"AccessKeyId\":\"I D\",\"SecretAccessKey\":\"S\"}", NULL, "",
          PULLKEY_INVALID },
        { AWS_JSON_METADATA, "{\"AccessKeyId\":\"I/D\",\"SecretAccessKey\":\"S\"}", NULL, "",
          PULLKEY_INVALID },
        { AWS_JSON_METADATA, "{\"AccessKeyId\":\"ID\",\"SecretAccessKey\":\"S\\n\"}", NULL, "",
          PULLKEY_INVALID },
        { AWS_JSON_METADATA,
          "{\"AccessKeyId\":\"ID\",\"SecretAccessKey\":\"S\",\"Token\":\"a\\r\\nb\"}", NULL, "",
          PULLKEY_INVALID },
        { AWS_JSON_METADATA, "{\"AccessKeyId\":1,\"SecretAccessKey\":\"S\"}", NULL, "",
          PULLKEY_INVALID },
        { AWS_JSON_PROCESS,
          "{\"Version\":1,\"AccessKeyId\":\"ID\",\"SecretAccessKey\":\"S\",\"SessionToken\":\"T\"}",
          "T", "", 0 },
        { AWS_JSON_PROCESS, "{\"Version\":1,\"AccessKeyId\":\"ID\",\"SecretAccessKey\":\"S\"}", "",
          "", 0 },
        { AWS_JSON_PROCESS, "{\"AccessKeyId\":\"ID\",\"SecretAccessKey\":\"S\"}", NULL, "",
          PULLKEY_INVALID },
        { AWS_JSON_PROCESS, "{\"Version\":\"1\",\"AccessKeyId\":\"ID\",\"SecretAccessKey\":\"S\"}",
          NULL, "", PULLKEY_INVALID },
        { AWS_JSON_SSO,
          "{\"roleCredentials\":{\"accessKeyId\":\"ID\",\"secretAccessKey\":\"S\","
          "\"sessionToken\":\"T\",\"expiration\":1700000000000}}",
          "T", "", 0 },
        { AWS_JSON_SSO, "{\"accessKeyId\":\"ID\",\"secretAccessKey\":\"S\"}", NULL, "",
          PULLKEY_INVALID },
        { AWS_JSON_LOGIN,
          "{\"accessToken\":{\"accessKeyId\":\"ID\",\"secretAccessKey\":\"S\","
          "\"sessionToken\":\"T\",\"expiresAt\":\"E\"}}",
          "T", "E", 0 },
        { AWS_JSON_LOGIN, "{\"accessToken\":\"T\"}", NULL, "", PULLKEY_INVALID },
        { AWS_JSON_METADATA, "[]", NULL, "", PULLKEY_INVALID },
        { AWS_JSON_METADATA, "{", NULL, "", PULLKEY_INVALID },
        { AWS_JSON_METADATA, "", NULL, "", PULLKEY_INVALID },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_buffer struct buffer body = body_of(rows[i].text);
        cleanup_aws_keys struct aws_keys found = { 0 };
        char expiration[AWS_EXPIRATION_SIZE];
        struct pullkey_error error;
        int r = aws_read_json(rows[i].kind, &body, &found, expiration, &error);

        if (!rows[i].session) {
            if (r != -(int)rows[i].code)
                fail_msg("%s: %d", rows[i].text, r);
            assert_null(found.secret.bytes);
            continue;
        }
        if (r < 0)
            fail_msg("%s: %s", rows[i].text, error.message);
        assert_string_equal(found.id, "ID");
        assert_string_equal(found.secret.bytes, "S");
        assert_string_equal(found.session.bytes ? found.session.bytes : "", rows[i].session);
        assert_string_equal(expiration, rows[i].expiration);
    }
}

#define TOKEN(value, expires) "\"authorizationToken\":\"" value "\",\"expiresAt\":" expires
#define PRIVATE(data) "{\"authorizationData\":[{" data "}]}"
#define PUBLIC(data) "{\"authorizationData\":{" data "}}"

static void tokens(void **state)
{
    static const struct {
        bool is_public;
        const char *text, *password; /* NULL: refused */
        int64_t expiry;
    } rows[] = {
        { false, PRIVATE(TOKEN("QVdTOng6eQ==", "1700043200.25")), "x:y", NOW + 43200 },
        { true, PUBLIC(TOKEN("QVdTOng6eQ==", "1700043200")), "x:y", NOW + 43200 },
        { false, PRIVATE(TOKEN("QVdTOng6eQ==", "1.7000432E9")), "x:y", NOW + 43200 },
        { false, PRIVATE(TOKEN("QVdTOng6eQ==", "1420070400")), "x:y", 1420070400 },
        { true, PRIVATE(TOKEN("QVdTOng6eQ==", "1700043200")), NULL, 0 },
        { false, PUBLIC(TOKEN("QVdTOng6eQ==", "1700043200")), NULL, 0 },
        { false, "{\"authorizationData\":[]}", NULL, 0 },
        { false, "{\"authorizationData\":[[]]}", NULL, 0 },
        { false, "{}", NULL, 0 },
        { false, "", NULL, 0 },
        { false, PRIVATE(TOKEN("QVdTOng6eQ==", "\"1700043200\"")), NULL, 0 },
        { false, PRIVATE(TOKEN("QVdTOng6eQ==", "-1")), NULL, 0 },
        { false, PRIVATE(TOKEN("QVdTOng6eQ==", "1e300")), NULL, 0 },
        { false, PRIVATE("\"authorizationToken\":\"QVdTOng6eQ==\""), NULL, 0 },
        { false, PRIVATE(TOKEN("QVdTOng6e*==", "1700043200")), NULL, 0 },
        { false, PRIVATE(TOKEN("QVdT", "1700043200")), NULL, 0 },
        { false, PRIVATE(TOKEN("QVdTOg==", "1700043200")), NULL, 0 },
        { false, PRIVATE(TOKEN("Ong=", "1700043200")), NULL, 0 },
        { false, PRIVATE(TOKEN("QVdTOngK", "1700043200")), NULL, 0 },
        { false, PRIVATE(TOKEN("QVdTOngA", "1700043200")), NULL, 0 },
        { false, PRIVATE(TOKEN("QVdTOv8=", "1700043200")), NULL, 0 },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_buffer struct buffer body = body_of(rows[i].text);
        cleanup_aws_token struct aws_token token = { 0 };
        struct pullkey_error error;
        int r = aws_read_token(rows[i].is_public, &body, &token, &error);

        if (!rows[i].password) {
            if (r != -PULLKEY_INVALID)
                fail_msg("%s: %d", rows[i].text, r);
            continue;
        }
        if (r < 0)
            fail_msg("%s: %s", rows[i].text, error.message);
        assert_string_equal(token.username, "AWS");
        assert_string_equal(token.password.bytes, rows[i].password);
        assert_int_equal(token.expiry, rows[i].expiry);
    }
}

static void sts(void **state)
{
    cleanup_buffer struct buffer body =
        body_of("<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n"
                "<AssumeRoleResult><Credentials><SessionToken>T==</SessionToken><Expiration/>"
                "<SecretAccessKey>a&amp;b</SecretAccessKey><AccessKeyId>ID</AccessKeyId>"
                "</Credentials></AssumeRoleResult></AssumeRoleResponse>");
    cleanup_buffer struct buffer token =
        body_of("<GetWebIdentityTokenResponse><GetWebIdentityTokenResult><WebIdentityToken>a.b.c"
                "</WebIdentityToken></GetWebIdentityTokenResult></GetWebIdentityTokenResponse>");
    cleanup_aws_keys struct aws_keys found = { 0 }, other = { 0 };
    cleanup_secret struct pullkey_secret web = { 0 }, none = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_fine(aws_read_sts("AssumeRole", &body, &found, &error), error);
    assert_string_equal(found.id, "ID");
    assert_string_equal(found.secret.bytes, "a&b");
    assert_string_equal(found.session.bytes, "T==");
    assert_int_equal(aws_read_sts("AssumeRoleWithWebIdentity", &body, &other, &error),
                     -PULLKEY_INVALID);
    assert_null(other.secret.bytes);
    assert_fine(aws_read_web_token(&token, &web, &error), error);
    assert_string_equal(web.bytes, "a.b.c");
    assert_int_equal(aws_read_web_token(&body, &none, &error), -PULLKEY_INVALID);
}

#define LOGIN "\"accessToken\":\"A\",\"expiresAt\":\"2023-11-14T23:13:20Z\""
#define CLIENT "\"clientId\":\"I\",\"clientSecret\":\"S\",\"refreshToken\":\"R\""
#define REGISTRATION(date) "\"registrationExpiresAt\":\"" date "\""

static void logins(void **state)
{
    static const struct {
        const char *text;
        int64_t end; /* 0: refused */
        bool is_renewable;
    } rows[] = {
        { "{" LOGIN "}", NOW + 3600, false },
        { "{\"accessToken\":\"A\",\"expiresAt\":\"2023-11-14T23:13:20UTC\"}", NOW + 3600, false },
        { "{\"accessToken\":\"A\",\"expiresAt\":\"2023-11-14T22:13:19.5+00:00\"}", NOW - 1, false },
        { "{" LOGIN "," CLIENT "," REGISTRATION("2023-12-01T00:00:00Z") "}", NOW + 3600, true },
        { "{" LOGIN "," CLIENT "," REGISTRATION("2023-11-14T22:13:20Z") "}", NOW + 3600, false },
        { "{" LOGIN "," CLIENT "}", NOW + 3600, false },
        { "{" LOGIN "," REGISTRATION("2023-12-01T00:00:00Z") "}", NOW + 3600, false },
        { "{\"accessToken\":\"A\"}", 0, false },
        { "{\"accessToken\":\"A\",\"expiresAt\":\"tomorrow\"}", 0, false },
        { "{\"accessToken\":\"A B\",\"expiresAt\":\"2023-11-14T23:13:20Z\"}", 0, false },
        { "{\"accessToken\":{},\"expiresAt\":\"2023-11-14T23:13:20Z\"}", 0, false },
        { "[]", 0, false },
        { "", 0, false },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_buffer struct buffer body = body_of(rows[i].text);
        cleanup_login struct aws_login login = { 0 };
        struct pullkey_error error;
        int r = aws_login_read(&body, NOW, &login, &error);

        if (rows[i].end == 0) {
            assert_int_equal(r, -PULLKEY_INVALID);
            continue;
        }
        if (r < 0)
            fail_msg("%s: %s", rows[i].text, error.message);
        assert_string_equal(login.token, "A");
        assert_int_equal(login.end, rows[i].end);
        assert_int_equal(login.is_renewable, rows[i].is_renewable);
    }
}

static void renewal(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"accessToken\":\"B\"}",
        "{\"accessToken\":\"B\",\"expiresIn\":0}",
        "{\"accessToken\":\"B\",\"expiresIn\":-5}",
        "{\"accessToken\":\"B C\",\"expiresIn\":5}",
        "{\"accessToken\":\"B\",\"expiresIn\":5,\"refreshToken\":\"\"}",
        "{\"accessToken\":\"B\",\"expiresIn\":5,\"refreshToken\":7}",
    };
    cleanup_buffer struct buffer body =
        body_of("{" LOGIN "," CLIENT "," REGISTRATION("2023-12-01T00:00:00Z") ",\"n\":1.50}");
    cleanup_buffer struct buffer reply =
        body_of("{\"accessToken\":\"B\",\"expiresIn\":60,\"refreshToken\":\"R2\"}");
    cleanup_buffer struct buffer text = BUFFER_INIT(4096), again = BUFFER_INIT(4096);
    cleanup_secret struct pullkey_secret request = { 0 };
    cleanup_login struct aws_login login = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_fine(aws_login_read(&body, NOW, &login, &error), error);
    assert_fine(aws_login_ask(&login, &request, &error), error);
    assert_string_equal(request.bytes, "{\"grantType\":\"refresh_token\",\"clientId\":\"I\","
                                       "\"clientSecret\":\"S\",\"refreshToken\":\"R\"}");
    for (size_t i = 0; i < UNIT_COUNT(bad); i++) {
        cleanup_buffer struct buffer one = body_of(bad[i]);

        if (aws_login_renew(&login, &one, NOW, &error) != -PULLKEY_INVALID)
            fail_msg("%s", bad[i]);
        assert_string_equal(login.token, "A");
        assert_int_equal(login.end, NOW + 3600);
    }
    assert_fine(aws_login_renew(&login, &reply, NOW, &error), error);
    assert_string_equal(login.token, "B");
    assert_int_equal(login.end, NOW + 60);
    assert_true(login.is_renewable);
    assert_fine(aws_login_write(&login, &text, &error), error);
    assert_string_equal(text.data,
                        "{\"accessToken\":\"B\",\"expiresAt\":\"2023-11-14T22:14:20Z\","
                        "\"clientId\":\"I\",\"clientSecret\":\"S\",\"refreshToken\":\"R2\","
                        "\"registrationExpiresAt\":\"2023-12-01T00:00:00Z\",\"n\":1.50}");
    /* Without a new refresh token the old one stays. */
    buffer_done(&reply);
    reply = body_of("{\"accessToken\":\"C\",\"expiresIn\":\"60\"}");
    assert_fine(aws_login_renew(&login, &reply, NOW, &error), error);
    assert_fine(aws_login_write(&login, &again, &error), error);
    assert_non_null(strstr(again.data, "\"refreshToken\":\"R2\""));
}

static int texts_left = -1; /* until there is no memory; less than 0: there is */

cJSON *__real_cJSON_CreateString(const char *text);
cJSON *__wrap_cJSON_CreateString(const char *text);
cJSON *__wrap_cJSON_CreateString(const char *text)
{
    if (texts_left == 0)
        return NULL;
    texts_left -= texts_left > 0;
    return __real_cJSON_CreateString(text);
}

static void renewal_without_memory(void **state)
{
    (void)state;
    for (int left = 0; left < 3; left++) {
        cleanup_buffer struct buffer body =
            body_of("{\"accessToken\":\"A\",\"expiresAt\":\"2023-11-14T23:13:20Z\","
                    "\"refreshToken\":\"R\"}");
        cleanup_buffer struct buffer reply =
            body_of("{\"accessToken\":\"B\",\"expiresIn\":60,\"refreshToken\":\"S\"}");
        cleanup_login struct aws_login login = { 0 };
        struct pullkey_error error = { 0 };
        int r;

        assert_fine(aws_login_read(&body, NOW, &login, &error), error);
        texts_left = left;
        r = aws_login_renew(&login, &reply, NOW, &error);
        texts_left = -1;
        assert_int_equal(r, -PULLKEY_INTERNAL);
        assert_null(login.token);
    }
}

static void failures(void **state)
{
    static const struct {
        const char *text, *code;
        bool passes, is_skew;
    } rows[] = {
        { "{\"__type\":\"AccessDeniedException\"}", "AccessDeniedException", false, false },
        { "{\"__type\":\"a.b#ThrottlingException\"}", "ThrottlingException", true, false },
        { "{\"__type\":\"ServerException:http://x\"}", "ServerException", true, false },
        { "{\"code\":\"SlowDown\"}", "SlowDown", true, false },
        { "{\"code\":\"ProvisionedThroughputExceededException\"}",
          "ProvisionedThroughputExceededException", true, false },
        { "{\"code\":\"LimitExceededException\"}", "LimitExceededException", true, false },
        { "{\"code\":\"EC2ThrottledException\"}", "EC2ThrottledException", true, false },
        { "{\"code\":\"TransactionInProgressException\"}", "TransactionInProgressException", true,
          false },
        { "{\"code\":\"RequestThrottledException\"}", "RequestThrottledException", true, false },
        { "{\"code\":\"BandwidthLimitExceeded\"}", "BandwidthLimitExceeded", true, false },
        { "{\"code\":\"PriorRequestNotComplete\"}", "PriorRequestNotComplete", true, false },
        { "{\"code\":\"InternalFailure\"}", "InternalFailure", true, false },
        { "{\"code\":\"ServiceUnavailable\"}", "ServiceUnavailable", true, false },
        { "{\"error\":\"invalid_grant\"}", "invalid_grant", false, false },
        { "{\"__type\":\"RequestTimeTooSkewed\"}", "RequestTimeTooSkewed", false, true },
        { "{\"__type\":\"RequestTimeout\"}", "RequestTimeout", true, false },
        { "{\"__type\":\"RequestExpired\"}", "RequestExpired", false, true },
        { "{\"__type\":\"RequestInTheFuture\"}", "RequestInTheFuture", false, true },
        { "{\"__type\":\"InvalidSignatureException\",\"message\":\"Signature expired: x\"}",
          "InvalidSignatureException", false, true },
        { "{\"__type\":\"InvalidSignatureException\",\"Message\":\"Signature not yet current\"}",
          "InvalidSignatureException", false, true },
        { "{\"__type\":\"InvalidSignatureException\",\"message\":\"it does not match\"}",
          "InvalidSignatureException", false, false },
        { "<ErrorResponse><Error><Type>Sender</Type><Code>IDPCommunicationError</Code>"
          "<Message>m</Message></Error></ErrorResponse>",
          "IDPCommunicationError", true, false },
        { "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>Signature expired: x"
          "</Message></Error></ErrorResponse>",
          "SignatureDoesNotMatch", false, true },
        { "<Error><Code>X</Code></Error>", "", false, false },
        { "{\"__type\":\"with blank\"}", "", false, false },
        { "{\"__type\":5}", "", false, false },
        { "not at all", "", false, false },
        { "", "", false, false },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_buffer struct buffer body = body_of(rows[i].text);
        struct aws_failure failure;

        aws_read_failure(&body, &failure);
        assert_string_equal(failure.code, rows[i].code);
        if (aws_failure_passes(&failure) != rows[i].passes ||
            aws_failure_is_skew(&failure) != rows[i].is_skew)
            fail_msg("%s", rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xml),
        cmocka_unit_test(keys),
        cmocka_unit_test(tokens),
        cmocka_unit_test(sts),
        cmocka_unit_test(logins),
        cmocka_unit_test(renewal),
        cmocka_unit_test(renewal_without_memory),
        cmocka_unit_test(failures),
    };

    json_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
