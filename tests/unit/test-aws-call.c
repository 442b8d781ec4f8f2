/* SPDX-License-Identifier: Apache-2.0 */
/* A request to AWS that is refused: of which class the error is, and how often it is asked. The
 * service is this test. */
#include "unit.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"
#include "token/aws-call.h"
#include "token/aws-keys.h"
#include "token/machine.h"

int __real_http_send(struct http *http, const struct http_request *request,
                     struct http_response *ret, struct pullkey_error *error);
int __wrap_http_send(struct http *http, const struct http_request *request,
                     struct http_response *ret, struct pullkey_error *error);
void __wrap_http_wait(const struct http *http, int64_t ms);
bool __wrap_machine_is_amazon(const char *root);

#define NOW 1700000000

static struct {
    const char *code, *date;
    long status;
    enum pullkey_error_class failure; /* of the transport */
    int asked;
    int64_t waited;
    char host[URL_HOST_MAX + 1];
    unsigned int attempts;
    int64_t attempt_ms;
    bool metadata;
} server;

int __wrap_http_send(struct http *http, const struct http_request *request,
                     struct http_response *ret, struct pullkey_error *error)
{
    (void)http;
    server.asked++;
    memcpy(server.host, request->url->host, sizeof(server.host));
    server.attempts = request->attempts;
    server.attempt_ms = request->attempt_ms;
    server.metadata = request->allow_metadata;
    if (server.failure)
        return error_set(error, server.failure, "nobody is there");
    *ret = (struct http_response){ .status = server.status,
                                   .headers = BUFFER_INIT(1000),
                                   .body = BUFFER_INIT(1000) };
    if (server.date)
        buffer_printf(&ret->headers, "Date: %s\r\n", server.date);
    buffer_printf(&ret->body, "{\"__type\":\"%s\",\"message\":\"Signature expired: x\"}",
                  server.code);
    return 0;
}

void __wrap_http_wait(const struct http *http, int64_t ms)
{
    (void)http;
    server.waited += ms;
}

bool __wrap_machine_is_amazon(const char *root)
{
    (void)root;
    return true;
}

static int64_t wall(void)
{
    return NOW;
}

static int64_t monotonic(void)
{
    return 0;
}

static void ignore_log(const char *source, const char *format, ...)
{
    (void)source;
    (void)format;
}

static const struct pullkey_host host = {
    .size = sizeof(host),
    .alloc = secret_alloc,
    .release = secret_release,
    .log = ignore_log,
    .wall_seconds = wall,
    .monotonic_ms = monotonic,
};

static const struct settings no_settings;
static struct pullkey_request request = { .deadline_ms = 100000 };
static struct exchange exchange = { .host = &host, .settings = &no_settings, .request = &request };

static int call(struct pullkey_error *error)
{
    const struct pullkey_secret body = { (char[]){ "{}" }, 2 };
    cleanup_response struct http_response response = { 0 };
    cleanup_aws_keys struct aws_keys keys = { .id = "AKIA" };
    cleanup_aws struct aws aws = { .exchange = &exchange };
    struct url url;
    const struct aws_call what = {
        .service = AWS_ECR,
        .region = "eu-west-1",
        .url = &url,
        .content_type = "application/x-amz-json-1.1",
        .body = &body,
        .keys = &keys,
        .who = "somebody",
        .action = "ecr:GetAuthorizationToken",
    };

    assert_fine(url_parse("https://ecr.test/", &url, error), *error);
    assert_fine(secret_set(&keys.secret, "secret", 6, error), *error);
    return aws_call(&aws, &what, &response, error);
}

static void classes(void **state)
{
    static const struct {
        const char *code;
        long status;
        enum pullkey_error_class class;
        int asked;
    } rows[] = {
        { "", 200, PULLKEY_OK, 1 },
        { "AccessDeniedException", 400, PULLKEY_DENIED, 1 },
        { "UnrecognizedClientException", 400, PULLKEY_DENIED, 1 },
        { "InvalidClientTokenId", 403, PULLKEY_DENIED, 1 },
        { "InvalidSignatureException", 400, PULLKEY_DENIED, 1 },
        { "SignatureDoesNotMatch", 403, PULLKEY_DENIED, 1 },
        { "ExpiredTokenException", 400, PULLKEY_DENIED, 1 },
        { "RequestExpired", 400, PULLKEY_DENIED, 1 },
        { "RequestTimeTooSkewed", 403, PULLKEY_DENIED, 1 },
        { "RequestInTheFuture", 403, PULLKEY_DENIED, 1 },
        { "IDPRejectedClaim", 403, PULLKEY_DENIED, 1 },
        { "InvalidIdentityToken", 400, PULLKEY_DENIED, 1 },
        { "RegionDisabledException", 403, PULLKEY_DENIED, 1 },
        { "UnsupportedCommandException", 403, PULLKEY_DENIED, 1 },
        { "UnauthorizedException", 401, PULLKEY_DENIED, 1 },
        { "invalid_grant", 400, PULLKEY_DENIED, 1 },
        { "Odd", 403, PULLKEY_DENIED, 1 },
        { "Odd", 400, PULLKEY_INVALID, 1 },
        { "InvalidParameterException", 400, PULLKEY_INVALID, 1 },
        { "ThrottlingException", 400, PULLKEY_UNREACHABLE, 3 },
        { "TooManyRequestsException", 400, PULLKEY_UNREACHABLE, 3 },
        { "RequestLimitExceeded", 400, PULLKEY_UNREACHABLE, 3 },
        { "SlowDown", 400, PULLKEY_UNREACHABLE, 3 },
        { "RequestTimeout", 400, PULLKEY_UNREACHABLE, 3 },
        { "IDPCommunicationError", 400, PULLKEY_UNREACHABLE, 3 },
        { "ServerException", 400, PULLKEY_UNREACHABLE, 3 },
    };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        memset(&server, 0, sizeof(server));
        server.code = rows[i].code;
        server.status = rows[i].status;
        if (call(&error) != -(int)rows[i].class || server.asked != rows[i].asked)
            fail_msg("%s: %d asked, %s", rows[i].code, server.asked, error.message);
        if (rows[i].class != PULLKEY_OK &&
            (!strstr(error.message, "somebody") || !strstr(error.message, "ecr.test") ||
             !strstr(error.message, rows[i].code)))
            fail_msg("%s: %s", rows[i].code, error.message);
    }
    assert_in_range(server.waited, 2000, 4000);
    memset(&server, 0, sizeof(server));
    server.failure = PULLKEY_UNREACHABLE;
    assert_int_equal(call(&error), -PULLKEY_UNREACHABLE);
    assert_int_equal(server.asked, 1);
}

/* A Date that is another is believed once, and only where it is far enough. */
static void clocks(void **state)
{
    static const struct {
        const char *date;
        int asked;
    } rows[] = {
        { NULL, 1 },
        { "Tue, 14 Nov 2023 22:13:20 GMT", 1 },
        { "Tue, 14 Nov 2023 22:17:20 GMT", 1 },
        { "Tue, 14 Nov 2023 22:17:21 GMT", 2 },
        { "Tue, 14 Nov 2023 22:09:19 GMT", 2 },
        { "Tue, 14 Nov 2023 22:09:20 GMT", 1 },
        { "no date", 1 },
    };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        memset(&server, 0, sizeof(server));
        server.code = "InvalidSignatureException";
        server.status = 400;
        server.date = rows[i].date;
        assert_int_equal(call(&error), -PULLKEY_DENIED);
        if (server.asked != rows[i].asked)
            fail_msg("%s: %d", rows[i].date, server.asked);
    }
}

/* On a machine of Amazon's whose metadata cannot be reached: a container pulls what is public. */
static void hop_limit(void **state)
{
    cleanup_aws struct aws aws = { .exchange = &exchange, .looked = BUFFER_INIT(1000) };
    cleanup_aws_keys struct aws_keys keys = { 0 };
    struct pullkey_error error;

    (void)state;
    memset(&server, 0, sizeof(server));
    server.failure = PULLKEY_UNREACHABLE;
    assert_int_equal(aws_machine_keys(&aws, false, &keys, &error), -PULLKEY_UNREACHABLE);
    assert_non_null(strstr(error.message, "hop limit"));
    aws.registry.is_public = true;
    assert_int_equal(aws_machine_keys(&aws, false, &keys, &error), -PULLKEY_NOT_FOUND);
    assert_int_equal(aws_machine_keys(&aws, true, &keys, &error), -PULLKEY_UNREACHABLE);
    assert_int_equal(server.asked, 3);
}

/* Where metadata are asked, and for how long. */
static void places(void **state)
{
    static const struct {
        const char *mode, *timeout, *attempts, *host;
        unsigned int count;
        int64_t ms;
    } rows[] = {
        { NULL, NULL, NULL, "169.254.169.254", 1, 1000 },
        { "IPv4", "3", "2", "169.254.169.254", 2, 3000 },
        { "ipv6", "0", "0", "[fd00:ec2::254]", 1, 1000 },
        { "IPv6", "1000", "1000", "[fd00:ec2::254]", 5, 10000 },
        { NULL, "x", "-", "169.254.169.254", 1, 1000 },
    };
    static const char *const names[] = { "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
                                         "AWS_METADATA_SERVICE_TIMEOUT",
                                         "AWS_METADATA_SERVICE_NUM_ATTEMPTS" };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        const char *const values[] = { rows[i].mode, rows[i].timeout, rows[i].attempts };
        cleanup_aws struct aws aws = { .exchange = &exchange, .looked = BUFFER_INIT(1000) };
        cleanup_aws_keys struct aws_keys keys = { 0 };

        for (size_t j = 0; j < UNIT_COUNT(names); j++)
            assert_int_equal(values[j] ? setenv(names[j], values[j], 1) : unsetenv(names[j]), 0);
        memset(&server, 0, sizeof(server));
        server.failure = PULLKEY_UNREACHABLE;
        assert_int_equal(aws_machine_keys(&aws, true, &keys, &error), -PULLKEY_UNREACHABLE);
        assert_string_equal(server.host, rows[i].host);
        assert_int_equal(server.attempts, rows[i].count);
        assert_int_equal(server.attempt_ms, rows[i].ms);
        assert_true(server.metadata);
    }
    for (size_t j = 0; j < UNIT_COUNT(names); j++)
        (void)unsetenv(names[j]);
}

/* The authorities of AWS are for its servers, and for no longer than these are asked. */
static void bundle(void **state)
{
    const struct aws_registry registry = { .region = "eu-west-1",
                                           .partition = aws_partition_of("eu-west-1") };
    struct settings settings = { 0 };
    struct exchange own = { .host = &host, .settings = &settings, .request = &request };
    struct aws aws;

    (void)state;
    assert_int_equal(setenv("AWS_CA_BUNDLE", "/bundle.pem", 1), 0);
    aws_open(&own, &registry, &aws);
    assert_string_equal(own.http_options.ca_file, "/bundle.pem");
    aws_close(&aws);
    assert_null(own.http_options.ca_file);
    own.http_options.ca_file = "/own.pem";
    aws_open(&own, &registry, &aws);
    assert_string_equal(own.http_options.ca_file, "/own.pem");
    aws_close(&aws);
    assert_string_equal(own.http_options.ca_file, "/own.pem");
    assert_int_equal(unsetenv("AWS_CA_BUNDLE"), 0);
}

/* Who may be asked for a container's keys. */
static void container_hosts(void **state)
{
    static const struct {
        const char *url;
        bool is_one;
    } rows[] = {
        { "http://169.254.170.2/x", true },       { "http://169.254.170.23/v1/credentials", true },
        { "http://[fd00:ec2::23]/x", true },      { "http://localhost:8080/x", true },
        { "http://127.0.0.1/x", true },           { "http://[::1]/x", true },
        { "https://keys.corp.test/x", true },     { "http://keys.corp.test/x", false },
        { "http://169.254.169.254/x", false },    { "http://169.254.170.24/x", false },
        { "http://[fd00:ec2::254]/x", false },    { "http://169.254.170.2.evil.test/", false },
        { "http://localhost.evil.test/", false }, { "http://10.0.0.1/", false },
    };
    struct pullkey_error error;
    struct url url;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        assert_fine(url_parse(rows[i].url, &url, &error), error);
        if (aws_is_container_host(&url) != rows[i].is_one)
            fail_msg("%s", rows[i].url);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes), cmocka_unit_test(clocks),          cmocka_unit_test(hop_limit),
        cmocka_unit_test(places),  cmocka_unit_test(container_hosts), cmocka_unit_test(bundle),
    };

    (void)unsetenv("AWS_EC2_METADATA_DISABLED");
    (void)unsetenv("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    json_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
